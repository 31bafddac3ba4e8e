//! Decisions about samples whose quality control failed, over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::sample::{FieldErrors, QcDecision};
use schemars::JsonSchema;
use serde::Serialize;

use super::actor::actor;
use crate::model::{Decision, DecisionFilter, NewDecision};
use crate::service::SampleService;

type Service = State<SampleService>;

/// One page of questions.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Decisions {
    decisions: Vec<Decision>,
    total: u64,
    page: u32,
    limit: u32,
}

pub(super) async fn list(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Decisions>> {
    let (filter, page) = DecisionFilter::read(pairs)?;
    let (decisions, total) = service.decisions(filter, page).await?;
    Ok(Json(Decisions {
        decisions,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

pub(super) async fn of_sample(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Vec<Decision>>> {
    Ok(Json(service.decisions_of(id).await?))
}

pub(super) async fn decide(
    State(service): Service,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Reply<Json<Decision>> {
    body.only(&["decision", "author", "reason"])?;
    let word = body.text("decision")?;
    let decision = QcDecision::from_word(&word).ok_or_else(|| {
        let words = QcDecision::ALL.map(QcDecision::as_str).join(", ");
        let text = format!("is `{}`, not one of {words}", word.escape_debug());
        FieldErrors::one("decision", text)
    })?;
    let said = NewDecision {
        decision,
        author: body.text("author")?,
        reason: body.text("reason")?,
    };
    let expected = caller.expected()?;
    let actor = actor(&caller, &*service.clock);
    Ok(Json(service.decide(id, said, expected, actor).await?))
}
