//! Reports and exports of the trail over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_api::{Body, Caller, Reply};
use schemars::JsonSchema;
use serde::Serialize;

use crate::merkle::hex;
use crate::model::{Export, Made, Wanted};
use crate::report::kind;
use crate::service::AuditService;

type Service = State<AuditService>;

/// What was made.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "ReportList")]
pub(super) struct All {
    items: Vec<Made>,
}

pub(super) async fn list(State(service): Service) -> Reply<Json<All>> {
    let items = service.reports().await?;
    Ok(Json(All { items }))
}

pub(super) async fn make(
    State(service): Service,
    caller: Caller,
    Body(fields): Body,
) -> Reply<(StatusCode, Json<Made>)> {
    let wanted = Wanted::read(fields)?;
    let cause = caller.cause(&*service.clock);
    let made = service.report_now(wanted, cause).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn download(State(service): Service, Path(id): Path<String>) -> Reply<Response> {
    let (made, content) = service.report_file(id).await?;
    let (media, ending) = kind(made.format);
    let name = format!("attachment; filename=\"audit-{}.{ending}\"", made.id);
    let head = [
        ("content-type", media.to_owned()),
        ("content-disposition", name),
        ("x-digest-sha256", made.digest),
    ];
    Ok((head, content).into_response())
}

pub(super) async fn export(
    State(service): Service,
    caller: Caller,
    Body(fields): Body,
) -> Reply<Response> {
    let wanted = Export::read(fields)?;
    let format = wanted.format;
    let cause = caller.cause(&*service.clock);
    let exported = service.export(wanted, cause).await?;
    let (media, ending) = kind(format);
    let name = format!("attachment; filename=\"audit-{}.{ending}\"", exported.id);
    // As RFC 9530 has it, and as people compare it.
    let digest = format!("sha-256=:{}:", STANDARD.encode(exported.digest));
    let head = [
        ("content-type", media.to_owned()),
        ("content-disposition", name),
        ("repr-digest", digest),
        ("x-digest-sha256", hex(&exported.digest)),
        ("x-export-id", exported.id),
        ("x-record-count", exported.record_count.to_string()),
    ];
    Ok((head, exported.content).into_response())
}
