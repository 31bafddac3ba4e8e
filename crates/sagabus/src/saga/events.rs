//! The nine events that tell about sagas.
//!
//! They are made from the records and stored with them in one commit, so each is published when it has become true, once: its id comes from the saga and the record, so a repeated append cannot
//! double it.
//!
//! They hold ids, names, states and error texts. The input context and the outputs stay in the log, since both may hold
//! personal data; [`Settings::publish_results`](super::Settings::publish_results) adds the outputs, and
//! [`Options::event_input`](super::Options::event_input) those parts of the input that it names.
//!
//! Every saga has one `saga.started` and at its end one `saga.completed` or one `saga.failed`. A saga that turns back has
//! `saga.compensation_started`, and when all is taken back `saga.compensation_completed` and then `saga.failed`, whose
//! `status` says `compensated` or `cancelled`. A step that fails for good behind the pivot has `saga.step_failed` and nothing
//! follows from it until an operator says how to go on. When taking back fails for good, `saga.compensation_failed` follows; if an
//! operator gives it up, so does `saga.failed` with status `failed`, and `terminated` where the saga was ended as it was. A saga that is cancelled before its turn has only
//! `saga.started` and `saga.failed`.

mod payload;

use std::fmt::Write;

use arrayvec::ArrayString;
use bytes::Bytes;

pub use payload::{
    CompensationCompleted, CompensationFailed, CompensationStarted, SOURCE, SagaCompleted,
    SagaFailed, SagaStarted, StepCompleted, StepFailed, StepStarted,
};

use super::definition::InputParts;
use super::handlers::CompensationContext;
use super::machine::{Direction, Phase, Stage, State, clipped};
use super::monitor::Status;
use super::record::{Cause, Fact, Outcome, Record, Verb};
use super::remote::{self, Elsewhere, StepProgressed, StepReplied, StepRequested, StepStopped};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::trace::{TRACEPARENT, TraceContext};
use crate::event::{Event, EventId, EventType, Payload, check_payload};
use crate::schema::RegistryBuilder;

/// Checks the payload of one type of event; see [`check_payload`].
pub type Check = fn(&[u8]) -> Result<()>;

/// The nine types, each with the check of its payload.
pub const TYPES: [(&str, Check); 9] = [
    of::<SagaStarted>(),
    of::<StepStarted>(),
    of::<StepCompleted>(),
    of::<StepFailed>(),
    of::<SagaCompleted>(),
    of::<SagaFailed>(),
    of::<CompensationStarted>(),
    of::<CompensationCompleted>(),
    of::<CompensationFailed>(),
];

const fn of<P: Payload>() -> (&'static str, Check) {
    (P::TYPE, check_payload::<P>)
}

/// Adds the nine types, and those of steps in other services, to a registry.
#[must_use]
pub fn register(registry: RegistryBuilder) -> RegistryBuilder {
    registry
        .register::<SagaStarted>()
        .register::<StepStarted>()
        .register::<StepCompleted>()
        .register::<StepFailed>()
        .register::<SagaCompleted>()
        .register::<SagaFailed>()
        .register::<CompensationStarted>()
        .register::<CompensationCompleted>()
        .register::<CompensationFailed>()
        .register::<StepRequested>()
        .register::<StepReplied>()
        .register::<StepStopped>()
        .register::<StepProgressed>()
}

/// Largest output that an event carries, in bytes: an event has room for 256 KiB in all.
const RESULT_BYTES_MAX: usize = 128 * 1024;

/// Room for the data of nearly every event without its output.
const DATA_BYTES: usize = 256;
/// Longest id of an event: that of the saga, a dot and the number of a record.
const EVENT_ID_BYTES: usize = super::id::ID_BYTES_MAX + 1 + 20;

/// The events of `records`, which have just been applied and led to `state`.
///
/// # Errors
/// `Invalid` when an event breaks a limit of the envelope.
pub(crate) fn outgoing(
    state: &State,
    records: &[Record],
    publish_results: bool,
    elsewhere: Elsewhere<'_>,
) -> Result<Vec<Event>> {
    let first = state.records - u64::try_from(records.len()).unwrap_or_default();
    // What is too large for events was refused at the start; a definition that took its place meanwhile can name more.
    let input = state.definition().event_input(state.input());
    let mut teller = Teller {
        state,
        trace: state.trace(),
        input: input.unwrap_or_default(),
        publish_results,
        elsewhere,
        events: Vec::with_capacity(records.len()),
    };
    for (position, record) in (first..).zip(records) {
        teller.tell(position, record)?;
    }
    Ok(teller.events)
}

