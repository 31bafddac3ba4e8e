//! Promises of the library, through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod bus;
#[cfg(feature = "simulation")]
mod bus_histories;
mod dead_letters;
mod durability;
#[cfg(feature = "simulation")]
mod faults;
mod filters;
mod flow;
mod members;
mod model;
mod order;
#[cfg(feature = "simulation")]
mod probe;
mod recovery;
mod saga;
mod schema;
#[cfg(feature = "simulation")]
mod simulation;
mod support;
