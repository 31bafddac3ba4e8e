//! What can be seen of sagas: their status and steps, the orchestrator's health and counts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::definition::DefinitionHash;
use super::id::SagaId;
use super::machine::{CompensationPhase, Phase, Stage, State, StepState};
use super::record::{Outcome, PauseCause};
use crate::clock::Timestamp;

/// Where a saga stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Stored; waits for its turn.
    Queued,
    /// Its first steps are being started.
    Started,
    /// Steps are run.
    Executing,
    /// Every step succeeded.
    Completed,
    /// An operator gave up its compensation: not everything is taken back.
    Failed,
    /// It turned back; what was done is being taken back.
    Compensating,
    /// A step failed, and what was done is taken back.
    Compensated,
    /// It was cancelled, and what was done is taken back.
    Cancelled,
    /// A step could not be taken back; it waits for an operator.
    CompensationStuck,
    /// It was cut off again and again without progress; it waits for an operator.
    Paused,
}

impl Status {
    /// Every status, in the order of a saga's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Started,
        Self::Executing,
        Self::Completed,
        Self::Failed,
        Self::Compensating,
        Self::Compensated,
        Self::Cancelled,
        Self::CompensationStuck,
        Self::Paused,
    ];

    /// The status as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Started => "started",
            Self::Executing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::Cancelled => "cancelled",
            Self::CompensationStuck => "compensation_stuck",
            Self::Paused => "paused",
        }
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Compensated | Self::Cancelled => true,
            Self::Queued
            | Self::Started
            | Self::Executing
            | Self::Compensating
            | Self::CompensationStuck
            | Self::Paused => false,
        }
    }

    pub(crate) fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Compensated => Self::Compensated,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed => Self::Failed,
        }
    }

    fn of(state: &State) -> Self {
        match state.stage {
            _ if state.paused.is_some() => Self::Paused,
            Stage::Queued => Self::Queued,
            Stage::Running => {
                let mut steps = state.steps.iter();
                if steps.any(|step| step.ended_at.is_some() || step.attempts > 1) {
                    Self::Executing
                } else {
                    Self::Started
                }
            }
            Stage::Backward => Self::Compensating,
            Stage::Stuck => Self::CompensationStuck,
            Stage::Ended(outcome) => Self::of_outcome(outcome),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a step stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepPhase {
    /// Not started yet.
    Pending,
    /// Being run, or waiting for its next attempt.
    Executing,
    /// It succeeded.
    Completed,
    /// It failed, and there is nothing to take back.
    Failed,
    /// Being taken back, or waiting for its turn to be.
    Compensating,
    /// Taken back.
    Compensated,
    /// It could not be taken back.
    CompensationStuck,
    /// The saga turned back before it was started.
    NotRun,
}

impl StepPhase {
    /// The phase as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Executing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::CompensationStuck => "compensation_stuck",
            Self::NotRun => "not_run",
        }
    }

    fn of(state: &StepState, can_be_compensated: bool, has_turned_back: bool) -> Self {
        match state.compensation.phase {
            CompensationPhase::Started | CompensationPhase::Backoff { .. } => Self::Compensating,
            CompensationPhase::Stuck => Self::CompensationStuck,
            CompensationPhase::Done => Self::Compensated,
            CompensationPhase::Idle => match state.phase {
                Phase::Pending => Self::Pending,
                Phase::Started | Phase::Backoff { .. } => Self::Executing,
                Phase::Succeeded(_) if has_turned_back && can_be_compensated => Self::Compensating,
                Phase::Succeeded(_) => Self::Completed,
                Phase::Failed(_) => Self::Failed,
                Phase::NotRun => Self::NotRun,
            },
        }
    }
}

impl fmt::Display for StepPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A saga as it is shown: a copy of its present state.
#[derive(Clone, Debug)]
pub struct SagaStatus {
    /// Its id.
    pub id: SagaId,
    /// The name of its definition.
    pub name: String,
    /// Hash of its definition.
    pub definition: DefinitionHash,
    /// Where it stands.
    pub status: Status,
    /// Ties it to other work.
    pub correlation_id: String,
    /// What it was started with, one JSON value. May hold personal data.
    pub input: Bytes,
    /// When it was stored.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Id of the step that it is at: the first of those that are run, waited for or taken back.
    pub current_step: Option<String>,
    /// Why it does not complete.
    pub error: Option<String>,
    /// Why it does not go on although it is not over, such as a handler that this process lacks.
    pub parked: Option<String>,
    /// Why it is paused, until an operator lets it go on or cancels it.
    pub paused: Option<String>,
    /// Its steps, in the order of the definition.
    pub steps: Vec<StepStatus>,
}

