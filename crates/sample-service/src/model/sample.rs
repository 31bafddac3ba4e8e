//! A sample as the facility tracks it.

use nanopore::sample::{NewSample, Stage, Status};
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// A sample: what was said of it, and where it stands.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// The submission that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// The processing step it is at; none when all are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Why nothing is begun with it, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What was said of it.
    #[serde(flatten)]
    pub fields: NewSample,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When the tube came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// How long its clock stood still for holds before, in milliseconds.
    #[serde(skip)]
    pub held_ms: u64,
    /// When work on it first began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When work on it was first completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When it was archived, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who entered it.
    pub created_by: String,
}

/// A sample on hold: nothing is begun with it until it is released.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// Who said so.
    pub held_by: String,
    /// Since when.
    pub held_at: Timestamp,
}

impl Sample {
    /// A sample entered now.
    #[must_use]
    pub fn new(id: String, fields: NewSample, created_by: String, now: Timestamp) -> Self {
        Self {
            id,
            version: 1,
            submission_id: None,
            status: Status::default(),
            stage: Some(Stage::default()),
            hold: None,
            fields,
            submitted_at: now,
            received_at: None,
            held_ms: 0,
            started_at: None,
            completed_at: None,
            archived_at: None,
            created_at: now,
            updated_at: now,
            created_by,
        }
    }

    /// The sample after one more change.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.version += 1;
        self.updated_at = now;
    }

    /// Puts the sample there; the first start and the first completion are kept for good.
    pub(crate) fn stand(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.archived_at = (status == Status::Archived).then_some(now);
        match status {
            Status::Prep => self.started_at = self.started_at.or(Some(now)),
            Status::Completed => self.completed_at = self.completed_at.or(Some(now)),
            Status::Submitted
            | Status::Sequencing
            | Status::Analysis
            | Status::Distributed
            | Status::Archived => {}
        }
    }

    /// Whether people are working on it.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        matches!(
            self.status,
            Status::Prep | Status::Sequencing | Status::Analysis
        )
    }
}

/// One thing that was done to a sample.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The sample.
    pub sample_id: String,
    /// What was done: created, updated, assigned, status_changed, status_overridden, step_started,
    /// step_completed, step_failed, step_skipped, received, held, released, form_refused, kept, deleted,
    /// decision_requested, decision_overdue, decision_made.
    pub action: String,
    /// Where the sample stood afterwards.
    pub status: Status,
    /// Who had it afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
    /// Why, or what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// Who did it.
    pub created_by: String,
}
