//! What a service is asked, from the state of a saga.

use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::payload::{StepRequested, StepStopped, TakeBack};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::DATA_BYTES_MAX;
use crate::planted::{self, SagaBug};
use crate::saga::handlers::CompensationContext;
use crate::saga::machine::{Phase, State};
use crate::saga::settings::Settings;

/// Room in a request for what is not the data that a handler is given: names, ids and a reason of 1,000 bytes, written as JSON.
const REST_BYTES_MAX: usize = 16 * 1024;

/// The steps of a definition that are done in other services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elsewhere<'a> {
    /// Positions of those whose handler is elsewhere.
    pub(crate) steps: &'a [usize],
    /// Positions of those whose compensation is.
    pub(crate) compensations: &'a [usize],
    /// How long an attempt may take where the definition does not say, and how long its handler may go on then.
    pub(crate) settings: &'a Settings,
}

/// Most bytes of what a handler in another service is given, so that it fits into one event.
pub(crate) fn request_bytes_max() -> usize {
    DATA_BYTES_MAX - REST_BYTES_MAX
}

/// Bytes of what the handler of the step at `position` is given.
pub(crate) fn given_bytes(state: &State, position: usize) -> usize {
    let origin = state.origin(position);
    let outputs = state
        .definition()
        .ancestors(origin)
        .into_iter()
        .map(|step| {
            // With the id, quotes, colon and comma.
            let id_bytes = state.step_id(step).len() + 4;
            state.output(step).map_or(0, |it| it.len() + id_bytes)
        });
    let data = state.step_of(position).and_then(|step| step.data.as_ref());
    let data_bytes = data.map_or(0, |data| data.to_string().len());
    let item_bytes = state.item(position).map_or(0, Bytes::len);
    state.input().len() + item_bytes + data_bytes + outputs.sum::<usize>()
}

/// What the service of the step at `position` is asked, if it is elsewhere and what it is given fits.
pub(crate) fn step_request(
    state: &State,
    elsewhere: Elsewhere<'_>,
    position: usize,
    is_compensation: bool,
    at: Timestamp,
) -> Result<Option<StepRequested>> {
    let origin = state.origin(position);
    if state.is_list(position) || planted::in_sagas(SagaBug::RequestForgotten) {
        // Its items are asked for.
        return Ok(None);
    }
    let chosen = match is_compensation {
        true => elsewhere.compensations,
        false => elsewhere.steps,
    };
    let Some((step, own)) = state.step_of(position).zip(state.step(position)) else {
        return Ok(None);
    };
    if !chosen.contains(&origin) || given_bytes(state, position) > request_bytes_max() {
        return Ok(None);
    }
    // Only what does a step gives signs of life.
    let heartbeat = step.heartbeat.filter(|_| !is_compensation);
    let (action, attempt, fence, limit) = match is_compensation {
        false => (&step.action, own.attempts, own.epoch, step.timeout),
        true => (
            step.compensation_action.as_ref().unwrap_or(&step.action),
            own.compensation.attempts,
            own.compensation.epoch,
            step.compensation_timeout.or(step.timeout),
        ),
    };
    let outputs = state.definition().ancestors(origin).into_iter();
    let outputs = outputs.filter_map(|step| Some((step, state.output(step)?)));
    let outputs =
        outputs.map(|(step, output)| Ok((state.step_id(step).into_owned(), raw(output)?)));
    Ok(Some(StepRequested {
        saga_id: state.id().to_string(),
        saga_name: state.definition().name().to_owned(),
        step_id: state.step_id(position).into_owned(),
        service: step.service.clone(),
        action: action.clone(),
        version: step.version,
        attempt,
        fence,
        deadline: at.after(limit.unwrap_or(elsewhere.settings.step_timeout)),
        grace_ms: Some(milliseconds(elsewhere.settings.abort_grace)),
        heartbeat_ms: heartbeat.map(milliseconds),
        input: raw(state.input())?,
        item: state.item(position).map(raw).transpose()?,
        data: step.data.clone(),
        outputs: outputs.collect::<Result<_>>()?,
        compensation: match is_compensation {
            true => Some(take_back(state, position)?),
            false => None,
        },
    }))
}

fn take_back(state: &State, position: usize) -> Result<TakeBack> {
    Ok(TakeBack {
        output: state.compensation_output(position).map(raw).transpose()?,
        effect: CompensationContext::effect_in(state, position),
        cause: CompensationContext::cause_in(state),
        reason: CompensationContext::reason_in(state).to_string(),
    })
}

/// Who is told to stop when the saga turns back.
pub(crate) fn stops(state: &State, elsewhere: Elsewhere<'_>) -> Vec<(usize, StepStopped)> {
    let steps = state.steps.iter().enumerate();
    let at_work = steps.filter(|(at, own)| {
        let is_asked = own.phase == Phase::Started && !state.is_list(*at);
        is_asked && elsewhere.steps.contains(&state.origin(*at))
    });
    let told = at_work.filter_map(|(at, own)| {
        let stopped = StepStopped {
            saga_id: state.id().to_string(),
            step_id: state.step_id(at).into_owned(),
            service: state.step_of(at)?.service.clone(),
            attempt: own.attempts,
            grace_ms: Some(milliseconds(elsewhere.settings.drain_grace)),
        };
        Some((at, stopped))
    });
    told.collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// JSON that was checked when it was taken in.
fn raw(json: &Bytes) -> Result<Box<RawValue>> {
    serde_json::from_slice(json)
        .map_err(|error| Error::invalid("data of a saga is not JSON").with_source(error))
}
