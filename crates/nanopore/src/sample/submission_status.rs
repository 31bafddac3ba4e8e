//! Where a submission stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmissionStatus {
    /// Its document is here.
    Received,
    /// The document is being read.
    Processing,
    /// Its samples are tracked.
    Accepted,
    /// It was refused; the reason says why.
    Rejected,
}

impl SubmissionStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::Received,
        Self::Processing,
        Self::Accepted,
        Self::Rejected,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processing => "processing",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}
