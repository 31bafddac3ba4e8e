//! Routes with what is said of them: no route without its description, and no description without its route.
//!
//! An [`Api`] takes each handler together with an [`Operation`]: what it does, which parameters and body it takes, and
//! what it answers. The routes become a router of `axum`, the operations an OpenAPI 3.1 document ([`document`]), whose
//! schemas are those of JSON Schema 2020-12 that `schemars` derives, or a table of [`Field`]s.

mod api;
mod document;
mod field;
mod operation;

pub use api::Api;
pub use document::{About, document};
pub use field::{Field, Kind, of};
pub use operation::{Answer, Operation, Shows};
