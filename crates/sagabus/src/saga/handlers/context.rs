//! What a handler is given.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::StepError;
use crate::clock::{Clock, Timestamp};
use crate::event::EventId;
use crate::event::trace::TraceContext;
use crate::planted::{self, SagaBug};
use crate::saga::events;
use crate::saga::id::SagaId;
use crate::saga::machine::State;
use crate::saga::record::Cause;
use crate::saga::remote::{StepRequested, TakeBack};

/// What every handler is given, of a step or of a compensation.
#[derive(Clone)]
pub struct CallContext {
    saga: SagaId,
    saga_name: Arc<str>,
    step_id: Arc<str>,
    data: Option<serde_json::Value>,
    item: Option<Bytes>,
    attempt: u32,
    fence: u64,
    input: Bytes,
    /// Outputs of the ancestors, by their ids.
    outputs: Vec<(String, Bytes)>,
    correlation_id: Arc<str>,
    causation_id: Option<EventId>,
    trace: Option<TraceContext>,
    deadline: Timestamp,
    cancelled: CancellationToken,
    /// Where signs of life go, if they are waited for.
    heartbeat: Option<watch::Sender<()>>,
    clock: Arc<dyn Clock>,
}

/// What the shell adds to what the state says.
pub(crate) struct Call {
    pub(crate) step: usize,
    pub(crate) attempt: u32,
    pub(crate) epoch: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) timeout: Duration,
    pub(crate) cancelled: CancellationToken,
    pub(crate) heartbeat: Option<watch::Sender<()>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a service adds to what it is asked.
pub(crate) struct Served<'a> {
    pub(crate) causation_id: EventId,
    pub(crate) correlation_id: &'a str,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) cancelled: CancellationToken,
    pub(crate) heartbeat: Option<watch::Sender<()>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl CallContext {
    fn new(state: &State, call: Call) -> Self {
        let step = state.origin(call.step);
        let outputs = state
            .definition()
            .ancestors(step)
            .into_iter()
            .filter_map(|step| {
                Some((
                    state.step_id(step).into_owned(),
                    state.output(step)?.clone(),
                ))
            })
            .collect();
        Self {
            saga: state.id().clone(),
            saga_name: state.definition().name().into(),
            data: state.step_of(call.step).and_then(|step| step.data.clone()),
            step_id: state.step_id(call.step).into(),
            item: state.item(call.step).cloned(),
            attempt: call.attempt,
            fence: call.epoch,
            input: state.input().clone(),
            outputs,
            correlation_id: Arc::clone(state.correlation_id()),
            causation_id: events::cause_of_call(state, call.step),
            trace: call.trace,
            deadline: call.clock.now().after(call.timeout),
            cancelled: call.cancelled,
            heartbeat: call.heartbeat,
            clock: call.clock,
        }
    }

    /// As an orchestrator elsewhere asks.
    pub(crate) fn asked(request: &StepRequested, served: Served<'_>) -> Result<Self, StepError> {
        let unfit = |error: crate::Error| StepError::Reject(error.chain());
        let outputs = request.outputs.iter();
        let outputs = outputs.map(|(step, output)| (step.clone(), bytes(output)));
        Ok(Self {
            saga: request.saga_id.parse().map_err(unfit)?,
            saga_name: request.saga_name.as_str().into(),
            step_id: request.step_id.as_str().into(),
            data: request.data.clone(),
            item: request.item.as_deref().map(bytes),
            attempt: request.attempt,
            fence: request.fence,
            input: bytes(&request.input),
            outputs: outputs.collect(),
            correlation_id: served.correlation_id.into(),
            causation_id: Some(served.causation_id),
            trace: served.trace,
            deadline: request.deadline,
            cancelled: served.cancelled,
            heartbeat: served.heartbeat,
            clock: served.clock,
        })
    }

    /// Says in the logs of a handler which attempt of which step of which saga it is.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            "saga step",
            saga_id = %self.saga,
            step_id = %self.step_id,
            attempt = self.attempt,
            traceparent = self.trace.map(tracing::field::display),
        )
    }

    /// The saga.
    #[must_use]
    pub fn saga_id(&self) -> &SagaId {
        &self.saga
    }

    /// The id of the step. Done for an item of a list, it has the item's number behind it, such as `measure[0]`.
    #[must_use]
    pub fn step_id(&self) -> &str {
        &self.step_id
    }

    /// The item that the step is done for, one JSON value; none where it is not done for each item of a list.
    #[must_use]
    pub fn item(&self) -> Option<&Bytes> {
        self.item.as_ref()
    }

    /// The item that the step is done for, as `T`.
    ///
    /// # Errors
    /// [`StepError::Reject`] when it does not fit, or when there is none.
    pub fn item_as<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        match &self.item {
            Some(item) => read(item),
            None => Err(StepError::Reject(format!(
                "step `{}` is not done for each item of a list",
                self.step_id
            ))),
        }
    }

    /// The parameters that the definition gives the step.
    #[must_use]
    pub fn data(&self) -> Option<&serde_json::Value> {
        self.data.as_ref()
    }

    /// The name of the saga's definition.
    #[must_use]
    pub fn saga_name(&self) -> &str {
        &self.saga_name
    }

    /// The number of this attempt, 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The fencing token of this call: it never falls, and grows when the orchestrator is started again. Whoever keeps the
    /// highest it has seen for a [`StepContext::key`] can refuse a call that was overtaken.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
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
        let found = outputs.find(|(step, _)| step == step_id);
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
            fields.insert(format!("{step}_result"), read(output)?);
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

    /// The span of this attempt: of the trace that the saga was started in, and another one for each attempt. None where the
    /// saga belongs to no trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace
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

