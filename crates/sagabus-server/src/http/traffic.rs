//! Counts requests by route, for the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::Response;
use sagabus::{Clock, SystemClock};

/// Upper bounds of the time of a request, in seconds.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];
/// Upper bounds of the size of a body, in bytes.
const BYTES: &[f64] = &[256.0, 4_096.0, 65_536.0, 1_048_576.0, 16_777_216.0];

/// Method and route.
pub(super) type Route = (String, String);

/// How often what was seen, between bounds.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    bounds: &'static [f64],
    counts: Vec<u64>,
    /// Of all that was seen.
    pub(super) sum: f64,
}

impl Spread {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn add(&mut self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Upper bounds with what is in each alone.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied()).collect()
    }
}

/// The requests of one route.
#[derive(Clone, Debug)]
pub(super) struct Served {
    /// How many, by status code.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Until the answer began, in seconds.
    pub(super) seconds: Spread,
    /// Bodies of requests, where they say how large they are.
    pub(super) request_bytes: Spread,
    /// Bodies of answers, where their size is known ahead.
    pub(super) response_bytes: Spread,
}

impl Default for Served {
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            seconds: Spread::new(SECONDS),
            request_bytes: Spread::new(BYTES),
            response_bytes: Spread::new(BYTES),
        }
    }
}

/// Requests so far. Bounded by the number of routes.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    served: Mutex<BTreeMap<Route, Served>>,
    active: AtomicU64,
}

impl Traffic {
    pub(super) fn served(&self) -> BTreeMap<Route, Served> {
        self.served
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Requests that are not answered yet.
    pub(super) fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }
}

/// Is one request less when it is dropped, answered or not.
struct Active(Arc<Traffic>);

impl Active {
    fn enter(traffic: Arc<Traffic>) -> Self {
        traffic.active.fetch_add(1, Ordering::Relaxed);
        Self(traffic)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
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
    let length = request.headers().get(CONTENT_LENGTH);
    let length: Option<u32> = length.and_then(|it| it.to_str().ok()?.parse().ok());
    let active = Active::enter(traffic);
    let started = SystemClock.elapsed();
    let response = next.run(request).await;
    let spent = SystemClock.elapsed().saturating_sub(started);
    let answered = response.body().size_hint().exact();
    let traffic = &active.0.served;
    let mut routes = traffic.lock().unwrap_or_else(PoisonError::into_inner);
    let served = routes.entry((method, path)).or_default();
    *served
        .statuses
        .entry(response.status().as_u16())
        .or_default() += 1;
    served.seconds.add(spent.as_secs_f64());
    if let Some(bytes) = length {
        served.request_bytes.add(bytes.into());
    }
    if let Some(bytes) = answered.and_then(|bytes| u32::try_from(bytes).ok()) {
        served.response_bytes.add(bytes.into());
    }
    drop(routes);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_stands_below_the_next_bound_and_beyond_the_last() {
        let mut spread = Spread::new(&[1.0, 2.0]);
        for value in [0.0, 1.0, 1.5, 2.0, 2.5, 9.0] {
            spread.add(value);
        }
        assert_eq!(spread.buckets(), [(1.0, 2), (2.0, 2), (f64::INFINITY, 2)]);
        assert!((spread.sum - 16.0).abs() < 1e-9);
    }
}
