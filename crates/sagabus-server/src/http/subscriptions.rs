//! Subscriptions: where their deliveries are, pausing and removing them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http_api::{Reply, Sent};
use sagabus::ledger::{By, REPAIRS_MAX};
use sagabus::transport::{PauseUntil, RepairQuery};
use sagabus::{Error, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::query::{Asked, Parameters};
use super::request::by;
use crate::wire;

/// Who pauses or resumes, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    reason: Option<String>,
    /// A pause ends by itself at this time.
    until: Option<Timestamp>,
}

/// Repairs of one answer unless said otherwise.
const REPAIRS: usize = 100;

/// Which repairs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Repairs {
    position: Option<u64>,
    /// `next` of the page before.
    before: Option<u64>,
    #[schemars(range(min = 1, max = REPAIRS_MAX))]
    limit: Option<usize>,
}

impl Parameters for Repairs {
    const LIMIT_MAX: usize = REPAIRS_MAX;
}

/// `GET /api/subscriptions/{name}/repairs`: who redrove, revised, skipped or discarded what, and why, the latest first.
pub(super) async fn repairs(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    Asked(wanted): Asked<Repairs>,
) -> Reply<Json<Value>> {
    let Path(name) = name.map_err(|error| Error::invalid(error.body_text()))?;
    let max = wanted.limit.unwrap_or(REPAIRS);
    let query = RepairQuery {
        position: wanted.position,
        before: wanted.before,
        max,
    };
    let found = app.system.bus.ledgers().repairs(&name, &query)?;
    let next = found.last().filter(|_| found.len() == max);
    let next = next.map(|it| it.number);
    let repairs: Vec<Value> = found.iter().map(wire::repaired).collect();
    Ok(Json(json!({ "repairs": repairs, "next": next })))
}

/// `GET /api/subscriptions`: all, also those that do not run.
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let views = app.system.bus.ledgers().list();
    let subscriptions: Vec<Value> = views.iter().map(wire::subscription).collect();
    Json(json!({ "subscriptions": subscriptions }))
}

/// `POST /api/subscriptions/{name}/pause`: nothing is handed out, over restarts too; what is at work is finished.
pub(super) async fn pause(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    Sent(order): Sent<Order>,
) -> Reply<Json<Value>> {
    let (name, by) = read(name, &order)?;
    let until = match order.until {
        None => PauseUntil::Resumed,
        Some(time) if time > app.system.clock.now() => PauseUntil::Time(time),
        Some(_) => return Err(Error::invalid("`until` is past").into()),
    };
    set(&app, &name, Some(until), by).await
}

/// `POST /api/subscriptions/{name}/resume`
pub(super) async fn resume(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    Sent(order): Sent<Order>,
) -> Reply<Json<Value>> {
    let (name, by) = read_endless(name, &order)?;
    set(&app, &name, None, by).await
}

/// `POST /api/subscriptions/{name}/remove`: forgets one that does not run, its dead letters and all it had not handled.
pub(super) async fn remove(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    Sent(order): Sent<Order>,
) -> Reply<Json<Value>> {
    let (name, by) = read_endless(name, &order)?;
    if !(app.system.bus.ledgers().remove(&name, by.clone())).await? {
        return Err(Error::not_found(format!("no subscription is named `{name}`")).into());
    }
    tracing::info!(
        subscription = name,
        author = by.author,
        reason = by.reason,
        "subscription removed"
    );
    Ok(Json(json!({ "removed": name })))
}

/// As [`read`], of what has no end.
fn read_endless(name: Result<Path<String>, PathRejection>, order: &Order) -> Reply<(String, By)> {
    let read = read(name, order)?;
    if order.until.is_some() {
        return Err(Error::invalid("`until` is of a pause only").into());
    }
    Ok(read)
}

fn read(name: Result<Path<String>, PathRejection>, order: &Order) -> Reply<(String, By)> {
    let Path(name) = name.map_err(|error| Error::invalid(error.body_text()))?;
    let by = by(order.author.as_deref(), order.reason.as_deref())?;
    Ok((name, by))
}

/// Sets it, and answers with what the subscription is then.
async fn set(app: &App, name: &str, until: Option<PauseUntil>, by: By) -> Reply<Json<Value>> {
    let ledgers = app.system.bus.ledgers();
    ledgers.set_pause(name, until, by.clone()).await?;
    tracing::info!(
        subscription = name,
        author = by.author,
        reason = by.reason,
        is_paused = until.is_some(),
        "subscription set"
    );
    let views = ledgers.list();
    let view = views.iter().find(|it| it.subscription == name);
    Ok(Json(view.map_or(Value::Null, wire::subscription)))
}
