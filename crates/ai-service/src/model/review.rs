//! A person's look at a result: who has it, what was corrected, how it ended.

use nanopore::query::{not_known, number};
use nanopore::sample::FieldErrors;
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::filter::Part;

/// Where a review stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    /// Nobody looks at it yet.
    Waiting,
    /// Somebody looks at it.
    Claimed,
    /// What it says, as corrected, counts.
    Accepted,
    /// It does not count.
    Refused,
}

impl ReviewStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Claimed, Self::Accepted, Self::Refused];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether it is not decided.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Claimed)
    }
}

/// The review of a result.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Where it stands.
    pub status: ReviewStatus,
    /// Why a person must look.
    pub reasons: Vec<String>,
    /// Who looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Timestamp>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_reason: Option<String>,
}

impl Review {
    /// One that waits.
    pub(crate) fn waiting(reasons: Vec<String>) -> Self {
        Self {
            status: ReviewStatus::Waiting,
            reasons,
            claimed_by: None,
            claimed_at: None,
            decided_by: None,
            decided_at: None,
            decision_reason: None,
        }
    }
}

/// One value that a person put in the place of what was read, or of an earlier correction.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    /// Path in the form, such as `samples[3].volume_ul`.
    pub field: String,
    /// What stood there; `null` for nothing.
    pub old_value: Value,
    /// What stands there now.
    pub new_value: Value,
    /// Who corrected it.
    pub author: String,
    /// When.
    pub time: Timestamp,
}

/// A result in the queue of reviews.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InReview {
    /// Its id.
    pub extraction_result_id: String,
    /// The submission that the document came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// The sample that the document belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// How sure the whole is, 0 to 1.
    pub confidence_score: f64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its review.
    #[serde(flatten)]
    pub review: Review,
}

/// Which reviews a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReviewFilter {
    /// Their status; absent: those that are not decided.
    pub status: Option<ReviewStatus>,
}

impl ReviewFilter {
    /// The parameters that there are.
    pub const NAMES: [&str; 3] = ["status", "limit", "offset"];

    /// Reads a filter and a part from the pairs of a query.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(pairs: &[(String, String)]) -> Result<(Self, Part), FieldErrors> {
        FieldErrors::check_once(pairs, &[])?;
        let (mut filter, mut part) = (Self::default(), Part::default());
        let mut errors = FieldErrors::default();
        for (name, value) in pairs {
            let outcome = match name.as_str() {
                "status" => ReviewStatus::from_word(value)
                    .map(|it| filter.status = Some(it))
                    .ok_or_else(|| format!("has no value `{}`", value.escape_debug())),
                "limit" => number(value, 1..=Part::LIMIT_MAX).map(|it| part.limit = it),
                "offset" => number(value, 0..=u32::MAX).map(|it| part.offset = it),
                _ => Err(not_known(&Self::NAMES)),
            };
            if let Err(message) = outcome {
                errors.add(name, message);
            }
        }
        match errors.0.is_empty() {
            true => Ok((filter, part)),
            false => Err(errors),
        }
    }
}
