//! A saga played by hand on the pure machine: what the worker keeps account of, without handlers, tasks or time.

use std::time::Duration;

use bytes::Bytes;

use super::first::First;
use crate::clock::Timestamp;
use crate::ledger::By;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    self, Action, AttemptResult, Command, Facts, Flight, Input, Operation, Phase, Refusal, Room,
    Stage, State, StepState, Timer, Wanted,
};
use crate::saga::record::{Fact, Record};
use crate::saga::{Definition, Settings};

#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) state: State,
    pub(super) records: Vec<Record>,
    pub(super) in_flight: Vec<Flight>,
    pub(super) compensating: Vec<usize>,
    pub(super) missing: Vec<usize>,
    /// The steps that a service elsewhere does.
    pub(super) elsewhere: Vec<usize>,
    pub(super) missing_compensations: Vec<usize>,
    /// The steps that a service elsewhere takes back.
    pub(super) elsewhere_compensations: Vec<usize>,
    pub(super) now: Timestamp,
    pub(super) epoch: u64,
    /// The steps whose service has a limit, forward and backward.
    pub(super) limited: Vec<usize>,
    /// The attempts that there is a slot for.
    pub(super) granted: Vec<Wanted>,
    /// The steps whose next attempt is due and had no slot.
    pub(super) due: Vec<usize>,
    /// What waits for a slot since the last input.
    pub(super) wanting: Vec<Wanted>,
    /// What the last input led to.
    pub(super) commands: Vec<Command>,
    pub(super) settings: Settings,
}

impl Play {
    /// A saga that waits for its turn.
    pub(super) fn queued(definition: &Definition) -> Self {
        Self::queued_with(definition, b"{}")
    }

