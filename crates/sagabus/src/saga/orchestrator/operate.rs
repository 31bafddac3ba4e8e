//! What operators do to sagas: each is durable before it is answered.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::saga::Saga;
use super::worker::Worker;
use super::{Sagas, Shared, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::event::strict;
use crate::event::{ATTRIBUTE_BYTES_MAX, DATA_BYTES_MAX};
use crate::ledger::By;
use crate::saga::definition::Definition;
use crate::saga::id::SagaId;
use crate::saga::machine::{
    self, Action, Approval, Facts, InFlight, Input, Operation, Refusal, Room, Signal, Stage,
    clipped,
};
use crate::saga::monitor::SagaStatus;
use crate::text::check_visible;

/// What is answered where nothing is done: the saga as it is, or why what was asked for does not fit it.
pub(super) fn answered(
    shared: &Shared,
    saga: &Saga,
    refusal: Option<Refusal>,
) -> Result<SagaStatus> {
    match refusal {
        None => Ok(shared.status(saga)),
        Some(refusal) => Err(refused(&saga.id, refusal)),
    }
}

pub(super) fn refused(saga: &SagaId, Refusal { kind, text }: Refusal) -> Error {
    Error::new(kind, format!("saga `{saga}` stays as it is: {text}"))
}

impl Shared {
    /// What the rules must know where nobody is at work on a saga.
    pub(super) fn facts_at_rest(&self) -> Facts<'_> {
        Facts {
            now: self.clock.now(),
            dispatch: false,
            in_flight: &[],
            compensating: &[],
            missing: &[],
            missing_compensations: &[],
            elsewhere: &[],
            elsewhere_compensations: &[],
            room: Room::default(),
            epoch: self.epoch,
            settings: &self.settings,
        }
    }
}

/// How often a request is put again to a saga whose task ends just then.
pub(super) const ASKS_MAX: usize = 8;

impl Sagas {
    /// Does something to a saga, as an operator. Returns when it is durable, with the status reached. What finds its effect
    /// done changes nothing.
    ///
    /// # Errors
    /// `NotFound` when there is no such saga or step; `Conflict` when it does not fit where the saga stands; `Invalid` when
    /// `by` is too long or an output is no JSON; `Full` when there is no room for an output or too many requests wait;
    /// `Closed` after shutdown.
    ///
    /// # Cancel safety
    /// It may be done or not when the future is dropped; repeating is safe.
    pub async fn operate(&self, id: &SagaId, action: Action, by: By) -> Result<SagaStatus> {
        by.check()?;
        if let Action::Complete { output, .. } = &action {
            check_json("output", output)?;
        }
        let operation = Operation { action, by };
        let saga = self.0.find(id)?;
        for _ in 0..ASKS_MAX {
            let (reply, answer) = oneshot::channel();
            let input = Input::Operate(operation.clone());
            let is_over = matches!(saga.state().stage, Stage::Ended(_));
            if is_over && matches!(operation.action, Action::Recompensate { .. }) {
                self.reopen(&saga, input, reply)?;
            } else {
                saga.inbox.ask(input, reply)?;
            }
            match answer.await {
                Ok(answer) => return answer.map(|()| self.0.status(&saga)),
                // Nobody answers for a saga that is over: what is asked of it is done already, or does not fit. Only to
                // compensate again is done then too, by somebody who is started for it.
                Err(_) if matches!(saga.state().stage, Stage::Ended(_)) => {
                    if !matches!(operation.action, Action::Recompensate { .. }) {
                        let facts = self.0.facts_at_rest();
                        let refusal = machine::refusal(&saga.state(), &facts, &operation);
                        return answered(&self.0, &saga, refusal);
                    }
                }
                Err(_) => return Err(closed()),
            }
        }
        Err(closed())
    }

    /// Asks for something of a saga that is over and has no task any more.
    pub(super) fn reopen(
        &self,
        saga: &Arc<Saga>,
        input: Input,
        reply: oneshot::Sender<Result<()>>,
    ) -> Result<()> {
        // With the book locked, so that it does not leave the memory, and the orchestrator does not close, in between.
        let book = self.0.book();
        if self.0.closing.is_cancelled() {
            return Err(closed());
        }
        if book.find(&saga.id).is_none() {
            return Err(Error::not_found(format!("saga `{}` is not known", saga.id)));
        }
        if saga.inbox.reopen(input, reply)? {
            let worker = Worker::new(Arc::clone(&self.0), Arc::clone(saga));
            self.0.tracker.spawn(worker.repair());
        }
        Ok(())
    }

    /// Tells a saga something that a step waits for, or will: the first of a name wins, and is durable with what follows from
    /// it when this returns. Given again with its key it is the same.
    ///
    /// # Errors
    /// `NotFound` when there is no such saga, or no step of it waits for that name; `Conflict` when the name was answered
    /// already, the step or the saga is over, or somebody in another role is asked; `Invalid` when the payload is no JSON or a
    /// text is too long; `Full` when there is no room for it; `Closed` after shutdown.
    ///
    /// # Cancel safety
    /// It may be told or not when the future is dropped; a key makes repeating safe.
    pub async fn signal(&self, id: &SagaId, signal: Signal) -> Result<SagaStatus> {
        signal.by.check()?;
        check_json("payload", &signal.payload)?;
        if let Some(key) = &signal.key {
            if !(1..=ATTRIBUTE_BYTES_MAX).contains(&key.len()) {
                return Err(Error::invalid(format!(
                    "`key` must have 1 to {ATTRIBUTE_BYTES_MAX} bytes"
                )));
            }
            check_visible("key", key)?;
        }
        let saga = self.0.find(id)?;
        let (reply, answer) = oneshot::channel();
        saga.inbox.ask(Input::Signal(signal.clone()), reply)?;
        match answer.await {
            Ok(answer) => answer.map(|()| self.0.status(&saga)),
            Err(_) if matches!(saga.state().stage, Stage::Ended(_)) => {
                let refusal = machine::signal_refusal(&saga.state(), &signal);
                answered(&self.0, &saga, refusal)
            }
            Err(_) => Err(closed()),
        }
    }

