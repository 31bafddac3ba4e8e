//! Where one step of a saga stands.

use std::sync::Arc;

use bytes::Bytes;

use super::INTERRUPTIONS_MAX;
use crate::clock::Timestamp;
use crate::planted::{self, SagaBug};
use crate::saga::definition::Compensate;
use crate::saga::record::Effect;

/// Most attempts in doubt that are told apart. A step with more stays in doubt for good: no handler answers late so often.
const DOUBTS_MAX: usize = 32;

/// Cuts by the end of the process since the last progress of the saga.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interruptions {
    /// How many.
    pub count: u32,
    /// The record of that progress.
    since: u64,
}

/// The attempts of a step that may have had an effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Doubt {
    attempts: Vec<u32>,
    /// There were more than are told apart.
    is_lasting: bool,
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
    /// The fencing token of the process that started the last one; zero where an older program did.
    pub epoch: u64,
    /// Attempts that failed, of the present series.
    pub failures: u32,
    /// Attempts that were cut off by the end of the process.
    pub interruptions: Interruptions,
    /// Attempts that are over and may have had an effect that is not known.
    pub doubt: Doubt,
    /// What an attempt returned after the saga had gone on without it.
    pub late_output: Option<Bytes>,
    /// Whether an effect came to light when the step had been taken back, or the saga was over, and is not taken back since.
    pub has_late_effect: bool,
    /// The last error.
    pub error: Option<Arc<str>>,
    /// When the first attempt began.
    pub started_at: Option<Timestamp>,
    /// When the first attempt of the present series began.
    pub series_at: Option<Timestamp>,
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
    /// Not started, or to be started anew as an operator said.
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
    /// Failed for good behind the pivot: an operator must say how to go on.
    Stuck(Effect),
    /// An operator said to go on without it.
    Skipped,
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
    /// The fencing token of the process that started the last one; zero where an older program did.
    pub epoch: u64,
    /// Failed attempts of the present series.
    pub failures: u32,
    /// Attempts that were cut off by the end of the process.
    pub interruptions: Interruptions,
    /// Whether another attempt follows a success, since an effect came to light meanwhile.
    pub again: bool,
    /// Whether an operator asked for it after the end of the saga.
    pub is_repair: bool,
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
    /// An operator said that it need not be taken back.
    Skipped,
    /// An operator said that it is taken back.
    Forced,
}

impl StepState {
    /// Whether it, or its compensation, was cut off as often as may be since the record of the saga's last progress, and now
    /// once more.
    pub(super) fn is_worn_out(&self, progress: u64) -> bool {
        let is_worn = |cuts: Interruptions| cuts.since(progress) >= INTERRUPTIONS_MAX;
        let forward = self.phase == Phase::Started && is_worn(self.interruptions);
        let back = &self.compensation;
        forward || back.phase == CompensationPhase::Started && is_worn(back.interruptions)
    }

    /// Whether there may be something to take back.
    #[must_use]
    pub fn may_have_had_effect(&self) -> bool {
        match self.phase {
            Phase::Succeeded(_) | Phase::Started => true,
            Phase::Failed(effect) | Phase::Stuck(effect) => effect == Effect::Unknown,
            Phase::Pending | Phase::Backoff { .. } | Phase::Skipped => self.doubt.is_any(),
            Phase::NotRun => false,
        }
    }

    /// Whether it is to be taken back once its saga turns back.
    pub(super) fn is_to_be_taken_back(&self, when: Compensate) -> bool {
        let has_succeeded = matches!(self.phase, Phase::Succeeded(_)) || self.late_output.is_some();
        match when {
            Compensate::Completed => has_succeeded,
            Compensate::CompletedOrInDoubt => {
                self.may_have_had_effect()
                    || (self.attempts > 0 && planted::in_sagas(SagaBug::EffectlessTakenBack))
            }
            Compensate::Always => self.attempts > 0 || self.may_have_had_effect(),
        }
    }

