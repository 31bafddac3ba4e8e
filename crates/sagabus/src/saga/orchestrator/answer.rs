//! Answers of steps that are done outside of this process.

use tokio::sync::oneshot;

use super::operate::{ASKS_MAX, answered, check_json};
use super::{Sagas, closed};
use crate::error::{ErrorKind, Result};
use crate::saga::id::SagaId;
use crate::saga::machine::{self, Answer, Answered, Flight, Input, Stage};
use crate::saga::monitor::SagaStatus;
use crate::saga::remote::StepProgressed;

impl Sagas {
    /// Tells a saga what an attempt did outside of this process, such as one whose handler handed the work on and did not
    /// wait. Returns when it is durable with what follows from it; an answer that comes late, or again, does what the table of
    /// late answers says.
    ///
    /// # Errors
    /// `Fenced` when an orchestrator that was started later has asked again: nothing is stored, and it is counted. `NotFound`
    /// when there is no such saga, step or attempt; `Conflict` when the attempt's handler is at work in this process; `Invalid`
    /// when an output is no JSON; `Full` when too many requests wait; `Closed` after shutdown.
    ///
    /// # Cancel safety
    /// It may be told or not when the future is dropped; repeating is safe.
    pub async fn answer(&self, id: &SagaId, answer: Answer) -> Result<SagaStatus> {
        if let Answered::Step(Ok(output)) = &answer.result {
            check_json("output", output)?;
        }
        let result = self.take_answer(id, answer).await;
        if let Err(error) = &result
            && error.kind() == ErrorKind::Fenced
        {
            tracing::warn!(saga_id = %id, error = %error.chain(), "answer of a saga step is fenced");
            self.0.book().count_fenced();
        }
        result
    }

    /// Takes a sign of life of a handler in another service: its attempt has its time again, and nothing is stored. Fenced as
    /// answers are; of an attempt that nobody waits for it changes nothing.
    pub(in crate::saga) fn heard(&self, id: &SagaId, sign: &StepProgressed) {
        let Ok(saga) = self.0.find(id) else {
            return;
        };
        let found = {
            let state = saga.state();
            let step = state.position_of(&sign.step_id);
            step.and_then(|at| Some((at, state.step(at)?.epoch)))
        };
        match found {
            Some((step, epoch)) if epoch == sign.fence => saga.heard(Flight {
                step,
                attempt: sign.attempt,
            }),
            Some(_) => {
                tracing::warn!(saga_id = %id, step = %sign.step_id.escape_debug(), "sign of life of a saga step is fenced");
                self.0.book().count_fenced();
            }
            None => {}
        }
    }

    async fn take_answer(&self, id: &SagaId, answer: Answer) -> Result<SagaStatus> {
        let saga = self.0.find(id)?;
        for _ in 0..ASKS_MAX {
            let (reply, told) = oneshot::channel();
            let input = Input::Answered(answer.clone());
            let is_to_be_noted = {
                let state = saga.state();
                matches!(state.stage, Stage::Ended(_)) && !state.is_closed()
            };
            if is_to_be_noted {
                self.reopen(&saga, input, reply)?;
            } else {
                saga.inbox.ask(input, reply)?;
            }
            match told.await {
                Ok(told) => return told.map(|()| self.0.status(&saga)),
                Err(_) => {
                    let state = saga.state();
                    if !matches!(state.stage, Stage::Ended(_)) {
                        return Err(closed());
                    }
                    // Nobody looks after a saga that is over and has nothing left to repair.
                    if state.is_closed() {
                        let facts = self.0.facts_at_rest();
                        let refusal = machine::answer_refusal(&state, &facts, &answer);
                        drop(state);
                        return answered(&self.0, &saga, refusal);
                    }
                }
            }
        }
        Err(closed())
    }
}
