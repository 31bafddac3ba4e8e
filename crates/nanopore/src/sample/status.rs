//! Where a sample stands, and where it may go from there.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a sample stands in the facility.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Announced; nothing was done yet.
    #[default]
    Submitted,
    /// The library is being prepared.
    Prep,
    /// On the sequencer.
    Sequencing,
    /// The data are being analysed.
    Analysis,
    /// All work is done.
    Completed,
    /// The data were handed over.
    Distributed,
    /// Closed for good.
    Archived,
}

impl Status {
    /// Every status, in the order of the work.
    pub const ALL: [Self; 7] = [
        Self::Submitted,
        Self::Prep,
        Self::Sequencing,
        Self::Analysis,
        Self::Completed,
        Self::Distributed,
        Self::Archived,
    ];

    /// Where a sample may go from here. A step back is allowed while the work is under way.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Submitted => &[Self::Prep, Self::Archived],
            Self::Prep => &[Self::Sequencing, Self::Submitted, Self::Archived],
            Self::Sequencing => &[Self::Analysis, Self::Prep, Self::Archived],
            Self::Analysis => &[Self::Completed, Self::Sequencing, Self::Archived],
            Self::Completed => &[Self::Distributed, Self::Archived],
            Self::Distributed => &[Self::Archived],
            Self::Archived => &[],
        }
    }

    /// Whether a sample may go from here to `next`.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        self.next().contains(&next)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Prep => "prep",
            Self::Sequencing => "sequencing",
            Self::Analysis => "analysis",
            Self::Completed => "completed",
            Self::Distributed => "distributed",
            Self::Archived => "archived",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
