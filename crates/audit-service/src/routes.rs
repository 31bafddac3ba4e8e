//! The HTTP face of the audit service, to be mounted under a prefix such as `/api/audit`.

mod events;
mod proofs;
mod reply;
mod request;

use axum::Router;
use axum::routing::get;

use crate::service::AuditService;

/// The parameters of `/stats`.
pub const STATISTICS: [&str; 1] = events::STATISTICS;
/// The parameters of `/proofs/inclusion`.
pub const INCLUSION: [&str; 3] = proofs::INCLUSION;
/// The parameters of `/proofs/consistency`.
pub const CONSISTENCY: [&str; 2] = proofs::CONSISTENCY;

/// The routes of the trail. Failures are problem details (RFC 9457).
///
/// `GET /verify` checks the trail; `POST /verify` also publishes what it found. `GET /checkpoint` shows the newest signed
/// state; `POST /checkpoint` signs what came since.
pub fn router(service: AuditService) -> Router {
    Router::new()
        .route("/events", get(events::list).post(events::report))
        .route("/events/{sequence}", get(events::read))
        .route("/verify", get(events::verify).post(events::verify_and_tell))
        .route("/stats", get(events::statistics))
        .route("/key", get(proofs::key))
        .route("/checkpoint", get(proofs::checkpoint).post(proofs::sign))
        .route("/proofs/inclusion", get(proofs::inclusion))
        .route("/proofs/consistency", get(proofs::consistency))
        .route("/bundle", get(proofs::bundle))
        .with_state(service)
}
