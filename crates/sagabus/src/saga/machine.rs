//! The rules of a saga, pure: a state and an input give the records to store and what to do once they are durable.

mod backward;
mod forward;
mod state;

use std::time::Duration;

use bytes::Bytes;

pub use state::{
    CompensationPhase, CompensationState, HELD_BYTES_MAX, Interruptions, Paused, Phase, Stage,
    State, StepState, TurnedBack,
};

use super::handlers::StepError;
use super::record::{Cause, Fact, Outcome, PauseCause, Record, Verb};
use super::settings::Settings;
use crate::clock::Timestamp;
use crate::ledger::By;

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
    /// A slot is free: start.
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
    /// An attempt took longer than its timeout; its handler is still in flight.
    TimedOut {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// The timeout.
        after: Duration,
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
    /// The delay before the next attempt is over.
    Due {
        /// The step.
        step: usize,
    },
    /// Somebody wants it taken back.
    Cancel {
        /// Why.
        reason: String,
    },
    /// An operator wants a stuck compensation tried again.
    Resume,
    /// An operator gives up a stuck compensation.
    Abandon {
        /// Why.
        reason: String,
    },
    /// An operator does something to it.
    Operate(Operation),
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub verb: Verb,
    /// Who and why.
    pub by: By,
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
    /// Tell the handler of a step to stop, and drop it after `grace`.
    Stop {
        /// The step.
        step: usize,
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
    /// Give [`Input::Due`] after `delay`.
    Arm {
        /// The step.
        step: usize,
        /// How long to wait.
        delay: Duration,
    },
}

/// What the shell knows and the records do not say.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time that goes into the records.
    pub now: Timestamp,
    /// Whether handlers may be called; not while shutting down.
    pub dispatch: bool,
    /// The steps whose handlers are in flight.
    pub in_flight: &'a [usize],
    /// Delays and limits.
    pub settings: &'a Settings,
}

/// What follows from an input.
#[derive(Clone, Debug)]
pub struct Decision {
    /// To be made durable in one piece, before anything else is done.
    pub records: Vec<Record>,
    /// To be done afterwards, in order.
    pub commands: Vec<Command>,
    /// The state once the records are durable: the old state with the records applied.
    pub state: State,
}

/// Decides what follows from `input`. An input that comes too late gives an empty decision.
#[must_use]
pub fn decide(state: &State, facts: &Facts<'_>, input: Input) -> Decision {
    let mut draft = Draft::new(state.clone(), facts);
    draft.take(input);
    draft.into_decision()
}

/// The first decision of a saga: its first record, and with a free slot the start of its first steps.
#[must_use]
pub fn create(created: (State, Record), facts: &Facts<'_>, has_slot: bool) -> Decision {
    let (state, record) = created;
    let mut draft = Draft::new(state, facts);
    draft.records.push(record);
    if has_slot {
        draft.take(Input::Begin);
    }
    draft.into_decision()
}

/// Why an operator's input does not fit the state, if so.
#[must_use]
pub fn refusal(state: &State, input: &Input) -> Option<&'static str> {
    match input {
        Input::Resume | Input::Abandon { .. } if state.stage != Stage::Stuck => {
            Some("its compensation is not stuck")
        }
        Input::Operate(Operation {
            verb: Verb::Resume, ..
        }) if state.paused.is_none() => Some("it is not paused"),
        _ => None,
    }
}

/// A decision in the making: each record is applied at once, so that the next rule sees it.
struct Draft<'a> {
    state: State,
    facts: &'a Facts<'a>,
    records: Vec<Record>,
    commands: Vec<Command>,
}

impl<'a> Draft<'a> {
    fn new(state: State, facts: &'a Facts<'a>) -> Self {
        Self {
            state,
            facts,
            records: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn into_decision(self) -> Decision {
        Decision {
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
                after,
            } => self.attempt_timed_out(step, attempt, after),
            Input::CompensationEnded {
                step,
                attempt,
                result,
            } => self.compensation_ended(step, attempt, result),
            Input::Due { step } => self.due(step),
            Input::Cancel { reason } => {
                if matches!(self.state.stage, Stage::Queued | Stage::Running) {
                    self.turn_back(Cause::Cancelled, reason);
                }
            }
            Input::Resume => {
                if self.state.stage == Stage::Stuck {
                    self.record(Fact::CompensationResumed);
                }
            }
            Input::Abandon { reason } => {
                if self.state.stage == Stage::Stuck {
                    self.end(Outcome::Failed, clipped(reason));
                }
            }
            Input::Operate(operation) => self.operate(operation),
        }
        self.advance();
    }

    /// Goes as far as possible without another input.
    fn advance(&mut self) {
        if self.state.paused.is_some() {
            return;
        }
        match self.state.stage {
            Stage::Running => {
                self.start_ready();
                if self.state.is_complete() {
                    self.end(Outcome::Completed, String::new());
                }
            }
            Stage::Backward => self.compensate_next(),
            Stage::Queued | Stage::Stuck | Stage::Ended(_) => {}
        }
    }

    fn recover(&mut self) {
        if self.state.paused.is_some() {
            return;
        }
        if self.state.is_poison() {
            let cause = PauseCause::Poison;
            return self.record(Fact::Paused { cause });
        }
        match self.state.stage {
            Stage::Running => self.recover_forward(),
            Stage::Backward => self.recover_backward(),
            Stage::Queued | Stage::Stuck | Stage::Ended(_) => {}
        }
    }

    fn operate(&mut self, operation: Operation) {
        let Operation { verb, by } = operation;
        match verb {
            Verb::Resume => {
                if self.state.paused.is_some() {
                    self.record(Fact::Operated { verb, by });
                    // What was cut off is taken up as after a restart.
                    self.recover();
                }
            }
        }
    }

    fn due(&mut self, step: usize) {
        if self.state.paused.is_some() {
            return;
        }
        match self.state.stage {
            Stage::Running => self.retry_due(step),
            Stage::Backward => self.compensation_due(step),
            Stage::Queued | Stage::Stuck | Stage::Ended(_) => {}
        }
    }

    fn record(&mut self, fact: Fact) {
        let record = Record::new(self.facts.now, fact);
        self.state.apply(&record);
        self.records.push(record);
    }

    fn end(&mut self, outcome: Outcome, error: String) {
        self.record(Fact::Ended { outcome, error });
    }

    fn arm(&mut self, step: usize, until: Timestamp, delay_max: Duration) {
        // A wall clock that was set back must not make the delay longer than the schedule's limit.
        let delay = until.since(self.facts.now).min(delay_max);
        self.commands.push(Command::Arm { step, delay });
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
