//! The trail over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http_api::Field;
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::query::{not_known, number};
use nanopore::sample::FieldErrors;
use sagabus::event::whole_number;
use schemars::JsonSchema;
use serde::Serialize;

use super::fields;
use crate::model::{Entry, Filter, Statistics, Verification};
use crate::service::AuditService;

/// Days of a count that does not say how many; and the most.
const DAYS: (u32, u32) = (30, 365);
/// The parameters of a count.
const STATISTICS: [&str; 1] = Field::names(&fields::STATISTICS);

/// One page of a list.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Entries {
    events: Vec<Entry>,
    total: u64,
    page: u32,
    limit: u32,
}

type Service = State<AuditService>;

pub(super) async fn list(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Entries>> {
    let (filter, page) = Filter::read(&pairs)?;
    let (events, total) = service.entries(filter, page).await?;
    Ok(Json(Entries {
        events,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

pub(super) async fn report(
    State(service): Service,
    caller: Caller,
    Body(fields): Body,
) -> Reply<(StatusCode, Json<Entry>)> {
    let entry = service
        .report(&fields, caller.cause(&*service.clock))
        .await?;
    Ok((StatusCode::CREATED, Json(entry)))
}

pub(super) async fn read(
    State(service): Service,
    Path(sequence): Path<String>,
) -> Reply<Json<Entry>> {
    let sequence = whole_number(&sequence)
        .ok_or_else(|| FieldErrors::one("sequence", "must be a whole number"))?;
    Ok(Json(service.entry(sequence).await?))
}

pub(super) async fn verify(State(service): Service) -> Reply<Json<Verification>> {
    Ok(Json(service.verify().await?))
}

pub(super) async fn verify_and_tell(
    State(service): Service,
    caller: Caller,
) -> Reply<Json<Verification>> {
    let cause = caller.cause(&*service.clock);
    Ok(Json(service.verify_and_tell(cause).await?))
}

pub(super) async fn statistics(
    State(service): Service,
    Pairs(pairs): Pairs,
) -> Reply<Json<Statistics>> {
    FieldErrors::check_once(&pairs, &[])?;
    let mut days = DAYS.0;
    for (name, value) in &pairs {
        if name != "daysBack" {
            return Err(FieldErrors::one(name.as_str(), not_known(&STATISTICS)).into());
        }
        days = number(value, 1..=DAYS.1).map_err(|wrong| FieldErrors::one("daysBack", wrong))?;
    }
    Ok(Json(service.statistics(days).await?))
}
