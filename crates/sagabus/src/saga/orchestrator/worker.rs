//! The worker of one saga: one task that feeds the machine, stores what it decides, and only then obeys it.

mod calls;
mod claims;
mod failures;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::claims::Claims;
use super::inbox::{Arrival, Message};
use super::operate::refused;
use super::saga::{Progress, Saga};
use super::timers::Timers;
use super::{Shared, closed};
use crate::error::Result;
use crate::planted::{self, SagaBug};
use crate::saga::events;
use crate::saga::handlers::{BindError, Bound};
use crate::saga::id::SagaId;
use crate::saga::machine::{
    self, Command, Decision, Direction, Facts, Flight, Input, Stage, State, StepState, Timer,
};
use crate::saga::monitor::Status;
use crate::saga::record::{Fact, PauseCause, Record};
use crate::saga::remote::Elsewhere;
use crate::saga_store::SagaBatch;

/// How long to wait for room in the store, at first and at most.
const ROOM_DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(super) struct Worker {
    shared: Arc<Shared>,
    saga: Arc<Saga>,
    bound: Arc<[Bound]>,
    /// The steps without a handler, and those without one for their compensation.
    missing: Vec<usize>,
    missing_compensations: Vec<usize>,
    /// The steps that are done in other services, and those that are taken back there.
    elsewhere: Vec<usize>,
    elsewhere_compensations: Vec<usize>,
    /// The attempts in other services whose replies are awaited, with what ends the waiting.
    awaited: BTreeMap<(usize, u32, Direction), CancellationToken>,
    /// The slots of services that it has and waits for.
    claims: Claims,
    /// The attempts of steps whose handlers are in flight.
    in_flight: Vec<Flight>,
    /// How to stop them.
    stops: HashMap<(usize, u32), oneshot::Sender<Duration>>,
    /// When which timer is due, by the monotone clock.
    timers: Timers,
    /// The steps whose compensations are in flight.
    compensating: Vec<usize>,
    /// The steps that are sagas which are awaited, and how to have those taken back.
    children: HashMap<usize, (SagaId, CancellationToken)>,
    /// Whether it only waits for somebody or for the time.
    is_waiting: bool,
    /// Whether handlers may be called.
    dispatch: bool,
    /// Drops the handlers in flight when the worker ends before them.
    killed: DropGuard,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, saga: Arc<Saga>) -> Self {
        let bound = shared
            .handlers
            .bind_what_is_there(saga.state().definition());
        let worker = Self::bound(shared, saga, bound);
        worker.look_for_missing();
        worker
    }

    /// With handlers that are found already.
    pub(super) fn bound(shared: Arc<Shared>, saga: Arc<Saga>, bound: Arc<[Bound]>) -> Self {
        Self {
            dispatch: !shared.closing.is_cancelled(),
            claims: Claims::new(Arc::clone(&shared), &saga),
            shared,
            saga,
            missing: those(&bound, |bound| bound.fault().is_some()),
            missing_compensations: those(&bound, |bound| bound.compensation_fault().is_some()),
            elsewhere: those(&bound, Bound::is_elsewhere),
            elsewhere_compensations: those(&bound, Bound::compensation_is_elsewhere),
            awaited: BTreeMap::new(),
            bound,
            in_flight: Vec::new(),
            stops: HashMap::new(),
            timers: Timers::default(),
            compensating: Vec::new(),
            children: HashMap::new(),
            is_waiting: false,
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
        let decision =
            self.within_limits(|facts| machine::create(created.clone(), facts, has_slot));
        // Without waiting for room: the caller is told and decides.
        let stored = match self.batch(&decision) {
            Ok(mut batch) => {
                batch.is_start = decision.state.parent().is_none();
                self.shared.store.append(vec![batch]).await
            }
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
        let shared = Arc::clone(&self.shared);
        shared.book().stored_first(&self.saga, has_slot, &shared);
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

    /// Does what an operator asks of a saga that is over.
    pub(super) async fn repair(self) {
        self.run().await;
    }

    async fn run(mut self) {
        while !(self.is_done() && self.saga.inbox.is_empty()) {
            let message = match self.next().await {
                Arrival::Killed => break,
                Arrival::Closing => {
                    self.dispatch = false;
                    self.await_no_more();
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
        let is_idle = self.in_flight.is_empty() && self.compensating.is_empty();
        let state = self.saga.state();
        let is_over = matches!(state.stage, Stage::Ended(_)) && !state.is_being_repaired();
        is_idle && (!self.dispatch || is_over)
    }

    async fn next(&mut self) -> Arrival {
        let Some((at, timer)) = self.timers.next() else {
            return self.saga.inbox.next().await;
        };
        let delay = at.saturating_sub(self.shared.clock.elapsed());
        tokio::select! {
            biased;
            arrival = self.saga.inbox.next() => arrival,
            () = tokio::time::sleep(delay) => {
                self.timers.remove(timer);
                Arrival::Message(Message {
                    input: Input::Elapsed(timer),
                    reply: None,
                })
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<()> {
        let Message { input, reply } = message;
        match &input {
            Input::Ended { step, attempt, .. } => {
                self.awaited.remove(&(*step, *attempt, Direction::Forward));
                self.forget(*step, *attempt, Direction::Forward);
            }
            Input::CompensationEnded { step, attempt, .. } => {
                self.awaited.remove(&(*step, *attempt, Direction::Backward));
                self.forget(*step, *attempt, Direction::Backward);
            }
            _ => {}
        }
        let refusal = match &input {
            Input::Operate(operation) => {
                machine::refusal(&self.saga.state(), &self.facts(), operation)
            }
            Input::Signal(signal) => machine::signal_refusal(&self.saga.state(), signal),
            Input::Attach { key } => machine::attach_refusal(&self.saga.state(), key),
            Input::Answered(answer) => {
                machine::answer_refusal(&self.saga.state(), &self.facts(), answer)
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            if let Some(reply) = reply {
                let _gone = reply.send(Err(refused(&self.saga.id, refusal)));
            }
            return Ok(());
        }
        if let Input::Answered(answer) = &input {
            self.replied(answer);
        }
        let ended = match &input {
            Input::ChildEnded { step, .. } => self.children.remove(step),
            _ => None,
        };
        let mut reply = reply;
        if planted::in_sagas(SagaBug::AnsweredBeforeStored)
            && let Some(reply) = reply.take()
        {
            let _gone = reply.send(Ok(()));
            tokio::task::yield_now().await;
        }
        let result = self.step(input).await;
        if let (Some((child, _)), Ok(())) = (ended, &result) {
            self.shared.book().know(&child);
        }
        if let (Some(reply), Ok(())) = (reply, &result) {
            let _gone = reply.send(Ok(()));
        }
        result
    }

    /// One transition: decide, store, obey.
    async fn step(&mut self, input: Input) -> Result<()> {
        let decision = match self.claims.are_free() {
            true => machine::decide(&self.saga.state(), &self.facts(), input),
            false => {
                let saga = Arc::clone(&self.saga);
                self.within_limits(|facts| machine::decide(&saga.state(), facts, input.clone()))
            }
        };
        if planted::in_sagas(SagaBug::ObeyedBeforeStored) {
            self.obey(decision.clone());
            return self.store(&decision).await;
        }
        self.store(&decision).await?;
        self.obey(decision);
        Ok(())
    }

    /// Decides again and again, each time with the slots of services that were got, until no other one is. The rules are pure, so
    /// what is decided last is all that happens.
    fn within_limits(&mut self, decide: impl Fn(&Facts<'_>) -> Decision) -> Decision {
        self.claims.look();
        loop {
            let decision = decide(&self.facts());
            if !self.claims.ask(&decision) {
                self.claims.settle(&decision);
                return decision;
            }
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            now: self.shared.clock.now(),
            dispatch: self.dispatch,
            in_flight: &self.in_flight,
            compensating: &self.compensating,
            missing: &self.missing,
            missing_compensations: &self.missing_compensations,
            elsewhere: &self.elsewhere,
            elsewhere_compensations: &self.elsewhere_compensations,
            room: self.claims.room(),
            epoch: self.shared.epoch,
            settings: &self.shared.settings,
        }
    }

    fn batch(&self, decision: &Decision) -> Result<SagaBatch> {
        let records = decision.records.iter().map(Record::encode);
        let publish_results = self.shared.settings.publish_results;
        Ok(SagaBatch {
            saga: self.saga.id.to_string(),
            records: records.collect::<Result<_>>()?,
            events: events::outgoing(
                &decision.state,
                &decision.records,
                publish_results,
                Elsewhere {
                    steps: &self.elsewhere,
                    compensations: &self.elsewhere_compensations,
                    settings: &self.shared.settings,
                },
            )?,
            is_start: false,
            is_last: decision.state.is_closed(),
            keys: kept_keys(&decision.state),
        })
    }

    /// Makes a decision durable. Waits while the store does not take it; gives up when it has stopped.
    async fn store(&self, decision: &Decision) -> Result<()> {
        let (mut delay, delay_max) = ROOM_DELAY;
        while !decision.records.is_empty() {
            let mut batch = self.batch(decision)?;
            if planted::in_sagas(SagaBug::RequestApart) {
                let events = std::mem::take(&mut batch.events);
                self.shared.store.append(vec![batch.clone()]).await?;
                (batch.records, batch.events) = (Vec::new(), events);
            }
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
        let is_waiting = decision.state.is_waiting();
        let paused = decision.state.paused.map(|paused| paused.cause);
        let (before, was_paused) = {
            let mut state = self.saga.state();
            let before = (state.stage, state.paused.is_some());
            *state = decision.state;
            before
        };
        self.find_by_keys(&decision.records);
        self.tell_late_effects(&decision.records);
        self.tell_failures(&decision.records);
        let is_migrated = |it: &Record| matches!(it.fact, Fact::Migrated { .. });
        if decision.records.iter().any(is_migrated) {
            self.bind_anew();
        }
        if paused.is_some() != was_paused {
            self.pause_changed(paused);
        }
        if stage != before {
            self.stage_changed(stage);
        }
        self.wait_changed(is_waiting);
        for command in decision.commands {
            match command {
                Command::Run { step, attempt } => self.run_step(step, attempt),
                Command::Compensate { step, attempt } => self.compensate(step, attempt),
                Command::Stop { flight, grace } => {
                    if let Some(stop) = self.stops.remove(&(flight.step, flight.attempt)) {
                        // A handler that has just ended needs no stop.
                        let _ended = stop.send(grace);
                    }
                }
                Command::Arm {
                    timer: Timer::Retry(_),
                    ..
                } if planted::in_sagas(SagaBug::TimerLost) => {}
                Command::Arm { timer, delay } => {
                    let at = self.shared.clock.elapsed().saturating_add(delay);
                    self.timers.set(timer, at);
                }
                Command::Drop => {
                    self.killed = CancellationToken::new().drop_guard();
                    for flight in self.in_flight.drain(..) {
                        self.saga.listen_no_more(flight);
                    }
                    self.awaited.clear();
                    self.stops.clear();
                    self.compensating.clear();
                    self.claims.end_all();
                }
                Command::Child { step } => self.start_child(step),
                Command::CancelChild { step } => {
                    if let Some((_, cancel)) = self.children.get(&step) {
                        cancel.cancel();
                    }
                }
            }
        }
        self.look_for_missing();
        self.saga.wait_for_slots(self.claims.waiting());
    }

    /// Looks for the handlers of another definition. Nothing of the saga is in flight, and steps stand elsewhere in it.
    fn bind_anew(&mut self) {
        let (bound, stage) = {
            let state = self.saga.state();
            let handlers = &self.shared.handlers;
            (handlers.bind_what_is_there(state.definition()), state.stage)
        };
        self.missing = those(&bound, |bound| bound.fault().is_some());
        self.missing_compensations = those(&bound, |bound| bound.compensation_fault().is_some());
        self.elsewhere = those(&bound, Bound::is_elsewhere);
        self.elsewhere_compensations = those(&bound, Bound::compensation_is_elsewhere);
        self.bound = bound;
        self.claims.look_up(self.saga.state().definition());
        // Those that are still to come are set again when the saga goes on.
        self.timers = Timers::default();
        if stage == Stage::Running {
            self.saga.inbox.push(Input::Begin);
        }
    }

    /// Lets the saga be found by the key of a start that was taken for it.
    fn find_by_keys(&self, records: &[Record]) {
        let is_attached = |it: &Record| matches!(it.fact, Fact::Attached { .. });
        if !records.iter().any(is_attached) {
            return;
        }
        let key = self.saga.state().attached.last().cloned();
        if let Some(key) = key {
            self.shared.book().attached(&self.saga, key);
        }
    }

    /// Tells of effects that came to light after the saga had gone on without them.
    fn tell_late_effects(&self, records: &[Record]) {
        for record in records {
            if let Fact::LateResult {
                step,
                output: Some(_),
                ..
            } = &record.fact
            {
                self.shared.book().count_late_effect();
                tracing::error!(saga_id = %self.saga.id, step, "step of a saga succeeded late");
            }
        }
    }

    /// Whether the saga waits for a handler that this process lacks.
    fn look_for_missing(&self) {
        if self.missing.is_empty() && self.missing_compensations.is_empty() {
            return;
        }
        let told = |step: usize, fault: fn(&Bound) -> Option<&BindError>| {
            let fault = self.bound.get(step).and_then(fault)?;
            Some((step, fault.to_string()))
        };
        let missing = {
            let state = self.saga.state();
            match state.stage {
                Stage::Queued | Stage::Running | Stage::ForwardStuck => {
                    let steps = self.missing.iter().copied();
                    let open =
                        steps.filter(|&step| state.step(step).is_some_and(StepState::is_open));
                    open.filter_map(|step| told(step, Bound::fault)).collect()
                }
                Stage::Backward | Stage::Stuck => {
                    let steps = 0..state.steps.len();
                    let open = steps.filter(|&step| {
                        let origin = state.origin(step);
                        self.missing_compensations.contains(&origin) && state.is_unsettled(step)
                    });
                    let told = open.filter_map(|step| {
                        let (_, fault) = told(state.origin(step), Bound::compensation_fault)?;
                        Some((step, fault))
                    });
                    told.collect()
                }
                Stage::Ended(_) => Vec::new(),
            }
        };
        self.saga.park(missing);
    }

    /// A saga that only waits for somebody or for the time holds no slot; what holds effects goes on beyond the limit.
    fn wait_changed(&mut self, is_waiting: bool) {
        if is_waiting == self.is_waiting {
            return;
        }
        self.is_waiting = is_waiting;
        if is_waiting {
            self.shared.book().release(&self.saga);
            self.fill_slots();
        } else if self.saga.state().holds_slot() {
            self.shared.book().take_slot(&self.saga);
        }
    }

    fn pause_changed(&self, paused: Option<PauseCause>) {
        let saga = &self.saga;
        if let Some(cause) = paused {
            self.shared.book().release(saga);
            match cause {
                PauseCause::Poison => {
                    tracing::error!(saga_id = %saga.id, "saga is paused: it was cut off again and again without progress");
                }
                PauseCause::InDoubt(step) => {
                    tracing::error!(saga_id = %saga.id, step, "saga is paused: a step was cut off");
                }
                PauseCause::Operator => tracing::info!(saga_id = %saga.id, "saga is paused"),
            }
            self.fill_slots();
        } else {
            // What holds effects goes on beyond the limit.
            if saga.state().holds_slot() {
                self.shared.book().take_slot(saga);
            }
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
                let state = saga.state();
                tracing::info!(
                    saga_id = %saga.id,
                    name = state.definition().name(),
                    correlation_id = state.correlation_id().as_ref(),
                    status = Status::of_outcome(outcome).as_str(),
                    "saga is over"
                );
                drop(state);
                self.fill_slots();
            }
            Stage::Stuck | Stage::ForwardStuck => {
                self.shared.book().release(saga);
                if stage == Stage::Stuck {
                    tracing::error!(saga_id = %saga.id, "compensation of a saga is stuck");
                } else {
                    tracing::error!(saga_id = %saga.id, "saga is stuck behind its pivot");
                }
                self.fill_slots();
            }
            Stage::Backward => {
                // Also from `Stuck`, which has no slot; what holds effects goes on beyond the limit.
                let mut book = self.shared.book();
                book.take_slot(saga);
                tracing::info!(saga_id = %saga.id, "saga turns back");
            }
            // Also from `ForwardStuck`, which has no slot.
            Stage::Running => self.shared.book().take_slot(saga),
            Stage::Queued => {}
        }
    }

    fn fill_slots(&self) {
        if self.dispatch {
            self.shared.book().fill_slots(&self.shared);
        }
    }
}

/// The keys that are to outlive a saga.
fn kept_keys(state: &State) -> Vec<String> {
    let keys = state.keys().filter(|_| state.is_closed());
    keys.map(|key| key.to_string()).collect()
}

/// The positions of the steps that are so.
fn those(bound: &[Bound], is_one: fn(&Bound) -> bool) -> Vec<usize> {
    let bound = bound.iter().enumerate();
    let missing = bound.filter(|(_, bound)| is_one(bound));
    missing.map(|(step, _)| step).collect()
}
