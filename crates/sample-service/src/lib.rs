//! The sample service: submissions and samples, the rules of their lives, the events that tell of them.
//!
//! [`SampleService`] holds the operations; [`routes`] is its HTTP face, [`steps`] the face it shows to sagas and
//! [`consumer`] the one it shows to events. Each change and its event are one transaction.

pub mod consumer;
mod handlers;
pub mod model;
mod publisher;
mod repository;
pub mod routes;
mod service;
pub mod steps;

pub use service::{Actor, Files, Ingest, Mode, Operation, SampleService, SheetSample};
