//! Submissions over HTTP, to read; they arrive through the upload route of the server.

use axum::Json;
use axum::extract::{Path, State};
use http_api::Field;
use http_api::{Pairs, Reply};
use nanopore::query::not_known;
use nanopore::sample::FieldErrors;
use schemars::JsonSchema;
use serde::Serialize;

use super::fields::queries;
use crate::model::{Filter, Submission, SubmissionStatus};
use crate::service::SampleService;

/// The parameters of a list.
const SUBMISSIONS: [&str; 3] = Field::names(&queries::SUBMISSIONS);

/// One page of a list.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Submissions {
    submissions: Vec<Submission>,
    total: u64,
    page: u32,
    limit: u32,
}

pub(super) async fn list(
    State(service): State<SampleService>,
    Pairs(mut pairs): Pairs,
) -> Reply<Json<Submissions>> {
    FieldErrors::check_once(&pairs, &[])?;
    let mut status = None;
    if let Some(index) = pairs.iter().position(|(name, _)| name == "status") {
        let (_, word) = pairs.remove(index);
        status = Some(SubmissionStatus::from_word(&word).ok_or_else(|| {
            FieldErrors::one("status", format!("has no value `{}`", word.escape_debug()))
        })?);
    }
    if let Some((name, _)) = pairs
        .iter()
        .find(|(name, _)| name != "page" && name != "limit")
    {
        return Err(FieldErrors::one(name.as_str(), not_known(&SUBMISSIONS)).into());
    }
    let (_, page) = Filter::read(&pairs, 20, 100)?;
    let (submissions, total) = service.submissions(status, page).await?;
    Ok(Json(Submissions {
        submissions,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

pub(super) async fn read(
    State(service): State<SampleService>,
    Path(id): Path<String>,
) -> Reply<Json<Submission>> {
    Ok(Json(service.submission(id).await?))
}
