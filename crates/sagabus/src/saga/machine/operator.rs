//! What operators do to a saga: which verb fits which state, and what follows from it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Command, CompensationPhase, Draft, Facts, Phase, Stage, State, StepState, clipped, number,
};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::definition::Definition;
use crate::saga::record::{Cause, Fact, Outcome, Verb};

/// What an operator does, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub action: Action,
    /// Who and why.
    pub by: By,
}

/// What an operator does. Steps are named by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Takes the saga back.
    Cancel {
        /// What becomes of the handlers in flight.
        in_flight: InFlight,
    },
    /// Has a step that failed, or its compensation, tried again with all its attempts; without a step, all that are stuck.
    Retry {
        /// The step.
        step: Option<String>,
    },
    /// Goes on without a step; of a saga that has turned back, without taking the step back.
    Skip {
        /// The step.
        step: String,
    },
    /// Says that a step is taken back, by hand for instance.
    ForceDone {
        /// The step.
        step: String,
    },
    /// Says that a step is done.
    Complete {
        /// The step.
        step: String,
        /// What it is said to have returned, one JSON value.
        output: Bytes,
    },
    /// Ends a stuck saga as failed.
    Abandon,
    /// Has a step of a saga that ended with effects left taken back.
    Recompensate {
        /// The step.
        step: String,
    },
    /// Lets the saga do nothing; what its handlers in flight do is still recorded.
    Pause,
    /// Lets a paused saga go on.
    Resume,
    /// Ends the saga as it is, and drops its handlers.
    Terminate,
    /// Lets a saga that waits for its turn, is paused or is stuck behind its pivot go on with another definition.
    Migrate {
        /// The definition.
        definition: Definition,
    },
}

/// What becomes of the handlers in flight when a saga is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFlight {
    /// They are awaited for as long as their own limits allow.
    Wait,
    /// They are told to stop, and awaited for [`Settings::drain_grace`](crate::saga::Settings::drain_grace).
    #[default]
    Signal,
    /// They are told to stop, and not awaited.
    Abandon,
}

/// Why something does not fit the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `Conflict`, `NotFound` when there is no such step, `Full` when there is no room.
    pub kind: ErrorKind,
    /// In words.
    pub text: String,
}

impl Action {
    fn verb(&self) -> Verb {
        match self {
            Self::Cancel { .. } => Verb::Cancel,
            Self::Retry { .. } => Verb::Retry,
            Self::Skip { .. } => Verb::Skip,
            Self::ForceDone { .. } => Verb::ForceDone,
            Self::Complete { .. } => Verb::Complete,
            Self::Abandon => Verb::Abandon,
            Self::Recompensate { .. } => Verb::Recompensate,
            Self::Pause => Verb::Pause,
            Self::Resume => Verb::Resume,
            Self::Terminate => Verb::Terminate,
            Self::Migrate { .. } => Verb::Migrate,
        }
    }

    fn step(&self) -> Option<&str> {
        match self {
            Self::Retry { step } => step.as_deref(),
            Self::Skip { step }
            | Self::ForceDone { step }
            | Self::Complete { step, .. }
            | Self::Recompensate { step } => Some(step),
            Self::Cancel { .. }
            | Self::Abandon
            | Self::Pause
            | Self::Resume
            | Self::Terminate
            | Self::Migrate { .. } => None,
        }
    }
}

/// What an action comes to in a state.
enum Answer {
    Do,
    /// It is so already.
    Done,
    No(Refusal),
}

/// Why an operator's action does not fit the state, if so. One that finds its effect done fits, and changes nothing.
#[must_use]
pub fn refusal(state: &State, facts: &Facts<'_>, operation: &Operation) -> Option<Refusal> {
    match answer(state, facts, &operation.action) {
        Answer::Do | Answer::Done => None,
        Answer::No(refusal) => Some(refusal),
    }
}

fn no(text: &str) -> Answer {
    Answer::No(Refusal {
        kind: ErrorKind::Conflict,
        text: text.to_owned(),
    })
}

