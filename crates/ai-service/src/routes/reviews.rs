//! A person's look at results over HTTP, and jobs that are taken back.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use http_api::{Caller, Pairs, Reply, Sent};
use nanopore::sample::FieldErrors;
use sagabus::event::{json_fault, read_json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::{ExtractionResult, InReview, Job, ReviewFilter};
use crate::service::AiService;

type Service = State<AiService>;

/// A part of the queue.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Reviews {
    reviews: Vec<InReview>,
    total: u64,
    limit: u32,
    offset: u32,
}

/// What is right instead, by path in the form.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Corrections {
    #[schemars(with = "BTreeMap<String, Value>")]
    corrections: Box<RawValue>,
}

/// Why a result does not count.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    reason: String,
}

pub(super) async fn list(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Reviews>> {
    let (filter, part) = ReviewFilter::read(&pairs)?;
    let (reviews, total) = service.reviews(filter, part).await?;
    Ok(Json(Reviews {
        reviews,
        total,
        limit: part.limit,
        offset: part.offset,
    }))
}

pub(super) async fn claim(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
) -> Reply<Json<ExtractionResult>> {
    Ok(Json(service.claim_review(id, author(&caller)?).await?))
}

pub(super) async fn correct(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    Sent(Corrections { corrections }): Sent<Corrections>,
) -> Reply<Json<ExtractionResult>> {
    let author = author(&caller)?;
    let corrections = read_json(corrections.get().as_bytes())
        .map_err(|error| FieldErrors::one("corrections", json_fault(&error)))?;
    Ok(Json(service.correct(id, author, corrections).await?))
}

pub(super) async fn accept(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
) -> Reply<Json<ExtractionResult>> {
    Ok(Json(service.accept_review(id, author(&caller)?).await?))
}

pub(super) async fn refuse(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    Sent(Refusal { reason }): Sent<Refusal>,
) -> Reply<Json<ExtractionResult>> {
    let author = author(&caller)?;
    Ok(Json(service.refuse_review(id, author, reason).await?))
}

pub(super) async fn cancel(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
) -> Reply<Json<Job>> {
    let author = caller.user_id().map(str::to_owned);
    Ok(Json(service.cancel_job(id, author).await?))
}

/// A decision has an author.
fn author(caller: &Caller) -> Result<String, FieldErrors> {
    let missing = || FieldErrors::one("x-user-id", "is required: a decision has an author");
    let author = caller.user_id().map(str::to_owned);
    author.ok_or_else(missing)
}
