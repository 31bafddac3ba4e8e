//! The HTTP face of the AI service, to be mounted under `/api`.

mod body;
mod fields;
mod jobs;
mod process;
mod reply;

use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use http_api::{Answer, Api, Kind, Operation, of};

use crate::model::{ExtractionResult, Job, JobStats, Stats};
use crate::pdf::FILE_BYTES_MAX;
use crate::service::AiService;

/// Room for what stands around the document in a body, in bytes.
const AROUND_BYTES_MAX: usize = 64 * 1024;
/// Media type of an upload.
const FORM: &str = "multipart/form-data";

/// The routes `/process/pdf`, `/uploads`, `/jobs…`, `/results/{id}` and `/ai/stats`.
///
/// Callers are named by `x-user-id` and work is tied together by `x-correlation-id`. Failures are problem details
/// (RFC 9457).
#[must_use]
pub fn api() -> Api<AiService> {
    jobs(uploads(Api::new("forms")))
}

fn uploads(api: Api<AiService>) -> Api<AiService> {
    let body_max = DefaultBodyLimit::max(FILE_BYTES_MAX + AROUND_BYTES_MAX);
    api.at(
        "POST",
        "/process/pdf",
        post(process::pdf).layer(body_max),
        Operation::new(
            "processPdf",
            "Takes a document and reads it when it is its turn",
        )
        .by_somebody()
        .takes_as(FORM, Kind::Object(&fields::DOCUMENT))
        .answers(Answer::json(202, Kind::Object(&fields::BEGUN), "The job").located()),
    )
    .at(
        "POST",
        "/uploads",
        post(process::keep_only).layer(body_max),
        Operation::new("keepUpload", "Keeps a document, to be named later")
            .by_somebody()
            .takes_as(FORM, Kind::Object(&fields::FILE))
            .answers(Answer::json(201, Kind::Object(&fields::KEPT), "The upload")),
    )
}

fn jobs(api: Api<AiService>) -> Api<AiService> {
    let page = || Answer::json(200, Kind::Of(of::<jobs::Jobs>), "A part of the list");
    api.get(
        "/jobs",
        jobs::list,
        Operation::new("listJobs", "The jobs that fit, the newest first")
            .asked(Kind::Object(&fields::FILTER))
            .answers(page()),
    )
    .get(
        "/jobs/stats",
        jobs::job_stats,
        Operation::new("countJobs", "How many jobs stand where").answers(Answer::json(
            200,
            Kind::Of(of::<JobStats>),
            "The counts",
        )),
    )
    .get(
        "/jobs/{id}",
        jobs::read,
        Operation::new("readJob", "One job").answers(Answer::json(
            200,
            Kind::Of(of::<Job>),
            "The job",
        )),
    )
    .get(
        "/jobs/sample/{sampleId}",
        jobs::by_sample,
        Operation::new("listJobsOfSample", "The jobs of a sample")
            .asked(Kind::Object(&fields::FILTER))
            .answers(page()),
    )
    .get(
        "/results/{id}",
        jobs::result,
        Operation::new(
            "readResult",
            "What a document holds, and where it stands on the paper",
        )
        .answers(Answer::json(
            200,
            Kind::Of(of::<ExtractionResult>),
            "The result",
        )),
    )
    .get(
        "/ai/stats",
        jobs::stats,
        Operation::new("countResults", "Counts of jobs and results").answers(Answer::json(
            200,
            Kind::Of(of::<Stats>),
            "The counts",
        )),
    )
}
