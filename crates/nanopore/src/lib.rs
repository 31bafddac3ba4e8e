//! The words of nanopore sample tracking: event types, the sample and its rules, saga definitions and calls.
//!
//! Pure: no I/O, no clock. The services share these words and nothing else.

pub mod events;
pub mod problem;
pub mod query;
pub mod sagas;
pub mod sample;
pub mod steps;
