//! The HTTP interface: one port for the bus, the sagas and the services.

mod access;
mod admission;
mod cloud_events;
mod connections;
mod dead_letters;
mod events;
mod health;
mod metrics;
mod query;
mod reply;
mod request;
mod sagas;
mod schedules;
mod schemas;
mod stats;
mod submissions;
mod subscriptions;
mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{delete, get, post};
use nanopore::problem::BODY_BYTES_MAX;
use sagabus::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

use self::traffic::Traffic;
use crate::assemble::System;

/// Largest body of an upload: the file and what multipart puts around it.
const UPLOAD_BYTES_MAX: usize = ai_service::pdf::FILE_BYTES_MAX + 64 * 1024;

/// Longest time for a request: an upload of the largest form over a slow line, and room for a slow disk.
const REQUEST_LIMIT: Duration = Duration::from_mins(5);

/// What every route can reach.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) system: Arc<System>,
    traffic: Arc<Traffic>,
}

/// All routes.
pub(crate) fn router(system: Arc<System>) -> Router {
    let services = Router::new()
        .nest(
            "/api",
            sample_service::routes::router(system.samples.clone()),
        )
        .nest("/api", ai_service::routes::router(system.ai.clone()))
        .nest(
            "/api/audit",
            audit_service::routes::router(system.audit.clone()),
        );
    let room = middleware::from_fn_with_state(Arc::clone(&system), admission::with_room);
    let reads = middleware::from_fn_with_state(Arc::clone(&system), access::record);
    let app = App {
        system,
        traffic: Arc::default(),
    };
    let traffic = Arc::clone(&app.traffic);
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::show))
        .route("/api/stats", get(stats::show))
        .route("/api/events", get(events::list).post(events::publish))
        .route("/api/events/{position}", get(events::show))
        .route("/api/schedules", get(schedules::list).post(schedules::set))
        .route("/api/schedules/{key}", delete(schedules::cancel))
        .route("/api/schedules/{key}/move", post(schedules::move_to))
        .route("/api/schemas", get(schemas::list))
        .route("/api/schemas/{type}", get(schemas::show))
        .route("/asyncapi.json", get(schemas::asyncapi))
        .route("/api/dead-letters", get(dead_letters::list))
        .route("/api/dead-letters/redrive", post(dead_letters::redrive))
        .route("/api/dead-letters/revise", post(dead_letters::revise))
        .route("/api/dead-letters/skip", post(dead_letters::skip))
        .route("/api/dead-letters/discard", post(dead_letters::discard))
        .route("/api/dead-letters/republish", post(dead_letters::republish))
        .route("/api/dead-letters/export", get(dead_letters::export))
        .route(
            "/api/dead-letters/import",
            post(dead_letters::import::import)
                .layer(DefaultBodyLimit::max(dead_letters::import::BODY_BYTES_MAX)),
        )
        .route(
            "/api/dead-letters/{subscription}/{position}",
            get(dead_letters::show),
        )
        .route("/api/subscriptions", get(subscriptions::list))
        .route(
            "/api/subscriptions/{name}/repairs",
            get(subscriptions::repairs),
        )
        .route(
            "/api/subscriptions/{name}/pause",
            post(subscriptions::pause),
        )
        .route(
            "/api/subscriptions/{name}/resume",
            post(subscriptions::resume),
        )
        .route(
            "/api/subscriptions/{name}/remove",
            post(subscriptions::remove),
        )
        .route("/api/sagas", get(sagas::list).post(sagas::start))
        .route("/api/sagas/health", get(sagas::health))
        .route("/api/sagas/{id}", get(sagas::show))
        .route("/api/sagas/{id}/signal", post(sagas::signal))
        .route("/api/sagas/{id}/approve", post(sagas::approve))
        .route("/api/sagas/{id}/refuse", post(sagas::refuse))
        .route("/api/sagas/{id}/{verb}", post(sagas::operate))
        .route(
            "/api/submissions",
            post(submissions::submit).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX)),
        )
        .with_state(app)
        .merge(services)
        .fallback(reply::no_such_route)
        .layer(reads)
        .layer(room)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_LIMIT,
        ))
        .layer(middleware::from_fn(query::addressed))
        .layer(middleware::from_fn(request::bodies_plain))
        .layer(middleware::from_fn(request::headers_once))
        .layer(middleware::from_fn(reply::problems_only))
        .layer(middleware::from_fn(reply::local_host_only))
        .layer(middleware::from_fn_with_state(traffic, traffic::count))
}

/// Takes the address. Only this machine is served: there is no login yet.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::invalid(format!(
            "`--listen {address}` is reachable from other machines, and there is no login yet; use 127.0.0.1:{}",
            address.port()
        )));
    }
    TcpListener::bind(address).await.map_err(|error| {
        Error::invalid(format!(
            "cannot listen on {address}; give another address with --listen"
        ))
        .with_source(error)
    })
}

/// The address that was taken: with port 0 asked for, the one that the system chose.
pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| {
        Error::closed("the address that is listened on cannot be told").with_source(error)
    })
}

/// Serves until `stop` fires and the open requests are answered.
pub(crate) async fn serve(listener: TcpListener, system: Arc<System>, stop: CancellationToken) {
    connections::serve(listener, router(system), stop).await;
}
