//! Answers of steps that come from outside of this process: taken once, and only of the epoch that asked last.

use bytes::Bytes;

use super::{AttemptResult, CompensationPhase, Draft, Facts, Flight, Refusal, State};
use crate::error::ErrorKind;
use crate::saga::handlers::StepError;

/// What an attempt did, as told by whoever made it outside of this process.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The id of the step.
    pub step: String,
    /// The attempt, as its handler was given it.
    pub attempt: u32,
    /// The fencing token that the handler was given: [`CallContext::fence`](crate::saga::CallContext::fence).
    pub epoch: u64,
    /// How it ended.
    pub result: Answered,
}

/// How an attempt ended outside of this process.
#[derive(Clone, Debug)]
pub enum Answered {
    /// An attempt of the step, with its output, one JSON value.
    Step(Result<Bytes, StepError>),
    /// An attempt of its compensation.
    Compensation(Result<(), StepError>),
}

/// Why an answer is not taken, if so. `Fenced` when a process after the one that asked has asked again: that one decides.
#[must_use]
pub fn answer_refusal(state: &State, facts: &Facts<'_>, answer: &Answer) -> Option<Refusal> {
    let refuse = |kind, text| Some(Refusal { kind, text });
    let id = answer.step.escape_debug();
    let Some((step, own)) = find(state, answer) else {
        return refuse(ErrorKind::NotFound, format!("it has no step `{id}`"));
    };
    let attempt = answer.attempt;
    let (epoch, attempts, is_in_flight) = match answer.result {
        Answered::Step(_) => {
            let flight = Flight { step, attempt };
            let is_here = !facts.elsewhere.contains(&state.origin(step));
            let is_in_flight = is_here && facts.in_flight.contains(&flight);
            (own.epoch, own.attempts, is_in_flight)
        }
        Answered::Compensation(_) => {
            let back = &own.compensation;
            let is_last = attempt == back.attempts && back.phase == CompensationPhase::Started;
            let is_here = !facts.elsewhere_compensations.contains(&state.origin(step));
            let is_in_flight = is_here && is_last && facts.compensating.contains(&step);
            (back.epoch, back.attempts, is_in_flight)
        }
    };
    if answer.epoch != epoch {
        let text = format!(
            "step `{id}` was asked with fencing token {epoch}, not {}",
            answer.epoch
        );
        return refuse(ErrorKind::Fenced, text);
    }
    if !(1..=attempts).contains(&attempt) {
        let text = format!("step `{id}` has no attempt {attempt}");
        return refuse(ErrorKind::NotFound, text);
    }
    if state.wait(step).is_some() || state.is_list(step) {
        let text = format!("step `{id}` has no handler of its own");
        return refuse(ErrorKind::Conflict, text);
    }
    if is_in_flight {
        let text = format!("the handler of step `{id}` is at work in this process");
        return refuse(ErrorKind::Conflict, text);
    }
    None
}

fn find<'a>(state: &'a State, answer: &Answer) -> Option<(usize, &'a super::StepState)> {
    let step = state.position_of(&answer.step)?;
    Some((step, state.step(step)?))
}

impl Draft<'_> {
    pub(super) fn answered(&mut self, answer: Answer) {
        if answer_refusal(&self.state, self.facts, &answer).is_some() {
            return;
        }
        let Some(step) = self.state.position_of(&answer.step) else {
            return;
        };
        match answer.result {
            Answered::Step(Ok(output)) => {
                self.attempt_ended(step, answer.attempt, AttemptResult::Ok(output));
            }
            Answered::Step(Err(error)) => {
                self.attempt_ended(step, answer.attempt, AttemptResult::Err(error));
            }
            Answered::Compensation(result) => {
                self.compensation_ended(step, answer.attempt, result);
            }
        }
    }
}
