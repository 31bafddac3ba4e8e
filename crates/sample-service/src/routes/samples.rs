//! Samples, accounts and counts over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::sample::{FieldErrors, Status};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::actor::actor;
use super::reply::Tagged;
use crate::model::{Filter, FormFile, HistoryEntry, Page, Sample, Statistics};
use crate::service::SampleService;

/// Samples in a list that does not say how many; and the most.
const LIST: (u32, u32) = (100, 1_000);
/// The same for a search.
const SEARCH: (u32, u32) = (20, 100);

/// One page of a list.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Samples {
    samples: Vec<Sample>,
    total: u64,
    page: u32,
    limit: u32,
}

type Service = State<SampleService>;

async fn page(service: &SampleService, filter: Filter, page: Page) -> Reply<Json<Samples>> {
    let (samples, total) = service.list(filter, page).await?;
    Ok(Json(Samples {
        samples,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

/// A list with one more filter that the path gives.
async fn page_by(
    service: &SampleService,
    name: &str,
    value: String,
    mut pairs: Vec<(String, String)>,
) -> Reply<Json<Samples>> {
    pairs.push((name.to_owned(), value));
    let (filter, part) = Filter::read(&pairs, LIST.0, LIST.1)?;
    page(service, filter, part).await
}

pub(super) async fn list(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Samples>> {
    let (filter, part) = Filter::read(&pairs, LIST.0, LIST.1)?;
    page(&service, filter, part).await
}

pub(super) async fn search(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Samples>> {
    let (filter, part) = Filter::read(&pairs, SEARCH.0, SEARCH.1)?;
    page(&service, filter, part).await
}

pub(super) async fn by_status(
    State(service): Service,
    Path(status): Path<String>,
    Pairs(pairs): Pairs,
) -> Reply<Json<Samples>> {
    page_by(&service, "status", status, pairs).await
}

pub(super) async fn by_priority(
    State(service): Service,
    Path(priority): Path<String>,
    Pairs(pairs): Pairs,
) -> Reply<Json<Samples>> {
    page_by(&service, "priority", priority, pairs).await
}

pub(super) async fn by_assignee(
    State(service): Service,
    Path(assignee): Path<String>,
    Pairs(pairs): Pairs,
) -> Reply<Json<Samples>> {
    page_by(&service, "assignedTo", assignee, pairs).await
}

pub(super) async fn create(
    State(service): Service,
    caller: Caller,
    Body(mut fields): Body,
) -> Reply<Tagged> {
    let form = fields.remove("form");
    let form = form.as_ref().map(FormFile::read).transpose()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.create_with(&fields, form, actor).await?;
    Ok(Tagged(StatusCode::CREATED, sample))
}

pub(super) async fn read(State(service): Service, Path(id): Path<String>) -> Reply<Tagged> {
    Ok(Tagged(StatusCode::OK, service.get(id).await?))
}

pub(super) async fn update(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    Body(patch): Body,
) -> Reply<Tagged> {
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.update(id, patch, expected, actor).await?;
    Ok(Tagged(StatusCode::OK, sample))
}

pub(super) async fn delete(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
) -> Reply<StatusCode> {
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    service.delete(id, expected, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn assign(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    body.only(&["assignedTo", "libraryPrepBy"])?;
    let assigned_to = body.text("assignedTo")?;
    let library_prep_by = body.text_option("libraryPrepBy")?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service
        .assign(id, assigned_to, library_prep_by, expected, actor)
        .await?;
    Ok(Tagged(StatusCode::OK, sample))
}

pub(super) async fn set_status(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    body.only(&["status", "reason", "override"])?;
    let word = body.text("status")?;
    let status = Status::from_word(&word).ok_or_else(|| {
        let words = Status::ALL.map(Status::as_str).join(", ");
        FieldErrors::one(
            "status",
            format!("is `{}`, not one of {words}", word.escape_debug()),
        )
    })?;
    let reason = body.text_option("reason")?;
    let overrides = body.flag("override")?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = if overrides {
        let reason = reason
            .ok_or_else(|| FieldErrors::one("reason", "is required to override the transitions"))?;
        let change = service.override_status(id, status, reason, expected, actor);
        change.await?
    } else {
        let change = service.set_status(id, status, reason, expected, actor);
        change.await?
    };
    Ok(Tagged(StatusCode::OK, sample))
}

pub(super) async fn history(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Vec<HistoryEntry>>> {
    Ok(Json(service.history(id).await?))
}

pub(super) async fn chart_fields(State(service): Service) -> Reply<Json<Vec<String>>> {
    Ok(Json(service.chart_fields().await?))
}

pub(super) async fn validate_chart_field(
    State(service): Service,
    body: Body,
) -> Reply<Json<Value>> {
    body.only(&["chartField"])?;
    let is_valid = service.is_chart_field(body.text("chartField")?).await?;
    Ok(Json(json!({"isValid": is_valid})))
}

pub(super) async fn statistics(State(service): Service) -> Reply<Json<Statistics>> {
    Ok(Json(service.statistics().await?))
}
