//! Steps that wait for a signal, a person or the time. What comes first decides, in one batch with what follows.

use bytes::Bytes;

use super::{Command, Draft, Phase, Refusal, Stage, State, Timer, number};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::planted::{self, SagaBug};
use crate::saga::definition::{OnTimeout, Wait};
use crate::saga::record::{Effect, Fact};

/// What somebody tells a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The name of a signal, or the id of a step that asks a person.
    pub name: String,
    /// The same signal given again has the same key.
    pub key: Option<String>,
    /// One JSON value.
    pub payload: Bytes,
    /// Who and why.
    pub by: By,
    /// The answer of a person.
    pub approval: Option<Approval>,
}

/// What a person says who was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whether they say yes.
    pub approved: bool,
    /// The role in which they say so; who asks the saga has checked that they have it.
    pub role: String,
}

enum Answer {
    Do,
    Done,
    No(Refusal),
}

fn no(kind: ErrorKind, text: impl Into<String>) -> Answer {
    Answer::No(Refusal {
        kind,
        text: text.into(),
    })
}

/// Why a signal does not fit the state, if so. The first of a name wins; it is the same again if its key is.
#[must_use]
pub fn signal_refusal(state: &State, signal: &Signal) -> Option<Refusal> {
    match answer(state, signal) {
        Answer::Do | Answer::Done => None,
        Answer::No(refusal) => Some(refusal),
    }
}

fn answer(state: &State, signal: &Signal) -> Answer {
    let name = signal.name.as_str();
    let mut known = state.signals.iter();
    if let Some(before) =
        known.find(|before| *before.name == *name && !planted::in_sagas(SagaBug::SignalTakenTwice))
    {
        let is_same = signal.key.is_some() && before.key.as_deref() == signal.key.as_deref();
        return match is_same {
            true => Answer::Done,
            false => no(
                ErrorKind::Conflict,
                format!("`{name}` was answered already"),
            ),
        };
    }
    match state.stage {
        Stage::Ended(_) => return no(ErrorKind::Conflict, "it is over"),
        Stage::Backward | Stage::Stuck => return no(ErrorKind::Conflict, "it has turned back"),
        Stage::Queued | Stage::Running | Stage::ForwardStuck => {}
    }
    let mut open = false;
    for step in waiting_for(state, signal) {
        if let Some(Wait::Approval { role, .. }) = state.wait(step) {
            let given = signal.approval.as_ref().map(|approval| &approval.role);
            if given != Some(role) {
                return no(
                    ErrorKind::Conflict,
                    format!("`{name}` asks for somebody in the role `{role}`"),
                );
            }
            if signal.by.author.is_empty() {
                return no(ErrorKind::Invalid, "an approval has an `author`");
            }
        }
        open |= state.step(step).is_some_and(super::StepState::is_open);
    }
    match open {
        _ if waiting_for(state, signal).next().is_none() => no(
            ErrorKind::NotFound,
            format!("no step of it waits for `{}`", name.escape_debug()),
        ),
        false => no(
            ErrorKind::Conflict,
            format!("what waited for `{name}` is over"),
        ),
        true if state.is_too_large(signal.payload.len()) => {
            no(ErrorKind::Full, "it has no room for the payload")
        }
        true => Answer::Do,
    }
}

/// The steps that wait for a signal of this name, now or later.
fn waiting_for<'a>(state: &'a State, signal: &'a Signal) -> impl Iterator<Item = usize> + 'a {
    (0..state.steps.len()).filter(move |&step| match state.wait(step) {
        Some(Wait::Signal { name, .. }) => signal.approval.is_none() && *name == signal.name,
        Some(Wait::Approval { .. }) => {
            signal.approval.is_some() && state.step_id(step) == signal.name
        }
        Some(Wait::Timer(_) | Wait::Child(_)) | None => false,
    })
}

impl Draft<'_> {
    /// Begins to wait, unless the answer is there already.
    pub(super) fn wait(&mut self, step: usize) {
        self.arm_wait(step);
        self.answer_waiting(step);
    }

    pub(super) fn arm_wait(&mut self, step: usize) {
        let time = self.state.wait(step).and_then(Wait::time);
        let began = self.state.step(step).and_then(|step| step.attempt_at);
        if let Some((time, began)) = time.zip(began) {
            self.arm(Timer::Wait(step), began.after(time), time);
        }
    }

    pub(super) fn signalled(&mut self, signal: Signal) {
        if !matches!(answer(&self.state, &signal), Answer::Do) {
            return;
        }
        let steps: Vec<usize> = waiting_for(&self.state, &signal).collect();
        let approved = signal.approval.map(|approval| approval.approved);
        self.record(Fact::Signalled {
            name: signal.name,
            key: signal.key,
            payload: signal.payload,
            by: signal.by,
            approved,
        });
        for step in steps {
            self.answer_waiting(step);
        }
    }

    /// Ends the waiting of a step whose answer is there.
    fn answer_waiting(&mut self, step: usize) {
        let is_waiting = self.state.step(step).map(|step| &step.phase) == Some(&Phase::Started);
        if !is_waiting || self.state.turned_back.is_some() {
            return;
        }
        let (name, is_approval) = match self.state.wait(step) {
            Some(Wait::Signal { name, .. }) => (name.as_str().into(), false),
            Some(Wait::Approval { .. }) => (self.state.step_id(step), true),
            Some(Wait::Timer(_) | Wait::Child(_)) | None => return,
        };
        let mut signals = self.state.signals.iter();
        let found = signals.find(|it| *it.name == *name && it.approved.is_some() == is_approval);
        let Some(found) = found.cloned() else {
            return;
        };
        let attempt = self.state.step(step).map_or(0, |step| step.attempts);
        if found.approved == Some(false) {
            let error = format!("refused by {}: {}", found.by.author, found.by.reason);
            return self.fail_for_good(step, attempt, Effect::None, error);
        }
        self.record(Fact::StepSucceeded {
            step: number(step),
            attempt,
            output: found.payload,
        });
    }

    /// The time of waiting is over.
    pub(super) fn waited(&mut self, step: usize) {
        let Some((wait, own)) = self.state.wait(step).zip(self.state.step(step)) else {
            return;
        };
        if own.phase != Phase::Started {
            return;
        }
        let (attempt, time) = (own.attempts, wait.time().unwrap_or_default());
        match wait.on_timeout() {
            OnTimeout::Complete => self.record(Fact::StepSucceeded {
                step: number(step),
                attempt,
                output: Bytes::from_static(b"null"),
            }),
            OnTimeout::Fail => {
                let error = format!("nobody answered within {time:?}");
                self.fail_for_good(step, attempt, Effect::None, error);
            }
        }
    }

    /// Begins an attempt: calls the handler, waits, starts a saga, or goes through a list.
    pub(super) fn begin(&mut self, step: usize, attempt: u32) {
        if self.state.is_list(step) {
            return self.begin_list(step, attempt);
        }
        if self.state.child(step).is_some() {
            return self.begin_child(step, attempt);
        }
        if self.state.wait(step).is_some() {
            return self.wait(step);
        }
        self.commands.push(Command::Run { step, attempt });
        self.arm_step(step);
    }
}
