//! The state of a saga: the fold of its records.

use std::sync::Arc;

use bytes::Bytes;

use super::INTERRUPTIONS_MAX;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::saga::definition::{Definition, Step};
use crate::saga::id::SagaId;
use crate::saga::record::{Cause, Effect, Fact, Outcome, PauseCause, Record, Verb};

/// Most bytes of input and outputs that one saga holds (16 MiB): all of them are in memory and in its records, and a graph of
/// a thousand steps could have 250 MiB of them. A step whose output would go beyond that is in doubt, like one whose own
/// output is too large.
pub const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A saga as its records tell it. A clone shares what does not change: the head, and every step until it is written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    head: Arc<Head>,
    /// Where it stands.
    pub stage: Stage,
    /// Per step of the definition, where that stands.
    pub steps: Vec<Arc<StepState>>,
    /// Why nothing more is done, only taken back.
    pub turned_back: Option<TurnedBack>,
    /// Why it does nothing until an operator says so.
    pub paused: Option<Paused>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it did not complete.
    pub error: Option<Arc<str>>,
    /// How many records it has.
    pub records: u64,
    /// How many steps were ever started.
    starts: u32,
    /// Bytes of the input and of the outputs.
    held_bytes: usize,
    /// The last record that brought it further: a step done or taken back, or an operator who let it go on.
    progress_record: u64,
    /// Whether a record says that nothing follows.
    has_closed: bool,
}

/// What never changes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Head {
    id: SagaId,
    definition: Definition,
    input: Bytes,
    correlation_id: Arc<str>,
    idempotency_key: Option<Arc<str>>,
    causation_id: Option<Arc<str>>,
    started_at: Timestamp,
}

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Stored, waiting for a slot.
    Queued,
    /// Steps are run.
    Running,
    /// Steps in flight are awaited, then what had an effect is taken back.
    Backward,
    /// A compensation failed for good; an operator must say how to go on.
    Stuck,
    /// Over.
    Ended(Outcome),
}

/// The turning point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TurnedBack {
    /// What turned it back.
    pub cause: Cause,
    /// In words.
    pub reason: Arc<str>,
    /// The number of its record.
    pub record: u64,
}

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Paused {
    /// What paused it.
    pub cause: PauseCause,
    /// The number of its record.
    pub record: u64,
}

/// Cuts by the end of the process since the last progress of the saga.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interruptions {
    /// How many.
    pub count: u32,
    /// The record of that progress.
    since: u64,
}

/// Where a step stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StepState {
    /// Forward.
    pub phase: Phase,
    /// Backward.
    pub compensation: CompensationState,
    /// Place in the order in which steps were first started.
    pub order: Option<u32>,
    /// Attempts so far; the number of the last one.
    pub attempts: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts that were cut off by the end of the process.
    pub interruptions: Interruptions,
    /// Whether an attempt that is over may have had an effect that is not known.
    pub doubt: bool,
    /// The last error.
    pub error: Option<Arc<str>>,
    /// When the first attempt began.
    pub started_at: Option<Timestamp>,
    /// When the last attempt began.
    pub attempt_at: Option<Timestamp>,
    /// When the last attempt was over.
    pub ended_at: Option<Timestamp>,
    /// The record that started the last attempt.
    pub started_record: u64,
    /// The record that ended the last attempt.
    pub ended_record: u64,
}

/// Forward phase of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not started.
    #[default]
    Pending,
    /// An attempt is in flight, or was when the process ended.
    Started,
    /// An attempt failed; the next one is due then.
    Backoff {
        /// When.
        until: Timestamp,
    },
    /// Done, with this output.
    Succeeded(Bytes),
    /// Failed for good.
    Failed(Effect),
    /// The saga turned back before it was started.
    NotRun,
}

/// Backward phase of a step, with its counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompensationState {
    /// Where it stands.
    pub phase: CompensationPhase,
    /// Attempts so far; the number of the last one.
    pub attempts: u32,
    /// Failed attempts of the present series.
    pub failures: u32,
    /// Attempts that were cut off by the end of the process.
    pub interruptions: Interruptions,
    /// The last error.
    pub error: Option<Arc<str>>,
    /// The record that says it is stuck.
    pub stuck_record: u64,
}

/// Where a compensation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CompensationPhase {
    /// Not needed, or not yet its turn.
    #[default]
    Idle,
    /// An attempt is in flight, or was when the process ended.
    Started,
    /// An attempt failed; the next one is due then.
    Backoff {
        /// When.
        until: Timestamp,
    },
    /// Failed for good.
    Stuck,
    /// Taken back.
    Done,
}