    /// Whether it is still to be run.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.phase {
            Phase::Pending | Phase::Started | Phase::Backoff { .. } | Phase::Stuck(_) => true,
            Phase::Succeeded(_) | Phase::Failed(_) | Phase::Skipped | Phase::NotRun => false,
        }
    }

    /// Whether an operator, or its success, has made an end of it.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Succeeded(_) | Phase::Skipped)
    }

    pub(super) fn start(&mut self, attempt: u32, at: Timestamp, record: u64, progress: u64) {
        if self.phase == Phase::Started {
            // The attempt before was cut off: nobody knows how far it came.
            self.interruptions.add(progress);
            self.doubt.add(self.attempts);
        }
        self.phase = Phase::Started;
        self.attempts = attempt;
        self.started_at.get_or_insert(at);
        self.series_at.get_or_insert(at);
        self.attempt_at = Some(at);
        self.ended_at = None;
        self.started_record = record;
    }

    pub(super) fn fail(&mut self, attempt: u32, effect: Effect, is_counted: bool) {
        self.failures += u32::from(is_counted);
        if effect == Effect::Unknown {
            self.doubt.add(attempt);
        }
    }

    pub(super) fn end(&mut self, at: Timestamp, record: u64, error: Option<&String>) {
        self.ended_at = Some(at);
        self.ended_record = record;
        self.error = error.map(|error| error.as_str().into());
    }

    /// One attempt in doubt keeps the step in doubt, whatever the later ones say.
    pub(super) fn effect_in_doubt(&self) -> Effect {
        if self.doubt.is_any() {
            Effect::Unknown
        } else {
            Effect::None
        }
    }

    /// An attempt that is not over never will be.
    pub(super) fn cut_off(&mut self) {
        if self.phase == Phase::Started {
            self.doubt.add(self.attempts);
        }
    }

    /// Another series of attempts begins.
    pub(super) fn renew(&mut self) {
        self.cut_off();
        self.phase = Phase::Pending;
        self.failures = 0;
        self.interruptions = Interruptions::default();
        self.series_at = None;
    }
}

impl Doubt {
    /// Whether an attempt may have had an effect.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.is_lasting || !self.attempts.is_empty()
    }

    pub(super) fn add(&mut self, attempt: u32) {
        if self.attempts.contains(&attempt) || planted::in_sagas(SagaBug::DoubtForgotten) {
            return;
        }
        if self.attempts.len() < DOUBTS_MAX {
            self.attempts.push(attempt);
        } else {
            self.is_lasting = true;
        }
    }

    /// That attempt certainly had none.
    pub(super) fn clear(&mut self, attempt: u32) {
        self.attempts.retain(|&other| other != attempt);
    }
}

impl CompensationState {
    pub(super) fn start(&mut self, attempt: u32, progress: u64) {
        if self.phase == CompensationPhase::Started {
            self.interruptions.add(progress);
        }
        self.phase = CompensationPhase::Started;
        self.attempts = attempt;
    }

    pub(super) fn succeed(&mut self) {
        self.error = None;
        self.phase = if std::mem::take(&mut self.again) {
            CompensationPhase::Idle
        } else {
            CompensationPhase::Done
        };
    }

    /// Another series of attempts begins.
    pub(super) fn renew(&mut self) {
        self.phase = CompensationPhase::Idle;
        self.failures = 0;
        self.interruptions = Interruptions::default();
    }

    /// Whether nothing is left to be done, as far as anybody says.
    pub(super) fn is_settled(&self) -> bool {
        match self.phase {
            CompensationPhase::Done | CompensationPhase::Skipped | CompensationPhase::Forced => {
                true
            }
            CompensationPhase::Idle
            | CompensationPhase::Started
            | CompensationPhase::Backoff { .. }
            | CompensationPhase::Stuck => false,
        }
    }

    /// Whether an attempt is in flight or due.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(
            self.phase,
            CompensationPhase::Started | CompensationPhase::Backoff { .. }
        )
    }
}

impl Interruptions {
    /// One more, the saga having come further last with the record `progress`.
    fn add(&mut self, progress: u64) {
        if planted::in_sagas(SagaBug::CutsNotCounted) {
            return;
        }
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
