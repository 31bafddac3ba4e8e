//! The trail as rows. All functions work in the caller's transaction; entries are added and read, nothing else.

mod append;
mod read;
mod verify;

use nanopore::events::audit::{Category, Outcome, Severity};
use sagabus::{Error, ErrorKind, Result};

pub(crate) use append::append;
pub(crate) use read::{find, has_event, last, list, statistics};
pub(crate) use verify::{Check, State, verify_some};

use crate::chain::Hash;

/// The columns of an entry that its hash covers, in the order of the hash.
const COLUMNS: &str = "seq, id, event_id, time_ms, recorded_ms, service, action, actor_id, actor_email, resource, \
     resource_id, outcome, severity, category, correlation_id, causation_id, details";
/// How many they are.
const COLUMN_COUNT: usize = 17;

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

fn category(category: Category) -> &'static str {
    match category {
        Category::Authentication => "authentication",
        Category::Authorization => "authorization",
        Category::DataAccess => "data_access",
        Category::DataModification => "data_modification",
        Category::System => "system",
        Category::Security => "security",
    }
}

fn to_hash(bytes: &[u8]) -> Result<Hash> {
    bytes
        .try_into()
        .map_err(|_| Error::new(ErrorKind::Corrupt, "a hash of the trail has not 32 bytes"))
}
