//! An extraction result: what a document holds, how sure that is, and where it stands on the paper.

use nanopore::events::ai::Method;
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::review::{Correction, Review};
use crate::form::{FieldEvidence, Form, Issue};
use crate::reading::Kind;

/// Whether a result still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// It counts.
    Current,
    /// The work that it was made for was taken back.
    Withdrawn,
}

impl ResultStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Current, Self::Withdrawn]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// What a document holds. It has personal data, which the events about it have not.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtractionResult {
    /// Its id.
    pub id: String,
    /// The job that made it.
    pub job_id: String,
    /// Whether it counts.
    pub status: ResultStatus,
    /// The submission that the document came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// The sample that the document belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// Id of the upload.
    pub file_id: String,
    /// Which kind of document it is.
    pub kind: Kind,
    /// How the fields were to be found.
    pub asked_method: Method,
    /// How the fields were found.
    pub extraction_method: Method,
    /// The model that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is to be said of the reading, such as why another method was taken.
    pub notes: Vec<String>,
    /// The form as it was read.
    pub extracted_data: Form,
    /// One entry for each value: where it stands and how sure it is.
    pub fields: Vec<FieldEvidence>,
    /// What a person should look at.
    pub issues: Vec<Issue>,
    /// How sure the whole is, 0 to 1.
    pub confidence_score: f64,
    /// How long the reading took, in milliseconds.
    pub processing_time_ms: u64,
    /// A person's look at it, where one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// The form as a person corrected it; absent without corrections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_data: Option<Form>,
    /// What was corrected, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl ExtractionResult {
    /// The form that counts: as corrected, or as read.
    #[must_use]
    pub fn form(&self) -> &Form {
        self.corrected_data.as_ref().unwrap_or(&self.extracted_data)
    }

    /// Whether a person still has to look at it.
    #[must_use]
    pub fn is_under_review(&self) -> bool {
        self.review.as_ref().is_some_and(|it| it.status.is_open())
    }
}