/// A step as it is shown.
#[derive(Clone, Debug)]
pub struct StepStatus {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Who does it.
    pub service: String,
    /// What is done.
    pub action: String,
    /// What takes it back.
    pub compensation_action: Option<String>,
    /// Ids of the steps that must have succeeded before it starts.
    pub dependencies: Vec<String>,
    /// How long one attempt may take, where the definition says so.
    pub timeout: Option<Duration>,
    /// Where it stands.
    pub phase: StepPhase,
    /// Attempts so far.
    pub attempts: u32,
    /// When the first attempt began.
    pub started_at: Option<Timestamp>,
    /// When the last attempt was over.
    pub ended_at: Option<Timestamp>,
    /// When it, or its compensation, is tried again, if it waits for that.
    pub retry_at: Option<Timestamp>,
    /// How long the last attempt took.
    pub duration: Option<Duration>,
    /// The last error, of the step or else of its compensation.
    pub error: Option<String>,
    /// Attempts of its compensation so far.
    pub compensation_attempts: u32,
    /// What it returned, one JSON value. May hold personal data.
    pub output: Option<Bytes>,
}

impl SagaStatus {
    pub(crate) fn of(state: &State, parked: Option<&str>) -> Self {
        let has_turned_back = state.turned_back.is_some();
        let definition = state.definition();
        let pairs = state.steps.iter().enumerate();
        let pairs = pairs.filter_map(|(at, own)| Some((state.step_of(at)?, own)));
        let steps: Vec<StepStatus> = pairs
            .map(|(step, state)| StepStatus {
                id: step.id.clone(),
                name: step.name.clone(),
                service: step.service.clone(),
                action: step.action.clone(),
                compensation_action: step.compensation_action.clone(),
                dependencies: step.dependencies.clone(),
                timeout: step.timeout,
                phase: StepPhase::of(state, step.compensation_action.is_some(), has_turned_back),
                attempts: state.attempts,
                started_at: state.started_at,
                ended_at: state.ended_at,
                retry_at: retry_at(state),
                duration: state
                    .ended_at
                    .zip(state.attempt_at)
                    .map(|(ended, began)| ended.since(began)),
                error: text(state.compensation.error.as_ref().or(state.error.as_ref())),
                compensation_attempts: state.compensation.attempts,
                output: match &state.phase {
                    Phase::Succeeded(output) => Some(output.clone()),
                    _ => None,
                },
            })
            .collect();
        let status = Status::of(state);
        let is_current = |step: &&StepStatus| match step.phase {
            StepPhase::Executing | StepPhase::CompensationStuck => true,
            StepPhase::Compensating => step.compensation_attempts > 0,
            _ => false,
        };
        let current = steps.iter().find(is_current);
        Self {
            id: state.id().clone(),
            name: definition.name().to_owned(),
            definition: definition.hash(),
            status,
            correlation_id: state.correlation_id().to_string(),
            input: state.input().clone(),
            started_at: state.started_at(),
            ended_at: state.ended_at,
            current_step: match status.is_final() {
                true => None,
                false => current.map(|step| step.id.clone()),
            },
            error: text(state.error.as_ref()),
            parked: parked.map(str::to_owned),
            paused: state.paused.map(|paused| match paused.cause {
                PauseCause::Poison => {
                    "cut off by the end of the process again and again, without progress".to_owned()
                }
            }),
            steps,
        }
    }
}

fn retry_at(state: &StepState) -> Option<Timestamp> {
    match (&state.compensation.phase, &state.phase) {
        (CompensationPhase::Backoff { until }, _) => Some(*until),
        (CompensationPhase::Idle, Phase::Backoff { until }) => Some(*until),
        _ => None,
    }
}

/// A saga in the store that this program cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The text of its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

fn text(text: Option<&Arc<str>>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// Whether the orchestrator does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether there are no issues.
    pub healthy: bool,
    /// Sagas that are not over, waiting and stuck ones included.
    pub active_sagas: usize,
    /// Sagas in memory that are over.
    pub completed_sagas: usize,
    /// What is wrong, in words.
    pub issues: Vec<String>,
}

/// Counts. Those of ended sagas go from the time of open on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sagas that run or are being taken back now.
    pub active: usize,
    /// Sagas that wait for their turn now.
    pub queued: usize,
    /// Sagas with a stuck compensation now.
    pub stuck: usize,
    /// Sagas that lack a handler in this process.
    pub parked: usize,
    /// Sagas that are paused now.
    pub paused: usize,
    /// Sagas started.
    pub started: u64,
    /// Sagas completed.
    pub completed: u64,
    /// Sagas compensated after a failed step.
    pub compensated: u64,
    /// Sagas cancelled and taken back.
    pub cancelled: u64,
    /// Sagas whose compensation was given up.
    pub failed: u64,
}
