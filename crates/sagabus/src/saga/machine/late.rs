//! What becomes of an attempt that answers after the saga has gone on without it: one arm for each cell of the table.

use super::{AttemptResult, CompensationPhase, Draft, Phase, Stage, clipped, number};
use crate::planted::{self, SagaBug};
use crate::saga::record::{Effect, Fact};

impl Draft<'_> {
    pub(super) fn late(&mut self, step: usize, attempt: u32, result: AttemptResult) {
        let is_dropped = planted::in_sagas(SagaBug::LateEffectDropped);
        let answer = match result {
            AttemptResult::Ok(_) if is_dropped => return,
            AttemptResult::Ok(output) => Answer::Success(output),
            AttemptResult::Err(error) => {
                let (effect, error) = self.effect_of(error);
                Answer::Failure(effect, error)
            }
            // That it was dropped says nothing about what it did.
            AttemptResult::Abandoned => return,
        };
        let Some(state) = self.state.step(step) else {
            return;
        };
        if let (Answer::Success(output), Phase::Succeeded(known)) = (&answer, &state.phase)
            && attempt == state.attempts
            && output == known
        {
            // A reply that was taken, and is handed out again after a crash before its ack.
            return;
        }
        let has_begun_back =
            state.compensation.phase != CompensationPhase::Idle || state.compensation.attempts > 0;
        match (self.state.stage, &state.phase, answer) {
            // Forward, while no other attempt is under way: it did happen, and its key is the same, so it is the success.
            (
                Stage::Running | Stage::ForwardStuck,
                Phase::Backoff { .. } | Phase::Stuck(_) | Phase::Pending,
                Answer::Success(output),
            ) => self.record(Fact::StepSucceeded {
                step: number(step),
                attempt,
                output,
            }),
            (
                Stage::Running | Stage::ForwardStuck,
                Phase::Backoff { .. } | Phase::Stuck(_) | Phase::Pending | Phase::Skipped,
                answer,
            ) => self.note(step, attempt, answer),
            // Another attempt is under way, and decides.
            (Stage::Running | Stage::ForwardStuck, Phase::Started, answer @ Answer::Success(_)) => {
                self.note(step, attempt, answer);
            }
            // While handlers are awaited: it is something to take back, with its output.
            (Stage::Backward, Phase::Failed(_), Answer::Success(output))
                if !self.state.has_compensated() =>
            {
                self.record(Fact::StepSucceeded {
                    step: number(step),
                    attempt,
                    output,
                });
            }
            // Its own compensation has not begun: it gets the output, or is not needed after all.
            (
                Stage::Backward | Stage::Stuck,
                Phase::Started | Phase::Failed(_) | Phase::Skipped,
                answer,
            ) if !has_begun_back => self.note(step, attempt, answer),
            // Its compensation has begun, or the saga is over.
            (Stage::Backward | Stage::Stuck, _, answer @ Answer::Success(_)) if has_begun_back => {
                self.note(step, attempt, answer);
            }
            (Stage::Ended(_), _, answer @ Answer::Success(_)) => self.note(step, attempt, answer),
            // A failure that says nothing new, or a second answer of a step that is done.
            (
                Stage::Queued
                | Stage::Running
                | Stage::ForwardStuck
                | Stage::Backward
                | Stage::Stuck
                | Stage::Ended(_),
                _,
                _,
            ) => {}
        }
    }

    fn note(&mut self, step: usize, attempt: u32, answer: Answer) {
        let (output, effect, error) = match answer {
            Answer::Success(output) => (Some(output), Effect::Unknown, None),
            Answer::Failure(effect, error) => (None, effect, Some(clipped(error))),
        };
        self.record(Fact::LateResult {
            step: number(step),
            attempt,
            output,
            effect,
            error,
        });
    }
}

enum Answer {
    Success(bytes::Bytes),
    Failure(Effect, String),
}
