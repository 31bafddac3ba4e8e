//! The calls of one saga: handlers in this process, services elsewhere, and sagas that steps are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::super::Start;
use super::super::child::Awaited;
use super::super::runner::{self, Job};
use super::Worker;
use crate::saga::definition::Step;
use crate::saga::events;
use crate::saga::handlers::{Bound, Call, CompensationContext, Place, Running, StepContext};
use crate::saga::machine::{Answer, Answered, Direction, Flight, Wanted};
use crate::saga::remote::REPLY_GRACE;

/// In place of a handler that is elsewhere: the reply ends the waiting, not this.
fn reply<T: Send + 'static>() -> Running<T> {
    Box::pin(std::future::pending())
}

impl Worker {
    pub(super) fn run_step(&mut self, step: usize, attempt: u32) {
        let bound = self.bound_of(step);
        let Some(Some(Ok(handler))) = bound.map(|bound| bound.run.clone()) else {
            return;
        };
        let mut job = self.job(step, attempt, |step| step.timeout);
        let (stop, stopped) = oneshot::channel();
        self.in_flight.push(Flight { step, attempt });
        self.stops.insert((step, attempt), stop);
        let tracker = self.shared.tracker.clone();
        match handler {
            Place::Here(handler) => {
                let call = self.call(&job, Direction::Forward);
                let context = StepContext::new(&self.saga.state(), call);
                let span = context.span();
                let run = runner::run_step(job, stopped, move || handler(context));
                tracker.spawn(run.instrument(span));
            }
            Place::Elsewhere => {
                // After a restart a part of the time is over.
                let began = self.saga.state().step(step).and_then(|it| it.attempt_at);
                let gone = began.map(|began| self.shared.clock.now().since(began));
                job.timeout = job.timeout.saturating_sub(gone.unwrap_or_default());
                job.is_elsewhere = true;
                job.killed = self.awaiting(step, attempt, Direction::Forward);
                if let Some((_, signs)) = &job.heartbeat {
                    self.saga.listen(Flight { step, attempt }, signs.clone());
                }
                tracker.spawn(runner::run_step(job, stopped, reply));
            }
        }
    }

    pub(super) fn compensate(&mut self, step: usize, attempt: u32) {
        let bound = self.bound_of(step);
        let Some(Some(Ok(handler))) = bound.map(|bound| bound.compensate.clone()) else {
            return;
        };
        let mut job = self.job(step, attempt, |step| {
            step.compensation_timeout.or(step.timeout)
        });
        self.compensating.push(step);
        let grace = self.shared.settings.abort_grace;
        let tracker = self.shared.tracker.clone();
        match handler {
            Place::Here(handler) => {
                let call = self.call(&job, Direction::Backward);
                let context = CompensationContext::new(&self.saga.state(), call);
                let span = context.span();
                let run = runner::compensate(job, grace, move || handler(context));
                tracker.spawn(run.instrument(span));
            }
            Place::Elsewhere => {
                job.killed = self.awaiting(step, attempt, Direction::Backward);
                let grace = grace.saturating_add(REPLY_GRACE);
                tracker.spawn(runner::compensate(job, grace, reply));
            }
        }
    }

    /// What ends waiting for the reply of an attempt.
    pub(super) fn awaiting(
        &mut self,
        step: usize,
        attempt: u32,
        direction: Direction,
    ) -> CancellationToken {
        let end = self.killed.token().child_token();
        self.awaited.insert((step, attempt, direction), end.clone());
        end
    }

    /// The reply of an attempt in another service is there, and is taken.
    pub(super) fn replied(&mut self, answer: &Answer) {
        let Some(step) = self.saga.state().position_of(&answer.step) else {
            return;
        };
        let attempt = answer.attempt;
        let direction = match answer.result {
            Answered::Step(_) => Direction::Forward,
            Answered::Compensation(_) => Direction::Backward,
        };
        let Some(end) = self.awaited.remove(&(step, attempt, direction)) else {
            return;
        };
        end.cancel();
        self.forget(step, attempt, direction);
    }

    /// Waits for no replies any more: they come to the next process.
    pub(super) fn await_no_more(&mut self) {
        for ((step, attempt, direction), end) in std::mem::take(&mut self.awaited) {
            end.cancel();
            self.forget(step, attempt, direction);
        }
    }

    pub(super) fn forget(&mut self, step: usize, attempt: u32, direction: Direction) {
        self.claims.end(Wanted { step, direction }, attempt);
        match direction {
            Direction::Forward => {
                let flight = Flight { step, attempt };
                self.in_flight.retain(|other| *other != flight);
                self.saga.listen_no_more(flight);
                self.stops.remove(&(step, attempt));
            }
            Direction::Backward => self.compensating.retain(|other| *other != step),
        }
    }

    /// Starts the saga that a step is, or finds it again, and waits for its end.
    pub(super) fn start_child(&mut self, step: usize) {
        let state = self.saga.state();
        let attempt = state.step(step).map_or(0, |step| step.attempts);
        let (Ok(id), Some(child), Some(input)) = (
            state.child_id(step),
            state.child(step),
            state.child_input(step),
        ) else {
            return;
        };
        let mut start = Start::new(input)
            .correlated(state.correlation_id().to_string())
            .child_of(state.id().clone(), id.clone());
        if let Some(cause) = events::cause_of_call(&state, step) {
            start = start.caused_by(cause);
        }
        start = start.traced_unless_it_is(state.trace_of(step, Direction::Forward));
        let cancelled = CancellationToken::new();
        let awaited = Awaited {
            shared: Arc::clone(&self.shared),
            parent: Arc::clone(&self.saga),
            step,
            attempt,
            id: id.clone(),
            definition: child.definition.clone(),
            start,
            cancelled: cancelled.clone(),
            killed: self.killed.token().clone(),
        };
        drop(state);
        self.shared.book().await_for(id.clone());
        self.children.insert(step, (id, cancelled));
        self.shared.tracker.spawn(awaited.run());
    }

    /// The handlers of the step at `step`, or of the step that it is an item of.
    fn bound_of(&self, step: usize) -> Option<&Bound> {
        self.bound.get(self.saga.state().origin(step))
    }

    fn job(&self, step: usize, attempt: u32, limit: fn(&Step) -> Option<Duration>) -> Job {
        let state = self.saga.state();
        let own = state.step_of(step);
        let timeout = own.and_then(limit);
        Job {
            saga: Arc::clone(&self.saga),
            step,
            attempt,
            timeout: timeout.unwrap_or(self.shared.settings.step_timeout),
            is_elsewhere: false,
            heartbeat: own
                .and_then(|step| step.heartbeat)
                .map(|silence_max| (silence_max, watch::Sender::new(()))),
            cancelled: CancellationToken::new(),
            killed: self.killed.token().clone(),
        }
    }

    fn call(&self, job: &Job, direction: Direction) -> Call {
        Call {
            trace: self.saga.state().trace_of(job.step, direction),
            step: job.step,
            attempt: job.attempt,
            epoch: self.shared.epoch,
            timeout: job.timeout,
            cancelled: job.cancelled.clone(),
            heartbeat: job.heartbeat.as_ref().map(|(_, signs)| signs.clone()),
            clock: Arc::clone(&self.shared.clock),
        }
    }
}
