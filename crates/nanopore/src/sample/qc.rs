//! What can be decided about a sample whose quality control failed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage::Stage;

/// What becomes of a sample whose quality control failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QcDecision {
    /// Another tube is sent, and begins anew.
    Resubmit,
    /// It is sequenced as it is, at the submitter's risk.
    Proceed,
    /// It is not sequenced.
    Cancel,
}

impl QcDecision {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Resubmit, Self::Proceed, Self::Cancel];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resubmit => "resubmit",
            Self::Proceed => "proceed",
            Self::Cancel => "cancel",
        }
    }

    /// The decision of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Whether the submitter is asked when this step fails: those after the quality controls of sample and library are
    /// repeated by the facility.
    #[must_use]
    pub const fn is_asked(stage: Stage) -> bool {
        matches!(stage, Stage::SampleQc | Stage::LibraryQc)
    }
}

impl fmt::Display for QcDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
