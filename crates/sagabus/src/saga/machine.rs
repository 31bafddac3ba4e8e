//! The rules of a saga, pure: a state and an input give the records to store and what to do once they are durable.

mod answer;
mod attach;
mod backward;
mod child;
mod each;
mod fold;
mod forward;
mod late;
mod left;
mod limits;
mod migrate;
mod operator;
mod room;
mod state;
mod step;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use answer::{Answer, Answered, answer_refusal};
pub use attach::{ATTACHED_MAX, attach_refusal};
pub use child::ChildEnd;
pub use limits::STUCK_RETRIES_MAX;
pub use migrate::Misfit;
pub use operator::{Action, InFlight, Operation, Refusal, refusal};
pub use room::{Direction, Room, Wanted};
pub use state::{
    HELD_BYTES_MAX, OPERATED_MAX, Operated, Paused, Signalled, Stage, State, TurnedBack,
};
pub use step::{CompensationPhase, CompensationState, Doubt, Interruptions, Phase, StepState};
pub use wait::{Approval, Signal, signal_refusal};

use super::handlers::StepError;
use super::record::{Fact, Outcome, PauseCause, Record};
use super::settings::Settings;
use crate::clock::Timestamp;
use crate::planted::{self, SagaBug};

/// How often a saga that was cut off by the end of the process goes on by itself, without progress in between. Being cut off
/// does not use up a retry, since it says nothing about the step; but a step that ends the process each time must not do so
/// for ever. The next time the saga is paused.
pub const INTERRUPTIONS_MAX: u32 = 5;
/// Longest error or reason that is stored, in bytes.
pub const ERROR_BYTES_MAX: usize = 1_000;
/// When to look again for a handler that outlives its timeout.
const OVERLAP_DELAY: Duration = Duration::from_millis(100);

/// Something that happened to a saga.
#[derive(Clone, Debug)]
pub enum Input {
    /// A slot is free, among the active sagas or at a service: go on.
    Begin,
    /// The process was started again; no handler is in flight.
    Recovered,
    /// An attempt of a step is over; its handler is no longer in flight.
    Ended {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        result: AttemptResult,
    },
    /// An attempt took longer than a limit of it; its handler is still in flight.
    TimedOut {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// What it took longer than.
        limit: Limit,
    },
    /// An attempt of a compensation is over.
    CompensationEnded {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        result: Result<(), StepError>,
    },
    /// The time of a timer has come.
    Elapsed(Timer),
    /// An operator does something to it.
    Operate(Operation),
    /// Somebody tells it something that a step waits for, or will.
    Signal(Signal),
    /// A start is taken for it, since it has the concurrency key of that start.
    Attach {
        /// The idempotency key of that start.
        key: Arc<str>,
    },
    /// Somebody outside of this process tells what an attempt did. Refused unless it is of the present epoch of its step.
    Answered(Answer),
    /// The saga that a step is, is over.
    ChildEnded {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        end: ChildEnd,
    },
}

/// What an attempt took longer than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its timeout.
    Timeout(Duration),
    /// The time that may go by without a sign of life of its handler.
    Heartbeat(Duration),
}

/// What the shell keeps the time for. There is one of each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The delay before the next attempt of a step, or of its compensation.
    Retry(usize),
    /// The limit for all attempts of a step together.
    Step(usize),
    /// The limit from being ready to the first attempt of a step.
    Start(usize),
    /// The end of waiting of a step.
    Wait(usize),
    /// The limit for the saga.
    Saga,
    /// The limit for waiting for its turn.
    Queue,
    /// The delay before a stuck compensation is tried again by itself.
    Stuck,
}

/// An attempt whose handler is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The step.
    pub step: usize,
    /// The attempt.
    pub attempt: u32,
}

/// How an attempt of a step ended.
#[derive(Clone, Debug)]
pub enum AttemptResult {
    /// With an output.
    Ok(Bytes),
    /// With an error.
    Err(StepError),
    /// It was told to stop, did not in time, and was dropped.
    Abandoned,
}