    /// The same, started with `input`.
    pub(super) fn queued_with(definition: &Definition, input: &'static [u8]) -> Self {
        let now = Timestamp::from_milliseconds(1_000_000);
        let first = First {
            input,
            ..First::of(definition)
        };
        let record = Record::new(now, first.fact());
        let id = "saga".parse().unwrap();
        let state = State::first(id, &record, |_| Ok(definition.clone())).unwrap();
        Self {
            state,
            records: vec![record],
            in_flight: Vec::new(),
            compensating: Vec::new(),
            missing: Vec::new(),
            elsewhere: Vec::new(),
            missing_compensations: Vec::new(),
            elsewhere_compensations: Vec::new(),
            now,
            epoch: 1,
            limited: Vec::new(),
            granted: Vec::new(),
            due: Vec::new(),
            wanting: Vec::new(),
            commands: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// A saga whose first steps are in flight.
    pub(super) fn begun(definition: &Definition) -> Self {
        let mut play = Self::queued(definition);
        play.give(Input::Begin);
        play
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            now: self.now,
            dispatch: true,
            in_flight: &self.in_flight,
            compensating: &self.compensating,
            missing: &self.missing,
            missing_compensations: &self.missing_compensations,
            elsewhere: &self.elsewhere,
            elsewhere_compensations: &self.elsewhere_compensations,
            room: Room {
                limited: &self.limited,
                limited_compensations: &self.limited,
                granted: &self.granted,
                due: &self.due,
            },
            epoch: self.epoch,
            settings: &self.settings,
        }
    }

    /// Gives an input as the worker would; returns the facts that were recorded.
    pub(super) fn give(&mut self, input: Input) -> Vec<Fact> {
        match &input {
            Input::Ended { step, attempt, .. } => {
                let (step, attempt) = (*step, *attempt);
                self.in_flight
                    .retain(|flight| *flight != Flight { step, attempt });
            }
            Input::CompensationEnded { step, .. } => {
                self.compensating.retain(|other| other != step);
            }
            Input::Recovered => {
                self.in_flight.clear();
                self.compensating.clear();
            }
            _ => {}
        }
        let decision = machine::decide(&self.state, &self.facts(), input);
        // The state is the fold of the records, whoever folds them.
        let mut folded = self.state.clone();
        for record in &decision.records {
            let stored = Record::decode(&record.encode().unwrap()).unwrap();
            folded.replay(&stored).unwrap();
        }
        assert_eq!(folded, decision.state);
        let waits = decision.wanting.iter();
        let due = waits.filter(|wanted| decision.state.is_between_attempts(**wanted));
        self.due = due.map(|wanted| wanted.step).collect();
        self.wanting.clone_from(&decision.wanting);
        self.granted.clear();
        self.state = decision.state;
        self.commands.clone_from(&decision.commands);
        for command in decision.commands {
            match command {
                Command::Run { step, attempt } => self.in_flight.push(Flight { step, attempt }),
                Command::Compensate { step, .. } => self.compensating.push(step),
                Command::Drop => {
                    self.in_flight.clear();
                    self.compensating.clear();
                }
                Command::Stop { .. }
                | Command::Arm { .. }
                | Command::Child { .. }
                | Command::CancelChild { .. } => {}
            }
        }
        let facts = decision.records.iter().map(|it| it.fact.clone()).collect();
        self.records.extend(decision.records);
        facts
    }

    pub(super) fn position(&self, id: &str) -> usize {
        self.state.position_of(id).unwrap()
    }

    pub(super) fn step(&self, id: &str) -> &StepState {
        self.state.step(self.position(id)).unwrap()
    }

    /// The last attempt of a step ends.
    pub(super) fn end(&mut self, id: &str, result: AttemptResult) -> Vec<Fact> {
        let (step, attempt) = (self.position(id), self.step(id).attempts);
        self.end_attempt(step, attempt, result)
    }

    pub(super) fn end_attempt(
        &mut self,
        step: usize,
        attempt: u32,
        result: AttemptResult,
    ) -> Vec<Fact> {
        self.give(Input::Ended {
            step,
            attempt,
            result,
        })
    }

    pub(super) fn succeed(&mut self, id: &str) -> Vec<Fact> {
        self.end(id, ok())
    }

    pub(super) fn reject(&mut self, id: &str) -> Vec<Fact> {
        self.end(id, AttemptResult::Err(StepError::Reject("no".to_owned())))
    }

    /// The last attempt of a step times out; its handler goes on.
    pub(super) fn time_out(&mut self, id: &str) -> Vec<Fact> {
        let (step, attempt) = (self.position(id), self.step(id).attempts);
        let limit = machine::Limit::Timeout(Duration::from_secs(1));
        self.give(Input::TimedOut {
            step,
            attempt,
            limit,
        })
    }

    /// The delay before the next attempt of a step is over.
    pub(super) fn due(&mut self, id: &str) -> Vec<Fact> {
        let timer = Timer::Retry(self.position(id));
        self.give(Input::Elapsed(timer))
    }

    pub(super) fn end_compensation(&mut self, id: &str, result: Result<(), StepError>) {
        let step = self.position(id);
        let attempt = self.step(id).compensation.attempts;
        self.give(Input::CompensationEnded {
            step,
            attempt,
            result,
        });
    }

    pub(super) fn taken_back(&mut self, id: &str) {
        self.end_compensation(id, Ok(()));
    }

    pub(super) fn not_taken_back(&mut self, id: &str) {
        self.end_compensation(id, Err(StepError::Reject("no".to_owned())));
    }

    /// What the table says of an operator's action, without doing it.
    pub(super) fn refusal(&self, action: &Action) -> Option<Refusal> {
        let operation = operation(action.clone());
        machine::refusal(&self.state, &self.facts(), &operation)
    }

    pub(super) fn operate(&mut self, action: Action) -> Vec<Fact> {
        self.give(Input::Operate(operation(action)))
    }

    /// The process ends and another one begins.
    pub(super) fn restart(&mut self) -> Vec<Fact> {
        self.state = super::invariants::fold("saga", &self.records);
        self.give(Input::Recovered)
    }

    pub(super) fn check(&self) {
        super::invariants::check_records(&self.records);
    }

    pub(super) fn is(&self, stage: Stage) -> bool {
        self.state.stage == stage
    }

    pub(super) fn has(&self, id: &str, phase: &Phase) -> bool {
        self.step(id).phase == *phase
    }
}

pub(super) fn ok() -> AttemptResult {
    AttemptResult::Ok(Bytes::from_static(b"1"))
}

pub(super) fn operation(action: Action) -> Operation {
    Operation {
        action,
        by: By::new("ann", "so it is"),
    }
}
