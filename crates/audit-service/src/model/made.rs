//! A report that was made.

use nanopore::events::audit::{ReportFormat, ReportType};
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Its id.
    pub id: String,
    /// The schedule that it was made by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<String>,
    /// What it is called.
    pub name: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub report_type: ReportType,
    /// Its file format.
    pub format: ReportFormat,
    /// Entries of acts at this time or later.
    pub from: Timestamp,
    /// Entries of acts at this time or earlier.
    pub to: Timestamp,
    /// How many entries it has.
    pub record_count: u64,
    /// Who wanted it.
    pub requested_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
}
