//! Jobs, results and counts over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use http_api::{Pairs, Reply};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{ExtractionResult, Job, JobFilter, JobStats, Part, Stats};
use crate::service::AiService;

/// A part of a list.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Jobs {
    jobs: Vec<Job>,
    total: u64,
    limit: u32,
    offset: u32,
}

type Service = State<AiService>;

async fn part(service: &AiService, filter: JobFilter, part: Part) -> Reply<Json<Jobs>> {
    let (jobs, total) = service.jobs(filter, part).await?;
    Ok(Json(Jobs {
        jobs,
        total,
        limit: part.limit,
        offset: part.offset,
    }))
}

pub(super) async fn list(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Jobs>> {
    let (filter, wanted) = JobFilter::read(&pairs)?;
    part(&service, filter, wanted).await
}

pub(super) async fn by_sample(
    State(service): Service,
    Path(sample_id): Path<String>,
    Pairs(pairs): Pairs,
) -> Reply<Json<Jobs>> {
    let (mut filter, wanted) = JobFilter::read(&pairs)?;
    filter.sample_id = Some(sample_id);
    part(&service, filter, wanted).await
}

pub(super) async fn read(State(service): Service, Path(id): Path<String>) -> Reply<Json<Job>> {
    Ok(Json(service.job(id).await?))
}

pub(super) async fn result(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<ExtractionResult>> {
    Ok(Json(service.result(id).await?))
}

pub(super) async fn job_stats(State(service): Service) -> Reply<Json<JobStats>> {
    Ok(Json(service.stats().await?.jobs))
}

pub(super) async fn stats(State(service): Service) -> Reply<Json<Stats>> {
    Ok(Json(service.stats().await?))
}
