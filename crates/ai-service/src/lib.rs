//! The ai service: reads submission forms and says what they hold, with evidence.

pub mod pdf;

pub mod form;
