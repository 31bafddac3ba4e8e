//! The HTTP face of the AI service, to be mounted under `/api`.

mod body;
mod jobs;
mod process;
mod reply;
mod reviews;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::pdf::FILE_BYTES_MAX;
use crate::service::AiService;

/// Room for what stands around the document in a body, in bytes.
const AROUND_BYTES_MAX: usize = 64 * 1024;

/// The routes `/process/pdf`, `/uploads`, `/jobs…`, `/results/{id}…`, `/reviews` and `/ai/stats`.
///
/// Callers are named by `x-user-id` and work is tied together by `x-correlation-id`. Failures are problem details
/// (RFC 9457).
pub fn router(service: AiService) -> Router {
    let body_max = DefaultBodyLimit::max(FILE_BYTES_MAX + AROUND_BYTES_MAX);
    Router::new()
        .route("/process/pdf", post(process::pdf).layer(body_max))
        .route("/uploads", post(process::keep_only).layer(body_max))
        .route("/jobs", get(jobs::list))
        .route("/jobs/stats", get(jobs::job_stats))
        .route("/jobs/{id}", get(jobs::read))
        .route("/jobs/{id}/cancel", post(reviews::cancel))
        .route("/jobs/sample/{sampleId}", get(jobs::by_sample))
        .route("/reviews", get(reviews::list))
        .route("/results/{id}/claim", post(reviews::claim))
        .route("/results/{id}/corrections", post(reviews::correct))
        .route("/results/{id}/accept", post(reviews::accept))
        .route("/results/{id}/refuse", post(reviews::refuse))
        .route("/results/{id}", get(jobs::result))
        .route("/ai/stats", get(jobs::stats))
        .with_state(service)
}
