//! Counts requests by route, for the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use sagabus::{Clock, SystemClock};

/// Method, route, status code.
pub(super) type Route = (String, String, u16);

/// Requests so far: how many, and how long they took in all. Bounded by the number of routes.
#[derive(Debug, Default)]
pub(super) struct Traffic(Mutex<BTreeMap<Route, (u64, Duration)>>);

impl Traffic {
    pub(super) fn counts(&self) -> BTreeMap<Route, (u64, Duration)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Counts one request.
pub(super) async fn count(
    State(traffic): State<Arc<Traffic>>,
    request: Request,
    next: Next,
) -> Response {
    let method = match request.method().as_str() {
        method @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD") => method.to_owned(),
        _ => "other".to_owned(),
    };
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let started = SystemClock.elapsed();
    let response = next.run(request).await;
    let spent = SystemClock.elapsed().saturating_sub(started);
    let mut counts = traffic.0.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = counts
        .entry((method, path, response.status().as_u16()))
        .or_default();
    entry.0 += 1;
    entry.1 += spent;
    drop(counts);
    response
}
