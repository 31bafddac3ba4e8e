//! The HTTP face of the audit service, to be mounted under a prefix such as `/api/audit`.

mod declared;
mod events;
mod proofs;
mod reply;
mod reports;
mod request;

use axum::Router;
use axum::routing::{get, post};

use crate::model::{Alert, Hold, Policy, Schedule};
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
        .route(
            "/retention/policies",
            get(declared::list::<Policy>).post(declared::set::<Policy>),
        )
        .route(
            "/retention/policies/{id}/lift",
            post(declared::lift::<Policy>),
        )
        .route("/retention/apply", post(declared::apply))
        .route(
            "/holds",
            get(declared::list::<Hold>).post(declared::set::<Hold>),
        )
        .route("/holds/{id}/lift", post(declared::lift::<Hold>))
        .route(
            "/alerts",
            get(declared::list::<Alert>).post(declared::set::<Alert>),
        )
        .route("/reports", get(reports::list).post(reports::make))
        .route("/reports/{id}", get(reports::download))
        .route(
            "/report-schedules",
            get(declared::list::<Schedule>).post(declared::set::<Schedule>),
        )
        .route(
            "/report-schedules/{id}/lift",
            post(declared::lift::<Schedule>),
        )
        .route("/export", post(reports::export))
        .route("/alerts/history", get(declared::history))
        .route("/alerts/{id}/lift", post(declared::lift::<Alert>))
        .with_state(service)
}
