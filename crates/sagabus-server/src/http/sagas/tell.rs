//! What steps that wait are told: signals, and the answers of people.

use axum::Json;
use axum::extract::{Path, State};
use http_api::{Reply, Sent};
use sagabus::saga::{Approval, Signal};
use sagabus::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::App;
use super::super::request::by;
use super::saga_id;
use crate::wire::{self, Include};

/// A signal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    #[schemars(required, with = "String", length(min = 1))]
    name: Option<String>,
    /// `null` where nothing is given.
    #[schemars(with = "Option<serde_json::Value>")]
    payload: Option<Box<RawValue>>,
    key: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    reason: Option<String>,
}

/// The answer of a person. There is no login: whoever may ask this server says who they are, and in which role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    #[schemars(required, with = "String", length(min = 1))]
    step: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    role: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    reason: Option<String>,
}

fn needed(field: &str, text: Option<String>) -> Result<String> {
    text.ok_or_else(|| Error::invalid(format!("`{field}` is missing")))
}

/// `POST /api/sagas/{id}/signal`: the first of a name counts; durable when it is answered.
pub(crate) async fn signal(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(told): Sent<Told>,
) -> Reply<Json<Value>> {
    let payload = told.payload.as_deref().map_or("null", RawValue::get);
    let signal = Signal {
        by: by(told.author.as_deref(), told.reason.as_deref())?,
        name: needed("name", told.name)?,
        key: told.key,
        payload: payload.to_owned().into(),
        approval: None,
    };
    let status = app.system.sagas.signal(&saga_id(&id)?, signal).await?;
    Ok(Json(wire::saga(&status, Include::Nothing)))
}

/// `POST /api/sagas/{id}/approve`: somebody who is asked says yes; durable when it is answered.
pub(crate) async fn approve(
    app: State<App>,
    id: Path<String>,
    Sent(answer): Sent<Answer>,
) -> Reply<Json<Value>> {
    decide(app, id, Sent(answer), true).await
}

/// `POST /api/sagas/{id}/refuse`: somebody who is asked says no; durable when it is answered.
pub(crate) async fn refuse(
    app: State<App>,
    id: Path<String>,
    Sent(answer): Sent<Answer>,
) -> Reply<Json<Value>> {
    decide(app, id, Sent(answer), false).await
}

async fn decide(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(answer): Sent<Answer>,
    approved: bool,
) -> Reply<Json<Value>> {
    let by = by(answer.author.as_deref(), answer.reason.as_deref())?;
    let step = needed("step", answer.step)?;
    let role = needed("role", answer.role)?;
    let approval = Approval { approved, role };
    let sagas = &app.system.sagas;
    let status = sagas.approve(&saga_id(&id)?, &step, approval, by).await?;
    Ok(Json(wire::saga(&status, Include::Nothing)))
}
