//! Promises of the library, through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[cfg(all(feature = "macros", feature = "testing"))]
mod api;
mod backlog;
mod bus;
#[cfg(feature = "simulation")]
mod bus_histories;
#[cfg(feature = "conformance")]
mod conformance;
mod costs;
mod dead_letters;
mod duplicates;
mod durability;
#[cfg(all(feature = "macros", feature = "sqlite", feature = "testing"))]
mod effects;
#[cfg(all(feature = "macros", feature = "testing"))]
mod examples;
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
mod replay;
mod saga;
mod schema;
#[cfg(feature = "simulation")]
mod simulation;
mod support;
mod time;
