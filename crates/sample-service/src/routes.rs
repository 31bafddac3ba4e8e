//! The HTTP face of the sample service, to be mounted under `/api`.

mod body;
mod decisions;
mod extras;
mod flow_cells;
mod projects;
mod queue;
mod reply;
mod samples;
mod submissions;
mod tables;
mod work;

use axum::Router;
use axum::routing::{delete, get, patch, post, put};

use crate::service::SampleService;

/// The parameters of `/catalogue/{kind}`.
pub const CATALOGUE: [&str; 1] = extras::CATALOGUE;
/// The parameters of `/projects`.
pub const PROJECTS: [&str; 3] = projects::PROJECTS;
/// The parameters of `/submissions/import`.
pub const IMPORT: [&str; 13] = tables::IMPORT;
/// The parameters of `/samples/export`.
pub const EXPORT: [&str; 16] = tables::EXPORT;
/// The parameters of `/submissions`.
pub const SUBMISSIONS: [&str; 3] = submissions::SUBMISSIONS;

/// The routes `/samples…`, `/submissions…`, `/chart-fields…` and `/statistics`.
///
/// Callers are named by `x-user-id` and work is tied together by `x-correlation-id`; `If-Match: "3"` makes a change
/// depend on the version. Failures are problem details (RFC 9457).
pub fn router(service: SampleService) -> Router {
    Router::new()
        .route("/samples", get(samples::list).post(samples::create))
        .route("/samples/export", get(tables::export))
        .route("/sample-sheets", post(tables::sheet))
        .route("/submissions/import", post(tables::import))
        .route("/submissions/ingest", post(tables::ingest))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/{id}", get(projects::read).put(projects::update))
        .route("/samples/bulk", post(queue::bulk))
        .route("/queue", get(queue::queue))
        .route("/samples/{id}/turnaround", get(queue::turnaround))
        .route("/samples/search", get(samples::search))
        .route("/samples/status/{status}", get(samples::by_status))
        .route("/samples/priority/{priority}", get(samples::by_priority))
        .route("/samples/assignee/{assignee}", get(samples::by_assignee))
        .route(
            "/samples/{id}",
            get(samples::read)
                .put(samples::update)
                .delete(samples::delete),
        )
        .route("/samples/{id}/assign", post(samples::assign))
        .route("/samples/{id}/status", post(samples::set_status))
        .route("/samples/{id}/history", get(samples::history))
        .route("/samples/{id}/stage", patch(work::set_stage))
        .route("/samples/{id}/steps", get(work::steps))
        .route("/samples/{id}/steps/{stage}/{act}", post(work::act))
        .route(
            "/samples/{id}/details",
            get(extras::details).put(extras::set_details),
        )
        .route(
            "/samples/{id}/attachments",
            get(extras::of_sample).post(extras::attach_to_sample),
        )
        .route(
            "/samples/{id}/attachments/{attachment}",
            delete(extras::detach_from_sample),
        )
        .route(
            "/submissions/{id}/attachments",
            get(extras::of_submission).post(extras::attach_to_submission),
        )
        .route(
            "/submissions/{id}/attachments/{attachment}",
            delete(extras::detach_from_submission),
        )
        .route(
            "/catalogue/{kind}",
            get(extras::items).post(extras::add_item),
        )
        .route("/catalogue/{kind}/{name}", put(extras::change_item))
        .route("/qc/decisions", get(decisions::list))
        .route("/samples/{id}/decisions", get(decisions::of_sample))
        .route("/samples/{id}/decision", post(decisions::decide))
        .route(
            "/flow-cells",
            get(flow_cells::list).post(flow_cells::register),
        )
        .route("/flow-cells/{id}", get(flow_cells::read))
        .route("/flow-cells/{id}/{act}", post(flow_cells::handle))
        .route("/samples/{id}/flow-cells", get(flow_cells::of_sample))
        .route("/samples/{id}/receive", post(work::receive))
        .route("/samples/{id}/hold", post(work::hold))
        .route("/samples/{id}/release", post(work::release))
        .route("/chart-fields", get(samples::chart_fields))
        .route(
            "/chart-fields/validate",
            post(samples::validate_chart_field),
        )
        .route("/statistics", get(samples::statistics))
        .route("/submissions", get(submissions::list))
        .route("/submissions/{id}", get(submissions::read))
        .with_state(service)
}
