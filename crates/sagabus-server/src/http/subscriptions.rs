//! Subscriptions: where their deliveries are, pausing and removing them.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use sagabus::ledger::{By, REPAIRS_MAX};
use sagabus::transport::{PauseUntil, RepairQuery};
use sagabus::{Error, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::reply::{Reply, bounded, unreadable};
use crate::wire;

/// Who pauses or resumes, and why.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    author: String,
    reason: String,
    /// A pause ends by itself at this time.
    until: Option<Timestamp>,
}

/// Repairs of one answer unless said otherwise.
const REPAIRS: usize = 100;

/// Which repairs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Repairs {
    position: Option<u64>,
    /// `next` of the page before.
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /api/subscriptions/{name}/repairs`: who redrove, revised, skipped or discarded what, and why, the latest first.
pub(super) async fn repairs(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Repairs>, QueryRejection>,
) -> Reply<Json<Value>> {
    let Path(name) = name.map_err(|error| Error::invalid(error.body_text()))?;
    let Query(wanted) = wanted.map_err(|error| Error::invalid(error.body_text()))?;
    let max = bounded("limit", wanted.limit, REPAIRS, REPAIRS_MAX)?;
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
    order: Result<Json<Order>, JsonRejection>,
) -> Reply<Json<Value>> {
    let (name, order) = read(name, order)?;
    let until = match order.until {
        None => PauseUntil::Resumed,
        Some(time) if time > app.system.clock.now() => PauseUntil::Time(time),
        Some(_) => return Err(Error::invalid("`until` is past").into()),
    };
    set(&app, &name, Some(until), &order).await
}

/// `POST /api/subscriptions/{name}/resume`
pub(super) async fn resume(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    order: Result<Json<Order>, JsonRejection>,
) -> Reply<Json<Value>> {
    let (name, order) = read(name, order)?;
    if order.until.is_some() {
        return Err(Error::invalid("`until` is of a pause only").into());
    }
    set(&app, &name, None, &order).await
}

/// `POST /api/subscriptions/{name}/remove`: forgets one that does not run, its dead letters and all it had not handled.
pub(super) async fn remove(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    order: Result<Json<Order>, JsonRejection>,
) -> Reply<Json<Value>> {
    let (name, order) = read(name, order)?;
    if order.until.is_some() {
        return Err(Error::invalid("`until` is of a pause only").into());
    }
    let by = By::new(&order.author, &order.reason);
    if !app.system.bus.ledgers().remove(&name, by).await? {
        return Err(Error::not_found(format!("no subscription is named `{name}`")).into());
    }
    tracing::info!(
        subscription = name,
        author = order.author,
        reason = order.reason,
        "subscription removed"
    );
    Ok(Json(json!({ "removed": name })))
}

fn read(
    name: Result<Path<String>, PathRejection>,
    order: Result<Json<Order>, JsonRejection>,
) -> Reply<(String, Order)> {
    let Path(name) = name.map_err(|error| Error::invalid(error.body_text()))?;
    let Json(order) = order.map_err(|it| unreadable(&it))?;
    for (field, text) in [("author", &order.author), ("reason", &order.reason)] {
        if text.trim().is_empty() {
            return Err(Error::invalid(format!("`{field}` is empty")).into());
        }
    }
    Ok((name, order))
}

/// Sets it, and answers with what the subscription is then.
async fn set(
    app: &App,
    name: &str,
    until: Option<PauseUntil>,
    order: &Order,
) -> Reply<Json<Value>> {
    let ledgers = app.system.bus.ledgers();
    let by = By::new(&order.author, &order.reason);
    ledgers.set_pause(name, until, by).await?;
    tracing::info!(
        subscription = name,
        author = order.author,
        reason = order.reason,
        is_paused = until.is_some(),
        "subscription set"
    );
    let views = ledgers.list();
    let view = views.iter().find(|it| it.subscription == name);
    Ok(Json(view.map_or(Value::Null, wire::subscription)))
}
