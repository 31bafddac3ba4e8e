//! The audit service: a trail of everything that happens, append-only, over a signed Merkle tree.
//!
//! [`AuditService`] holds the operations; [`routes`] is its HTTP face, [`steps`] the face it shows to sagas and
//! [`consumer`] the one it shows to events. [`merkle`] is the rule by which tampering is found, [`note`] how a state of the
//! trail is signed, and [`offline`] finds tampering without the service.

mod access;
mod bundle;
mod check;
pub mod consumer;
mod handlers;
mod journal;
mod key_file;
mod leaf;
pub mod merkle;
pub mod model;
pub mod note;
pub mod offline;
mod publisher;
mod report;
mod reports;
mod repository;
mod retention;
pub mod routes;
mod service;
mod settings;
pub mod steps;
mod work;

pub use access::{ACTION as ACCESS, Access};
pub use retention::Applied;
pub use service::AuditService;
pub use settings::Settings;
