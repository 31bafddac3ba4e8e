//! All operations of a process, and the OpenAPI document of them.

use http_api::{About, Operation, of};
use nanopore::problem::Problem;
use serde_json::Value;

use super::api;
use crate::services::{Served, Service};
use crate::steps;

/// Every operation of a process that serves these.
pub(super) fn operations(served: &Served) -> Vec<Operation> {
    let (_, mut operations) = api::own(steps::takes_forms(served)).into_parts();
    let services = Service::ALL.into_iter().filter(|it| served.has(*it));
    operations.extend(services.flat_map(Service::operations));
    operations
}

/// Every operation of a process that serves these, in the form of OpenAPI 3.1.
pub(crate) fn document(served: &Served) -> Value {
    let operations = operations(served);
    let about = About {
        title: "sagabus",
        version: env!("CARGO_PKG_VERSION"),
        description: "Events, sagas, and nanopore sample tracking: samples, reading of forms and the audit trail. \
            Parameters that are not listed are refused, and so are fields.",
        server: "http://127.0.0.1:8080",
        tags: &TAGS,
        problem: of::<Problem>,
    };
    http_api::document(&about, &operations)
}

/// The groups of operations.
const TAGS: [(&str, &str); 14] = [
    (
        "program",
        "Whether it lives and works, in words and numbers",
    ),
    ("events", "Publish events, and read them"),
    ("schedules", "Events that are published later"),
    (
        "dead letters",
        "Deliveries that failed for good, and what is done about them",
    ),
    ("subscriptions", "Where deliveries are"),
    ("sagas", "Start sagas, look at them, and help them on"),
    ("samples", "Samples, their queue and their work"),
    ("tables", "Import and export"),
    ("catalogue", "What a facility works with"),
    ("submissions", "Projects and submissions"),
    ("forms", "Documents that are read"),
    ("trail", "What was done by whom, and the proof of it"),
    ("decisions", "Samples whose quality control failed"),
    ("flow cells", "Flow cells and what is done with them"),
];

#[cfg(test)]
mod tests;