fn bytes(json: &RawValue) -> Bytes {
    Bytes::copy_from_slice(json.get().as_bytes())
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
    cause: TurnedBackBy,
    reason: Arc<str>,
}

/// What is known of the effect of a step that is to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// It failed, and certainly had none.
    None,
    /// It succeeded.
    Applied,
    /// It timed out, was cut off, or its handler does not know.
    Unknown,
}

/// What turned a saga back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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

    pub(crate) fn asked(call: CallContext) -> Self {
        Self { call }
    }

    /// A sign of life, for a step with a [`heartbeat`](crate::saga::Step::heartbeat): without one for so long, the attempt has
    /// timed out. It may be given as often as one likes; from another service some of them are sent, enough to be heard of.
    pub fn heartbeat(&self) {
        if let Some(heartbeat) = &self.call.heartbeat {
            heartbeat.send_replace(());
        }
    }

    /// The idempotency key of the step: the same for all its attempts, also after a crash.
    #[must_use]
    pub fn key(&self) -> String {
        if planted::in_sagas(SagaBug::KeyChanges) {
            return format!("{}/{}/{}", self.call.saga, self.step_id(), self.attempt());
        }
        if planted::in_sagas(SagaBug::ItemKeysShared) {
            let step_id = self.step_id().split('[').next().unwrap_or_default();
            return format!("{}/{step_id}", self.call.saga);
        }
        format!("{}/{}", self.call.saga, self.step_id())
    }
}

impl CompensationContext {
    pub(crate) fn new(state: &State, call: Call) -> Self {
        Self {
            effect: Self::effect_in(state, call.step),
            output: state.compensation_output(call.step).cloned(),
            cause: Self::cause_in(state),
            reason: Self::reason_in(state),
            call: CallContext::new(state, call),
        }
    }

    /// As an orchestrator elsewhere asks.
    pub(crate) fn asked(call: CallContext, back: &TakeBack) -> Self {
        Self {
            call,
            output: back.output.as_deref().map(bytes),
            effect: back.effect,
            cause: back.cause.clone(),
            reason: back.reason.as_str().into(),
        }
    }

    pub(crate) fn effect_in(state: &State, step: usize) -> EffectClass {
        let may_have = state.step(step).map(|step| step.may_have_had_effect());
        match (state.compensation_output(step), may_have) {
            (Some(_), _) => EffectClass::Applied,
            (None, Some(true)) => EffectClass::Unknown,
            (None, _) => EffectClass::None,
        }
    }

    pub(crate) fn cause_in(state: &State) -> TurnedBackBy {
        match state.turned_back.as_ref().map(|back| back.cause) {
            Some(Cause::Step(step)) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                TurnedBackBy::Step(state.step_id(step).into_owned())
            }
            Some(Cause::Cancelled) => TurnedBackBy::Cancel,
            Some(Cause::Deadline | Cause::QueueTimeout) => TurnedBackBy::Deadline,
            None => TurnedBackBy::Operator,
        }
    }

    pub(crate) fn reason_in(state: &State) -> Arc<str> {
        let back = state.turned_back.as_ref();
        back.map_or_else(|| "".into(), |back| Arc::clone(&back.reason))
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
        self.cause.clone()
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
