//! What a handler is given.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::StepError;
use crate::clock::{Clock, Timestamp};
use crate::event::EventId;
use crate::planted::{self, SagaBug};
use crate::saga::definition::Definition;
use crate::saga::events;
use crate::saga::id::SagaId;
use crate::saga::machine::State;
use crate::saga::record::Cause;

/// What every handler is given, of a step or of a compensation.
#[derive(Clone)]
pub struct CallContext {
    saga: SagaId,
    definition: Definition,
    step: usize,
    attempt: u32,
    input: Bytes,
    /// Outputs of the ancestors, by position.
    outputs: Vec<(usize, Bytes)>,
    correlation_id: Arc<str>,
    causation_id: Option<EventId>,
    deadline: Timestamp,
    cancelled: CancellationToken,
    heartbeat: watch::Sender<()>,
    clock: Arc<dyn Clock>,
}

/// What the shell adds to what the state says.
pub(crate) struct Call {
    pub(crate) step: usize,
    pub(crate) attempt: u32,
    pub(crate) timeout: Duration,
    pub(crate) cancelled: CancellationToken,
    pub(crate) heartbeat: watch::Sender<()>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl CallContext {
    fn new(state: &State, call: Call) -> Self {
        let outputs = state
            .definition()
            .ancestors(call.step)
            .into_iter()
            .filter_map(|step| state.output(step).map(|output| (step, output.clone())))
            .collect();
        Self {
            saga: state.id().clone(),
            definition: state.definition().clone(),
            step: call.step,
            attempt: call.attempt,
            input: state.input().clone(),
            outputs,
            correlation_id: Arc::clone(state.correlation_id()),
            causation_id: events::cause_of_call(state, call.step),
            deadline: call.clock.now().after(call.timeout),
            cancelled: call.cancelled,
            heartbeat: call.heartbeat,
            clock: call.clock,
        }
    }

    fn id_of(&self, step: usize) -> &str {
        let step = self.definition.steps().get(step);
        step.map_or("", |step| step.id.as_str())
    }

    /// The saga.
    #[must_use]
    pub fn saga_id(&self) -> &SagaId {
        &self.saga
    }

    /// The id of the step.
    #[must_use]
    pub fn step_id(&self) -> &str {
        self.id_of(self.step)
    }

    /// The parameters that the definition gives the step.
    #[must_use]
    pub fn data(&self) -> Option<&serde_json::Value> {
        self.definition.steps().get(self.step)?.data.as_ref()
    }

    /// The name of the saga's definition.
    #[must_use]
    pub fn saga_name(&self) -> &str {
        self.definition.name()
    }

    /// The number of this attempt, 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The input that the saga was started with, one JSON value.
    #[must_use]
    pub fn input(&self) -> &Bytes {
        &self.input
    }

    /// The input as `T`.
    ///
    /// # Errors
    /// [`StepError::Reject`] when it does not fit.
    pub fn input_as<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        read(&self.input)
    }

    /// The output of a step that this one depends on, directly or not; none for any other step.
    #[must_use]
    pub fn output(&self, step_id: &str) -> Option<&Bytes> {
        let mut outputs = self.outputs.iter();
        let found = outputs.find(|(step, _)| self.id_of(*step) == step_id);
        found.map(|(_, output)| output)
    }

    /// The output of a step that this one depends on, as `T`.
    ///
    /// # Errors
    /// [`StepError::Reject`] when it does not fit, or when this step does not depend on `step_id`.
    pub fn output_as<T: DeserializeOwned>(&self, step_id: &str) -> Result<T, StepError> {
        match self.output(step_id) {
            Some(output) => read(output),
            None => Err(StepError::Reject(format!(
                "step `{}` has no output of `{step_id}`",
                self.step_id()
            ))),
        }
    }

    /// The input object with the outputs beside its fields, each as `<stepId>_result`. An input that is not an
    /// object stands under `input`.
    ///
    /// # Errors
    /// [`StepError::Reject`] when the input is not JSON.
    pub fn context(&self) -> Result<Bytes, StepError> {
        let mut fields: serde_json::Map<String, serde_json::Value> = match read(&self.input)? {
            serde_json::Value::Object(fields) => fields,
            other => serde_json::Map::from_iter([("input".to_owned(), other)]),
        };
        for (step, output) in &self.outputs {
            fields.insert(format!("{}_result", self.id_of(*step)), read(output)?);
        }
        Ok(serde_json::Value::Object(fields).to_string().into())
    }

    /// Ties the saga to other work.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// The saga event that tells of this call: the cause of what the handler publishes.
    #[must_use]
    pub fn causation_id(&self) -> Option<&EventId> {
        self.causation_id.as_ref()
    }