    /// Says yes or no for the person that a step asks. The caller has checked that they are who they say, and have the role.
    ///
    /// # Errors
    /// As [`Sagas::signal`].
    ///
    /// # Cancel safety
    /// As [`Sagas::signal`].
    pub async fn approve(
        &self,
        id: &SagaId,
        step: &str,
        approval: Approval,
        by: By,
    ) -> Result<SagaStatus> {
        let payload = serde_json::json!({
            "approved": approval.approved,
            "by": by.author,
            "reason": by.reason,
            "role": approval.role,
        });
        // The same answer of the same person is the same.
        let key = format!("{}/{}", approval.approved, by.author);
        let signal = Signal {
            name: step.to_owned(),
            key: Some(key),
            payload: payload.to_string().into(),
            by,
            approval: Some(approval),
        };
        self.signal(id, signal).await
    }

    /// Takes a saga back. Returns when that decision is durable, with the status reached; [`Sagas::wait`] sees the end.
    ///
    /// Handlers in flight are told to stop and awaited for a while. What they did is recorded truthfully and taken back. A
    /// saga that has already turned back or is over stays as it is. A longer reason than is stored is cut.
    ///
    /// # Errors
    /// As [`Sagas::operate`]; `Conflict` when the saga has passed its pivot.
    ///
    /// # Cancel safety
    /// The saga may be cancelled or not when the future is dropped; repeating is safe.
    pub async fn cancel(&self, id: &SagaId, reason: impl Into<String>) -> Result<SagaStatus> {
        let in_flight = InFlight::default();
        let by = By::new("", &clipped(reason.into()));
        self.operate(id, Action::Cancel { in_flight }, by).await
    }

    /// Tries all that is stuck again, with a new series of attempts.
    ///
    /// # Errors
    /// As [`Sagas::operate`]; `Conflict` when nothing of the saga is stuck.
    ///
    /// # Cancel safety
    /// It may have been asked for or not when the future is dropped.
    pub async fn retry_compensation(&self, id: &SagaId) -> Result<SagaStatus> {
        let action = Action::Retry { step: None };
        self.operate(id, action, By::default()).await
    }

    /// Gives up a stuck saga: it ends as failed, with work that is not done or effects that are not taken back.
    ///
    /// # Errors
    /// As [`Sagas::operate`]; `Conflict` when nothing of the saga is stuck.
    ///
    /// # Cancel safety
    /// It may have been asked for or not when the future is dropped.
    pub async fn abandon(&self, id: &SagaId, reason: impl Into<String>) -> Result<SagaStatus> {
        let by = By::new("", &clipped(reason.into()));
        self.operate(id, Action::Abandon, by).await
    }

    /// Lets a paused saga go on: what was cut off is run again with its key. A saga is paused by [`Action::Pause`], or when the
    /// end of the process has cut it off again and again without progress, since then a step of it may be what ends the
    /// process. [`Sagas::cancel`] takes a paused saga back instead.
    ///
    /// # Errors
    /// As [`Sagas::operate`]; `Conflict` when the saga is not paused.
    ///
    /// # Cancel safety
    /// It may have been asked for or not when the future is dropped.
    pub async fn resume(&self, id: &SagaId, by: By) -> Result<SagaStatus> {
        self.operate(id, Action::Resume, by).await
    }

    /// Lets a saga in flight go on with another definition, where all that it has begun is the same in both: its steps keep
    /// where they stand, by their ids. It waits for its turn, is paused with nothing of it in flight, or is stuck behind its
    /// pivot. The definition that it has already changes nothing. Returns when it is durable, with who and why.
    ///
    /// # Errors
    /// As [`Sagas::operate`]; `Invalid` when a step of the definition has no handler; `Conflict`, with a [`Misfit`](crate::saga::machine::Misfit) as its
    /// source that names the step, when the definition does not fit.
    ///
    /// # Cancel safety
    /// It may be done or not when the future is dropped; repeating is safe.
    pub async fn migrate(
        &self,
        id: &SagaId,
        definition: &Definition,
        by: By,
    ) -> Result<SagaStatus> {
        self.0.handlers.bind(definition)?;
        let saga = self.0.find(id)?;
        let misfit = {
            let state = saga.state();
            let is_over = state.turned_back.is_some() || matches!(state.stage, Stage::Ended(_));
            state.misfit(definition).filter(|_| !is_over)
        };
        if let Some(misfit) = misfit {
            let text = format!("saga `{id}` stays as it is: its definition does not fit");
            return Err(Error::new(ErrorKind::Conflict, text).with_source(misfit));
        }
        let definition = definition.clone();
        self.operate(id, Action::Migrate { definition }, by).await
    }
}

pub(super) fn check_json(field: &str, json: &Bytes) -> Result<()> {
    if json.len() > DATA_BYTES_MAX {
        return Err(Error::invalid(format!(
            "`{field}` has {} bytes, more than {DATA_BYTES_MAX}",
            json.len()
        )));
    }
    strict::check(field, json)
}
