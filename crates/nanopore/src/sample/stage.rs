//! The eight processing steps of a sample, and how far one of them is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::Status;

/// One of the processing steps that every sample goes through, in this order.
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
    JsonSchema,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Quality control of the sample.
    #[default]
    SampleQc,
    /// Preparation of the library.
    LibraryPrep,
    /// Quality control of the library.
    LibraryQc,
    /// Loading of the flow cell.
    SequencingSetup,
    /// The run.
    SequencingRun,
    /// From signal to bases.
    Basecalling,
    /// Quality of the reads.
    QualityAssessment,
    /// Handing over of the data.
    DataDelivery,
}

impl Stage {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// Every step, in the order of the work.
    pub const ALL: [Self; Self::COUNT] = [
        Self::SampleQc,
        Self::LibraryPrep,
        Self::LibraryQc,
        Self::SequencingSetup,
        Self::SequencingRun,
        Self::Basecalling,
        Self::QualityAssessment,
        Self::DataDelivery,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SampleQc => "sample_qc",
            Self::LibraryPrep => "library_prep",
            Self::LibraryQc => "library_qc",
            Self::SequencingSetup => "sequencing_setup",
            Self::SequencingRun => "sequencing_run",
            Self::Basecalling => "basecalling",
            Self::QualityAssessment => "quality_assessment",
            Self::DataDelivery => "data_delivery",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::SampleQc => "Sample QC",
            Self::LibraryPrep => "Library Preparation",
            Self::LibraryQc => "Library QC",
            Self::SequencingSetup => "Sequencing Setup",
            Self::SequencingRun => "Sequencing Run",
            Self::Basecalling => "Basecalling",
            Self::QualityAssessment => "Quality Assessment",
            Self::DataDelivery => "Data Delivery",
        }
    }

    /// How long it takes as a rule, in hours.
    #[must_use]
    pub const fn estimate_hours(self) -> u32 {
        match self {
            Self::LibraryPrep => 4,
            Self::SequencingRun => 48,
            Self::Basecalling => 2,
            Self::SampleQc
            | Self::LibraryQc
            | Self::SequencingSetup
            | Self::QualityAssessment
            | Self::DataDelivery => 1,
        }
    }

    /// Where a sample stands while this is done.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::SampleQc | Self::LibraryPrep | Self::LibraryQc => Status::Prep,
            Self::SequencingSetup | Self::SequencingRun => Status::Sequencing,
            Self::Basecalling | Self::QualityAssessment | Self::DataDelivery => Status::Analysis,
        }
    }

    /// The step after this one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it > self)
    }

    /// The step of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a processing step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    #[default]
    Pending,
    /// Somebody is at it.
    InProgress,
    /// It ended well.
    Completed,
    /// It ended badly, and may be begun again.
    Failed,
    /// It is left out.
    Skipped,
}

impl StepStatus {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::InProgress,
        Self::Completed,
        Self::Failed,
        Self::Skipped,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether there is something left to do about it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress | Self::Failed)
    }

    /// The one of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