impl State {
    /// The state after the first record.
    ///
    /// # Errors
    /// `Corrupt` when `record` is not a first record or pins a definition that is not valid or has another hash.
    pub fn first(
        id: SagaId,
        record: &Record,
        definition: impl FnOnce(&Bytes) -> Result<Definition>,
    ) -> Result<Self> {
        let Fact::Created {
            definition: pinned,
            hash,
            input,
            correlation_id,
            idempotency_key,
            causation_id,
        } = &record.fact
        else {
            return Err(corrupt("first record does not create a saga"));
        };
        let definition = definition(pinned)?;
        if definition.hash().0 != *hash {
            return Err(corrupt(
                "pinned definition has another hash than its record",
            ));
        }
        Ok(Self {
            stage: Stage::Queued,
            steps: vec![Arc::default(); definition.steps().len()],
            turned_back: None,
            paused: None,
            ended_at: None,
            error: None,
            records: 1,
            starts: 0,
            held_bytes: input.len(),
            progress_record: 0,
            has_closed: false,
            head: Arc::new(Head {
                id,
                definition,
                input: input.clone(),
                correlation_id: correlation_id.as_str().into(),
                idempotency_key: idempotency_key.as_deref().map(Arc::from),
                causation_id: causation_id.as_deref().map(Arc::from),
                started_at: record.at,
            }),
        })
    }

    /// Takes a record as found in a store.
    ///
    /// # Errors
    /// `Corrupt` when no history has such a record at this place.
    pub fn replay(&mut self, record: &Record) -> Result<()> {
        match (self.stage, &record.fact) {
            (Stage::Ended(_), Fact::Closed) => {}
            (Stage::Ended(_), _) => return Err(corrupt("a record follows the last one")),
            (_, Fact::Closed) => return Err(corrupt("closed before its end")),
            _ => {}
        }
        let step = match record.fact {
            Fact::Created { .. } => return Err(corrupt("created twice")),
            Fact::StepStarted { step, .. }
            | Fact::StepSucceeded { step, .. }
            | Fact::AttemptFailed { step, .. }
            | Fact::StepFailed { step, .. }
            | Fact::CompensationStarted { step, .. }
            | Fact::CompensationSucceeded { step, .. }
            | Fact::CompensationAttemptFailed { step, .. }
            | Fact::CompensationStuck { step, .. }
            | Fact::TurnedBack {
                cause: Cause::Step(step),
                ..
            } => index(step),
            Fact::TurnedBack { .. }
            | Fact::CompensationResumed
            | Fact::Operated { .. }
            | Fact::Paused { .. }
            | Fact::Ended { .. }
            | Fact::Closed => 0,
        };
        if step >= self.steps.len() {
            return Err(corrupt("a record names a step that the definition lacks"));
        }
        self.apply(record);
        Ok(())
    }

    /// Takes a record. The machine makes only records that fit.
    pub(super) fn apply(&mut self, record: &Record) {
        let position = self.records;
        self.records += 1;
        match &record.fact {
            Fact::Created { .. } => {}
            Fact::StepStarted { step, attempt } => {
                if self.stage == Stage::Queued {
                    self.stage = Stage::Running;
                }
                let (order, progress) = (self.starts, self.progress_record);
                if let Some(step) = self.steps.get_mut(index(*step)).map(Arc::make_mut) {
                    if step.order.is_none() {
                        step.order = Some(order);
                        self.starts += 1;
                    }
                    step.start(*attempt, record.at, position, progress);
                }
            }
            Fact::StepSucceeded { step, output, .. } => {
                self.held_bytes += output.len();
                self.progress_record = position;
                self.with(*step, |step| {
                    step.end(record.at, position, None);
                    step.phase = Phase::Succeeded(output.clone());
                });
            }
            Fact::AttemptFailed {
                step,
                effect,
                error,
                retry_at,
                ..
            } => self.with(*step, |step| {
                step.fail(*effect);
                step.end(record.at, position, Some(error));
                step.phase = Phase::Backoff { until: *retry_at };
            }),
            Fact::StepFailed {
                step,
                effect,
                error,
                ..
            } => self.with(*step, |step| {
                step.fail(*effect);
                step.end(record.at, position, Some(error));
                step.phase = Phase::Failed(step.effect_in_doubt());
            }),
            Fact::TurnedBack { cause, reason } => {
                self.turn_back(*cause, reason.as_str().into(), position);
            }
            Fact::CompensationStarted { step, attempt } => {
                let progress = self.progress_record;
                self.with(*step, |step| step.compensation.start(*attempt, progress));
            }
            Fact::CompensationSucceeded { step, .. } => {
                self.progress_record = position;
                self.with(*step, |step| {
                    step.compensation.phase = CompensationPhase::Done;
                    step.compensation.error = None;
                });
            }
            Fact::CompensationAttemptFailed {
                step,
                error,
                retry_at,
                ..
            } => self.with(*step, |step| {
                step.compensation.failures += 1;
                step.compensation.error = Some(error.as_str().into());
                step.compensation.phase = CompensationPhase::Backoff { until: *retry_at };
            }),
            Fact::CompensationStuck { step, error, .. } => {
                self.stage = Stage::Stuck;
                self.with(*step, |step| {
                    step.compensation.failures += 1;
                    step.compensation.error = Some(error.as_str().into());
                    step.compensation.phase = CompensationPhase::Stuck;
                    step.compensation.stuck_record = position;
                });
            }
            Fact::CompensationResumed => {
                self.stage = Stage::Backward;
                let is_stuck = |step: &&mut Arc<StepState>| {
                    step.compensation.phase == CompensationPhase::Stuck
                };
                for step in self.steps.iter_mut().filter(is_stuck) {
                    Arc::make_mut(step).compensation.resume();
                }
            }
            Fact::Ended { outcome, error } => {
                self.stage = Stage::Ended(*outcome);
                self.ended_at = Some(record.at);
                if !error.is_empty() {
                    self.error = Some(error.as_str().into());
                }
            }
            Fact::Operated { verb, .. } => match verb {
                Verb::Resume => {
                    self.paused = None;
                    self.progress_record = position;
                }
            },
            Fact::Paused { cause } => {
                self.paused = Some(Paused {
                    cause: *cause,
                    record: position,
                });
            }
            Fact::Closed => self.has_closed = true,
        }
    }

