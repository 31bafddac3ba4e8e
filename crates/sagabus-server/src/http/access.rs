//! Who looks at what is in the audit trail before they see it.

use std::sync::Arc;

use audit_service::Access;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::reply::Failure;
use crate::assemble::System;

/// What is looked at, by how its routes begin: the longest that fits counts. All else that is read has no data of anybody.
const READ: [(&str, &str); 17] = [
    ("/api/audit", "audit"),
    ("/api/dead-letters", "dead_letter"),
    ("/api/events", "event"),
    ("/api/flow-cells", "flowcell"),
    ("/api/jobs", "job"),
    ("/api/projects", "project"),
    ("/api/qc", "qc"),
    ("/api/queue", "sample"),
    ("/api/results", "result"),
    ("/api/reviews", "result"),
    ("/api/sagas", "saga"),
    ("/api/samples", "sample"),
    ("/api/schedules", "event"),
    ("/api/statistics", "sample"),
    ("/api/submissions", "submission"),
    ("/api/subscriptions", "subscription"),
    ("/api/uploads", "upload"),
];
/// What begins so has no data of anybody either.
const NOT_READ: [&str; 3] = [
    "/api/audit/key",
    "/api/sagas/health",
    "/api/audit/checkpoint",
];
/// Most characters of a query in an entry.
const QUERY_CHARACTERS_MAX: usize = 2_000;

/// Records the request where it was answered with data. Where that cannot be done, nothing is shown.
pub(super) async fn record(
    State(system): State<Arc<System>>,
    request: Request,
    next: Next,
) -> Response {
    // Where the trail is not here nobody can be recorded, which the log says at the start.
    let trail = system.services.audit().ok();
    let trail = trail.filter(|it| it.records_reads());
    let looked = trail.and_then(|trail| Some((trail, access(&request)?)));
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
fn access(request: &Request) -> Option<Access> {
    if request.method() != Method::GET {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let is_below = |start: &str| {
        let rest = route.strip_prefix(start);
        rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
    };
    if NOT_READ.into_iter().any(is_below) {
        return None;
    }
    let (_, resource) = READ.into_iter().find(|(start, _)| is_below(start))?;
    let uri = request.uri();
    let query: Option<String> = uri
        .query()
        .map(|it| it.chars().take(QUERY_CHARACTERS_MAX).collect());
    let headers = request.headers();
    Some(Access {
        actor_id: text(headers, "x-user-id").unwrap_or_else(|| "anonymous".to_owned()),
        resource: resource.to_owned(),
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
