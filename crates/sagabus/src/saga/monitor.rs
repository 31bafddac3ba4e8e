//! What can be seen of sagas: their status and steps, the orchestrator's health and counts.

mod waits;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::waits::Waiting;
pub use self::waits::Waits;
use super::definition::DefinitionHash;
use super::handlers::{CompensationContext, TurnedBackBy};
use super::id::SagaId;
use super::machine::{CompensationPhase, Operated, Phase, Signalled, Stage, State, StepState};
use super::record::{Outcome, PauseCause, Verb};
use super::turn_waits::TurnWaits;
use crate::clock::Timestamp;
use crate::ledger::{By, Priority};

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
    /// An operator gave it up: not everything is done, or not everything is taken back.
    Failed,
    /// It turned back; what was done is being taken back.
    Compensating,
    /// A step failed, and what was done is taken back.
    Compensated,
    /// It was cancelled, and what was done is taken back.
    Cancelled,
    /// A step could not be taken back; it waits for an operator.
    CompensationStuck,
    /// An operator paused it, or it was cut off and must not go on by itself; it waits for an operator.
    Paused,
    /// A step behind the pivot failed for good; it waits for an operator.
    ForwardStuck,
    /// An operator ended it as it was.
    Terminated,
}

impl Status {
    /// Every status, in the order of a saga's life.
    pub const ALL: [Self; 12] = [
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
        Self::ForwardStuck,
        Self::Terminated,
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
            Self::ForwardStuck => "forward_stuck",
            Self::Terminated => "terminated",
        }
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed
            | Self::Failed
            | Self::Compensated
            | Self::Cancelled
            | Self::Terminated => true,
            Self::Queued
            | Self::Started
            | Self::Executing
            | Self::Compensating
            | Self::CompensationStuck
            | Self::Paused
            | Self::ForwardStuck => false,
        }
    }

    pub(crate) fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Compensated => Self::Compensated,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed => Self::Failed,
            Outcome::Terminated => Self::Terminated,
        }
    }

    pub(crate) fn of(state: &State) -> Self {
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
            Stage::ForwardStuck => Self::ForwardStuck,
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
    /// It failed, and nothing takes it back.
    Failed,
    /// Being taken back, or waiting for its turn to be.
    Compensating,
    /// Taken back.
    Compensated,
    /// It could not be taken back, and waits for an operator.
    CompensationStuck,
    /// The saga turned back before it was started.
    NotRun,
    /// It failed for good behind the pivot, and waits for an operator.
    Stuck,
    /// An operator said to go on without it.
    Skipped,
    /// It waits for a signal, a person or the time.
    Waiting,
    /// An operator said that it need not be taken back.
    CompensationSkipped,
    /// An operator said that it is taken back.
    CompensationForced,
    /// An operator ended the saga while it was run, or waited: it may have had an effect.
    Aborted,
    /// An operator ended the saga while it was taken back: it may be, or not.
    CompensationAborted,
    /// It could not be taken back, and the saga is over: an operator can still repair it.
    CompensationFailed,
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
            Self::Stuck => "stuck",
            Self::Skipped => "skipped",
            Self::Waiting => "waiting",
            Self::CompensationSkipped => "compensation_skipped",
            Self::CompensationForced => "compensation_forced",
            Self::Aborted => "aborted",
            Self::CompensationAborted => "compensation_aborted",
            Self::CompensationFailed => "compensation_failed",
        }
    }

    /// Of a saga that is over nothing goes on but what an operator has repaired.
    fn of(state: &StepState, waits: bool, is_to_be_taken_back: bool, has_ended: bool) -> Self {
        let is_over = has_ended && !state.compensation.is_repair;
        match state.compensation.phase {
            CompensationPhase::Started | CompensationPhase::Backoff { .. } if is_over => {
                Self::CompensationAborted
            }
            CompensationPhase::Started | CompensationPhase::Backoff { .. } => Self::Compensating,
            // A repair that failed is not tried again by itself either.
            CompensationPhase::Stuck if has_ended => Self::CompensationFailed,
            CompensationPhase::Stuck => Self::CompensationStuck,
            CompensationPhase::Done => Self::Compensated,
            CompensationPhase::Skipped => Self::CompensationSkipped,
            CompensationPhase::Forced => Self::CompensationForced,
            CompensationPhase::Idle => match state.phase {
                Phase::Pending if is_over => Self::NotRun,
                Phase::Started if is_over => Self::Aborted,
                Phase::Backoff { .. } | Phase::Stuck(_) if is_over => Self::Failed,
                Phase::Pending => Self::Pending,
                Phase::Started if waits => Self::Waiting,
                Phase::Started | Phase::Backoff { .. } => Self::Executing,
                Phase::Succeeded(_) if is_to_be_taken_back && !is_over => Self::Compensating,
                Phase::Succeeded(_) => Self::Completed,
                Phase::Failed(_) => Self::Failed,
                Phase::Stuck(_) => Self::Stuck,
                Phase::Skipped => Self::Skipped,
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
    /// What it can be found by.
    pub attributes: BTreeMap<String, String>,
    /// How urgent it is.
    pub priority: Priority,
    /// The key that it shares with sagas that must not run at the same time.
    pub concurrency_key: Option<String>,
    /// What it was started with, one JSON value. May hold personal data.
    pub input: Bytes,
    /// The saga that waits for this one.
    pub parent: Option<SagaId>,
    /// When it was stored.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Id of the step that it is at: the first of those that are run, waited for or taken back.
    pub current_step: Option<String>,
    /// Why it does not complete: what failed, or else why it was cancelled or ended.
    pub error: Option<String>,
    /// What turned it back, if something has.
    pub turned_back_by: Option<TurnedBackBy>,
    /// Why it does not go on although it is not over, such as a handler that this process lacks.
    pub parked: Option<String>,
    /// Why it is paused, until an operator lets it go on or cancels it.
    pub paused: Option<String>,
    /// When its time is over, if it has a deadline.
    pub deadline: Option<Timestamp>,
    /// Whether it is over and has left effects that are not taken back, or work that is not done.
    pub inconsistent: bool,
    /// Ids of the steps that are to be taken back and are not, once it has turned back; once it is over, of those whose effects
    /// are left, also where nothing takes them back.
    pub unsettled: Vec<String>,
    /// What it waits for, if it is not over and no step of it is at work.
    pub waits: Option<Waits>,
    /// The last things that operators did to it, oldest first.
    pub operated: Vec<OperatedStatus>,
    /// What it was told, in that order.
    pub signals: Vec<SignalStatus>,
    /// Its steps, in the order of the definition, and behind them the items of lists as `<step>[<number>]`.
    pub steps: Vec<StepStatus>,
}

/// What an operator did, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatedStatus {
    /// What.
    pub verb: Verb,
    /// The id of the step.
    pub step: Option<String>,
    /// Who and why.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// What a saga was told, as it is shown. Its payload is the output of the step that waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalStatus {
    /// The name of a signal, or the id of a step that asks a person.
    pub name: String,
    /// Of a person that was asked: whether they said yes.
    pub approved: Option<bool>,
    /// Who and why.
    pub by: By,
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
    /// The version of both.
    pub version: Option<NonZeroU32>,
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
    /// What it, or its compensation, waits for.
    pub waits: Option<Waits>,
    /// How long the last attempt took.
    pub duration: Option<Duration>,
    /// The last error, of the step or else of its compensation.
    pub error: Option<String>,
    /// Attempts of its compensation so far.
    pub compensation_attempts: u32,
    /// What it returned, one JSON value. May hold personal data.
    pub output: Option<Bytes>,
    /// The saga that it is, as its last attempt started it.
    pub child: Option<SagaId>,
}

impl SagaStatus {
    /// As its state says; `missing` are the steps that wait for a handler which this process lacks, with which one, and `slots`
    /// those that wait for a slot of their service.
    pub(crate) fn of(state: &State, missing: &[(usize, String)], slots: &[usize]) -> Self {
        let has_turned_back = state.turned_back.is_some();
        let is_over = matches!(state.stage, Stage::Ended(_));
        let is_taken_back = |at: usize| has_turned_back && state.is_unsettled(at);
        let definition = state.definition();
        let paused = state.paused.map(|paused| match paused.cause {
            PauseCause::Poison => {
                "cut off by the end of the process again and again, without progress".to_owned()
            }
            PauseCause::InDoubt(step) => format!(
                "step `{}` was cut off by the end of the process",
                state.step_id(position(step))
            ),
            PauseCause::Operator => "an operator paused it".to_owned(),
        });
        let waiting = Waiting::new(state, (missing, slots), paused.as_deref());
        let pairs = state.steps.iter().enumerate();
        let pairs = pairs.filter_map(|(at, own)| Some((at, state.step_of(at)?, own)));
        let steps: Vec<StepStatus> = pairs
            .map(|(at, step, own)| StepStatus {
                id: state.step_id(at).into_owned(),
                name: step.name.clone(),
                service: step.service.clone(),
                action: step.action.clone(),
                compensation_action: step.compensation_action.clone(),
                version: step.version,
                dependencies: step.dependencies.clone(),
                timeout: step.timeout,
                phase: StepPhase::of(own, step.wait.is_some(), is_taken_back(at), is_over),
                attempts: own.attempts,
                started_at: own.started_at,
                ended_at: own.ended_at,
                waits: waiting.step(at),
                duration: own
                    .ended_at
                    .zip(own.attempt_at)
                    .map(|(ended, began)| ended.since(began)),
                error: text(own.compensation.error.as_ref().or(own.error.as_ref())),
                compensation_attempts: own.compensation.attempts,
                child: match state.child(at) {
                    Some(_) if own.attempts > 0 => state.child_id(at).ok(),
                    _ => None,
                },
                output: match &own.phase {
                    Phase::Succeeded(output) => Some(output.clone()),
                    _ => None,
                },
            })
            .collect();
        let status = Status::of(state);
        let is_current = |step: &&StepStatus| match step.phase {
            StepPhase::Executing
            | StepPhase::Waiting
            | StepPhase::Stuck
            | StepPhase::CompensationStuck => true,
            StepPhase::Compensating => step.compensation_attempts > 0,
            _ => false,
        };
        let current = steps.iter().find(is_current);
        let is_at_work = |step: &StepStatus| is_current(&step) && step.waits.is_none();
        let waits = waiting.saga(
            steps.iter().any(is_at_work),
            current.and_then(|step| step.waits.as_ref()),
        );
        let unsettled = (0..state.steps.len()).filter(|&at| is_taken_back(at) || state.is_left(at));
        Self {
            id: state.id().clone(),
            name: definition.name().to_owned(),
            definition: definition.hash(),
            status,
            correlation_id: state.correlation_id().to_string(),
            attributes: state.attributes().clone(),
            priority: state.priority(),
            concurrency_key: text(state.concurrency_key()),
            input: state.input().clone(),
            parent: state.parent().cloned(),
            started_at: state.started_at(),
            ended_at: state.ended_at,
            current_step: match status.is_final() {
                true => None,
                false => current.map(|step| step.id.clone()),
            },
            error: text(state.error.as_ref()),
            turned_back_by: has_turned_back.then(|| CompensationContext::cause_in(state)),
            parked: missing.first().map(|(_, fault)| fault.clone()),
            paused,
            deadline: state.deadline(),
            inconsistent: state.is_inconsistent(),
            unsettled: unsettled.map(|at| state.step_id(at).into_owned()).collect(),
            waits,
            operated: state
                .operated
                .iter()
                .map(|it| operated(state, it))
                .collect(),
            signals: state.signals.iter().map(signal).collect(),
            steps,
        }
    }

    /// It is not only its turn that it waits for.
    pub(crate) fn wait_for_key(&mut self, key: &Waits) {
        let steps = self.steps.iter_mut().map(|step| &mut step.waits);
        let all = std::iter::once(&mut self.waits).chain(steps);
        for waits in all.filter(|waits| **waits == Some(Waits::Turn)) {
            *waits = Some(key.clone());
        }
    }
}

fn operated(state: &State, operated: &Operated) -> OperatedStatus {
    let step = operated.step.map(|step| state.step_id(position(step)));
    OperatedStatus {
        verb: operated.verb,
        step: step.map(Cow::into_owned),
        by: operated.by.clone(),
        at: operated.at,
    }
}

fn signal(signal: &Signalled) -> SignalStatus {
    SignalStatus {
        name: signal.name.to_string(),
        approved: signal.approved,
        by: signal.by.clone(),
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

fn position(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
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
    /// Those of the issues that keep no saga from being started or from going on.
    pub warnings: Vec<String>,
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
    /// Sagas that are stuck behind their pivot now.
    pub forward_stuck: usize,
    /// Sagas in memory that ended with effects left, or work not done.
    pub inconsistent: usize,
    /// Sagas that lack a handler in this process.
    pub parked: usize,
    /// Sagas that are paused now.
    pub paused: usize,
    /// Sagas that are paused since they were cut off again and again without progress.
    pub poisoned: usize,
    /// Steps, and compensations, that wait for a slot of their service now.
    pub waiting_for_slots: usize,
    /// Sagas that are not over and were started longer ago than [`Settings::stuck_after`](super::Settings::stuck_after), and not
    /// because they wait for somebody or for the time.
    pub old: usize,
    /// Sagas at work that have come no further for that long.
    pub idle: usize,
    /// Idempotency keys of sagas that have left the memory: a second start with one of them is still the same saga.
    pub remembered_keys: usize,
    /// Sagas started.
    pub started: u64,
    /// Sagas completed.
    pub completed: u64,
    /// Sagas compensated after a failed step.
    pub compensated: u64,
    /// Sagas cancelled and taken back.
    pub cancelled: u64,
    /// Sagas that were given up.
    pub failed: u64,
    /// Sagas that were ended as they were.
    pub terminated: u64,
    /// Effects of steps that came to light after their saga had gone on without them.
    pub late_effects: u64,
    /// Answers that were refused because an orchestrator that was started later had asked again.
    pub fenced: u64,
    /// How long sagas waited for their turn.
    pub waits: TurnWaits,
    /// How long steps, and compensations, waited for a slot of their service.
    pub slot_waits: TurnWaits,
}