    fn turn_back(&mut self, cause: Cause, reason: Arc<str>, record: u64) {
        self.stage = Stage::Backward;
        self.paused = None;
        self.error = Some(Arc::clone(&reason));
        self.turned_back = Some(TurnedBack {
            cause,
            reason,
            record,
        });
        for step in &mut self.steps {
            match step.phase {
                Phase::Pending => Arc::make_mut(step).phase = Phase::NotRun,
                Phase::Backoff { .. } => {
                    let effect = step.effect_in_doubt();
                    Arc::make_mut(step).phase = Phase::Failed(effect);
                }
                Phase::Started | Phase::Succeeded(_) | Phase::Failed(_) | Phase::NotRun => {}
            }
        }
    }

    fn with(&mut self, step: u32, change: impl FnOnce(&mut StepState)) {
        if let Some(step) = self.steps.get_mut(index(step)) {
            change(Arc::make_mut(step));
        }
    }

    /// The saga's id.
    #[must_use]
    pub fn id(&self) -> &SagaId {
        &self.head.id
    }

    /// The pinned definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.head.definition
    }

    /// The input context, one JSON value.
    #[must_use]
    pub fn input(&self) -> &Bytes {
        &self.head.input
    }

    /// The correlation id.
    #[must_use]
    pub fn correlation_id(&self) -> &Arc<str> {
        &self.head.correlation_id
    }

    /// The idempotency key.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&Arc<str>> {
        self.head.idempotency_key.as_ref()
    }

    /// The event that led to this saga.
    #[must_use]
    pub fn causation_id(&self) -> Option<&Arc<str>> {
        self.head.causation_id.as_ref()
    }

    /// When the first record was made.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.head.started_at
    }

    /// Whether any step was ever started.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.starts > 0
    }

    /// Whether it is over and has left effects that are not taken back.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        self.stage == Stage::Ended(Outcome::Failed)
    }

    /// Whether no record follows any more: it is over with nothing left to repair, or the time for that is over too.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.has_closed || matches!(self.stage, Stage::Ended(_)) && !self.is_inconsistent()
    }

    /// The state of the step at `index`.
    #[must_use]
    pub fn step(&self, index: usize) -> Option<&StepState> {
        self.steps.get(index).map(Arc::as_ref)
    }

    /// What the step at `position` is to do. All that looks from a step's state to its definition goes through here, since
    /// the two need not have the same place.
    #[must_use]
    pub fn step_of(&self, position: usize) -> Option<&Step> {
        self.definition().steps().get(position)
    }

    /// The id of the step at `position`; empty when there is none.
    pub(crate) fn step_id(&self, position: usize) -> &str {
        self.step_of(position).map_or("", |step| &step.id)
    }

    /// Whether an output of so many bytes goes beyond [`HELD_BYTES_MAX`].
    pub(super) fn is_too_large(&self, output_bytes: usize) -> bool {
        self.held_bytes.saturating_add(output_bytes) > HELD_BYTES_MAX
    }

    /// The output of the step at `index`, if it succeeded.
    #[must_use]
    pub fn output(&self, index: usize) -> Option<&Bytes> {
        match &self.steps.get(index)?.phase {
            Phase::Succeeded(output) => Some(output),
            _ => None,
        }
    }

    /// Whether the step is not started and all its dependencies have succeeded.
    pub(super) fn is_ready(&self, step: usize) -> bool {
        self.steps
            .get(step)
            .is_some_and(|state| state.phase == Phase::Pending)
            && self
                .definition()
                .dependencies(step)
                .iter()
                .all(|&dependency| self.output(dependency).is_some())
    }

    /// Whether it was cut off by the end of the process again and again, and came no further in between. Asked when the
    /// process has been started again.
    pub(super) fn is_poison(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.is_worn_out(self.progress_record))
    }

    /// Whether every step has succeeded.
    pub(super) fn is_complete(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.all(|step| matches!(step.phase, Phase::Succeeded(_)))
    }

    /// Whether a compensation is in flight, waits for its next attempt, or is stuck.
    pub(super) fn is_compensating(&self) -> bool {
        self.steps.iter().any(|step| match step.compensation.phase {
            CompensationPhase::Started
            | CompensationPhase::Backoff { .. }
            | CompensationPhase::Stuck => true,
            CompensationPhase::Idle | CompensationPhase::Done => false,
        })
    }

    /// Of the steps that have something to take back, the one that started last. Start order extends the graph's order,
    /// so every step that depends on it is settled by then.
    pub(super) fn next_compensation(&self) -> Option<usize> {
        let steps = self.steps.iter().enumerate();
        steps
            .filter(|(index, state)| {
                state.may_have_had_effect()
                    && state.compensation.phase != CompensationPhase::Done
                    && self
                        .step_of(*index)
                        .is_some_and(|step| step.compensation_action.is_some())
            })
            .max_by_key(|(_, state)| state.order)
            .map(|(index, _)| index)
    }
}

