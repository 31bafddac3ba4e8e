//! The fold: how each record changes the state.

use std::sync::Arc;

use bytes::Bytes;

use super::state::{Head, OPERATED_MAX, Operated, Paused, Signalled, Stage, State, TurnedBack};
use super::step::{CompensationPhase, Phase, StepState};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::planted::{self, SagaBug};
use crate::saga::definition::Definition;
use crate::saga::id::SagaId;
use crate::saga::record::{Cause, Effect, Fact, PauseCause, Record, Verb};

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
            parent,
            attributes,
            priority,
            concurrency_key,
            trace,
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
            spreads: Arc::default(),
            turned_back: None,
            paused: None,
            operated: Arc::default(),
            signals: Arc::default(),
            attached: Arc::default(),
            ended_at: None,
            error: None,
            records: 1,
            recorded_at: record.at,
            begun_at: None,
            starts: 0,
            held_bytes: input.len(),
            progress_record: 0,
            has_stuck: false,
            has_repairs: false,
            has_closed: false,
            head: Arc::new(Head {
                id,
                definition,
                input: input.clone(),
                correlation_id: correlation_id.as_str().into(),
                idempotency_key: idempotency_key.as_deref().map(Arc::from),
                causation_id: causation_id.as_deref().map(Arc::from),
                parent: parent.as_deref().map(str::parse).transpose()?,
                attributes: attributes.clone().unwrap_or_default(),
                priority: *priority,
                concurrency_key: concurrency_key.as_deref().map(Arc::from),
                // What is none says nothing of the saga itself.
                trace: trace.as_deref().and_then(|trace| trace.parse().ok()),
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
            (Stage::Ended(_), fact) if self.is_closed() || !may_follow_the_end(fact) => {
                return Err(corrupt("a record follows the last one"));
            }
            (Stage::Ended(_), _) => {}
            (_, Fact::Closed) => return Err(corrupt("closed before its end")),
            (Stage::Queued, Fact::Begun) => {}
            (_, Fact::Begun) => return Err(corrupt("begun twice")),
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
            | Fact::ForwardStuck { step, .. }
            | Fact::LateResult { step, .. }
            | Fact::Spread { step, .. }
            | Fact::Operated {
                step: Some(step), ..
            }
            | Fact::Paused {
                cause: PauseCause::InDoubt(step),
            }
            | Fact::TurnedBack {
                cause: Cause::Step(step),
                ..
            } => index(step),
            Fact::TurnedBack { .. }
            | Fact::CompensationResumed
            | Fact::Operated { .. }
            | Fact::Paused { .. }
            | Fact::Signalled { .. }
            | Fact::Migrated { .. }
            | Fact::Ended { .. }
            | Fact::Begun
            | Fact::Attached { .. }
            | Fact::Closed => 0,
        };
        if step >= self.steps.len() {
            return Err(corrupt("a record names a step that the definition lacks"));
        }
        if let Fact::Spread { count, .. } = record.fact {
            let items = self.items_for(step).map(|items| items.len());
            if self.spread_of(step).is_some() || items != Ok(index(count)) {
                return Err(corrupt("a list has other items than its record says"));
            }
        }
        if let Fact::Migrated {
            definition, hash, ..
        } = &record.fact
        {
            let new = Definition::from_pinned(definition)?;
            if new.hash().0 != *hash || self.misfit(&new).is_some() {
                return Err(corrupt("a definition does not fit what the saga has begun"));
            }
        }
        let is_success = matches!(record.fact, Fact::StepSucceeded { .. });
        if is_success && planted::in_sagas(SagaBug::SuccessNotReplayed) {
            return Ok(());
        }
        self.apply(record);
        Ok(())
    }

    /// Takes a record. The machine makes only records that fit.
    pub(super) fn apply(&mut self, record: &Record) {
        let position = self.records;
        self.records += 1;
        if !matches!(record.fact, Fact::Attached { .. }) {
            self.recorded_at = record.at;
        }
        match &record.fact {
            Fact::Created { .. } => {}
            Fact::StepStarted {
                step,
                attempt,
                epoch,
            } => {
                if self.stage == Stage::Queued {
                    self.stage = Stage::Running;
                    self.begun_at = Some(record.at);
                }
                let (order, progress) = (self.starts, self.progress_record);
                if let Some(step) = self.steps.get_mut(index(*step)).map(Arc::make_mut) {
                    if step.order.is_none() {
                        step.order = Some(order);
                        self.starts += 1;
                    }
                    step.start(*attempt, record.at, position, progress);
                    step.epoch = epoch.unwrap_or_default();
                }
            }
            Fact::StepSucceeded { step, output, .. } => {
                self.succeed(*step, output, record.at, position);
            }
            Fact::AttemptFailed {
                step,
                attempt,
                effect,
                error,
                retry_at,
                is_uncounted,
            } => self.with(*step, |step| {
                step.fail(*attempt, *effect, !is_uncounted);
                step.end(record.at, position, Some(error));
                step.phase = Phase::Backoff { until: *retry_at };
            }),
            Fact::StepFailed {
                step,
                attempt,
                effect,
                error,
            } => self.with(*step, |step| {
                step.fail(*attempt, *effect, true);
                step.end(record.at, position, Some(error));
                step.phase = Phase::Failed(step.effect_in_doubt());
            }),
            Fact::ForwardStuck {
                step,
                attempt,
                effect,
                error,
            } => {
                self.has_stuck = true;
                self.with(*step, |step| {
                    step.fail(*attempt, *effect, true);
                    step.end(record.at, position, Some(error));
                    step.phase = Phase::Stuck(step.effect_in_doubt());
                });
            }
            Fact::TurnedBack { cause, reason } => {
                self.turn_back(*cause, reason.as_str().into(), position);
            }
            Fact::CompensationStarted {
                step,
                attempt,
                epoch,
            } => {
                let progress = self.progress_record;
                self.with(*step, |step| {
                    step.compensation.start(*attempt, progress);
                    step.compensation.epoch = epoch.unwrap_or_default();
                });
            }
            Fact::CompensationSucceeded {
                step,
                takes_late_effect,
                ..
            } => {
                self.progress_record = position;
                self.with(*step, |step| {
                    step.compensation.succeed();
                    step.has_late_effect &= !takes_late_effect;
                });
            }
            Fact::CompensationAttemptFailed {
                step,
                error,
                retry_at,
                is_uncounted,
                ..
            } => self.with(*step, |step| {
                step.compensation.failures += u32::from(!is_uncounted);
                step.compensation.error = Some(error.as_str().into());
                step.compensation.phase = CompensationPhase::Backoff { until: *retry_at };
            }),
            Fact::CompensationStuck { step, error, .. } => {
                self.has_stuck = true;
                self.with(*step, |step| {
                    step.compensation.failures += 1;
                    step.compensation.error = Some(error.as_str().into());
                    step.compensation.phase = CompensationPhase::Stuck;
                    step.compensation.stuck_record = position;
                });
            }
            Fact::CompensationResumed => self.renew_compensations(),
            Fact::Ended { outcome, error } => {
                self.stage = Stage::Ended(*outcome);
                self.paused = None;
                self.ended_at = Some(record.at);
                if !error.is_empty() {
                    self.error = Some(error.as_str().into());
                }
            }
            Fact::Operated {
                verb,
                step,
                by,
                output,
            } => {
                self.note_operated(Operated {
                    verb: *verb,
                    step: *step,
                    by: by.clone(),
                    at: record.at,
                });
                if *verb != Verb::Pause {
                    self.progress_record = position;
                }
                let output = output.clone().unwrap_or_default();
                self.operate(*verb, *step, &output, record.at, position);
            }
            Fact::LateResult {
                step,
                attempt,
                output,
                effect,
                ..
            } => self.answered_late(*step, *attempt, output.as_ref(), *effect),
            Fact::Paused { cause } => {
                self.paused = Some(Paused {
                    cause: *cause,
                    record: position,
                });
            }
            Fact::Signalled {
                name,
                key,
                payload,
                by,
                approved,
            } => {
                self.held_bytes += payload.len();
                Arc::make_mut(&mut self.signals).push(Signalled {
                    name: name.as_str().into(),
                    key: key.as_deref().map(Arc::from),
                    payload: payload.clone(),
                    by: by.clone(),
                    approved: *approved,
                });
            }
            Fact::Spread { step, .. } => self.spread(index(*step)),
            Fact::Migrated { definition, by, .. } => {
                self.progress_record = position;
                self.note_operated(Operated {
                    verb: Verb::Migrate,
                    step: None,
                    by: by.clone(),
                    at: record.at,
                });
                // The machine has it from a definition, and whoever reads a log has checked it.
                if let Ok(new) = Definition::from_pinned(definition) {
                    self.migrate(new);
                }
            }
            Fact::Attached { key } => self.attach(key),
            Fact::Closed => self.has_closed = true,
            Fact::Begun => {
                self.stage = Stage::Running;
                self.begun_at = Some(record.at);
            }
        }
        self.settle_stage();
    }

    /// Keeps the last things that operators did.
    fn note_operated(&mut self, operated: Operated) {
        let all = Arc::make_mut(&mut self.operated);
        if all.len() >= OPERATED_MAX {
            all.remove(0);
        }
        all.push(operated);
    }

    fn succeed(&mut self, step: u32, output: &Bytes, at: Timestamp, position: u64) {
        self.held_bytes += output.len();
        self.progress_record = position;
        self.with(step, |step| {
            step.end(at, position, None);
            step.phase = Phase::Succeeded(output.clone());
        });
    }

    /// With a step stuck, the saga goes on as long as something else can.
    fn settle_stage(&mut self) {
        if !self.has_stuck {
            return;
        }
        match self.stage {
            Stage::Running | Stage::ForwardStuck => {
                self.has_stuck = (self.steps.iter()).any(|it| matches!(it.phase, Phase::Stuck(_)));
                self.stage = match self.has_stuck && !self.can_go_on() {
                    true => Stage::ForwardStuck,
                    false => Stage::Running,
                };
            }
            Stage::Backward | Stage::Stuck => {
                let is_stuck =
                    |it: &Arc<StepState>| it.compensation.phase == CompensationPhase::Stuck;
                self.has_stuck = self.steps.iter().any(is_stuck);
                let can_go_on = (self.steps.iter()).any(|it| it.compensation.is_under_way())
                    || !self.compensations_due().is_empty();
                self.stage = match self.has_stuck && !can_go_on {
                    true => Stage::Stuck,
                    false => Stage::Backward,
                };
            }
            Stage::Queued | Stage::Ended(_) => {}
        }
    }

    /// Whether a step is run or may be started.
    fn can_go_on(&self) -> bool {
        (0..self.steps.len()).any(|at| {
            let phase = self.step(at).map(|step| &step.phase);
            if phase == Some(&Phase::Started) && self.is_list(at) {
                return self.is_gathered(at);
            }
            matches!(phase, Some(Phase::Started | Phase::Backoff { .. })) || self.is_ready(at)
        })
    }

    fn renew_compensations(&mut self) {
        for step in &mut self.steps {
            if step.compensation.phase == CompensationPhase::Stuck {
                Arc::make_mut(step).compensation.renew();
            }
        }
    }

    fn operate(
        &mut self,
        verb: Verb,
        step: Option<u32>,
        output: &Bytes,
        at: Timestamp,
        position: u64,
    ) {
        let is_backward = self.turned_back.is_some();
        match (verb, step) {
            (Verb::Pause, _) => {
                self.paused = Some(Paused {
                    cause: PauseCause::Operator,
                    record: position,
                });
            }
            (Verb::Resume, _) => self.paused = None,
            (Verb::Retry, Some(step)) if is_backward => {
                self.with(step, |step| step.compensation.renew());
            }
            (Verb::Retry, Some(step)) => self.with(step, StepState::renew),
            (Verb::Retry, None) if is_backward => self.renew_compensations(),
            (Verb::Retry, None) => {
                for step in &mut self.steps {
                    if matches!(step.phase, Phase::Stuck(_)) {
                        Arc::make_mut(step).renew();
                    }
                }
            }
            (Verb::Skip, Some(step)) if is_backward => self.with(step, |step| {
                step.compensation.phase = CompensationPhase::Skipped;
            }),
            (Verb::ForceDone, Some(step)) => self.with(step, |step| {
                step.compensation.phase = CompensationPhase::Forced;
            }),
            (Verb::Skip, Some(step)) => self.with(step, |step| {
                step.cut_off();
                step.phase = Phase::Skipped;
                step.ended_at = Some(at);
            }),
            (Verb::Complete, Some(step)) => {
                let order = self.starts;
                let mut is_first = false;
                self.with(step, |step| {
                    is_first = step.order.is_none();
                    step.order.get_or_insert(order);
                });
                self.starts += u32::from(is_first);
                self.succeed(step, output, at, position);
            }
            (Verb::Recompensate, Some(step)) => {
                self.has_repairs = true;
                self.with(step, |step| {
                    step.compensation.renew();
                    step.compensation.is_repair = true;
                    step.has_late_effect = false;
                });
            }
            // What follows from these has a record of its own.
            (Verb::Cancel | Verb::Abandon | Verb::Terminate, _)
            | (Verb::Skip | Verb::ForceDone | Verb::Complete | Verb::Recompensate, None)
            | (Verb::Migrate, _) => {}
        }
    }

    fn answered_late(&mut self, step: u32, attempt: u32, output: Option<&Bytes>, effect: Effect) {
        let (stage, is_backward) = (self.stage, self.turned_back.is_some());
        let mut held = 0;
        self.with(step, |step| {
            let Some(output) = output else {
                if effect == Effect::None {
                    step.doubt.clear(attempt);
                }
                match &step.phase {
                    Phase::Failed(_) => step.phase = Phase::Failed(step.effect_in_doubt()),
                    Phase::Stuck(_) => step.phase = Phase::Stuck(step.effect_in_doubt()),
                    _ => {}
                }
                return;
            };
            step.doubt.add(attempt);
            match &step.phase {
                Phase::Failed(_) => step.phase = Phase::Failed(Effect::Unknown),
                Phase::Stuck(_) => step.phase = Phase::Stuck(Effect::Unknown),
                _ => {}
            }
            if !matches!(step.phase, Phase::Succeeded(_)) && step.late_output.is_none() {
                held = output.len();
                step.late_output = Some(output.clone());
            }
            let back = &mut step.compensation;
            if matches!(stage, Stage::Ended(_)) {
                step.has_late_effect = true;
            } else if is_backward && back.phase == CompensationPhase::Started {
                back.again = true;
                step.has_late_effect = true;
            } else if is_backward && back.is_settled() {
                back.renew();
                step.has_late_effect = true;
            }
        });
        self.held_bytes += held;
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
                Phase::Pending if step.attempts == 0 => Arc::make_mut(step).phase = Phase::NotRun,
                Phase::Pending | Phase::Backoff { .. } | Phase::Stuck(_) => {
                    let effect = step.effect_in_doubt();
                    Arc::make_mut(step).phase = Phase::Failed(effect);
                }
                Phase::Started
                | Phase::Succeeded(_)
                | Phase::Failed(_)
                | Phase::Skipped
                | Phase::NotRun => {}
            }
        }
    }

    fn with(&mut self, step: u32, change: impl FnOnce(&mut StepState)) {
        if let Some(step) = self.steps.get_mut(index(step)) {
            change(Arc::make_mut(step));
        }
    }
}

fn index(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

/// Whether such a record can come after the end of a saga that has something left to repair.
fn may_follow_the_end(fact: &Fact) -> bool {
    match fact {
        Fact::Operated { .. }
        | Fact::LateResult { .. }
        | Fact::CompensationStarted { .. }
        | Fact::CompensationSucceeded { .. }
        | Fact::CompensationAttemptFailed { .. }
        | Fact::CompensationStuck { .. } => true,
        Fact::Created { .. }
        | Fact::StepStarted { .. }
        | Fact::StepSucceeded { .. }
        | Fact::AttemptFailed { .. }
        | Fact::StepFailed { .. }
        | Fact::TurnedBack { .. }
        | Fact::CompensationResumed
        | Fact::Ended { .. }
        | Fact::ForwardStuck { .. }
        | Fact::Paused { .. }
        | Fact::Signalled { .. }
        | Fact::Spread { .. }
        | Fact::Migrated { .. }
        | Fact::Begun
        | Fact::Attached { .. }
        | Fact::Closed => false,
    }
}

fn corrupt(text: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, text)
}
