//! The audit service: a trail of everything that happens, append-only and chained by hashes.
//!
//! [`AuditService`] holds the operations; [`routes`] is its HTTP face, [`steps`] the face it shows to sagas and
//! [`consumer`] the one it shows to events. [`chain`] is the rule by which tampering is found.

pub mod chain;
pub mod consumer;
mod handlers;
pub mod model;
mod publisher;
mod repository;
pub mod routes;
mod service;
pub mod steps;

pub use service::AuditService;
