//! Time limits beyond that of one attempt. When each is over follows from the time of a record, so a restart changes nothing.

use super::{Action, Draft, Flight, InFlight, Operation, Phase, Stage, State, Timer};
use crate::ledger::By;
use crate::saga::record::{Cause, Effect};

/// How often a stuck compensation is tried again by itself before an operator says something: what has failed so often needs
/// a person, and each time adds records.
pub const STUCK_RETRIES_MAX: usize = 10;
/// Who tries it again then.
const ITSELF: &str = "sagabus";

impl Draft<'_> {
    /// Sets the timers of the saga as a whole.
    pub(super) fn arm_saga(&mut self) {
        let options = self.state.definition().options();
        let (deadline, queue_timeout) = (options.deadline, options.queue_timeout);
        let is_queued = self.state.stage == Stage::Queued;
        let started_at = self.state.started_at();
        if let Some(limit) = deadline
            && (is_queued || self.state.stage == Stage::Running)
        {
            self.arm(Timer::Saga, started_at.after(limit), limit);
        }
        if let Some(limit) = queue_timeout
            && is_queued
        {
            self.arm(Timer::Queue, started_at.after(limit), limit);
        }
    }

    /// Sets the timer of all attempts of a step.
    pub(super) fn arm_step(&mut self, step: usize) {
        let limit = self.state.step_of(step).and_then(|step| step.step_deadline);
        let began = self.state.step(step).and_then(|step| step.series_at);
        if let Some((limit, began)) = limit.zip(began) {
            self.arm(Timer::Step(step), began.after(limit), limit);
        }
    }

    /// Sets the timer after which what is stuck is tried again by itself, where the settings say so.
    pub(super) fn arm_stuck(&mut self) {
        if let Some(delay) = self.facts.settings.stuck_retry
            && own_retries(&self.state) < STUCK_RETRIES_MAX
        {
            self.arm(Timer::Stuck, self.state.recorded_at.after(delay), delay);
        }
    }

    /// As an operator would: it is recorded, and has all its attempts again.
    fn try_stuck_again(&mut self) {
        if let Some(delay) = self.facts.settings.stuck_retry
            && own_retries(&self.state) < STUCK_RETRIES_MAX
        {
            let action = Action::Retry { step: None };
            let by = By::new(ITSELF, &format!("tried again by itself after {delay:?}"));
            self.operate(Operation { action, by });
        }
    }

    pub(super) fn elapsed(&mut self, timer: Timer) {
        // What a paused saga misses it sees when it goes on.
        if self.state.paused.is_some() {
            return;
        }
        match (timer, self.state.stage) {
            (Timer::Retry(step), Stage::Running) => self.retry_due(step),
            (Timer::Retry(step), Stage::Backward | Stage::Ended(_)) => self.compensation_due(step),
            (Timer::Step(step), Stage::Running) => self.step_expired(step),
            (Timer::Start(step), Stage::Running) => self.start_expired(step),
            (Timer::Wait(step), Stage::Running) => self.waited(step),
            (Timer::Saga, Stage::Queued | Stage::Running) => self.saga_expired(),
            (Timer::Queue, Stage::Queued) => {
                if let Some(limit) = self.state.definition().options().queue_timeout {
                    let reason = format!("waited for its turn for {limit:?}");
                    self.turn_back(Cause::QueueTimeout, reason, InFlight::Signal);
                }
            }
            (Timer::Stuck, Stage::Stuck) => self.try_stuck_again(),
            // The saga has come further meanwhile.
            (
                Timer::Retry(_)
                | Timer::Step(_)
                | Timer::Start(_)
                | Timer::Wait(_)
                | Timer::Saga
                | Timer::Queue
                | Timer::Stuck,
                _,
            ) => {}
        }
    }

    /// Behind the pivot the saga goes on; its status and the health tell of it.
    fn saga_expired(&mut self) {
        if let Some(limit) = self.state.definition().options().deadline
            && !self.state.has_passed_pivot()
        {
            let reason = format!("saga was not done within {limit:?}");
            self.turn_back(Cause::Deadline, reason, InFlight::Signal);
        }
    }

    fn step_expired(&mut self, step: usize) {
        let limit = self.state.step_of(step).and_then(|step| step.step_deadline);
        let Some((limit, state)) = limit.zip(self.state.step(step)) else {
            return;
        };
        let (attempt, effect) = match state.phase {
            Phase::Started => (state.attempts, Effect::Unknown),
            Phase::Backoff { .. } => (state.attempts, Effect::None),
            Phase::Pending
            | Phase::Succeeded(_)
            | Phase::Failed(_)
            | Phase::Stuck(_)
            | Phase::Skipped
            | Phase::NotRun => return,
        };
        let flights = self.facts.in_flight.iter().copied();
        let own: Vec<Flight> = flights.filter(|flight| flight.step == step).collect();
        for flight in own {
            self.stop(flight);
        }
        let error = format!("not done within {limit:?}");
        self.fail_for_good(step, attempt, effect, error);
    }
}

/// How often it was tried again by itself since an operator did something.
fn own_retries(state: &State) -> usize {
    let last = state.operated.iter().rev();
    last.take_while(|it| it.by.author == ITSELF).count()
}