/// The table of verbs and states.
fn answer(state: &State, facts: &Facts<'_>, action: &Action) -> Answer {
    let step = match action.step() {
        None => None,
        Some(id) => match state.position_of(id) {
            Some(position) => Some(position),
            None => {
                return Answer::No(Refusal {
                    kind: ErrorKind::NotFound,
                    text: format!("it has no step `{}`", id.escape_debug()),
                });
            }
        },
    };
    let own = step.and_then(|position| Some((position, state.step(position)?)));
    match (action, state.stage, own) {
        (Action::Cancel { .. }, Stage::Queued | Stage::Running | Stage::ForwardStuck, _) => {
            match state.has_passed_pivot() {
                true => no("it has passed its pivot and can only be brought to its end"),
                false => Answer::Do,
            }
        }
        (Action::Cancel { .. }, Stage::Backward | Stage::Stuck | Stage::Ended(_), _)
        | (Action::Abandon, Stage::Ended(Outcome::Failed), _)
        | (Action::Terminate, Stage::Ended(Outcome::Terminated), _) => Answer::Done,
        (Action::Terminate, Stage::Ended(_), _) => no("it is over"),
        (Action::Terminate, _, _) if state.open_children().next().is_some() => {
            under_way(state, state.open_children().next())
        }
        (Action::Terminate, _, _) => Answer::Do,
        (Action::Recompensate { .. }, Stage::Ended(_), Some((position, own))) => {
            repair(state, position, own)
        }
        (Action::Recompensate { .. }, _, _) => no("it is not over"),
        (Action::Migrate { definition }, _, _) if state.definition() == definition => Answer::Done,
        (_, Stage::Ended(_), _) => no("it is over"),
        (Action::Migrate { .. }, Stage::Backward | Stage::Stuck, _) => no("it has turned back"),
        (Action::Migrate { definition }, _, _) => fits(state, facts, definition),
        (Action::Resume, _, _) if state.paused.is_none() => no("it is not paused"),
        (Action::Resume, _, _) => Answer::Do,
        (Action::Pause, _, _) if state.paused.is_some() => Answer::Done,
        (Action::Pause, Stage::Running | Stage::Backward, _) => Answer::Do,
        (Action::Pause, Stage::Queued, _) => no("it waits for its turn"),
        (Action::Pause, Stage::ForwardStuck | Stage::Stuck, _) => no("it is stuck"),
        (Action::Abandon, Stage::ForwardStuck | Stage::Stuck, _) => Answer::Do,
        (Action::Abandon, Stage::Queued | Stage::Running | Stage::Backward, _) => {
            no("it is not stuck")
        }
        (_, Stage::Queued, _) => no("it waits for its turn"),
        (Action::Retry { .. }, Stage::Running | Stage::ForwardStuck, None) => {
            let mut steps = state.steps.iter();
            match steps.any(|step| matches!(step.phase, Phase::Stuck(_))) {
                true => Answer::Do,
                false => no("no step of it is stuck"),
            }
        }
        (Action::Retry { .. }, Stage::Backward | Stage::Stuck, None) => {
            let mut steps = state.steps.iter();
            match steps.any(|step| step.compensation.phase == CompensationPhase::Stuck) {
                true => Answer::Do,
                false => no("its compensation is not stuck"),
            }
        }
        (Action::Retry { .. }, Stage::Running | Stage::ForwardStuck, Some((_, own))) => {
            match own.phase {
                Phase::Stuck(_) | Phase::Backoff { .. } => Answer::Do,
                _ => no("the step has not failed"),
            }
        }
        (Action::Retry { .. }, Stage::Backward | Stage::Stuck, Some((_, own))) => {
            match own.compensation.phase {
                CompensationPhase::Stuck | CompensationPhase::Backoff { .. } => Answer::Do,
                _ => no("the compensation of the step has not failed"),
            }
        }
        (
            Action::Skip { .. } | Action::Complete { .. },
            Stage::Running | Stage::ForwardStuck,
            Some((position, own)),
        ) if state.is_list(position) && own.phase == Phase::Started => {
            no("the items of the step are steps of their own")
        }
        (
            Action::Skip { .. } | Action::Complete { .. },
            Stage::Running | Stage::ForwardStuck,
            Some((position, own)),
        ) if state.child(position).is_some() && own.phase == Phase::Started => {
            under_way(state, Some(position))
        }
        (Action::Complete { .. }, Stage::Running, Some((position, _)))
            if state.is_list(position)
                && !state.has_passed_pivot()
                && (state.step_of(position)).is_some_and(|it| it.compensation_action.is_some()) =>
        {
            no("the step is taken back item by item, and has none yet")
        }
        (Action::Skip { .. }, Stage::Running | Stage::ForwardStuck, Some((position, own))) => {
            match own.phase {
                Phase::Skipped => Answer::Done,
                _ => open(facts, position, own),
            }
        }
        (
            Action::Complete { output, .. },
            Stage::Running | Stage::ForwardStuck,
            Some((position, own)),
        ) => match &own.phase {
            Phase::Succeeded(before) if before == output => Answer::Done,
            _ if !state.has_room(position, output.len()) => Answer::No(Refusal {
                kind: ErrorKind::Full,
                text: "it has no room for the output".to_owned(),
            }),
            _ => open(facts, position, own),
        },
        (Action::ForceDone { .. }, Stage::Running | Stage::ForwardStuck, _) => {
            no("it has not turned back; complete the step with an output")
        }
        (Action::Complete { .. }, _, _) => no("it has turned back"),
        (
            Action::Skip { .. } | Action::ForceDone { .. },
            Stage::Backward | Stage::Stuck,
            Some((position, own)),
        ) => {
            let wanted = match action {
                Action::Skip { .. } => CompensationPhase::Skipped,
                _ => CompensationPhase::Forced,
            };
            match own.compensation.phase {
                phase if phase == wanted => Answer::Done,
                CompensationPhase::Started if facts.compensating.contains(&position) => {
                    no("the compensation of the step is in flight")
                }
                _ if facts.is_in_flight(position) => no("the step is in flight"),
                _ if state.is_unsettled(position) => Answer::Do,
                _ => no("the step has nothing to take back"),
            }
        }
        (Action::Skip { .. } | Action::ForceDone { .. }, _, None) => no("it has no such step"),
    }
}

