//! Routes with what is said of them, and what all of them have in common: how a request is read, how a failure is told.
//!
//! An [`Api`] takes each handler together with an [`Operation`]: what it does, which parameters and body it takes, and
//! what it answers. The routes become a router of `axum`, the operations an OpenAPI 3.1 document ([`document`]), whose
//! schemas are those of JSON Schema 2020-12 that `schemars` derives, or a table of [`Field`]s. So there is no route without its
//! description, and no description without its route.
//!
//! A handler takes [`Caller`], [`Pairs`], [`Body`] or [`Sent`], and gives a [`Reply`], whose [`Failure`] is a problem document.

mod api;
mod document;
mod field;
mod operation;
mod reply;
mod request;

pub use api::Api;
pub use document::{About, document};
pub use field::{Field, Kind, of};
pub use operation::{Answer, Operation, Shows};
pub use reply::{Failure, Reply, respond};
pub use request::{Body, Caller, NOBODY, Pairs, Sent, broken, unreadable};
