//! Takes exported dead letters back.

use std::num::NonZeroU64;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use http_api::{Reply, broken};
use nanopore::problem::TooLarge;
use sagabus::Error;
use sagabus::bus::dead_letter::Lines;
use sagabus::transport::PAGE_BYTES_MAX;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::letters;
use crate::http::App;
use crate::http::query::{Asked, Parameters};
use crate::http::request::by;

/// Largest body: one dead letter with the most and largest revisions, or the lines of a page of an export.
pub(in crate::http) const BODY_BYTES_MAX: usize = PAGE_BYTES_MAX;

/// Who, why, and which lines these are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct About {
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    reason: Option<String>,
    /// Number that errors have for the first line, where the body is a part of more.
    first_line: Option<NonZeroU64>,
}

impl Parameters for About {}

/// `POST /api/dead-letters/import?author=…&reason=…`: lines of an export are dead letters again, up to the first that is
/// refused.
pub(in crate::http) async fn import(
    State(app): State<App>,
    Asked(about): Asked<About>,
    body: Result<Bytes, BytesRejection>,
) -> Reply<Json<Value>> {
    let body = body.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let text = format!(
                "the body has more than {BODY_BYTES_MAX} bytes: send some lines at a time, as `sagabus dead-letters import` does"
            );
            return Error::from(TooLarge(text));
        }
        broken()
    })?;
    let by = by(about.author.as_deref(), about.reason.as_deref())?;
    let lines = Lines {
        bytes: &body,
        first: about.first_line.map_or(1, NonZeroU64::get),
    };
    let imported = letters(&app).import(lines, &by).await?;
    tracing::info!(
        author = by.author,
        reason = by.reason,
        restored = imported.restored,
        left = imported.left,
        "dead letters restored"
    );
    Ok(Json(json!({
        "restored": imported.restored,
        "left": imported.left,
    })))
}
