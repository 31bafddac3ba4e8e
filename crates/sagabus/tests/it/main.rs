//! Promises of the library, through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod bus;
mod dead_letters;
mod durability;
mod flow;
mod members;
mod model;
mod order;
mod recovery;
mod saga;
mod support;
