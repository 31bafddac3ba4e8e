//! The HTTP face of the sample service, to be mounted under `/api`.

mod actor;
mod decisions;
mod extras;
mod fields;
mod flow_cells;
mod of_samples;
mod of_things;
mod projects;
mod queue;
mod reply;
mod samples;
mod submissions;
mod tables;
mod work;

use http_api::Api;

use crate::service::SampleService;

type Routes = Api<SampleService>;

/// The routes `/samples…`, `/submissions…`, `/projects…`, `/catalogue…`, `/chart-fields…`, `/queue` and `/statistics`.
///
/// Callers are named by `x-user-id` and work is tied together by `x-correlation-id`; `If-Match: "3"` makes a change
/// depend on the version. Failures are problem details (RFC 9457).
#[must_use]
pub fn api() -> Api<SampleService> {
    of_samples::lists(Api::new("samples"))
        .merge(of_samples::changes(Api::new("samples")))
        .merge(of_samples::of_one(Api::new("samples")))
        .merge(of_things::tables(Api::new("tables")))
        .merge(of_things::catalogue(Api::new("catalogue")))
        .merge(of_things::submissions(Api::new("submissions")))
        .merge(of_things::decisions(Api::new("decisions")))
        .merge(of_things::flow_cells(Api::new("flow cells")))
}
