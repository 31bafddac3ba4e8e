//! The words of nanopore sample tracking: event types, the sample and its rules, saga definitions.
//!
//! Pure: no I/O, no clock. The services share these words and nothing else.

pub mod events;
pub mod sagas;
pub mod sample;
