//! What is to be taken back and is not, and what a saga that is over has left.

use super::{Stage, State};
use crate::planted::{self, SagaBug};
use crate::saga::record::Outcome;

impl State {
    /// Whether it is over and has left effects that are not taken back, or work that is not done.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        let is_given_up = self.stage == Stage::Ended(Outcome::Failed);
        let is_half_done = is_given_up && self.turned_back.is_none();
        is_half_done || (0..self.steps.len()).any(|step| self.is_left(step))
    }

    /// Whether the saga is over and has left an effect of the step at `index`, or may have: one that is to be taken back, one
    /// that came to light late, and of a saga that was ended as it was any other too, since nobody has looked at it.
    #[must_use]
    pub fn is_left(&self, index: usize) -> bool {
        let Some(step) = self.step(index) else {
            return false;
        };
        match self.stage {
            Stage::Ended(Outcome::Terminated) => {
                step.has_late_effect
                    || self.is_unsettled(index)
                    || self.may_have_had_effect(index) && !step.compensation.is_settled()
            }
            Stage::Ended(Outcome::Failed | Outcome::Compensated | Outcome::Cancelled) => {
                step.has_late_effect || self.is_unsettled(index)
            }
            Stage::Ended(Outcome::Completed)
            | Stage::Queued
            | Stage::Running
            | Stage::Backward
            | Stage::ForwardStuck
            | Stage::Stuck => false,
        }
    }

    /// Whether the step at `index` was run and may have had an effect.
    fn may_have_had_effect(&self, index: usize) -> bool {
        // Of a saga that a step is nothing is open by then; what it left is what the step says.
        let waits = self.wait(index).is_some() && self.child(index).is_none();
        let is_run = !waits && !self.is_list(index);
        let step = self.step(index).filter(|_| is_run);
        step.is_some_and(|step| step.may_have_had_effect())
    }

    /// Whether an effect came to light late that nobody has taken back since.
    pub(crate) fn has_late_effect(&self) -> bool {
        self.steps.iter().any(|step| step.has_late_effect)
    }

    /// Whether the step at `index` is to be taken back and is not.
    #[must_use]
    pub fn is_unsettled(&self, index: usize) -> bool {
        let state = self.step(index);
        if index == 0 && planted::in_sagas(SagaBug::FirstStepKept) {
            return false;
        }
        self.is_compensable(index) && state.is_some_and(|state| !state.compensation.is_settled())
    }

    /// Whether the step at `index` is one to be taken back once the saga turns back, done already or not.
    pub(super) fn is_compensable(&self, index: usize) -> bool {
        // Of a list, its items are taken back.
        let is_list = self.is_list(index);
        let step = self.step_of(index).zip(self.step(index));
        step.filter(|_| !is_list).is_some_and(|(step, state)| {
            step.compensation_action.is_some() && state.is_to_be_taken_back(step.compensate)
        })
    }
}
