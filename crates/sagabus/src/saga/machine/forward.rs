//! Forward: starting what is ready, retrying what failed, turning back when that is over.

use std::time::Duration;

use super::{AttemptResult, Command, Draft, OVERLAP_DELAY, Phase, Stage, clipped, number};
use crate::saga::backoff::Backoff;
use crate::saga::handlers::StepError;
use crate::saga::record::{Cause, Effect, Fact};

impl Draft<'_> {
    /// Starts every step whose dependencies have all succeeded.
    pub(super) fn start_ready(&mut self) {
        if !self.facts.dispatch {
            return;
        }
        for step in 0..self.state.steps.len() {
            if self.state.is_ready(step) {
                self.start(step);
            }
        }
    }

    fn start(&mut self, step: usize) {
        let attempt = self.state.step(step).map_or(0, |state| state.attempts) + 1;
        self.record(Fact::StepStarted {
            step: number(step),
            attempt,
        });
        self.commands.push(Command::Run { step, attempt });
    }

    pub(super) fn attempt_ended(&mut self, step: usize, attempt: u32, result: AttemptResult) {
        let Some(state) = self.state.step(step) else {
            return;
        };
        if state.attempts != attempt {
            return;
        }
        let result = match result {
            AttemptResult::Ok(output) if self.state.is_too_large(output.len()) => {
                let error = format!("saga has no room for an output of {} bytes", output.len());
                AttemptResult::Err(StepError::InDoubt(error))
            }
            other => other,
        };
        match (&state.phase, result) {
            // Also after the timeout: the step did happen, so it is a success, or in a saga that has turned back
            // something to take back with its output.
            (
                Phase::Started | Phase::Backoff { .. } | Phase::Failed(_),
                AttemptResult::Ok(output),
            ) => {
                self.record(Fact::StepSucceeded {
                    step: number(step),
                    attempt,
                    output,
                });
            }
            (Phase::Started, AttemptResult::Err(StepError::Reject(error))) => {
                self.fail_for_good(step, attempt, Effect::None, error);
            }
            (Phase::Started, AttemptResult::Err(StepError::Retry(error))) => {
                self.fail(step, attempt, Effect::None, error);
            }
            (Phase::Started, AttemptResult::Err(StepError::InDoubt(error))) => {
                self.fail(step, attempt, Effect::Unknown, error);
            }
            (Phase::Started, AttemptResult::Abandoned) => {
                let error = "stopped before it had ended".to_owned();
                self.fail(step, attempt, Effect::Unknown, error);
            }
            // What a handler says after its timeout, other than success, changes nothing; a second end neither.
            (Phase::Backoff { .. } | Phase::Failed(_), _)
            | (Phase::Pending | Phase::Succeeded(_) | Phase::NotRun, _) => {}
        }
    }

    pub(super) fn attempt_timed_out(&mut self, step: usize, attempt: u32, after: Duration) {
        let Some(state) = self.state.step(step) else {
            return;
        };
        if state.attempts != attempt || state.phase != Phase::Started {
            return;
        }
        // First, so that the shorter grace of the two is the one that holds.
        self.commands.push(Command::Stop {
            step,
            grace: self.facts.settings.abort_grace,
        });
        let error = format!("timed out after {after:?}");
        self.fail(step, attempt, Effect::Unknown, error);
    }

    /// An attempt failed: another one if the saga goes forward and the step has one left.
    fn fail(&mut self, step: usize, attempt: u32, effect: Effect, error: String) {
        let failures = self.state.step(step).map_or(0, |state| state.failures);
        let retries = self.state.step_of(step);
        let retries = retries.map_or(0, |step| step.retry_attempts);
        if self.state.stage != Stage::Running || failures >= retries {
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
        });
        self.arm(step, retry_at, backoff.max);
    }

    fn fail_for_good(&mut self, step: usize, attempt: u32, effect: Effect, error: String) {
        let error = clipped(error);
        self.record(Fact::StepFailed {
            step: number(step),
            attempt,
            effect,
            error: error.clone(),
        });
        if self.state.stage == Stage::Running {
            let id = self.state.step_id(step);
            let reason = format!("step `{id}` failed: {error}");
            self.turn_back(Cause::Step(number(step)), reason);
        }
    }

    /// From here on nothing is started; what is in flight is told to stop.
    pub(super) fn turn_back(&mut self, cause: Cause, reason: String) {
        self.record(Fact::TurnedBack {
            cause,
            reason: clipped(reason),
        });
        for &step in self.facts.in_flight {
            let told = |command: &Command| matches!(command, Command::Stop { step: to, .. } if *to == step);
            if !self.commands.iter().any(told) {
                self.commands.push(Command::Stop {
                    step,
                    grace: self.facts.settings.drain_grace,
                });
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
        if self.facts.in_flight.contains(&step) {
            // Two attempts of one step never overlap.
            self.commands.push(Command::Arm {
                step,
                delay: OVERLAP_DELAY,
            });
        } else {
            self.start(step);
        }
    }

    /// Steps that were cut off are in doubt: they are run again with their key, and marked as possibly done.
    pub(super) fn recover_forward(&mut self) {
        for step in 0..self.state.steps.len() {
            match self.state.step(step).map(|state| &state.phase) {
                Some(Phase::Started) if self.facts.dispatch => self.start(step),
                Some(&Phase::Backoff { until }) => {
                    let delay_max = self.step_backoff(step).max;
                    self.arm(step, until, delay_max);
                }
                _ => {}
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
