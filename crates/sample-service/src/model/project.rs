//! A project as the facility tracks it.

use nanopore::sample::NewProject;
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// A project: what was said of it, and how often it was changed.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// What was said of it.
    #[serde(flatten)]
    pub fields: NewProject,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who began it.
    pub created_by: String,
}
