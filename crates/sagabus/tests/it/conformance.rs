//! The engines of this crate against the conformance suite.

mod directory;
mod memory;
mod trace;