/// The event that tells that the present attempt of `step` began, or for a step on its way back that the saga turned back.
pub(crate) fn cause_of_call(state: &State, step: usize) -> Option<EventId> {
    let record = match &state.turned_back {
        Some(back) => back.record,
        None => state.step(step)?.started_record,
    };
    id(state, record).ok()
}

fn id(state: &State, record: u64) -> Result<EventId> {
    let mut text = ArrayString::<EVENT_ID_BYTES>::new();
    write!(text, "{}.{record}", state.id().as_str())
        .map_err(|error| crate::Error::invalid("saga `id` is too long").with_source(error))?;
    EventId::read(&text)
}

struct Teller<'a> {
    state: &'a State,
    /// The span that the events are published from.
    trace: Option<TraceContext>,
    /// What each event carries of the saga's input.
    input: InputParts,
    publish_results: bool,
    elsewhere: Elsewhere<'a>,
    events: Vec<Event>,
}

impl Teller<'_> {
    fn tell(&mut self, position: u64, record: &Record) -> Result<()> {
        let at = record.at;
        match &record.fact {
            Fact::Created { .. } => self.started(position, at),
            Fact::StepStarted { step, attempt, .. } => {
                let payload = StepStarted {
                    saga_id: self.saga_id(),
                    input: self.input.clone(),
                    saga_name: self.saga_name(),
                    step_id: self.step_id(*step),
                    status: Status::Executing.as_str().to_owned(),
                    attempt: *attempt,
                };
                let cause = self.unlocked_by(*step);
                self.push(&payload, position, at, cause)?;
                self.ask(position, at, *step, false)
            }
            Fact::StepSucceeded {
                step,
                attempt,
                output,
            } => {
                let payload = StepCompleted {
                    saga_id: self.saga_id(),
                    input: self.input.clone(),
                    saga_name: self.saga_name(),
                    step_id: self.step_id(*step),
                    status: self.on_the_way().as_str().to_owned(),
                    attempt: *attempt,
                    duration_ms: self.step_duration(*step, at),
                    result: self.result(output),
                };
                let cause = self.started_record(*step);
                self.push(&payload, position, at, cause)
            }
            Fact::AttemptFailed {
                step,
                attempt,
                error,
                ..
            }
            | Fact::StepFailed {
                step,
                attempt,
                error,
                ..
            }
            | Fact::ForwardStuck {
                step,
                attempt,
                error,
                ..
            } => {
                let payload = StepFailed {
                    saga_id: self.saga_id(),
                    input: self.input.clone(),
                    saga_name: self.saga_name(),
                    step_id: self.step_id(*step),
                    status: self.on_the_way().as_str().to_owned(),
                    attempt: *attempt,
                    error: error.clone(),
                    duration_ms: self.step_duration(*step, at),
                };
                let cause = self.started_record(*step);
                self.push(&payload, position, at, cause)
            }
            Fact::TurnedBack { cause, reason } => self.turned_back(position, at, *cause, reason),
            Fact::CompensationStuck {
                step,
                attempt,
                error,
            } => {
                let payload = CompensationFailed {
                    saga_id: self.saga_id(),
                    input: self.input.clone(),
                    saga_name: self.saga_name(),
                    step_id: self.step_id(*step),
                    status: Status::CompensationStuck.as_str().to_owned(),
                    attempt: *attempt,
                    error: error.clone(),
                };
                let cause = self.turning_record();
                self.push(&payload, position, at, cause)
            }
            Fact::Ended { outcome, error } => self.ended(position, at, *outcome, error),
            Fact::Operated {
                verb: Verb::Complete,
                step: Some(step),
                output: Some(output),
                ..
            } => {
                let own = self.state.step(self::position(*step));
                let payload = StepCompleted {
                    saga_id: self.saga_id(),
                    input: self.input.clone(),
                    saga_name: self.saga_name(),
                    step_id: self.step_id(*step),
                    status: self.on_the_way().as_str().to_owned(),
                    attempt: own.map_or(0, |step| step.attempts),
                    duration_ms: self.step_duration(*step, at),
                    result: self.result(output),
                };
                let cause = self.started_record(*step);
                self.push(&payload, position, at, cause)
            }
            Fact::CompensationStarted { step, .. } => self.ask(position, at, *step, true),
            Fact::CompensationSucceeded { .. }
            | Fact::CompensationAttemptFailed { .. }
            | Fact::CompensationResumed
            | Fact::Operated { .. }
            | Fact::LateResult { .. }
            | Fact::Paused { .. }
            | Fact::Signalled { .. }
            | Fact::Spread { .. }
            | Fact::Migrated { .. }
            | Fact::Begun
            | Fact::Attached { .. }
            | Fact::Closed => Ok(()),
        }
    }

    /// Asks a service elsewhere for the attempt that the record at `position` starts.
    fn ask(&mut self, position: u64, at: Timestamp, step: u32, is_back: bool) -> Result<()> {
        let step = self::position(step);
        let request = remote::step_request(self.state, self.elsewhere, step, is_back, at)?;
        let Some(request) = request else {
            return Ok(());
        };
        let cause = match is_back {
            false => Some(position),
            true => self.turning_record(),
        };
        self.push(&request, position, at, cause)?;
        let direction = match is_back {
            false => Direction::Forward,
            true => Direction::Backward,
        };
        let span = self.state.trace_of(step, direction);
        if let (Some(event), Some(span)) = (self.events.last_mut(), span) {
            // What is done elsewhere follows from the attempt and not from the saga as a whole.
            let span = span.to_string();
            event.metadata.insert(TRACEPARENT.to_owned(), span);
        }
        self.rename_last(format!("{}.{position}.request", self.state.id()))
    }

    /// Tells services elsewhere to stop.
    fn stop(&mut self, position: u64, at: Timestamp) -> Result<()> {
        for (step, stopped) in remote::stops(self.state, self.elsewhere) {
            self.push(&stopped, position, at, Some(position))?;
            self.rename_last(format!("{}.{position}.stop.{step}", self.state.id()))?;
        }
        Ok(())
    }

    /// Of several events of one record, the one that tells of it keeps the plain id.
    fn rename_last(&mut self, id: String) -> Result<()> {
        if let Some(event) = self.events.last_mut() {
            event.id = EventId::new(id)?;
        }
        Ok(())
    }

    fn started(&mut self, position: u64, at: Timestamp) -> Result<()> {
        let status = if self.state.stage == Stage::Queued {
            Status::Queued
        } else {
            Status::Started
        };
        let payload = SagaStarted {
            saga_id: self.saga_id(),
            input: self.input.clone(),
            saga_name: self.saga_name(),
            status: status.as_str().to_owned(),
        };
        self.push(&payload, position, at, None)?;
        if let (Some(event), Some(cause)) = (self.events.last_mut(), self.state.causation_id()) {
            event.causation_id = Some(EventId::new(cause.as_ref())?);
        }
        Ok(())
    }

    fn turned_back(
        &mut self,
        position: u64,
        at: Timestamp,
        cause: Cause,
        reason: &str,
    ) -> Result<()> {
        if !self.state.has_begun() {
            return Ok(());
        }
        let payload = CompensationStarted {
            saga_id: self.saga_id(),
            input: self.input.clone(),
            turned_back_by: Some(CompensationContext::cause_in(self.state)),
            saga_name: self.saga_name(),
            step_id: match cause {
                Cause::Step(step) => Some(self.step_id(step)),
                Cause::Cancelled | Cause::Deadline | Cause::QueueTimeout => None,
            },
            status: Status::Compensating.as_str().to_owned(),
            error: reason.to_owned(),
        };
        let cause = match cause {
            Cause::Step(step) => self.ended_record(step),
            Cause::Cancelled | Cause::Deadline | Cause::QueueTimeout => Some(0),
        };
        self.push(&payload, position, at, cause)?;
        self.stop(position, at)
    }

    fn ended(&mut self, position: u64, at: Timestamp, outcome: Outcome, error: &str) -> Result<()> {
        let status = Status::of_outcome(outcome).as_str().to_owned();
        let duration_ms = milliseconds(at, self.state.started_at());
        if outcome == Outcome::Completed {
            let payload = SagaCompleted {
                saga_id: self.saga_id(),
                input: self.input.clone(),
                saga_name: self.saga_name(),
                status,
                duration_ms,
            };
            let steps = self.state.steps.iter();
            let cause = steps.map(|step| step.ended_record).max();
            return self.push(&payload, position, at, cause);
        }
        let mut cause = self.turning_record().or(Some(0));
        let mut caused_by = None;
        if outcome == Outcome::Failed {
            let stuck = self.state.steps.iter().map(|step| match step.phase {
                Phase::Stuck(_) => step.ended_record,
                _ => step.compensation.stuck_record,
            });
            cause = stuck.max();
        } else if self.state.has_begun() && outcome != Outcome::Terminated {
            let payload = CompensationCompleted {
                saga_id: self.saga_id(),
                input: self.input.clone(),
                turned_back_by: Some(CompensationContext::cause_in(self.state)),
                saga_name: self.saga_name(),
                status: Status::Compensated.as_str().to_owned(),
            };
            self.push(&payload, position, at, cause)?;
            self.rename_last(format!("{}.{position}.compensated", self.state.id()))?;
            caused_by = self.events.last().map(|event| event.id.clone());
        }
        let payload = SagaFailed {
            saga_id: self.saga_id(),
            input: self.input.clone(),
            turned_back_by: Some(CompensationContext::cause_in(self.state)),
            saga_name: self.saga_name(),
            status,
            error: error.to_owned(),
            reason: self.operator_reason(outcome),
            duration_ms,
        };
        self.push(&payload, position, at, cause)?;
        if let (Some(event), Some(_)) = (self.events.last_mut(), &caused_by) {
            event.causation_id = caused_by;
        }
        Ok(())
    }

    /// What the operator said who ended it.
    fn operator_reason(&self, outcome: Outcome) -> Option<String> {
        let is_ended_by_hand = matches!(outcome, Outcome::Failed | Outcome::Terminated);
        let last = self.state.operated.last().filter(|_| is_ended_by_hand)?;
        Some(clipped(last.by.reason.clone()))
    }

    fn push<P: Payload>(
        &mut self,
        payload: &P,
        position: u64,
        at: Timestamp,
        cause: Option<u64>,
    ) -> Result<()> {
        let mut data = Vec::with_capacity(DATA_BYTES);
        serde_json::to_writer(&mut data, payload).map_err(|error| {
            crate::Error::invalid("saga event cannot be written as JSON").with_source(error)
        })?;
        let mut event = Event {
            id: id(self.state, position)?,
            event_type: EventType::known(P::TYPE),
            source: P::SOURCE.into(),
            subject: payload.subject(),
            time: at,
            version: P::VERSION.into(),
            correlation_id: Some(self.state.correlation_id().to_string()),
            causation_id: cause.map(|cause| id(self.state, cause)).transpose()?,
            priority: Default::default(),
            expires_at: None,
            idempotency_key: None,
            metadata: payload
                .attributes()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            data: data.into(),
        };
        if let Some(trace) = &self.trace {
            trace.mark(&mut event);
        }
        event.check_limits()?;
        self.events.push(event);
        Ok(())
    }

    fn saga_id(&self) -> String {
        self.state.id().to_string()
    }

    fn saga_name(&self) -> String {
        self.state.definition().name().to_owned()
    }

    fn step_id(&self, step: u32) -> String {
        self.state.step_id(position(step)).into_owned()
    }

    fn started_record(&self, step: u32) -> Option<u64> {
        let step = self.state.step(position(step))?;
        Some(step.started_record)
    }

    fn ended_record(&self, step: u32) -> Option<u64> {
        Some(self.state.step(position(step))?.ended_record)
    }

    fn turning_record(&self) -> Option<u64> {
        let back = self.state.turned_back.as_ref()?;
        self.state.has_begun().then_some(back.record)
    }

    /// The record that made a step start: the last of its dependencies to succeed, its own failure before a retry, or the
    /// start of the saga.
    fn unlocked_by(&self, step: u32) -> Option<u64> {
        let step = position(step);
        let state = self.state.step(step)?;
        if state.attempts > 1 {
            return Some(state.ended_record);
        }
        if self.state.item(step).is_some() {
            // The list that it is an item of.
            return Some(self.state.step(self.state.origin(step))?.started_record);
        }
        let dependencies = self.state.dependencies(step);
        let dependencies = dependencies.iter().filter_map(|&at| self.state.step(at));
        Some(
            dependencies
                .map(|step| step.ended_record)
                .max()
                .unwrap_or(0),
        )
    }

    /// What a saga does that has not ended.
    fn on_the_way(&self) -> Status {
        if self.state.turned_back.is_some() {
            Status::Compensating
        } else {
            Status::Executing
        }
    }

    fn step_duration(&self, step: u32, at: Timestamp) -> u64 {
        let state = self.state.step(position(step));
        let began = state.and_then(|state| state.attempt_at);
        began.map_or(0, |began| milliseconds(at, began))
    }

    fn result(&self, output: &Bytes) -> Option<serde_json::Value> {
        if !self.publish_results || output.len() > RESULT_BYTES_MAX {
            return None;
        }
        // Written again, it may be longer: `1e5` becomes `100000.0`.
        let result: serde_json::Value = serde_json::from_slice(output).ok()?;
        (result.to_string().len() <= RESULT_BYTES_MAX).then_some(result)
    }
}

fn position(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

fn milliseconds(later: Timestamp, earlier: Timestamp) -> u64 {
    u64::try_from(later.since(earlier).as_millis()).unwrap_or(u64::MAX)
}
