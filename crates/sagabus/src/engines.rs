//! The engines of this crate.

pub mod embedded;
