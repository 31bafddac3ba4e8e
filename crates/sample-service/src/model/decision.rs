//! A question about a sample whose quality control failed, and what was decided.

use nanopore::query::not_known;
use nanopore::sample::{FieldErrors, QcDecision, Stage};
use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Filter, Page};

/// How far a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionState {
    /// Nobody has decided.
    Waiting,
    /// It was decided, and is about to be carried out.
    Decided,
    /// What was decided was done.
    CarriedOut,
    /// The sample went on without a decision.
    Withdrawn,
}

impl DecisionState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Waiting,
        Self::Decided,
        Self::CarriedOut,
        Self::Withdrawn,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Decided => "decided",
            Self::CarriedOut => "carried_out",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Whether something is still to be done about the sample.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Decided)
    }
}

/// A question about a sample whose quality control failed, with its answer where there is one.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Its id: that of the event that told of the failure.
    pub id: String,
    /// The saga that waits for the answer.
    pub saga_id: String,
    /// The sample.
    pub sample_id: String,
    /// What the submitter calls it.
    pub sample_name: String,
    /// The step that failed.
    pub stage: Stage,
    /// What went wrong.
    pub error: String,
    /// How far it is.
    pub state: DecisionState,
    /// Since when it is asked.
    pub requested_at: Timestamp,
    /// Until when an answer is expected.
    pub due_at: Timestamp,
    /// When it was told that nobody had answered in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<QcDecision>,
    /// Who decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Why, or why it is asked no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who entered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_by: Option<String>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When it was carried out, or withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What somebody decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDecision {
    /// What becomes of the sample.
    pub decision: QcDecision,
    /// Who decided it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Which questions a list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// In this state.
    pub state: Option<DecisionState>,
    /// Overdue, or not.
    pub is_overdue: Option<bool>,
}

impl DecisionFilter {
    /// The parameters that there are.
    pub const NAMES: [&str; 4] = ["state", "overdue", "page", "limit"];

    /// Reads a filter and a page from the pairs of a query.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(pairs: Vec<(String, String)>) -> Result<(Self, Page), FieldErrors> {
        FieldErrors::check_once(&pairs, &[])?;
        let mut filter = Self::default();
        let mut rest = Vec::new();
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("state", word) => {
                    let state = DecisionState::from_word(word).ok_or_else(|| {
                        let text = format!("has no value `{}`", word.escape_debug());
                        FieldErrors::one("state", text)
                    })?;
                    filter.state = Some(state);
                }
                ("overdue", "true") => filter.is_overdue = Some(true),
                ("overdue", "false") => filter.is_overdue = Some(false),
                ("overdue", _) => {
                    return Err(FieldErrors::one(name, "must be `true` or `false`"));
                }
                ("page" | "limit", _) => rest.push((name, value)),
                _ => return Err(FieldErrors::one(name, not_known(&Self::NAMES))),
            }
        }
        let (_, page) = Filter::read(&rest, 100, 1_000)?;
        Ok((filter, page))
    }
}
