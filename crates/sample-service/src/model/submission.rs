//! A submission: one document that announces many samples.

use nanopore::sample::{Progress, State, SubmissionStatus, Submitter};
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a submission came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmissionKind {
    /// As a form, which is read.
    Form,
    /// As a table.
    Csv,
    /// As a list that a person or program entered.
    Manual,
}

impl SubmissionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Form, Self::Csv, Self::Manual];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Csv => "csv",
            Self::Manual => "manual",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A document that has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSubmission {
    /// Id to use, so that a repeated request makes no second submission; generated when absent.
    pub id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// Under what the document is kept.
    pub file_id: String,
    /// Who submits, where it was said beside the document.
    pub submitter_name: Option<String>,
    /// Where to reach the submitter, where it was said beside the document.
    pub submitter_email: Option<String>,
}

/// A submission as the facility tracks it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    /// Its id.
    pub id: String,
    /// The number that people use.
    pub number: String,
    /// Name of the document.
    pub file_name: String,
    /// Under what the document is kept.
    pub file_id: String,
    /// How it came.
    #[serde(rename = "type")]
    pub kind: SubmissionKind,
    /// The project that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// What became of its document.
    pub status: SubmissionStatus,
    /// How far it is, which follows from its samples.
    pub state: State,
    /// How many of its samples are where.
    pub progress: Progress,
    /// Who submits, where it was said beside the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter_name: Option<String>,
    /// Where to reach the submitter, where it was said beside the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter_email: Option<String>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why a person should look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
    /// The form as it was read, kept whole because not everything on it is a field of a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<serde_json::Value>,
    /// The event that told of it; none for one that an earlier version took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// How many samples it brought.
    pub sample_count: u32,
    /// When it arrived.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Submission {
    /// Who submits, where it was said beside the document.
    #[must_use]
    pub fn submitter(&self) -> Submitter<'_> {
        Submitter {
            name: self.submitter_name.as_deref(),
            email: self.submitter_email.as_deref(),
        }
    }
}
