//! Forward: starting what is ready, retrying what failed, turning back when that is over.

use super::{
    AttemptResult, Command, Direction, Draft, Flight, InFlight, Limit, OVERLAP_DELAY, Phase, Stage,
    Timer, clipped, number,
};
use crate::clock::Timestamp;
use crate::planted::{self, SagaBug};
use crate::saga::backoff::{Backoff, UNAVAILABLE};
use crate::saga::definition::{OnInDoubt, PlainErrors};
use crate::saga::handlers::StepError;
use crate::saga::record::{Cause, Effect, Fact, PauseCause};
use crate::saga::remote::{given_bytes, request_bytes_max};

impl Draft<'_> {
    /// Starts every step whose dependencies have all succeeded.
    pub(super) fn start_ready(&mut self) {
        if !self.facts.dispatch {
            return;
        }
        // A step that waits for what came already is done at once, and what stands before it in the definition may follow from it.
        let mut done = None;
        while done != Some(self.records.len()) {
            done = Some(self.records.len());
            for step in 0..self.state.definition().steps().len() {
                // A step that an operator has tried again waits until the handler of its last attempt is gone.
                if self.state.is_ready(step) && !self.facts.is_in_flight(step) {
                    self.start(step);
                }
            }
        }
        self.start_items();
    }

    /// Starts an attempt, if this process has a handler for it, and its service room.
    pub(super) fn start(&mut self, step: usize) {
        if self.is_missing(step) || !self.has_slot(step, Direction::Forward) {
            return self.arm_start(step);
        }
        self.start_now(step);
    }

    fn is_missing(&self, step: usize) -> bool {
        self.facts.missing.contains(&self.state.origin(step))
    }

    fn start_now(&mut self, step: usize) {
        let attempt = self.state.step(step).map_or(0, |state| state.attempts) + 1;
        self.record(Fact::StepStarted {
            step: number(step),
            attempt,
            epoch: Some(self.facts.epoch),
        });
        if self.is_elsewhere(step) && !self.state.is_list(step) {
            let (given, most) = (given_bytes(&self.state, step), request_bytes_max());
            if given > most {
                let error = format!(
                    "what it is given has {given} bytes, more than {most}, and its service is elsewhere"
                );
                return self.fail_for_good(step, attempt, Effect::None, error);
            }
        }
        self.begin(step, attempt);
    }

    pub(super) fn is_elsewhere(&self, step: usize) -> bool {
        self.facts.elsewhere.contains(&self.state.origin(step))
    }

    /// Whether the service that takes a step back could not be given what it returned.
    pub(super) fn is_too_large_to_take_back(&self, step: usize, output_bytes: usize) -> bool {
        let origin = self.state.origin(step);
        self.facts.elsewhere_compensations.contains(&origin)
            && given_bytes(&self.state, step) + output_bytes > request_bytes_max()
    }

    pub(super) fn attempt_ended(&mut self, step: usize, attempt: u32, result: AttemptResult) {
        let Some(state) = self.state.step(step) else {
            return;
        };
        if attempt > state.attempts {
            return;
        }
        let result = self.fitting(step, result);
        let is_expected = attempt == state.attempts && state.phase == Phase::Started;
        if !is_expected || !matches!(self.state.stage, Stage::Running | Stage::Backward) {
            return self.late(step, attempt, result);
        }
        match result {
            AttemptResult::Ok(output) => self.record(Fact::StepSucceeded {
                step: number(step),
                attempt,
                output,
            }),
            AttemptResult::Err(StepError::Reject(error)) => {
                self.fail_for_good(step, attempt, Effect::None, error);
            }
            AttemptResult::Err(StepError::Unavailable(error)) => {
                self.put_off(step, attempt, error);
            }
            AttemptResult::Err(error) => {
                let (effect, error) = self.effect_of(error);
                self.fail(step, attempt, effect, error);
            }
            AttemptResult::Abandoned => {
                let error = "stopped before it had ended".to_owned();
                self.fail(step, attempt, Effect::Unknown, error);
            }
        }
    }

    /// What an error says about the effect of an attempt.
    pub(super) fn effect_of(&self, error: StepError) -> (Effect, String) {
        match (error, self.state.definition().options().plain_errors) {
            (StepError::Reject(error) | StepError::Unavailable(error), _)
            | (StepError::Retry(error), PlainErrors::NoEffect) => (Effect::None, error),
            (StepError::Retry(error), PlainErrors::InDoubt) | (StepError::InDoubt(error), _) => {
                (Effect::Unknown, error)
            }
        }
    }

    pub(super) fn attempt_timed_out(&mut self, step: usize, attempt: u32, limit: Limit) {
        let Some(state) = self.state.step(step) else {
            return;
        };
        if state.attempts != attempt || state.phase != Phase::Started {
            // A handler that nobody waits for any more.
            return self.stop(Flight { step, attempt });
        }
        // First, so that the shorter grace of the two is the one that holds.
        self.stop(Flight { step, attempt });
        let error = match limit {
            Limit::Timeout(after) => format!("timed out after {after:?}"),
            Limit::Heartbeat(after) => format!("gave no sign of life for {after:?}"),
        };
        self.fail(step, attempt, Effect::Unknown, error);
    }

    /// Tells the handler of an attempt that is over to stop.
    pub(super) fn stop(&mut self, flight: Flight) {
        let grace = self.facts.settings.abort_grace;
        self.commands.push(Command::Stop { flight, grace });
    }

    /// An attempt failed: another one if the saga goes forward and the step has one left.
    fn fail(&mut self, step: usize, attempt: u32, effect: Effect, error: String) {
        let failures = self.state.step(step).map_or(0, |state| state.failures);
        let retries = self.state.step_of(step);
        let retries = retries.map_or(0, |step| step.retry_attempts);
        let is_last = failures >= retries && !planted::in_sagas(SagaBug::FailuresNotCounted);
        if self.state.stage != Stage::Running || is_last {
            return self.fail_for_good(step, attempt, effect, error);
        }
        let backoff = self.step_backoff(step);
        let delay = backoff.delay(self.state.id().as_str(), step, failures + 1);
        let retry_at = self.facts.now.after(delay);
        self.record(Fact::AttemptFailed {
            step: number(step),
            attempt,
            effect,
            error: clipped(error),
            retry_at,
            is_uncounted: false,
        });
        self.arm(Timer::Retry(step), retry_at, backoff.max);
    }

    /// An attempt could not have what it needs: another one, however many there were, if the saga goes forward.
    fn put_off(&mut self, step: usize, attempt: u32, error: String) {
        if self.state.stage != Stage::Running {
            return self.fail_for_good(step, attempt, Effect::None, error);
        }
        let failures = self.state.step(step).map_or(0, |state| state.failures);
        let retry_at = self.unavailable_until(step, attempt.saturating_sub(failures));
        self.record(Fact::AttemptFailed {
            step: number(step),
            attempt,
            effect: Effect::None,
            error: clipped(error),
            retry_at,
            is_uncounted: true,
        });
        self.arm(Timer::Retry(step), retry_at, UNAVAILABLE.max);
    }

    /// When it is tried again what was so often (from 1) without what it needs.
    pub(super) fn unavailable_until(&self, step: usize, times: u32) -> Timestamp {
        let delay = UNAVAILABLE.delay(self.state.id().as_str(), step, times);
        self.facts.now.after(delay)
    }

    pub(super) fn fail_for_good(
        &mut self,
        step: usize,
        attempt: u32,
        effect: Effect,
        error: String,
    ) {
        let error = clipped(error);
        let is_forward = self.state.stage == Stage::Running;
        if is_forward && self.state.has_passed_pivot() {
            return self.record(Fact::ForwardStuck {
                step: number(step),
                attempt,
                error,
                effect,
            });
        }
        self.record(Fact::StepFailed {
            step: number(step),
            attempt,
            effect,
            error: error.clone(),
        });
        if is_forward {
            let id = self.state.step_id(step);
            let reason = format!("step `{id}` failed: {error}");
            self.turn_back(Cause::Step(number(step)), reason, InFlight::Signal);
        }
    }

    /// From here on nothing is started; what is in flight is told to stop as `in_flight` says.
    pub(super) fn turn_back(&mut self, cause: Cause, reason: String, in_flight: InFlight) {
        self.record(Fact::TurnedBack {
            cause,
            reason: clipped(reason),
        });
        self.cancel_children();
        let grace = match in_flight {
            InFlight::Wait => return,
            InFlight::Signal => self.facts.settings.drain_grace,
            InFlight::Abandon => std::time::Duration::ZERO,
        };
        for &flight in self.facts.in_flight {
            let told = |command: &Command| matches!(command, Command::Stop { flight: to, .. } if *to == flight);
            if !self.commands.iter().any(told) {
                self.commands.push(Command::Stop { flight, grace });
            }
        }
    }

    pub(super) fn retry_due(&mut self, step: usize) {
        let Some(state) = self.state.step(step) else {
            return;
        };
        if !matches!(state.phase, Phase::Backoff { .. }) || !self.facts.dispatch {
            return;
        }
        let overlaps = self.state.step_of(step).is_some_and(|step| step.overlap);
        if self.facts.is_in_flight(step) && !overlaps {
            // Two attempts of one step overlap only where it says so.
            self.commands.push(Command::Arm {
                timer: Timer::Retry(step),
                delay: OVERLAP_DELAY,
            });
        } else {
            self.start(step);
        }
    }

    /// Steps that were cut off are in doubt. Unless they say otherwise they are run again with their key, and so they are when
    /// an operator says to go on.
    pub(super) fn recover_forward(&mut self, is_resumed: bool) {
        // What may end the way forward comes first: nothing is run again for a saga that turns back or is paused.
        let mut steps: Vec<usize> = (0..self.state.steps.len()).collect();
        steps.sort_by_key(|&step| {
            let policy = self.state.step_of(step).map(|step| step.on_in_doubt);
            match policy.unwrap_or_default() {
                OnInDoubt::Compensate => 0,
                OnInDoubt::Park => 1,
                OnInDoubt::Retry => 2,
            }
        });
        for step in steps {
            match self.state.step(step).map(|state| &state.phase) {
                // Its items are what was cut off.
                Some(Phase::Started) if self.state.is_list(step) => {}
                Some(Phase::Started) if self.state.wait(step).is_some() => self.arm_wait(step),
                Some(Phase::Started) if self.is_elsewhere(step) => {
                    // Nothing has cut it off: its reply is still to come.
                    let attempt = self.state.step(step).map_or(0, |state| state.attempts);
                    if !self.facts.is_in_flight(step) {
                        self.commands.push(Command::Run { step, attempt });
                    }
                    self.arm_step(step);
                }
                Some(Phase::Started) if !self.facts.is_in_flight(step) => {
                    self.cut_off(step, is_resumed);
                    if self.state.stage != Stage::Running || self.state.paused.is_some() {
                        return;
                    }
                }
                Some(&Phase::Backoff { until }) => {
                    let delay_max = self.step_backoff(step).max;
                    self.arm(Timer::Retry(step), until, delay_max);
                    self.arm_step(step);
                }
                Some(Phase::Started) => self.arm_step(step),
                _ => {}
            }
        }
    }

    fn cut_off(&mut self, step: usize, is_resumed: bool) {
        let policy = self.state.step_of(step).map(|step| step.on_in_doubt);
        match policy.unwrap_or_default() {
            OnInDoubt::Compensate => {
                let attempt = self.state.step(step).map_or(0, |state| state.attempts);
                let error = "interrupted before it had ended".to_owned();
                self.fail_for_good(step, attempt, Effect::Unknown, error);
            }
            OnInDoubt::Park if !is_resumed => {
                let cause = PauseCause::InDoubt(number(step));
                self.record(Fact::Paused { cause });
            }
            OnInDoubt::Park | OnInDoubt::Retry => {
                // It had its slot, and may have had its effect.
                if self.facts.dispatch && !self.is_missing(step) {
                    self.start_now(step);
                }
            }
        }
    }

    fn step_backoff(&self, step: usize) -> Backoff {
        let schedule = self.facts.settings.step_retry;
        let own = self.state.step_of(step);
        match own.and_then(|step| step.retry_delay) {
            Some(first) => Backoff {
                first,
                max: schedule.max.max(first),
            },
            None => schedule,
        }
    }
}
