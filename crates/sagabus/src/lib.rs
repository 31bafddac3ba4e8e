//! A durable event bus and saga orchestrator that needs no server.
//!
//! Vocabulary (pure): [`event`], [`pattern`], [`filter`], [`retry`], [`settings`], [`error`], [`clock`].
//! Seams: [`transport`], [`saga_store`]. What users hold: [`bus`], [`saga`]. The delivery rules: [`ledger`].
//! Engines: [`engines`]. From calls to events, and back: [`migration`].

mod cbor;
pub mod clock;
pub mod error;
pub mod event;
pub mod filter;
pub mod pattern;
pub mod retry;
pub mod settings;
mod sync;
mod text;
mod words;

pub mod saga_store;
pub mod transport;

pub mod bus;
pub mod ledger;
pub mod saga;
pub mod schema;

pub mod engines;

pub mod migration;
mod planted;

#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "testing")]
pub mod sagatest;

pub use bus::{Bus, Data, Delivery, Disposition, Emit, HandlerError};
pub use clock::{Clock, SystemClock, Timestamp};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventId, EventType, Payload};
pub use pattern::Pattern;
pub use retry::Retry;
pub use saga::Sagas;
pub use settings::Settings;
pub use transport::{Receipt, Start};

#[cfg(feature = "macros")]
#[doc = include_str!("docs/payload.md")]
pub use sagabus_macros::Payload;

#[cfg(feature = "macros")]
#[doc = include_str!("docs/disposition.md")]
pub use sagabus_macros::Disposition;

#[cfg(feature = "macros")]
#[doc = include_str!("docs/subscriber.md")]
pub use sagabus_macros::subscriber;

#[cfg(feature = "macros")]
#[doc = include_str!("docs/saga_steps.md")]
pub use sagabus_macros::saga_steps;
