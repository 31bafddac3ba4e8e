//! Schemas of events: which versions of which type are known, how older ones become newer ones, and what is sent.
//!
//! A version is `major.minor`. A reader of one minor version reads every other of the same major: what it does not know
//! it leaves in place. A major version that is not known is refused at publish, and a dead letter at a typed
//! subscription. Between two majors stands an upcast: a function from the older payload to the newer one.
//!
//! ```
//! use sagabus::schema::Registry;
//! use sagabus::{Event, Payload, SystemClock};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct NotedV1 { text: String }
//! impl Payload for NotedV1 {
//!     const TYPE: &'static str = "lab.noted";
//!     const SOURCE: &'static str = "lab";
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Noted { text: String, author: Option<String> }
//! impl Payload for Noted {
//!     const TYPE: &'static str = "lab.noted";
//!     const SOURCE: &'static str = "lab";
//!     const VERSION: &'static str = "2.0";
//! }
//!
//! # fn main() -> sagabus::Result<()> {
//! let registry = Registry::builder()
//!     .register::<NotedV1>()
//!     .register::<Noted>()
//!     .upcast(|old: NotedV1| Noted { text: old.text, author: None })
//!     .build()?;
//! let old = Event::new(&NotedV1 { text: "drained".to_owned() }, &SystemClock)?;
//! assert_eq!(registry.decode::<Noted>(&old)?.text, "drained");
//! # Ok(())
//! # }
//! ```

mod version;

mod registry;

mod builder;

pub mod compatibility;

pub mod asyncapi;

pub use builder::{RegistryBuilder, RegistryError};
pub use registry::{Check, Registry, SchemaFault, UnknownTypes, VersionInfo};
pub use version::Version;

#[cfg(test)]
mod tests;
