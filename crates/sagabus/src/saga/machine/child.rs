//! Steps that are sagas of their own: the child is started, and what becomes of it is what becomes of the step.

use bytes::Bytes;

use super::each::value_at;
use super::{Command, Draft, Phase, Stage, State, number};
use crate::error::Result;
use crate::planted::{self, SagaBug};
use crate::saga::definition::{Child, Wait};
use crate::saga::id::SagaId;
use crate::saga::record::{Effect, Fact, Outcome};

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// It never was, and never will be.
    NotStarted,
    /// It completed; an object with the outputs of its steps.
    Completed(Bytes),
    /// It did not complete, and nothing of it is left.
    TakenBack(String),
    /// It did not complete, and left effects that are not taken back, or work that is not done.
    Left(String),
}

impl State {
    /// The saga that the step at `position` is.
    #[must_use]
    pub fn child(&self, position: usize) -> Option<&Child> {
        match self.wait(position)? {
            Wait::Child(child) if !self.is_list(position) => Some(child),
            _ => None,
        }
    }

    /// The id of the child that the last attempt of the step at `position` started. It is made of the step's key, so that
    /// after a crash the same child is meant.
    pub(crate) fn child_id(&self, position: usize) -> Result<SagaId> {
        let attempt = self.step(position).map_or(0, |step| step.attempts);
        let (saga, step) = (self.id().as_str(), self.step_id(position));
        let attempt = match planted::in_sagas(SagaBug::ChildStartedAgain) {
            true => u32::try_from(self.records).unwrap_or(u32::MAX),
            false => attempt,
        };
        SagaId::of_child(saga, &step, attempt)
    }

    /// What the child of the step at `position` is started with, one JSON value.
    pub(crate) fn child_input(&self, position: usize) -> Option<Bytes> {
        let child = self.child(position)?;
        if let Some(item) = self.item(position) {
            return Some(item.clone());
        }
        let source = match &child.step {
            None => self.input(),
            Some(id) => self.output(self.position_of(id)?)?,
        };
        value_at(source, &child.from)
    }

    /// The steps whose children are not over, as far as this saga knows.
    pub(crate) fn open_children(&self) -> impl Iterator<Item = usize> {
        let has_children = self.definition().depth() > 1;
        let steps = 0..if has_children { self.steps.len() } else { 0 };
        steps.filter(|&at| {
            let is_open = self
                .step(at)
                .is_some_and(|step| step.phase == Phase::Started);
            is_open && self.child(at).is_some()
        })
    }

    /// What a saga that waits for this one is told, once this one is over.
    pub(crate) fn child_end(&self) -> Option<ChildEnd> {
        let Stage::Ended(outcome) = self.stage else {
            return None;
        };
        if outcome == Outcome::Completed {
            let steps = self.definition().steps().iter().enumerate();
            let outputs = steps.filter_map(|(at, step)| {
                let output = self.output(at)?;
                Some([b"\"", step.id.as_bytes(), b"\":", output.as_ref()].concat())
            });
            let outputs = outputs.collect::<Vec<_>>().join(&b","[..]);
            let object = [b"{", outputs.as_slice(), b"}"].concat();
            return Some(ChildEnd::Completed(object.into()));
        }
        let reason = self.error.as_deref().unwrap_or_default();
        let told = |what: &str| format!("saga `{}` {what}: {reason}", self.id());
        Some(match self.is_inconsistent() {
            true => ChildEnd::Left(told("left effects")),
            false => ChildEnd::TakenBack(told("did not complete")),
        })
    }
}

impl Draft<'_> {
    /// Starts the child of a step.
    pub(super) fn begin_child(&mut self, step: usize, attempt: u32) {
        if self.state.child_input(step).is_some() {
            return self.commands.push(Command::Child { step });
        }
        let from = self.state.child(step).map(|child| child.from.clone());
        let error = format!(
            "there is nothing at `{}` for its saga",
            from.unwrap_or_default()
        );
        self.fail_for_good(step, attempt, Effect::None, error);
    }

    /// After a restart: waits for the children again, and takes them back if that was to be done.
    pub(super) fn find_children(&mut self) {
        let children: Vec<usize> = self.state.open_children().collect();
        for step in children {
            self.commands.push(Command::Child { step });
        }
        if self.state.turned_back.is_some() {
            self.cancel_children();
        }
    }

    /// Children are taken back before what was done before them.
    pub(super) fn cancel_children(&mut self) {
        let children: Vec<usize> = self.state.open_children().collect();
        for step in children {
            self.commands.push(Command::CancelChild { step });
        }
    }

    pub(super) fn child_ended(&mut self, step: usize, attempt: u32, end: ChildEnd) {
        let is_expected = self
            .state
            .step(step)
            .is_some_and(|own| own.attempts == attempt && own.phase == Phase::Started);
        if !is_expected || self.state.child(step).is_none() {
            return;
        }
        match end {
            ChildEnd::Completed(output) if self.state.has_room(step, output.len()) => {
                self.record(Fact::StepSucceeded {
                    step: number(step),
                    attempt,
                    output,
                });
            }
            ChildEnd::Completed(output) => {
                let error = format!("saga has no room for an output of {} bytes", output.len());
                self.fail_for_good(step, attempt, Effect::Unknown, error);
            }
            ChildEnd::NotStarted => {
                let error = "its saga was never started".to_owned();
                self.fail_for_good(step, attempt, Effect::None, error);
            }
            ChildEnd::TakenBack(_) if planted::in_sagas(SagaBug::ChildFailurePasses) => {
                self.record(Fact::StepSucceeded {
                    step: number(step),
                    attempt,
                    output: Bytes::from_static(b"{}"),
                });
            }
            ChildEnd::TakenBack(error) => {
                self.fail_for_good(step, attempt, Effect::None, error);
            }
            ChildEnd::Left(error) => self.fail_for_good(step, attempt, Effect::Unknown, error),
        }
    }
}
