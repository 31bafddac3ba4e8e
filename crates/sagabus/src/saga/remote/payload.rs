//! The data of the events between orchestrators and services, as typed structs with the wire's names.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::event::Payload;
use crate::saga::events::SOURCE;
use crate::saga::handlers::{EffectClass, TurnedBackBy};

/// The entry of `metadata` that has the name of the service.
pub(super) const SERVICE: &str = "service";

/// `saga.step_requested`: A service is asked to make one attempt of a step, or of its compensation. Holds what the handler is
/// given, so it may hold personal data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepRequested {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The name of its definition.
    pub saga_name: String,
    /// The step's id.
    pub step_id: String,
    /// Who is asked.
    pub service: String,
    /// What is to be done: the action, or the compensation action.
    pub action: String,
    /// The version of the action that is to do it, and no other. A service of a program that knows no versions does it with the
    /// handler that it has, so services come before definitions with versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<NonZeroU32>,
    /// The number of the attempt, 1 for the first.
    pub attempt: u32,
    /// The fencing token: of two calls with one key, the one with the greater counts.
    pub fence: u64,
    /// When nobody waits for the attempt any more.
    pub deadline: Timestamp,
    /// How long the handler may go on after the deadline before it is dropped, in milliseconds. A program of before does not say:
    /// then it is 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// How long the handler may go without a sign of life, in milliseconds, where it is to give any. A service of a program
    /// that knows of none gives none, and the attempt times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// What the saga was started with.
    #[schemars(with = "serde_json::Value")]
    pub input: Box<RawValue>,
    /// The item of a list that the step is done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub item: Option<Box<RawValue>>,
    /// The parameters that the definition gives the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// What the steps before it returned, by their ids.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub outputs: BTreeMap<String, Box<RawValue>>,
    /// Of a compensation, what is to be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<TakeBack>,
}

/// What a compensation takes back, and why.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeBack {
    /// What the step returned, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub output: Option<Box<RawValue>>,
    /// What is known of the step's effect.
    pub effect: EffectClass,
    /// What turned the saga back.
    pub cause: TurnedBackBy,
    /// Why, in words.
    pub reason: String,
}

impl Payload for StepRequested {
    const TYPE: &'static str = "saga.step_requested";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![(SERVICE, self.service.clone())]
    }
}

/// `saga.step_replied`: A service has made an attempt of a step, or of its compensation. Holds what the step returned, so it
/// may hold personal data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepReplied {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The step's id.
    pub step_id: String,
    /// Who replies.
    pub service: String,
    /// The attempt, as it was asked for.
    pub attempt: u32,
    /// The fencing token, as it was given.
    pub fence: u64,
    /// Whether it was an attempt of the compensation.
    pub is_compensation: bool,
    /// How it ended.
    pub status: ReplyStatus,
    /// What the step returned, if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub output: Option<Box<RawValue>>,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How an attempt ended, as [`StepError`](crate::saga::StepError) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyStatus {
    /// It succeeded.
    Succeeded,
    /// Nothing happened, another attempt may succeed.
    Retry,
    /// Nothing happened, since what it needs cannot be had for the time being; the attempt does not count.
    Unavailable,
    /// Nothing happened, and another attempt would fail as well.
    Rejected,
    /// It may have happened.
    InDoubt,
}

impl Payload for StepReplied {
    const TYPE: &'static str = "saga.step_replied";
    const SOURCE: &'static str = "step-worker";

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![(SERVICE, self.service.clone())]
    }
}

/// `saga.step_stopped`: A saga has turned back; the handler of an attempt that was asked for is to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStopped {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The step's id.
    pub step_id: String,
    /// Who was asked.
    pub service: String,
    /// The attempt.
    pub attempt: u32,
    /// How long the handler may go on before it is dropped, in milliseconds. A program of before does not say: then it is 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

impl Payload for StepStopped {
    const TYPE: &'static str = "saga.step_stopped";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![(SERVICE, self.service.clone())]
    }
}

/// `saga.step_progressed`: The handler of an attempt that was asked for is at work. Told of up to three times within the time
/// that it may be silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepProgressed {
    /// The saga; also the event's subject.
    pub saga_id: String,
    /// The step's id.
    pub step_id: String,
    /// Who does it.
    pub service: String,
    /// The attempt, as it was asked for.
    pub attempt: u32,
    /// The fencing token, as it was given.
    pub fence: u64,
}

impl Payload for StepProgressed {
    const TYPE: &'static str = "saga.step_progressed";
    const SOURCE: &'static str = "step-worker";

    fn subject(&self) -> Option<String> {
        Some(self.saga_id.clone())
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![(SERVICE, self.service.clone())]
    }
}
