//! The state of a saga: the fold of its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::each::Spread;
use super::room::Direction;
use super::step::{CompensationPhase, Phase, StepState};
use crate::clock::Timestamp;
use crate::event::trace::TraceContext;
use crate::ledger::{By, Priority};
use crate::planted::{self, SagaBug};
use crate::saga::definition::{Definition, Order, Step, Wait};
use crate::saga::id::SagaId;
use crate::saga::record::{Cause, Outcome, PauseCause, Verb};

/// Most bytes of input and outputs that one saga holds (16 MiB): all of them are in memory and in its records, and a graph of
/// a thousand steps could have 250 MiB of them. A step whose output would go beyond that is in doubt, like one whose own
/// output is too large.
pub const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most things that operators did which a saga remembers: enough to see how it came to where it is. All are in its records.
pub const OPERATED_MAX: usize = 32;

/// A saga as its records tell it. A clone shares what does not change: the head, and every step until it is written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) head: Arc<Head>,
    /// Where it stands.
    pub stage: Stage,
    /// Where each step stands: those of the definition, then the items of lists.
    pub steps: Vec<Arc<StepState>>,
    /// Which steps are items of lists, in the order in which they were spread.
    pub(super) spreads: Arc<Vec<Spread>>,
    /// Why nothing more is done, only taken back.
    pub turned_back: Option<TurnedBack>,
    /// Why it does nothing until an operator says so.
    pub paused: Option<Paused>,
    /// What operators did last, oldest first, at most [`OPERATED_MAX`] things.
    pub operated: Arc<Vec<Operated>>,
    /// What it was told, at most one thing of each name.
    pub signals: Arc<Vec<Signalled>>,
    /// The idempotency keys of other starts that were taken for it, in their order, at most [`ATTACHED_MAX`](super::ATTACHED_MAX).
    pub attached: Arc<Vec<Arc<str>>>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it did not complete.
    pub error: Option<Arc<str>>,
    /// How many records it has.
    pub records: u64,
    /// When the last of them became a fact that says something of what it does: those of other starts do not.
    pub recorded_at: Timestamp,
    /// When its turn had come.
    pub(super) begun_at: Option<Timestamp>,
    /// How many steps were ever started.
    pub(super) starts: u32,
    /// Bytes of the input and of the outputs.
    pub(super) held_bytes: usize,
    /// The last record that brought it further: a step done or taken back, or an operator who let it go on.
    pub(super) progress_record: u64,
    /// Whether a step or a compensation may be stuck; where none is, nobody looks for it.
    pub(super) has_stuck: bool,
    /// Whether an operator had a step taken back after the end.
    pub(super) has_repairs: bool,
    /// Whether a record says that nothing follows.
    pub(super) has_closed: bool,
}

/// What never changes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Head {
    pub(super) id: SagaId,
    pub(super) definition: Definition,
    pub(super) input: Bytes,
    pub(super) correlation_id: Arc<str>,
    pub(super) idempotency_key: Option<Arc<str>>,
    pub(super) causation_id: Option<Arc<str>>,
    pub(super) parent: Option<SagaId>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) priority: Option<Priority>,
    pub(super) concurrency_key: Option<Arc<str>>,
    pub(super) trace: Option<TraceContext>,
    pub(super) started_at: Timestamp,
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
    /// A step behind the pivot failed for good and nothing else is to be done; an operator must say how to go on.
    ForwardStuck,
    /// A compensation failed for good and no other can be run; an operator must say how to go on.
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

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operated {
    /// What.
    pub verb: Verb,
    /// To which step.
    pub step: Option<u32>,
    /// Who and why.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// What a saga was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signalled {
    /// The name of a signal, or the id of a step that asks a person.
    pub name: Arc<str>,
    /// The same signal given again has the same key.
    pub key: Option<Arc<str>>,
    /// One JSON value.
    pub payload: Bytes,
    /// Who and why.
    pub by: By,
    /// Of a person that was asked: whether they said yes.
    pub approved: Option<bool>,
}

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Paused {
    /// What paused it.
    pub cause: PauseCause,
    /// The number of its record.
    pub record: u64,
}

impl State {
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