    /// When the attempt times out.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Fires when the handler is to stop: after its timeout, or when the saga turns back. Whoever does not stop in
    /// time is dropped.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Time and chance.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, StepError> {
    serde_json::from_slice(json)
        .map_err(|error| StepError::Reject(format!("saga context does not fit its type: {error}")))
}

/// What a step's handler is given.
#[derive(Clone, Debug)]
pub struct StepContext {
    call: CallContext,
}

/// What a compensation handler is given.
#[derive(Clone)]
pub struct CompensationContext {
    call: CallContext,
    output: Option<Bytes>,
    effect: EffectClass,
    cause: Option<Cause>,
    reason: Arc<str>,
}

/// What is known of the effect of a step that is to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectClass {
    /// It failed, and certainly had none.
    None,
    /// It succeeded.
    Applied,
    /// It timed out, was cut off, or its handler does not know.
    Unknown,
}

/// What turned a saga back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnedBackBy {
    /// A step failed for good.
    Step(String),
    /// Somebody cancelled it.
    Cancel,
    /// It took longer than its deadline.
    Deadline,
    /// It had not turned back: it was ended as it was, and an operator has the step taken back.
    Operator,
}

impl StepContext {
    pub(crate) fn new(state: &State, call: Call) -> Self {
        Self {
            call: CallContext::new(state, call),
        }
    }

    /// A sign of life, for a step with a [`heartbeat`](crate::saga::Step::heartbeat): without one for so long, the attempt has
    /// timed out.
    pub fn heartbeat(&self) {
        self.call.heartbeat.send_replace(());
    }

    /// The idempotency key of the step: the same for all its attempts, also after a crash.
    #[must_use]
    pub fn key(&self) -> String {
        if planted::in_sagas(SagaBug::KeyChanges) {
            return format!("{}/{}/{}", self.call.saga, self.step_id(), self.attempt());
        }
        format!("{}/{}", self.call.saga, self.step_id())
    }
}

impl CompensationContext {
    pub(crate) fn new(state: &State, call: Call) -> Self {
        let may_have = state.step(call.step).map(|step| step.may_have_had_effect());
        let output = state.compensation_output(call.step).cloned();
        Self {
            effect: match (&output, may_have) {
                (Some(_), _) => EffectClass::Applied,
                (None, Some(true)) => EffectClass::Unknown,
                (None, _) => EffectClass::None,
            },
            output,
            cause: state.turned_back.as_ref().map(|back| back.cause),
            reason: state
                .turned_back
                .as_ref()
                .map_or_else(|| "".into(), |back| Arc::clone(&back.reason)),
            call: CallContext::new(state, call),
        }
    }

    /// The idempotency key of the compensation: the same for all its attempts, also after a crash.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/undo", self.step_key())
    }

    /// The key that the step's own handler was given.
    #[must_use]
    pub fn step_key(&self) -> String {
        format!("{}/{}", self.call.saga, self.step_id())
    }

    /// What the step returned. None: it is not known whether the step happened (timeout, crash), so look before you take
    /// back, and succeed when there is nothing.
    #[must_use]
    pub fn step_output(&self) -> Option<&Bytes> {
        self.output.as_ref()
    }

    /// What the step returned, as `T`; none as for [`CompensationContext::step_output`].
    ///
    /// # Errors
    /// [`StepError::Reject`] when it does not fit.
    pub fn step_output_as<T: DeserializeOwned>(&self) -> Result<Option<T>, StepError> {
        self.output.as_deref().map(read).transpose()
    }

    /// What is known of the step's effect.
    #[must_use]
    pub fn effect(&self) -> EffectClass {
        self.effect
    }

    /// What turned the saga back.
    #[must_use]
    pub fn cause(&self) -> TurnedBackBy {
        match self.cause {
            Some(Cause::Step(step)) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                TurnedBackBy::Step(self.call.id_of(step).to_owned())
            }
            Some(Cause::Cancelled) => TurnedBackBy::Cancel,
            Some(Cause::Deadline | Cause::QueueTimeout) => TurnedBackBy::Deadline,
            None => TurnedBackBy::Operator,
        }
    }

    /// Why the saga turned back, in words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Deref for StepContext {
    type Target = CallContext;

    fn deref(&self) -> &CallContext {
        &self.call
    }
}

impl Deref for CompensationContext {
    type Target = CallContext;

    fn deref(&self) -> &CallContext {
        &self.call
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("saga", &self.saga)
            .field("step", &self.step_id())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CompensationContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompensationContext")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