impl StepState {
    /// Whether it, or its compensation, was cut off as often as may be since the record of the saga's last progress, and now
    /// once more.
    fn is_worn_out(&self, progress: u64) -> bool {
        let is_worn = |cuts: Interruptions| cuts.since(progress) >= INTERRUPTIONS_MAX;
        let forward = self.phase == Phase::Started && is_worn(self.interruptions);
        let back = &self.compensation;
        forward || back.phase == CompensationPhase::Started && is_worn(back.interruptions)
    }

    /// Whether there may be something to take back.
    #[must_use]
    pub fn may_have_had_effect(&self) -> bool {
        match self.phase {
            Phase::Succeeded(_) | Phase::Failed(Effect::Unknown) | Phase::Started => true,
            Phase::Failed(Effect::None)
            | Phase::Pending
            | Phase::Backoff { .. }
            | Phase::NotRun => false,
        }
    }

    fn start(&mut self, attempt: u32, at: Timestamp, record: u64, progress: u64) {
        if self.phase == Phase::Started {
            // The attempt before was cut off: nobody knows how far it came.
            self.interruptions.add(progress);
            self.doubt = true;
        }
        self.phase = Phase::Started;
        self.attempts = attempt;
        self.started_at.get_or_insert(at);
        self.attempt_at = Some(at);
        self.ended_at = None;
        self.started_record = record;
    }

    fn fail(&mut self, effect: Effect) {
        self.failures += 1;
        self.doubt |= effect == Effect::Unknown;
    }

    fn end(&mut self, at: Timestamp, record: u64, error: Option<&String>) {
        self.ended_at = Some(at);
        self.ended_record = record;
        self.error = error.map(|error| error.as_str().into());
    }

    /// One attempt in doubt keeps the step in doubt, whatever the later ones say.
    fn effect_in_doubt(&self) -> Effect {
        if self.doubt {
            Effect::Unknown
        } else {
            Effect::None
        }
    }
}

impl CompensationState {
    fn start(&mut self, attempt: u32, progress: u64) {
        if self.phase == CompensationPhase::Started {
            self.interruptions.add(progress);
        }
        self.phase = CompensationPhase::Started;
        self.attempts = attempt;
    }

    fn resume(&mut self) {
        self.phase = CompensationPhase::Idle;
        self.failures = 0;
        self.interruptions = Interruptions::default();
    }
}

impl Interruptions {
    /// One more, the saga having come further last with the record `progress`.
    fn add(&mut self, progress: u64) {
        self.count = self.since(progress) + 1;
        self.since = progress;
    }

    /// How many since that record.
    fn since(self, progress: u64) -> u32 {
        if self.since == progress {
            self.count
        } else {
            0
        }
    }
}

fn index(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

fn corrupt(text: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, text)
}