    /// The saga that waits for this one.
    #[must_use]
    pub fn parent(&self) -> Option<&SagaId> {
        self.head.parent.as_ref()
    }

    /// Its span, a child of the one that it was started from; none where it belongs to no trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let parent = self.head.trace?;
        Some(parent.named(&[self.head.id.as_str().as_bytes()]))
    }

    /// The span of the last attempt of the step at `index`, or of its compensation: a child of the saga's.
    #[must_use]
    pub fn trace_of(&self, index: usize, direction: Direction) -> Option<TraceContext> {
        let (own, step) = (self.trace()?, self.step(index)?);
        let (kind, attempt) = match direction {
            Direction::Forward => (0_u8, step.attempts),
            Direction::Backward => (1, step.compensation.attempts),
        };
        let id = self.step_id(index);
        Some(own.named(&[id.as_bytes(), &[kind], &attempt.to_be_bytes()]))
    }

    /// What it can be found by.
    #[must_use]
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.head.attributes
    }

    /// How urgent it is, as its start says or else its definition.
    #[must_use]
    pub fn priority(&self) -> Priority {
        let of_definition = self.definition().options().priority;
        self.head.priority.unwrap_or(of_definition)
    }

    /// The key that it shares with sagas that must not run at the same time.
    #[must_use]
    pub fn concurrency_key(&self) -> Option<&Arc<str>> {
        self.head.concurrency_key.as_ref()
    }

    /// When the first record was made.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.head.started_at
    }

    /// When its time is over, if it has a deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let limit = self.definition().options().deadline?;
        Some(self.started_at().after(limit))
    }

    /// Whether any step was ever started.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.starts > 0
    }

    /// Whether the pivot has succeeded: from then on the saga is only brought to its end.
    #[must_use]
    pub fn has_passed_pivot(&self) -> bool {
        let pivot = self.definition().pivot();
        pivot.is_some_and(|pivot| self.output(pivot).is_some())
    }

    /// Whether no record follows any more: it is over with nothing left to repair, or the time for that is over too.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // A child is kept until its parent knows.
        let is_done = matches!(self.stage, Stage::Ended(_)) && !self.is_inconsistent();
        self.has_closed || is_done && self.head.parent.is_none()
    }

    /// Whether it is over and a step of it is being taken back as an operator said.
    #[must_use]
    pub fn is_being_repaired(&self) -> bool {
        let is_over = matches!(self.stage, Stage::Ended(_));
        is_over && self.has_repairs && self.steps.iter().any(|it| it.compensation.is_under_way())
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
        self.definition().steps().get(self.origin(position))
    }

    /// What the step at `index` waits for instead of being run.
    #[must_use]
    pub fn wait(&self, index: usize) -> Option<&Wait> {
        self.step_of(index)?.wait.as_ref()
    }

    /// Whether nothing is to be done but to wait for a signal, a person, the time or another saga.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        if self.stage != Stage::Running || !self.definition().has_waits() {
            return false;
        }
        let mut is_any = false;
        for (at, step) in self.steps.iter().enumerate() {
            match step.phase {
                // Its items say what it does.
                Phase::Started if self.is_list(at) => {}
                Phase::Started if self.wait(at).is_some() => is_any = true,
                Phase::Started | Phase::Backoff { .. } => return false,
                Phase::Pending if self.place_in_list(at).is_none() && self.is_ready(at) => {
                    return false;
                }
                _ => {}
            }
        }
        is_any && !self.spreads.iter().any(|spread| self.starts_more(spread))
    }

    /// Whether it is at work, and counts as active.
    pub(crate) fn holds_slot(&self) -> bool {
        let is_at_work = matches!(self.stage, Stage::Running | Stage::Backward);
        is_at_work && self.paused.is_none() && !self.is_waiting()
    }

    /// What the compensation of the step at `index` is given: what the step returned, in time or late.
    #[must_use]
    pub fn compensation_output(&self, index: usize) -> Option<&Bytes> {
        let late = || self.step(index)?.late_output.as_ref();
        self.output(index).or_else(late)
    }

    /// Whether an output of so many bytes goes beyond [`HELD_BYTES_MAX`].
    pub(super) fn is_too_large(&self, output_bytes: usize) -> bool {
        self.held_bytes.saturating_add(output_bytes) > HELD_BYTES_MAX
    }

    /// The output of the step at `index`, if it succeeded.
    #[must_use]
    pub fn output(&self, index: usize) -> Option<&Bytes> {
        match &self.steps.get(index)?.phase {
            Phase::Succeeded(_) if index == 0 && planted::in_sagas(SagaBug::OutputForgotten) => {
                None
            }
            Phase::Succeeded(output) => Some(output),
            _ => None,
        }
    }

    /// Positions of the steps that the one at `position` depends on.
    pub(crate) fn dependencies(&self, position: usize) -> &[usize] {
        self.definition().dependencies(self.origin(position))
    }

    /// Whether the step is to be started and all its dependencies have succeeded, or are skipped.
    pub(super) fn is_ready(&self, step: usize) -> bool {
        let is_done = |&it: &usize| {
            self.step(it).is_some_and(StepState::is_done)
                || planted::in_sagas(SagaBug::DependencyNotAwaited)
        };
        self.steps.get(step).is_some_and(|state| match state.phase {
            Phase::Pending => true,
            Phase::NotRun => planted::in_sagas(SagaBug::StartsAfterTurningBack),
            _ => false,
        }) && self.dependencies(step).iter().all(is_done)
    }

    /// Whether it was cut off by the end of the process again and again, and came no further in between. Asked when the
    /// process has been started again.
    pub(super) fn is_poison(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.is_worn_out(self.progress_record))
    }

    /// Whether every step has succeeded, or is skipped.
    pub(super) fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| step.is_done())
    }

    /// Whether a compensation is in flight, waits for its next attempt, or is stuck.
    pub(super) fn is_compensating(&self) -> bool {
        self.steps.iter().any(|step| {
            let back = &step.compensation;
            back.is_under_way() || back.phase == CompensationPhase::Stuck
        })
    }

    /// Whether taking back has begun.
    pub(super) fn has_compensated(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| {
            step.compensation.phase != CompensationPhase::Idle || step.compensation.attempts > 0
        })
    }

    /// The steps whose compensation can be started.
    pub(super) fn compensations_due(&self) -> Vec<usize> {
        match self.definition().options().compensation {
            Order::Serial if self.is_compensating() => Vec::new(),
            Order::Serial => self.last_unsettled().into_iter().collect(),
            Order::Parallel => self.free_to_compensate(),
        }
    }

    /// Of the steps that have something to take back, the one that started last. Start order extends the graph's order,
    /// so every step that depends on it is settled by then.
    fn last_unsettled(&self) -> Option<usize> {
        let steps = self.steps.iter().enumerate();
        steps
            .filter(|(index, _)| self.is_unsettled(*index))
            .max_by_key(|(_, state)| {
                let order = i64::from(state.order.unwrap_or(0));
                if planted::in_sagas(SagaBug::OldestFirst) {
                    -order
                } else {
                    order
                }
            })
            .map(|(index, _)| index)
    }

    /// The steps that have something to take back while nothing that follows from them, at any distance, still has.
    fn free_to_compensate(&self) -> Vec<usize> {
        let mut steps: Vec<usize> = (0..self.steps.len()).collect();
        // What follows from a step was started after it, so it comes first here.
        steps.sort_by_key(|&step| std::cmp::Reverse(self.step(step).and_then(|step| step.order)));
        let mut is_blocked = vec![false; self.steps.len()];
        let mut due = Vec::new();
        for step in steps {
            let blocked = is_blocked.get(step).copied().unwrap_or(false);
            let is_unsettled = self.is_unsettled(step);
            let phase = self.step(step).map(|step| step.compensation.phase);
            if is_unsettled && !blocked && phase == Some(CompensationPhase::Idle) {
                due.push(step);
            }
            if blocked || is_unsettled {
                for &before in self.dependencies(step) {
                    let items = self.spread_of(before).map(Spread::positions);
                    for at in std::iter::once(before).chain(items.into_iter().flatten()) {
                        if let Some(flag) = is_blocked.get_mut(at) {
                            *flag = true;
                        }
                    }
                }
            }
        }
        due
    }
}
