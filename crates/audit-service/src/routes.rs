//! The HTTP face of the audit service, to be mounted under a prefix such as `/api/audit`.

mod events;
mod reply;
mod request;

use axum::Router;
use axum::routing::get;

use crate::service::AuditService;

/// The parameters of `/stats`.
pub const STATISTICS: [&str; 1] = events::STATISTICS;

/// The routes `/events`, `/events/{sequence}`, `/verify` and `/stats`. Failures are problem details (RFC 9457).
///
/// `GET /verify` checks the chain; `POST /verify` also publishes what it found.
pub fn router(service: AuditService) -> Router {
    Router::new()
        .route("/events", get(events::list).post(events::report))
        .route("/events/{sequence}", get(events::read))
        .route("/verify", get(events::verify).post(events::verify_and_tell))
        .route("/stats", get(events::statistics))
        .with_state(service)
}
