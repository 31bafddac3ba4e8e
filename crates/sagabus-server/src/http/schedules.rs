//! Events that are published later: schedule, list, cancel, give another time.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_api::{Reply, Sent, broken};
use sagabus::event::{envelope, whole_number};
use sagabus::transport::{PAGE_BYTES_MAX, SCHEDULES_MAX, ScheduledEvent};
use sagabus::{Error, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::App;
use super::cloud_events::{self, Published};
use super::events::{Told, raw, too_large};
use super::query::{Asked, Parameters};

/// Scheduled events of one answer unless said otherwise.
const LIMIT: usize = 100;

/// Scheduled events read at once: at most 8 MiB.
const READ_AT_ONCE: usize = 32;

/// When, and under which key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct When {
    due: Timestamp,
    cancel_key: Option<String>,
}

/// Which ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    /// `next` of the page before.
    after: Option<String>,
    #[schemars(range(min = 1, max = SCHEDULES_MAX))]
    limit: Option<usize>,
}

impl Parameters for When {}

impl Parameters for Wanted {
    const LIMIT_MAX: usize = SCHEDULES_MAX;
}

/// Another time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Move {
    due: Timestamp,
}

/// Some of all scheduled events.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "SchedulePage")]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    /// Of all.
    total: usize,
    schedules: Vec<Listed>,
    /// To be given as `after`; null at the end.
    next: Option<String>,
}

/// One of them.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    position: u64,
    due: Timestamp,
    cancel_key: Option<String>,
    #[schemars(with = "serde_json::Value")]
    event: Box<RawValue>,
}

impl Listed {
    fn new(scheduled: ScheduledEvent) -> Result<Self, Error> {
        Ok(Self {
            position: scheduled.position,
            due: scheduled.due,
            cancel_key: scheduled.cancel_key,
            event: raw(envelope::to_json(&scheduled.event)?)?,
        })
    }
}

/// `POST /api/schedules?due=…&cancelKey=…`: one event, in the forms of `POST /api/events`, to be published at `due`.
pub(super) async fn set(
    State(app): State<App>,
    Asked(when): Asked<When>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply<Response> {
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => return Ok(too_large()),
        Err(_) => return Err(broken().into()),
    };
    let event = match cloud_events::read(&headers, &body, app.system.clock.as_ref())? {
        Published::One(event) => *event,
        Published::Batch(_) => {
            return Err(Error::invalid("events are scheduled one at a time").into());
        }
    };
    let bus = &app.system.bus;
    let receipt = bus
        .publish_at(event, when.due, when.cancel_key.as_deref())
        .await?;
    let status = if receipt.duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(Told::of(&receipt))).into_response())
}

/// `GET /api/schedules`: what is to be published, in the order of its times.
pub(super) async fn list(
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Reply<Json<Part>> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    let mut after = wanted.after.as_deref().map(read_place).transpose()?;
    let schedules = app.system.bus.schedules();
    let (mut listed, mut bytes, mut is_last) = (Vec::new(), 0, false);
    // In pieces, so that those of a page that ends before are not read.
    while listed.len() < limit && bytes < PAGE_BYTES_MAX && !is_last {
        let wanted = READ_AT_ONCE.min(limit - listed.len());
        let read = schedules.list(after, wanted).await?;
        is_last = read.len() < wanted;
        for scheduled in read {
            if bytes >= PAGE_BYTES_MAX {
                is_last = false;
                break;
            }
            after = Some((scheduled.due, scheduled.position));
            let shown = Listed::new(scheduled)?;
            bytes += shown.event.get().len();
            listed.push(shown);
        }
    }
    Ok(Json(Part {
        total: schedules.count(),
        schedules: listed,
        next: after.filter(|_| !is_last).map(place),
    }))
}

/// `DELETE /api/schedules/{cancelKey}`: it is not published.
pub(super) async fn cancel(
    State(app): State<App>,
    key: Result<Path<String>, PathRejection>,
) -> Reply<Json<Value>> {
    let Path(key) = key.map_err(|error| Error::invalid(error.body_text()))?;
    if !app.system.bus.schedules().cancel(&key).await? {
        return Err(nothing(&key).into());
    }
    Ok(Json(json!({ "cancelKey": key, "cancelled": true })))
}

/// `POST /api/schedules/{cancelKey}/move`: it is published at another time.
pub(super) async fn move_to(
    State(app): State<App>,
    key: Result<Path<String>, PathRejection>,
    Sent(order): Sent<Move>,
) -> Reply<Json<Value>> {
    let Path(key) = key.map_err(|error| Error::invalid(error.body_text()))?;
    if !app.system.bus.schedules().move_to(&key, order.due).await? {
        return Err(nothing(&key).into());
    }
    Ok(Json(json!({ "cancelKey": key, "due": order.due })))
}

fn nothing(key: &str) -> Error {
    Error::not_found(format!(
        "nothing is scheduled under `{}`; it may be published already",
        key.escape_debug()
    ))
}

/// Where a page ended, as text.
fn place((due, position): (Timestamp, u64)) -> String {
    format!("{}/{position}", due.milliseconds())
}

fn read_place(text: &str) -> Result<(Timestamp, u64), Error> {
    let place = text.split_once('/').and_then(|(due, position)| {
        let due = i64::try_from(whole_number(due)?).ok()?;
        Some((Timestamp::from_milliseconds(due), whole_number(position)?))
    });
    place.ok_or_else(|| Error::invalid("`after` must be `next` of the page before"))
}
