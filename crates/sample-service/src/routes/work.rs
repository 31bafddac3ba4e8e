//! Processing steps, arrival and holds of samples over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http_api::{Body, Caller, Reply};
use nanopore::sample::{Act, FieldErrors, Stage};
use sagabus::Error;

use super::actor::actor;
use super::reply::Tagged;
use crate::model::{ProcessingStep, Work};
use crate::service::SampleService;

type Service = State<SampleService>;

pub(super) async fn steps(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Vec<ProcessingStep>>> {
    Ok(Json(service.steps(id).await?))
}

pub(super) async fn act(
    State(service): Service,
    Path((id, stage, act)): Path<(String, String, String)>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    let not_found = |what: &str, word: &str| {
        Error::not_found(format!("{what} `{}` does not exist", word.escape_debug()))
    };
    let stage = Stage::from_word(&stage).ok_or_else(|| not_found("step", &stage))?;
    let act = Act::ALL
        .into_iter()
        .find(|it| it.as_str() == act)
        .ok_or_else(|| not_found("act", &act))?;
    let work = work(act, &body)?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.work_on(id, stage, work, expected, actor).await?;
    Ok(Tagged(StatusCode::OK, sample))
}

fn work(act: Act, body: &Body) -> Result<Work, FieldErrors> {
    Ok(match act {
        Act::Start => {
            body.only(&["assignedTo", "estimatedDurationHours", "notes"])?;
            Work::Start {
                assigned_to: body.text_option("assignedTo")?,
                estimate_hours: body.count_option("estimatedDurationHours")?,
                notes: body.text_option("notes")?,
            }
        }
        Act::Complete => {
            body.only(&["completedBy", "notes", "results"])?;
            Work::Complete {
                completed_by: body.text_option("completedBy")?,
                notes: body.text_option("notes")?,
                results: body.object_option("results")?,
            }
        }
        Act::Fail => {
            body.only(&["error", "notes", "results"])?;
            Work::Fail {
                error: body.text("error")?,
                notes: body.text_option("notes")?,
                results: body.object_option("results")?,
            }
        }
        Act::Skip => {
            body.only(&["reason"])?;
            Work::Skip {
                reason: body.text("reason")?,
            }
        }
    })
}

pub(super) async fn set_stage(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    body.only(&["stage"])?;
    let stage = stage(&body.text("stage")?)?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.move_to_stage(id, stage, expected, actor).await?;
    Ok(Tagged(StatusCode::OK, sample))
}

/// The step of that word.
pub(super) fn stage(word: &str) -> Result<Stage, FieldErrors> {
    Stage::from_word(word).ok_or_else(|| {
        let words = Stage::ALL.map(Stage::as_str).join(", ");
        let text = format!("is `{}`, not one of {words}", word.escape_debug());
        FieldErrors::one("stage", text)
    })
}

pub(super) async fn receive(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    body.only(&["receivedAt"])?;
    let at = body.text_option("receivedAt")?;
    let at = at
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| FieldErrors::one("receivedAt", "must be an RFC 3339 time"))?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.receive(id, at, expected, actor).await?;
    Ok(Tagged(StatusCode::OK, sample))
}

pub(super) async fn hold(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    body.only(&["reason"])?;
    let reason = body.text("reason")?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.hold(id, reason, expected, actor).await?;
    Ok(Tagged(StatusCode::OK, sample))
}

pub(super) async fn release(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Tagged> {
    body.only(&["reason"])?;
    let reason = body.text_option("reason")?;
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    let sample = service.release(id, reason, expected, actor).await?;
    Ok(Tagged(StatusCode::OK, sample))
}
