//! What happens in the work on a sample beside the ten types of the catalogue, as told by the sample service.

use sagabus::{Payload, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::not_empty;

/// Source of these events.
const SOURCE: &str = "sample-service";

/// `sample.processing_skipped`: a processing step of a sample is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleProcessingSkipped {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Name of the step.
    pub processing_step: String,
    /// Why.
    pub reason: String,
}

impl Payload for SampleProcessingSkipped {
    const TYPE: &'static str = "sample.processing_skipped";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.received`: the tube is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleReceived {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// When it came.
    pub received_at: Timestamp,
}

impl Payload for SampleReceived {
    const TYPE: &'static str = "sample.received";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.held`: nothing is begun with a sample until it is released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleHeld {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub held_at: Timestamp,
}

impl Payload for SampleHeld {
    const TYPE: &'static str = "sample.held";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.released`: a sample is no longer on hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleReleased {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it was on hold.
    pub held_at: Timestamp,
    /// When it was released.
    pub released_at: Timestamp,
}

impl Payload for SampleReleased {
    const TYPE: &'static str = "sample.released";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}