/// Whether a saga can go on with another definition.
fn fits(state: &State, facts: &Facts<'_>, definition: &Definition) -> Answer {
    let is_at_rest = state.stage != Stage::Running || state.paused.is_some();
    let has_flights = !facts.in_flight.is_empty() || state.open_children().next().is_some();
    match state.misfit(definition) {
        Some(misfit) => no(&misfit.to_string()),
        None if !is_at_rest => no("it is not paused"),
        None if has_flights => no("something of it is in flight"),
        None => Answer::Do,
    }
}

/// Nothing is done that would leave the saga of a step without the one that waits for it.
fn under_way(state: &State, step: Option<usize>) -> Answer {
    let child = step.and_then(|step| state.child_id(step).ok());
    let child = child.map_or_else(String::new, |id| id.to_string());
    no(&format!("its saga `{child}` is not over"))
}

/// Whether an operator may make an end of a step that goes forward.
fn open(facts: &Facts<'_>, position: usize, own: &StepState) -> Answer {
    match own.phase {
        _ if facts.is_in_flight(position) => no("the step is in flight"),
        Phase::Pending | Phase::Started | Phase::Backoff { .. } | Phase::Stuck(_) => Answer::Do,
        Phase::Succeeded(_) | Phase::Failed(_) | Phase::Skipped | Phase::NotRun => {
            no("the step is over")
        }
    }
}

fn repair(state: &State, position: usize, own: &StepState) -> Answer {
    let back = &own.compensation;
    if back.is_repair && !back.is_settled() && back.phase != CompensationPhase::Stuck {
        return Answer::Done;
    }
    if state.is_closed() || !state.is_inconsistent() {
        return no("it ended with nothing left to repair");
    }
    if state.turned_back.is_none() && state.has_passed_pivot() {
        return no("it has passed its pivot");
    }
    let is_left = own.has_late_effect || !back.is_settled();
    match state.is_compensable(position) && is_left {
        true => Answer::Do,
        false => no("the step has nothing to take back"),
    }
}

/// What failed, in words: what turned the saga back, or a step that is stuck behind the pivot.
fn failure(state: &State) -> Option<String> {
    let stuck = || {
        let is_stuck = |step: &Arc<StepState>| matches!(step.phase, Phase::Stuck(_));
        let at = state.steps.iter().position(is_stuck)?;
        let error = state.step(at)?.error.as_deref()?;
        Some(format!("step `{}` failed: {error}", state.step_id(at)))
    };
    state.error.as_deref().map(str::to_owned).or_else(stuck)
}

impl Draft<'_> {
    pub(super) fn operate(&mut self, operation: Operation) {
        if !matches!(
            answer(&self.state, self.facts, &operation.action),
            Answer::Do
        ) {
            return;
        }
        let Operation { action, by } = operation;
        if let Action::Migrate { definition } = &action {
            return self.begin_anew(definition, by);
        }
        let step = action.step().and_then(|id| self.state.position_of(id));
        let verb = action.verb();
        let reason = clipped(by.reason.clone());
        let (in_flight, output) = match action {
            Action::Cancel { in_flight } => (in_flight, None),
            Action::Complete { output, .. } => (InFlight::default(), Some(output)),
            _ => (InFlight::default(), None),
        };
        self.record(Fact::Operated {
            verb,
            step: step.map(number),
            by,
            output,
        });
        match verb {
            Verb::Cancel => self.turn_back(Cause::Cancelled, reason, in_flight),
            Verb::Abandon => self.give_up(Outcome::Failed, reason),
            Verb::Terminate => {
                self.commands.push(Command::Drop);
                self.give_up(Outcome::Terminated, reason);
            }
            // What was cut off is taken up as after a restart.
            Verb::Resume => self.resume(),
            Verb::Retry
            | Verb::Skip
            | Verb::ForceDone
            | Verb::Complete
            | Verb::Recompensate
            | Verb::Pause
            | Verb::Migrate => {}
        }
    }

    /// Ends it as it is. Its error is what failed; where nothing did, it is what the operator says.
    fn give_up(&mut self, outcome: Outcome, reason: String) {
        let failure = failure(&self.state).map(clipped);
        self.end(outcome, failure.unwrap_or(reason));
    }

    fn resume(&mut self) {
        self.arm_saga();
        match self.state.stage {
            Stage::Running => self.recover_forward(true),
            Stage::Backward | Stage::Ended(_) => self.recover_backward(),
            Stage::Queued | Stage::ForwardStuck | Stage::Stuck => {}
        }
    }
}
