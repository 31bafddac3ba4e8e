//! Promises of the library, through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod bus;
mod durability;
mod members;
mod model;
mod recovery;
mod saga;
mod schema;
mod support;
