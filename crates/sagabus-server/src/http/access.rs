//! Who looks at what is in the audit trail before they see it.

use std::collections::HashMap;
use std::sync::Arc;

use audit_service::Access;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_api::{Failure, NOBODY, Operation, Shows};
use serde_json::json;

use crate::assemble::System;

/// Most characters of a query in an entry.
const QUERY_CHARACTERS_MAX: usize = 2_000;

type Shown = HashMap<String, &'static str>;

/// Who sees what, and where to record it.
#[derive(Debug)]
pub(super) struct Looks {
    system: Arc<System>,
    /// The kinds of things that are shown, by method and path.
    shown: Shown,
}

impl Looks {
    /// Looks at what these operations show.
    pub(super) fn of(operations: &[Operation], system: Arc<System>) -> Self {
        let shown = operations.iter().filter_map(|it| match it.shown()? {
            Shows::Data(kind) => Some((format!("{} {}", it.method(), it.path()), kind)),
            Shows::Nothing => None,
        });
        Self {
            shown: shown.collect(),
            system,
        }
    }
}

/// Records the request where it was answered with data. Where that cannot be done, nothing is shown.
pub(super) async fn record(
    State(looks): State<Arc<Looks>>,
    request: Request,
    next: Next,
) -> Response {
    // Where the trail is not here nobody can be recorded, which the log says at the start.
    let trail = looks.system.services.audit().ok();
    let trail = trail.filter(|it| it.records_reads());
    let looked = trail.and_then(|trail| Some((trail, access(&looks.shown, &request)?)));
    let response = next.run(request).await;
    let Some((trail, access)) = looked.filter(|_| response.status().is_success()) else {
        return response;
    };
    match trail.accessed(access).await {
        Ok(()) => response,
        Err(error) => Failure::from(error).into_response(),
    }
}

/// What the request looks at, if it looks at anything.
fn access(shown: &Shown, request: &Request) -> Option<Access> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let resource = shown.get(&format!("{} {route}", request.method()))?;
    let uri = request.uri();
    let query: Option<String> = uri
        .query()
        .map(|it| it.chars().take(QUERY_CHARACTERS_MAX).collect());
    let headers = request.headers();
    Some(Access {
        actor_id: text(headers, "x-user-id").unwrap_or_else(|| NOBODY.to_owned()),
        resource: (*resource).to_owned(),
        resource_id: first_parameter(route, uri.path()),
        correlation_id: text(headers, "x-correlation-id"),
        user_agent: text(headers, header::USER_AGENT.as_str()),
        details: json!({"route": route, "query": query}),
    })
}

/// What stands in the path where the route has its first parameter.
fn first_parameter(route: &str, path: &str) -> Option<String> {
    let mut parts = route.split('/').zip(path.split('/'));
    let (_, part) = parts.find(|(of_route, _)| of_route.starts_with('{'))?;
    Some(part.to_owned())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
