//! What becomes of a sample whose quality control failed, as told by the sample service.

use sagabus::{Payload, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::not_empty;
use crate::sample::QcDecision;

/// Source of these events.
const SOURCE: &str = "sample-service";

/// `qc.decision_requested`: the submitter is to decide about a sample. Whoever sends mail takes this event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRequested {
    /// Id of the question.
    #[schemars(length(min = 1))]
    pub decision_id: String,
    /// The saga that waits for the answer.
    pub saga_id: String,
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who entered that the quality control failed.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// What the submitter calls the sample.
    pub sample_name: String,
    /// Name of the step that failed.
    pub processing_step: String,
    /// What went wrong.
    pub error: String,
    /// Who is to be told.
    pub submitter_name: String,
    /// Where.
    pub submitter_email: String,
    /// What can be decided.
    pub choices: Vec<QcDecision>,
    /// Until when.
    pub due_at: Timestamp,
}

impl Payload for DecisionRequested {
    const TYPE: &'static str = "qc.decision_requested";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("decisionId", &self.decision_id)?;
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `qc.decision_made`: it was decided what becomes of the sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionMade {
    /// Id of the question.
    #[schemars(length(min = 1))]
    pub decision_id: String,
    /// The saga that waits for the answer.
    pub saga_id: String,
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who entered the decision.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// What was decided.
    pub decision: QcDecision,
    /// Who decided it.
    #[schemars(length(min = 1))]
    pub author: String,
    /// Why.
    pub reason: String,
}

impl Payload for DecisionMade {
    const TYPE: &'static str = "qc.decision_made";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("decisionId", &self.decision_id)?;
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)?;
        not_empty("author", &self.author)
    }
}

/// `qc.decision_withdrawn`: no decision is waited for any more, since the sample went on without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionWithdrawn {
    /// Id of the question.
    #[schemars(length(min = 1))]
    pub decision_id: String,
    /// The saga that waits for the answer.
    pub saga_id: String,
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who let the sample go on.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Why.
    pub reason: String,
}

impl Payload for DecisionWithdrawn {
    const TYPE: &'static str = "qc.decision_withdrawn";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("decisionId", &self.decision_id)?;
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `qc.decision_overdue`: nobody decided in time. The sample stays on hold, and the decision is still taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionOverdue {
    /// Id of the question.
    #[schemars(length(min = 1))]
    pub decision_id: String,
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who entered that the quality control failed.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Who was to decide.
    pub submitter_name: String,
    /// Where they are reached.
    pub submitter_email: String,
    /// Until when there was time.
    pub due_at: Timestamp,
}

impl Payload for DecisionOverdue {
    const TYPE: &'static str = "qc.decision_overdue";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("decisionId", &self.decision_id)?;
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}
