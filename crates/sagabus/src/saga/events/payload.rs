//! The data of the saga events, as typed structs with the wire's names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Payload;
use crate::saga::definition::InputParts;
use crate::saga::handlers::TurnedBackBy;

/// The `source` of every saga event.
pub const SOURCE: &str = "saga-orchestrator";

/// `saga.started`: A saga is stored and starts, or waits for its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SagaStarted {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
}

impl Payload for SagaStarted {
    const TYPE: &'static str = "saga.started";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.step_started`: An attempt of a step begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStarted {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// The step's id.
    pub step_id: String,
    /// The number of the attempt, 1 for the first.
    pub attempt: u32,
}

impl Payload for StepStarted {
    const TYPE: &'static str = "saga.step_started";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.step_completed`: A step succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepCompleted {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// The step's id.
    pub step_id: String,
    /// The number of the attempt, 1 for the first.
    pub attempt: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The step's output, where `saga::Settings::publish_results` is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

impl Payload for StepCompleted {
    const TYPE: &'static str = "saga.step_completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.step_failed`: An attempt of a step failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepFailed {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// The step's id.
    pub step_id: String,
    /// The number of the attempt, 1 for the first.
    pub attempt: u32,
    /// Why.
    pub error: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl Payload for StepFailed {
    const TYPE: &'static str = "saga.step_failed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.completed`: Every step succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SagaCompleted {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl Payload for SagaCompleted {
    const TYPE: &'static str = "saga.completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.failed`: A saga ended without having completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SagaFailed {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// What failed, or else why the saga was cancelled or ended.
    pub error: String,
    /// What the operator said who gave the saga up or ended it as it was. An event of before has it in the place of `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What turned the saga back, or `operator` where it ended without having turned back. An event of before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned_back_by: Option<TurnedBackBy>,
}

impl Payload for SagaFailed {
    const TYPE: &'static str = "saga.failed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.compensation_started`: A saga turned back: from here on, what was done is taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompensationStarted {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// The step whose failure turned the saga back; none when it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// Why.
    pub error: String,
    /// What turned the saga back, or `operator` where it ended without having turned back. An event of before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned_back_by: Option<TurnedBackBy>,
}

impl Payload for CompensationStarted {
    const TYPE: &'static str = "saga.compensation_started";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.compensation_completed`: Everything that was done is taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompensationCompleted {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// What turned the saga back, or `operator` where it ended without having turned back. An event of before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned_back_by: Option<TurnedBackBy>,
}

impl Payload for CompensationCompleted {
    const TYPE: &'static str = "saga.compensation_completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}

/// `saga.compensation_failed`: A step could not be taken back; an operator must say how to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompensationFailed {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// What the saga does from here on, in the words of `saga::Status`.
    pub status: String,
    /// Those parts of the saga's input that its definition names for its events, by their JSON pointers.
    #[serde(default, skip_serializing_if = "InputParts::is_empty")]
    pub input: InputParts,
    /// The step's id.
    pub step_id: String,
    /// The number of the attempt, 1 for the first.
    pub attempt: u32,
    /// Why.
    pub error: String,
}

impl Payload for CompensationFailed {
    const TYPE: &'static str = "saga.compensation_failed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }
}
