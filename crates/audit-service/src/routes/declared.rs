//! What is laid down for the trail: how long entries keep their content, what is held, and whom alerts tell.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http_api::{Body, Caller, Reply};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Declared, Order, Told, read};
use crate::retention::Applied;
use crate::service::AuditService;

type Service = State<AuditService>;

/// Everything of a kind.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "{D}List")]
pub(super) struct All<D> {
    items: Vec<D>,
}

/// What was emptied.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Emptied {
    applied: Vec<Applied>,
}

pub(super) async fn list<D: Declared>(State(service): Service) -> Reply<Json<All<D>>> {
    let items = service.declared().await?;
    Ok(Json(All { items }))
}

pub(super) async fn set<D: Declared>(
    State(service): Service,
    caller: Caller,
    Body(fields): Body,
) -> Reply<(StatusCode, Json<D>)> {
    let declared = read::<D>(fields)?;
    let cause = caller.cause(&*service.clock);
    let declared = service.declare(declared, cause).await?;
    Ok((StatusCode::CREATED, Json(declared)))
}

pub(super) async fn lift<D: Declared>(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    Body(fields): Body,
) -> Reply<StatusCode> {
    let order = Order::read(fields)?;
    let cause = caller.cause(&*service.clock);
    service.lift::<D>(&id, order, cause).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What alerts told.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct History {
    items: Vec<Told>,
}

/// Most entries of a history.
const HISTORY_MAX: u32 = 1_000;

pub(super) async fn history(State(service): Service) -> Reply<Json<History>> {
    let items = service.told(HISTORY_MAX).await?;
    Ok(Json(History { items }))
}

pub(super) async fn apply(
    State(service): Service,
    caller: Caller,
    Body(fields): Body,
) -> Reply<Json<Emptied>> {
    let order = Order::read(fields)?;
    let cause = caller.cause(&*service.clock);
    let applied = service.apply_retention(&order, &cause).await?;
    Ok(Json(Emptied { applied }))
}
