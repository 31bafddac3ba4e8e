//! Projects over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use http_api::Field;
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::query::not_known;
use nanopore::sample::{FieldErrors, ProjectStatus};
use schemars::JsonSchema;
use serde::Serialize;

use super::actor::actor;
use super::fields::queries;
use crate::model::{Filter, Project};
use crate::service::SampleService;

/// The parameters of a list of projects.
const PROJECTS: [&str; 3] = Field::names(&queries::PROJECTS);

type Service = State<SampleService>;

/// One page of a list.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Projects {
    projects: Vec<Project>,
    total: u64,
    page: u32,
    limit: u32,
}

/// A project with its version as entity tag.
fn tagged(status: StatusCode, project: Project) -> impl IntoResponse {
    let tag = format!("\"{}\"", project.version);
    (status, [(header::ETAG, tag)], Json(project))
}

pub(super) async fn list(
    State(service): Service,
    Pairs(mut pairs): Pairs,
) -> Reply<Json<Projects>> {
    FieldErrors::check_once(&pairs, &[])?;
    let mut status = None;
    if let Some(index) = pairs.iter().position(|(name, _)| name == "status") {
        let (_, word) = pairs.remove(index);
        status = Some(ProjectStatus::from_word(&word).ok_or_else(|| {
            FieldErrors::one("status", format!("has no value `{}`", word.escape_debug()))
        })?);
    }
    let is_page = |name: &str| name == "page" || name == "limit";
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_page(name)) {
        return Err(FieldErrors::one(name.as_str(), not_known(&PROJECTS)).into());
    }
    let (_, page) = Filter::read(&pairs, 20, 100)?;
    let (projects, total) = service.projects(status, page).await?;
    Ok(Json(Projects {
        projects,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

pub(super) async fn create(
    State(service): Service,
    caller: Caller,
    Body(fields): Body,
) -> Reply<impl IntoResponse> {
    let actor = actor(&caller, &*service.clock);
    let project = service.create_project(&fields, actor).await?;
    Ok(tagged(StatusCode::CREATED, project))
}

pub(super) async fn read(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(tagged(StatusCode::OK, service.project(id).await?))
}

pub(super) async fn update(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    Body(patch): Body,
) -> Reply<impl IntoResponse> {
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let project = service.update_project(id, patch, expected, actor).await?;
    Ok(tagged(StatusCode::OK, project))
}
