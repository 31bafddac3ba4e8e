//! The trail as rows. All functions work in the caller's transaction; entries are added and read, and emptied when their time is over.

mod alerts;
mod append;
mod chained;
mod checkpoints;
mod indexes;
mod proof;
mod read;
mod reports;
mod retention;
mod schema;
mod tree;
mod verify;

use nanopore::events::audit::{Category, Outcome, Severity};
use sagabus::{Error, ErrorKind, Result};

pub(crate) use alerts::{add_told, has_told, told};
pub(crate) use append::append;
pub(crate) use chained::take_up as take_up_chain;
pub(crate) use checkpoints::{
    checker, last as last_checkpoint, sign, take_up as take_up_checkpoint,
};
pub(crate) use indexes::{Keys, index_fault};
pub(crate) use proof::{consistency, inclusion, sequence_of};
pub(crate) use read::{bytes_after, find, has_entry, has_event, is_emptied, list, statistics};
pub(crate) use reports::{due, entries_of, insert_report, report, reports, set_due};
pub(crate) use retention::{declared, empty, over};
pub(crate) use schema::schema_fault;
pub(crate) use tree::{size, state};
pub(crate) use verify::{Checked, Pass};

use crate::merkle::Hash;

/// The columns of an entry, in the order of its bytes.
const COLUMNS: &str = "seq, id, event_id, time_ms, recorded_ms, service, action, actor_id, actor_email, resource, \
     resource_id, outcome, severity, category, correlation_id, causation_id, reason, ip_address, user_agent, \
     session_id, tags, duration_ms, old_values, new_values, details";
/// How many they are.
const COLUMN_COUNT: usize = 25;

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
