//! Promises of the library, through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[cfg(all(feature = "macros", feature = "testing"))]
mod api;
mod bus;
mod durability;
#[cfg(all(feature = "macros", feature = "sqlite", feature = "testing"))]
mod effects;
#[cfg(all(feature = "macros", feature = "testing"))]
mod examples;
mod flow;
mod members;
mod model;
mod order;
mod recovery;
mod saga;
mod support;
