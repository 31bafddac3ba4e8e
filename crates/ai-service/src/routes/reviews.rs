//! A person's look at results over HTTP, and jobs that are taken back.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use nanopore::problem::OtherFormat;
use nanopore::sample::FieldErrors;
use sagabus::Error;
use sagabus::event::{json_fault, read_json};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::{Caller, Pairs};
use super::reply::Reply;
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
    corrections: BTreeMap<String, Value>,
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
    Ok(Json(service.claim_review(id, author(caller)?).await?))
}

pub(super) async fn correct(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Reply<Json<ExtractionResult>> {
    let author = author(caller)?;
    let Corrections { corrections } = read(&headers, &body)?;
    Ok(Json(service.correct(id, author, corrections).await?))
}

pub(super) async fn accept(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
) -> Reply<Json<ExtractionResult>> {
    Ok(Json(service.accept_review(id, author(caller)?).await?))
}

pub(super) async fn refuse(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Reply<Json<ExtractionResult>> {
    let author = author(caller)?;
    let Refusal { reason } = read(&headers, &body)?;
    Ok(Json(service.refuse_review(id, author, reason).await?))
}

pub(super) async fn cancel(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
) -> Reply<Json<Job>> {
    Ok(Json(service.cancel_job(id, caller.user_id).await?))
}

/// A decision has an author.
fn author(caller: Caller) -> Result<String, FieldErrors> {
    let missing = || FieldErrors::one("x-user-id", "is required: a decision has an author");
    caller.user_id.ok_or_else(missing)
}

/// Reads a body of JSON.
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Error> {
    let content_type = headers.get(CONTENT_TYPE);
    OtherFormat::check_json(content_type.map(HeaderValue::as_bytes))?;
    read_json(body)
        .map_err(|error| Error::invalid(format!("the body is wrong: {}", json_fault(&error))))
}
