//! Backward: taking back what had an effect, in the order that the definition asks for.

use super::{
    Command, CompensationPhase, Direction, Draft, Flight, Phase, Stage, State, Timer, clipped,
    number,
};
use crate::planted::{self, SagaBug};
use crate::saga::backoff::UNAVAILABLE;
use crate::saga::handlers::StepError;
use crate::saga::record::{Cause, Effect, Fact, Outcome};

impl Draft<'_> {
    /// The next compensations, or the end when there is none. Waits for handlers in flight.
    pub(super) fn compensate_next(&mut self) {
        let has_children = self.state.open_children().next().is_some()
            && !planted::in_sagas(SagaBug::ChildNotAwaited);
        if !self.facts.in_flight.is_empty() || has_children {
            return;
        }
        if self.await_elsewhere() {
            return;
        }
        self.settle_interrupted();
        let due = self.state.compensations_due();
        for &step in &due {
            self.compensate(step);
        }
        if due.is_empty() && !self.state.is_compensating() {
            let back = self.state.turned_back.as_ref();
            let outcome = match back.map(|back| back.cause) {
                Some(Cause::Cancelled | Cause::QueueTimeout) => Outcome::Cancelled,
                Some(Cause::Step(_) | Cause::Deadline) | None => Outcome::Compensated,
            };
            let reason = back.map_or_else(String::new, |back| back.reason.to_string());
            self.end(outcome, reason);
        }
    }

    /// Steps that services elsewhere may still do, although a restart has left nobody here who waits: their replies are
    /// waited for as long as handlers may go on that are told to stop. What is done after its compensation would stay.
    fn await_elsewhere(&mut self) -> bool {
        let asked = |state: &State, step: usize| {
            let own = state.step(step).filter(|own| own.phase == Phase::Started)?;
            let is_done_here = state.is_list(step) || state.wait(step).is_some();
            (!is_done_here).then_some(Flight {
                step,
                attempt: own.attempts,
            })
        };
        let steps = 0..self.state.steps.len();
        let elsewhere = steps.filter(|step| self.is_elsewhere(*step));
        let flights: Vec<Flight> = elsewhere
            .filter_map(|step| asked(&self.state, step))
            .collect();
        for &flight in flights.iter().filter(|_| self.facts.dispatch) {
            let Flight { step, attempt } = flight;
            let run = Command::Run { step, attempt };
            if !self.commands.contains(&run) {
                self.commands.push(run);
            }
            let grace = self.facts.settings.drain_grace;
            self.commands.push(Command::Stop { flight, grace });
        }
        !flights.is_empty()
    }

    /// What an operator wants taken back after the end.
    pub(super) fn repair_next(&mut self) {
        if !self.state.has_repairs {
            return;
        }
        for step in 0..self.state.steps.len() {
            let back = self.state.step(step).map(|step| &step.compensation);
            let is_due = back.is_some_and(|it| it.is_repair && it.phase == CompensationPhase::Idle);
            if is_due && self.state.is_unsettled(step) {
                self.compensate(step);
            }
        }
    }

    /// A step that is neither in flight nor over was cut off by the end of the process. It is never run forward again.
    fn settle_interrupted(&mut self) {
        for step in 0..self.state.steps.len() {
            let Some(state) = self.state.step(step) else {
                return;
            };
            if state.phase == Phase::Started {
                let attempt = state.attempts;
                let (effect, error) = match self.state.wait(step) {
                    _ if self.state.is_list(step) => {
                        (Effect::None, "not all of its items were done")
                    }
                    Some(_) => (Effect::None, "no longer waited for"),
                    None => (Effect::Unknown, "interrupted before it had ended"),
                };
                self.record(Fact::StepFailed {
                    step: number(step),
                    attempt,
                    effect,
                    error: error.to_owned(),
                });
            }
        }
    }

    fn compensate(&mut self, step: usize) {
        // What an operator asks for after the end passes the limit of its service.
        let is_limited = self.state.stage == Stage::Backward;
        if self.can_compensate(step) && (!is_limited || self.has_slot(step, Direction::Backward)) {
            self.compensate_now(step);
        }
    }

    fn can_compensate(&self, step: usize) -> bool {
        let origin = self.state.origin(step);
        self.facts.dispatch && !self.facts.missing_compensations.contains(&origin)
    }

    fn compensate_now(&mut self, step: usize) {
        let attempt = self
            .state
            .step(step)
            .map_or(0, |state| state.compensation.attempts)
            + 1;
        self.record(Fact::CompensationStarted {
            step: number(step),
            attempt,
            epoch: Some(self.facts.epoch),
        });
        self.commands.push(Command::Compensate { step, attempt });
    }

    pub(super) fn compensation_ended(
        &mut self,
        step: usize,
        attempt: u32,
        result: Result<(), StepError>,
    ) {
        let Some(state) = self.state.step(step) else {
            return;
        };
        let compensation = &state.compensation;
        if compensation.attempts != attempt || compensation.phase != CompensationPhase::Started {
            return;
        }
        let failures = compensation.failures + 1;
        let own = self.state.step_of(step);
        let own = own.and_then(|step| step.compensation_retry_attempts);
        let attempts_max = own.map_or(self.facts.settings.compensation_attempts_max, |retries| {
            retries.saturating_add(1)
        });
        match result {
            Ok(()) => {
                // What came to light while this attempt was in flight is taken back by the next one, or after the end by nobody.
                let is_over = matches!(self.state.stage, Stage::Ended(_));
                let takes_late_effect = state.has_late_effect && !compensation.again && !is_over;
                self.record(Fact::CompensationSucceeded {
                    step: number(step),
                    attempt,
                    takes_late_effect,
                });
            }
            Err(StepError::Unavailable(error)) => {
                let times = attempt.saturating_sub(compensation.failures);
                let retry_at = self.unavailable_until(step, times);
                self.record(Fact::CompensationAttemptFailed {
                    step: number(step),
                    attempt,
                    error: clipped(error),
                    retry_at,
                    is_uncounted: true,
                });
                self.arm(Timer::Retry(step), retry_at, UNAVAILABLE.max);
            }
            Err(StepError::Retry(error) | StepError::InDoubt(error)) if failures < attempts_max => {
                let schedule = self.facts.settings.compensation_retry;
                let delay = schedule.delay(self.state.id().as_str(), step, failures);
                let retry_at = self.facts.now.after(delay);
                self.record(Fact::CompensationAttemptFailed {
                    step: number(step),
                    attempt,
                    error: clipped(error),
                    retry_at,
                    is_uncounted: false,
                });
                self.arm(Timer::Retry(step), retry_at, schedule.max);
            }
            Err(StepError::Retry(error) | StepError::InDoubt(error) | StepError::Reject(error)) => {
                self.stuck(step, attempt, error);
            }
        }
    }

    fn stuck(&mut self, step: usize, attempt: u32, error: String) {
        self.record(Fact::CompensationStuck {
            step: number(step),
            attempt,
            error: clipped(error),
        });
    }

    pub(super) fn compensation_due(&mut self, step: usize) {
        let waits = self.state.step(step).is_some_and(|state| {
            matches!(state.compensation.phase, CompensationPhase::Backoff { .. })
        });
        if waits {
            self.compensate(step);
        }
    }

    pub(super) fn recover_backward(&mut self) {
        for step in 0..self.state.steps.len() {
            let Some(state) = self.state.step(step) else {
                return;
            };
            let compensation = &state.compensation;
            match compensation.phase {
                CompensationPhase::Started if self.facts.compensating.contains(&step) => {}
                CompensationPhase::Started
                    if self
                        .facts
                        .elsewhere_compensations
                        .contains(&self.state.origin(step)) =>
                {
                    // Nothing has cut it off: its reply is still to come.
                    let attempt = compensation.attempts;
                    self.commands.push(Command::Compensate { step, attempt });
                }
                // It had its slot.
                CompensationPhase::Started if self.can_compensate(step) => {
                    self.compensate_now(step);
                }
                CompensationPhase::Started => {}
                CompensationPhase::Backoff { until } => {
                    let delay_max = self.facts.settings.compensation_retry.max;
                    self.arm(Timer::Retry(step), until, delay_max);
                }
                CompensationPhase::Idle
                | CompensationPhase::Stuck
                | CompensationPhase::Done
                | CompensationPhase::Skipped
                | CompensationPhase::Forced => {}
            }
        }
    }
}