/// What the shell does after the decision's records are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Call the handler of a step.
    Run {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
    },
    /// Tell the handler of an attempt to stop, and drop it after `grace`.
    Stop {
        /// The attempt.
        flight: Flight,
        /// How long it may go on.
        grace: Duration,
    },
    /// Call the compensation handler of a step.
    Compensate {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
    },
    /// Give [`Input::Elapsed`] after `delay`, and no longer at the time that was set before.
    Arm {
        /// For what.
        timer: Timer,
        /// How long to wait.
        delay: Duration,
    },
    /// Drop every handler that is in flight.
    Drop,
    /// Start the saga that a step is, unless it is there already, and give [`Input::ChildEnded`] when it is over.
    Child {
        /// The step.
        step: usize,
    },
    /// Take that saga back.
    CancelChild {
        /// The step.
        step: usize,
    },
}

/// What the shell knows and the records do not say.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time that goes into the records.
    pub now: Timestamp,
    /// Whether handlers may be called; not while shutting down.
    pub dispatch: bool,
    /// The attempts of steps whose handlers are in flight.
    pub in_flight: &'a [Flight],
    /// The steps whose compensations are in flight.
    pub compensating: &'a [usize],
    /// The steps that this process has no handler for.
    pub missing: &'a [usize],
    /// The steps that this process has no compensation handler for.
    pub missing_compensations: &'a [usize],
    /// The positions in the definition of the steps that are done in other services, and of those that are taken back there.
    pub elsewhere: &'a [usize],
    /// See `elsewhere`.
    pub elsewhere_compensations: &'a [usize],
    /// What it has of the slots of services.
    pub room: Room<'a>,
    /// The fencing token of this process.
    pub epoch: u64,
    /// Delays and limits.
    pub settings: &'a Settings,
}

impl Facts<'_> {
    /// Whether a handler of the step is in flight.
    fn is_in_flight(&self, step: usize) -> bool {
        self.in_flight.iter().any(|flight| flight.step == step)
    }
}

/// What follows from an input.
#[derive(Clone, Debug)]
pub struct Decision {
    /// To be made durable in one piece, before anything else is done.
    pub records: Vec<Record>,
    /// To be done afterwards, in order.
    pub commands: Vec<Command>,
    /// The attempts that would begin too, if there were a slot at their service for each. Decided again with some of them as
    /// [`Room::granted`], these begin.
    pub wanting: Vec<Wanted>,
    /// The state once the records are durable: the old state with the records applied.
    pub state: State,
}

/// Decides what follows from `input`. An input that comes too late gives an empty decision.
#[must_use]
pub fn decide(state: &State, facts: &Facts<'_>, input: Input) -> Decision {
    let mut draft = Draft::new(state.clone(), facts);
    // Nothing is ever appended behind the last record.
    if !state.is_closed() {
        draft.take(input);
    }
    draft.into_decision()
}

/// The first decision of a saga: its first record, and with a free slot the start of its first steps.
#[must_use]
pub fn create(created: (State, Record), facts: &Facts<'_>, has_slot: bool) -> Decision {
    let (state, record) = created;
    let mut draft = Draft::new(state, facts);
    draft.records.push(record);
    draft.arm_saga();
    if has_slot {
        draft.take(Input::Begin);
    }
    draft.into_decision()
}

/// A decision in the making: each record is applied at once, so that the next rule sees it.
struct Draft<'a> {
    state: State,
    facts: &'a Facts<'a>,
    records: Vec<Record>,
    commands: Vec<Command>,
    wanting: Vec<Wanted>,
}

impl<'a> Draft<'a> {
    fn new(state: State, facts: &'a Facts<'a>) -> Self {
        Self {
            state,
            facts,
            records: Vec::new(),
            commands: Vec::new(),
            wanting: Vec::new(),
        }
    }

