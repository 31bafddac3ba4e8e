//! The worker of one saga: one task that feeds the machine, stores what it decides, and only then obeys it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::book::{Progress, Saga};
use super::inbox::{Arrival, Message};
use super::runner::{self, Job};
use super::{Shared, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::saga::events;
use crate::saga::handlers::{Bound, Call, CompensationContext, StepContext};
use crate::saga::id::SagaId;
use crate::saga::machine::{self, Command, Decision, Facts, Input, Stage, State};
use crate::saga::record::Record;
use crate::saga_store::SagaBatch;

/// How long to wait for room in the store, at first and at most.
const ROOM_DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(super) struct Worker {
    shared: Arc<Shared>,
    saga: Arc<Saga>,
    bound: Arc<[Bound]>,
    /// The steps whose handlers are in flight.
    in_flight: Vec<usize>,
    /// How to stop them.
    stops: HashMap<usize, oneshot::Sender<Duration>>,
    /// When which step is due, by the monotone clock.
    timers: Vec<(Duration, usize)>,
    is_compensating: bool,
    /// Whether handlers may be called.
    dispatch: bool,
    /// Drops the handlers in flight when the worker ends before them.
    killed: DropGuard,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, saga: Arc<Saga>, bound: Arc<[Bound]>) -> Self {
        Self {
            dispatch: !shared.closing.is_cancelled(),
            shared,
            saga,
            bound,
            in_flight: Vec::new(),
            stops: HashMap::new(),
            timers: Vec::new(),
            is_compensating: false,
            killed: CancellationToken::new().drop_guard(),
        }
    }

    /// Stores a new saga, answers, and brings it to its end.
    pub(super) async fn create(
        mut self,
        created: (State, Record),
        has_slot: bool,
        reply: oneshot::Sender<Result<SagaId>>,
    ) {
        let decision = machine::create(created, &self.facts(), has_slot);
        // Without waiting for room: the caller is told and decides.
        let stored = match self.batch(&decision) {
            Ok(batch) => self.shared.store.append(vec![batch]).await,
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            self.saga.inbox.close();
            self.shared.book().forget(&self.saga);
            self.saga.refuse(&error);
            self.shared.check_store(&error);
            // A caller that has gone needs no answer.
            let _gone = reply.send(Err(error));
            return;
        }
        self.shared.book().stored_first(&self.saga, has_slot);
        self.saga.advance_to(Progress::Stored);
        let _gone = reply.send(Ok(self.saga.id.clone()));
        self.obey(decision);
        self.fill_slots();
        self.run().await;
    }

    /// Goes on with a saga found in the store.
    pub(super) async fn resume(mut self) {
        if self.step(Input::Recovered).await.is_ok() {
            self.run().await;
        } else {
            self.saga.inbox.close();
        }
    }

    async fn run(mut self) {
        while !self.is_done() {
            let message = match self.next().await {
                Arrival::Killed => break,
                Arrival::Closing => {
                    self.dispatch = false;
                    continue;
                }
                Arrival::Message(message) => message,
            };
            if self.take(message).await.is_err() {
                break;
            }
        }
        self.saga.inbox.close();
    }

    /// Whether nothing is left to do: the saga is over, or the orchestrator closes and no handler is in flight.
    fn is_done(&self) -> bool {
        let is_idle = self.in_flight.is_empty() && !self.is_compensating;
        is_idle && (!self.dispatch || matches!(self.saga.state().stage, Stage::Ended(_)))
    }

    async fn next(&mut self) -> Arrival {
        let Some(due) = self.timers.iter().min().copied() else {
            return self.saga.inbox.next().await;
        };
        let (at, step) = due;
        let delay = at.saturating_sub(self.shared.clock.elapsed());
        tokio::select! {
            biased;
            arrival = self.saga.inbox.next() => arrival,
            () = tokio::time::sleep(delay) => {
                self.timers.retain(|timer| *timer != due);
                Arrival::Message(Message {
                    input: Input::Due { step },
                    reply: None,
                })
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<()> {
        let Message { input, reply } = message;
        match &input {
            Input::Ended { step, .. } => {
                self.in_flight.retain(|in_flight| in_flight != step);
                self.stops.remove(step);
            }
            Input::CompensationEnded { .. } => self.is_compensating = false,
            _ => {}
        }
        let refusal = machine::refusal(&self.saga.state(), &input);
        if let Some(reason) = refusal {
            if let Some(reply) = reply {
                let text = format!("saga `{}` stays as it is: {reason}", self.saga.id);
                let _gone = reply.send(Err(Error::new(ErrorKind::Conflict, text)));
            }
            return Ok(());
        }
        let result = self.step(input).await;
        if let (Some(reply), Ok(())) = (reply, &result) {
            let _gone = reply.send(Ok(()));
        }
        result
    }

    /// One transition: decide, store, obey.
    async fn step(&mut self, input: Input) -> Result<()> {
        let decision = machine::decide(&self.saga.state(), &self.facts(), input);
        self.store(&decision).await?;
        self.obey(decision);
        Ok(())
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            now: self.shared.clock.now(),
            dispatch: self.dispatch,
            in_flight: &self.in_flight,
            settings: &self.shared.settings,
        }
    }

    fn batch(&self, decision: &Decision) -> Result<SagaBatch> {
        let records = decision.records.iter().map(Record::encode);
        let publish_results = self.shared.settings.publish_results;
        Ok(SagaBatch {
            saga: self.saga.id.to_string(),
            records: records.collect::<Result<_>>()?,
            events: events::outgoing(&decision.state, &decision.records, publish_results)?,
            is_last: decision.state.is_closed(),
        })
    }

    /// Makes a decision durable. Waits while the store does not take it; gives up when it has stopped.
    async fn store(&self, decision: &Decision) -> Result<()> {
        let (mut delay, delay_max) = ROOM_DELAY;
        while !decision.records.is_empty() {
            let batch = self.batch(decision)?;
            let Err(error) = self.shared.store.append(vec![batch]).await else {
                break;
            };
            if self.shared.check_store(&error) {
                return Err(error);
            }
            tracing::warn!(saga_id = %self.saga.id, error = %error.chain(), "saga waits for its store");
            tokio::select! {
                biased;
                () = self.shared.closing.cancelled() => return Err(closed()),
                () = tokio::time::sleep(delay) => delay = (delay * 2).min(delay_max),
            }
        }
        Ok(())
    }

    /// The decision's records are durable: takes over the state, tells who waits, calls handlers.
    fn obey(&mut self, decision: Decision) {
        let stage = decision.state.stage;
        let is_paused = decision.state.paused.is_some();
        let (before, was_paused) = {
            let mut state = self.saga.state();
            let before = (state.stage, state.paused.is_some());
            *state = decision.state;
            before
        };
        if is_paused != was_paused {
            self.pause_changed(is_paused);
        }
        if stage != before {
            self.stage_changed(stage);
        }
        for command in decision.commands {
            match command {
                Command::Run { step, attempt } => self.run_step(step, attempt),
                Command::Compensate { step, attempt } => self.compensate(step, attempt),
                Command::Stop { step, grace } => {
                    if let Some(stop) = self.stops.remove(&step) {
                        // A handler that has just ended needs no stop.
                        let _ended = stop.send(grace);
                    }
                }
                Command::Arm { step, delay } => {
                    let at = self.shared.clock.elapsed().saturating_add(delay);
                    self.timers.push((at, step));
                }
            }
        }
    }

    fn pause_changed(&self, is_paused: bool) {
        let saga = &self.saga;
        if is_paused {
            self.shared.book().release(saga);
            tracing::error!(saga_id = %saga.id, "saga is paused: it was cut off again and again without progress");
            self.fill_slots();
        } else {
            // What holds effects goes on beyond the limit.
            self.shared.book().take_slot(saga);
            tracing::info!(saga_id = %saga.id, "saga is paused no more");
        }
    }

    fn stage_changed(&self, stage: Stage) {
        let saga = &self.saga;
        match stage {
            Stage::Ended(outcome) => {
                let settings = &self.shared.settings;
                self.shared.book().end(saga, outcome, settings);
                saga.advance_to(Progress::Ended);
                let status = saga.status();
                tracing::info!(
                    saga_id = %saga.id,
                    name = status.name,
                    correlation_id = status.correlation_id,
                    status = status.status.as_str(),
                    "saga is over"
                );
                self.fill_slots();
            }
            Stage::Stuck => {
                self.shared.book().release(saga);
                tracing::error!(saga_id = %saga.id, "compensation of a saga is stuck");
                self.fill_slots();
            }
            Stage::Backward => {
                // Also from `Stuck`, which has no slot; what holds effects goes on beyond the limit.
                let mut book = self.shared.book();
                book.take_slot(saga);
                tracing::info!(saga_id = %saga.id, "saga turns back");
            }
            Stage::Queued | Stage::Running => {}
        }
    }

    fn fill_slots(&self) {
        if self.dispatch {
            let mut book = self.shared.book();
            book.fill_slots(self.shared.settings.active_max);
        }
    }

    fn run_step(&mut self, step: usize, attempt: u32) {
        let Some(bound) = self.bound.get(step) else {
            return;
        };
        let handler = Arc::clone(&bound.run);
        let job = self.job(step, attempt);
        let context = StepContext::new(&self.saga.state(), self.call(&job));
        let (stop, stopped) = oneshot::channel();
        self.in_flight.push(step);
        self.stops.insert(step, stop);
        let tracker = &self.shared.tracker;
        tracker.spawn(runner::run_step(job, stopped, move || handler(context)));
    }

    fn compensate(&mut self, step: usize, attempt: u32) {
        let Some(handler) = self
            .bound
            .get(step)
            .and_then(|bound| bound.compensate.clone())
        else {
            return;
        };
        let job = self.job(step, attempt);
        let context = CompensationContext::new(&self.saga.state(), self.call(&job));
        self.is_compensating = true;
        let grace = self.shared.settings.abort_grace;
        let tracker = &self.shared.tracker;
        tracker.spawn(runner::compensate(job, grace, move || handler(context)));
    }

    fn job(&self, step: usize, attempt: u32) -> Job {
        let state = self.saga.state();
        let timeout = state.step_of(step).and_then(|step| step.timeout);
        Job {
            saga: Arc::clone(&self.saga),
            step,
            attempt,
            timeout: timeout.unwrap_or(self.shared.settings.step_timeout),
            cancelled: CancellationToken::new(),
            killed: self.killed.token().clone(),
        }
    }

    fn call(&self, job: &Job) -> Call {
        Call {
            step: job.step,
            attempt: job.attempt,
            timeout: job.timeout,
            cancelled: job.cancelled.clone(),
            clock: Arc::clone(&self.shared.clock),
        }
    }
}
