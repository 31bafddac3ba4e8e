//! Publishes events and reads them back.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_api::{Reply, broken, respond};
use nanopore::problem::{BODY_BYTES_MAX, Problem};
use sagabus::event::{DATA_BYTES_MAX, envelope};
use sagabus::transport::PAGE_BYTES_MAX;
use sagabus::{Error, Event, Receipt, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::App;
use super::cloud_events::{self, Published, STRUCTURED};
use super::query::{Asked, Parameters, number, pattern};

/// Events of one answer unless said otherwise.
const LIMIT: usize = 100;
/// Most events of one answer.
const LIMIT_MAX: usize = 1000;
/// Events read from the log at once: at most 16 MiB.
const READ_AT_ONCE: usize = 64;
/// Most reads of one request, and most positions of the log that it goes through; `next` goes on from there.
const READS_MAX: usize = 1000;
const POSITIONS_MAX: u64 = 1024 * 1024;

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    /// Type or pattern.
    #[serde(rename = "type")]
    event_type: Option<String>,
    correlation_id: Option<String>,
    subject: Option<String>,
    /// First position.
    from: Option<u64>,
    #[schemars(range(min = 1, max = LIMIT_MAX))]
    limit: Option<usize>,
}

impl Parameters for Wanted {
    const LIMIT_MAX: usize = LIMIT_MAX;
}

/// `POST /api/events`: one event, as a CloudEvent (structured or binary) or in the envelope form; or a batch of
/// CloudEvents, which is stored whole or not at all.
pub(super) async fn publish(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply<Response> {
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => return Ok(too_large()),
        Err(_) => return Err(broken().into()),
    };
    let events = match cloud_events::read(&headers, &body, app.system.clock.as_ref())? {
        Published::One(event) => {
            let receipt = app.system.bus.publish(*event).await?;
            let answer = (created(&[&receipt]), Json(Told::of(&receipt)));
            return Ok(answer.into_response());
        }
        Published::Batch(events) => events,
    };
    for (index, event) in events.iter().enumerate() {
        app.system.bus.check(event).map_err(|error| {
            Error::invalid(format!("event {index} of the batch is not taken")).with_source(error)
        })?;
    }
    let receipts = app.system.bus.publish_batch(events).await?;
    let all: Vec<Told<'_>> = receipts.iter().map(Told::of).collect();
    let status = created(&receipts.iter().collect::<Vec<_>>());
    Ok((status, Json(all)).into_response())
}

/// 201 when something is new.
fn created(receipts: &[&Receipt]) -> StatusCode {
    if receipts.iter().all(|it| it.duplicate) {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    }
}

/// What the answer says of a receipt: of an event that waits, also for what.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Receipt")]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'r> {
    id: &'r str,
    position: u64,
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_key: Option<&'r str>,
}

impl<'r> Told<'r> {
    pub(super) fn of(receipt: &'r Receipt) -> Self {
        let waits = receipt.waits.as_deref();
        Self {
            id: receipt.id.as_str(),
            position: receipt.position,
            duplicate: receipt.duplicate,
            due: waits.map(|it| it.due),
            cancel_key: waits.and_then(|it| it.cancel_key.as_deref()),
        }
    }
}

pub(super) fn too_large() -> Response {
    let mut problem = Problem::from(&Error::invalid(format!(
        "the body has more than {} KiB; `data` of an event may have {} KiB",
        BODY_BYTES_MAX / 1024,
        DATA_BYTES_MAX / 1024
    )));
    problem.status = StatusCode::PAYLOAD_TOO_LARGE.as_u16();
    respond(&problem)
}

/// `GET /api/events`: stored events in order; CloudEvents when the client accepts them.
pub(super) async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    Asked(wanted): Asked<Wanted>,
) -> Reply<Response> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    let pattern = pattern(wanted.event_type.as_deref())?;
    let fits = |event: &Event| {
        pattern
            .as_ref()
            .is_none_or(|it| it.matches(&event.event_type))
            && (wanted.correlation_id.is_none() || wanted.correlation_id == event.correlation_id)
            && (wanted.subject.is_none() || wanted.subject == event.subject)
    };
    let as_cloud_events = accepts_cloud_events(&headers);
    let from = wanted.from.unwrap_or(1);
    let mut part = Part {
        events: Vec::new(),
        next: from,
        is_last: false,
    };
    let mut bytes = 0;
    for _ in 0..READS_MAX {
        let page = app.system.bus.read(part.next, READ_AT_ONCE).await?;
        for (position, event) in &page.events {
            if fits(event) {
                let stored = Stored::new(*position, event, as_cloud_events)?;
                bytes += stored.event.get().len();
                part.events.push(stored);
            }
            part.next = position + 1;
            if part.events.len() == limit || bytes >= PAGE_BYTES_MAX {
                return Ok(Json(part).into_response());
            }
        }
        part.next = page.next;
        part.is_last = page.is_last;
        if part.is_last || part.next.saturating_sub(from) >= POSITIONS_MAX {
            break;
        }
    }
    Ok(Json(part).into_response())
}

/// How one event is shown.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Form {
    Envelope,
    Structured,
    Binary,
}

/// What one event is wanted as; without it, what the client accepts says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    form: Option<Form>,
}

impl Parameters for Shown {}

/// `GET /api/events/{position}`: one stored event; `?form=` is `envelope`, `structured` or `binary`.
pub(super) async fn show(
    State(app): State<App>,
    Path(position): Path<String>,
    Asked(shown): Asked<Shown>,
    headers: HeaderMap,
) -> Reply<Response> {
    let position = number("position", &position)?;
    let page = app.system.bus.read(position, 1).await?;
    let found = page.events.iter().find(|(it, _)| *it == position);
    let Some((_, event)) = found else {
        let text = format!("there is no event at position {position}");
        return Err(Error::not_found(text).into());
    };
    let usual = if accepts_cloud_events(&headers) {
        Form::Structured
    } else {
        Form::Envelope
    };
    let (media_type, body) = match shown.form.unwrap_or(usual) {
        Form::Envelope => ("application/json", envelope::to_json(event)?),
        Form::Structured => (STRUCTURED, envelope::to_cloud_event(event)?),
        Form::Binary => return Ok(cloud_events::to_binary(event)?),
    };
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}

fn accepts_cloud_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accepted| accepted.to_str().ok())
        .flat_map(|accepted| accepted.split(','))
        .filter_map(|accepted| accepted.split(';').next())
        .any(|accepted| accepted.trim().eq_ignore_ascii_case(STRUCTURED))
}

/// A part of the log, which ends with the event that makes it [`PAGE_BYTES_MAX`] long.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "EventPage")]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    events: Vec<Stored>,
    /// Where to read on.
    next: u64,
    is_last: bool,
}

/// An event and its place.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Stored {
    position: u64,
    /// Its payload as received, byte for byte.
    #[schemars(with = "serde_json::Value")]
    event: Box<RawValue>,
}

impl Stored {
    fn new(position: u64, event: &Event, as_cloud_event: bool) -> Result<Self, Error> {
        let bytes = if as_cloud_event {
            envelope::to_cloud_event(event)?
        } else {
            envelope::to_json(event)?
        };
        Ok(Self {
            position,
            event: raw(bytes)?,
        })
    }
}

/// JSON that was just written, to be part of other JSON.
pub(super) fn raw(json: Vec<u8>) -> Result<Box<RawValue>, Error> {
    String::from_utf8(json)
        .map_err(|error| Error::invalid("event is not UTF-8").with_source(error))
        .and_then(|json| {
            RawValue::from_string(json)
                .map_err(|error| Error::invalid("event is not JSON").with_source(error))
        })
}