    fn into_decision(mut self) -> Decision {
        Decision {
            wanting: self.still_wanting(),
            records: self.records,
            commands: self.commands,
            state: self.state,
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Begin => {
                if self.state.stage == Stage::Queued {
                    self.start_ready();
                    self.begin_without_room();
                }
            }
            Input::Recovered => self.recover(),
            Input::Ended {
                step,
                attempt,
                result,
            } => self.attempt_ended(step, attempt, result),
            Input::TimedOut {
                step,
                attempt,
                limit,
            } => self.attempt_timed_out(step, attempt, limit),
            Input::CompensationEnded {
                step,
                attempt,
                result,
            } => self.compensation_ended(step, attempt, result),
            Input::Elapsed(timer) => self.elapsed(timer),
            // Whoever looks for handlers does so before anything else is done.
            Input::Operate(
                operation @ Operation {
                    action: Action::Migrate { .. },
                    ..
                },
            ) => return self.operate(operation),
            Input::Operate(operation) => self.operate(operation),
            Input::Signal(signal) => self.signalled(signal),
            // It changes nothing of what is to be done.
            Input::Attach { key } => return self.attached(&key),
            Input::Answered(answer) => self.answered(answer),
            Input::ChildEnded { step, attempt, end } => self.child_ended(step, attempt, end),
        }
        self.advance();
    }

    /// Goes as far as possible without another input.
    fn advance(&mut self) {
        if self.state.paused.is_some() && !planted::in_sagas(SagaBug::PauseForgotten) {
            return;
        }
        self.begin_due();
        // Each list that is done lets other steps begin; one that is none turns the saga back.
        while self.state.stage == Stage::Running {
            self.start_ready();
            if !self.gather() {
                break;
            }
        }
        if self.state.stage == Stage::Backward && planted::in_sagas(SagaBug::StartsAfterTurningBack)
        {
            self.start_ready();
        }
        match self.state.stage {
            Stage::Running => {
                // A handler of an attempt before the last may still end.
                if self.facts.in_flight.is_empty() && self.state.is_complete() {
                    self.end(Outcome::Completed, String::new());
                }
            }
            Stage::Backward => self.compensate_next(),
            Stage::Ended(_) => self.repair_next(),
            Stage::Stuck => self.arm_stuck(),
            Stage::Queued | Stage::ForwardStuck => {}
        }
    }

    fn recover(&mut self) {
        self.find_children();
        if self.state.paused.is_some() {
            return;
        }
        self.arm_saga();
        if self.state.is_poison() {
            let cause = PauseCause::Poison;
            return self.record(Fact::Paused { cause });
        }
        match self.state.stage {
            Stage::Running => self.recover_forward(false),
            Stage::Backward if planted::in_sagas(SagaBug::ForwardAfterCrash) => {
                self.recover_forward(false);
            }
            Stage::Backward | Stage::Ended(_) => self.recover_backward(),
            Stage::Queued | Stage::ForwardStuck | Stage::Stuck => {}
        }
    }

    fn record(&mut self, fact: Fact) {
        let record = Record::new(self.facts.now, fact);
        self.state.apply(&record);
        self.records.push(record);
    }

    fn end(&mut self, outcome: Outcome, error: String) {
        if planted::in_sagas(SagaBug::EndsTwice) {
            let error = error.clone();
            self.record(Fact::Ended { outcome, error });
        }
        self.record(Fact::Ended { outcome, error });
    }

    fn arm(&mut self, timer: Timer, until: Timestamp, delay_max: Duration) {
        // A wall clock that was set back must not make the delay longer than its limit.
        let delay = until.since(self.facts.now).min(delay_max);
        self.commands.push(Command::Arm { timer, delay });
    }
}

/// `text` within the bound for stored errors.
pub(super) fn clipped(mut text: String) -> String {
    if text.len() > ERROR_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
    }
    text
}

/// The position of a step as records write it.
fn number(step: usize) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}
