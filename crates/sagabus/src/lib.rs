//! A durable event bus and saga orchestrator that needs no server.
//!
//! Vocabulary (pure): [`event`], [`pattern`], [`error`], [`clock`].
//! Seams: [`saga_store`].
//! Sagas: [`saga`].

pub mod clock;
pub mod error;
pub mod event;
pub mod saga_store;

pub mod saga;

pub use clock::{Clock, Timestamp};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventId, Payload};
