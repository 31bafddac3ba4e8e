//! The HTTP face of the AI service, to be mounted under `/api`.

mod fields;
mod jobs;
mod process;
mod reviews;

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

/// The routes `/process/pdf`, `/uploads`, `/jobs…`, `/results/{id}…`, `/reviews` and `/ai/stats`.
///
/// Callers are named by `x-user-id` and work is tied together by `x-correlation-id`. Failures are problem details
/// (RFC 9457).
#[must_use]
pub fn api() -> Api<AiService> {
    reviews(jobs(uploads(Api::new("forms"))))
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
        .takes_in()
        .by_somebody()
        .takes_as(FORM, Kind::Object(&fields::DOCUMENT))
        .answers(Answer::json(202, Kind::Object(&fields::BEGUN), "The job").located()),
    )
    .at(
        "POST",
        "/uploads",
        post(process::keep_only).layer(body_max),
        Operation::new("keepUpload", "Keeps a document, to be named later")
            .takes_in()
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
            .shows("job")
            .asked(Kind::Object(&fields::FILTER))
            .answers(page()),
    )
    .get(
        "/jobs/stats",
        jobs::job_stats,
        Operation::new("countJobs", "How many jobs stand where")
            .shows("job")
            .answers(Answer::json(200, Kind::Of(of::<JobStats>), "The counts")),
    )
    .get(
        "/jobs/{id}",
        jobs::read,
        Operation::new("readJob", "One job")
            .shows("job")
            .answers(Answer::json(200, Kind::Of(of::<Job>), "The job")),
    )
    .get(
        "/jobs/sample/{sampleId}",
        jobs::by_sample,
        Operation::new("listJobsOfSample", "The jobs of a sample")
            .shows("job")
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
        .shows("result")
        .answers(Answer::json(
            200,
            Kind::Of(of::<ExtractionResult>),
            "The result",
        )),
    )
    .get(
        "/ai/stats",
        jobs::stats,
        Operation::new("countResults", "Counts of jobs and results")
            .shows_no_data()
            .answers(Answer::json(200, Kind::Of(of::<Stats>), "The counts")),
    )
}

/// What a person does about a result, which answers with what it is then.
fn decision(id: &'static str, says: &'static str) -> Operation {
    Operation::new(id, says)
        .by_somebody()
        .refuses(&[409])
        .answers(Answer::json(
            200,
            Kind::Of(of::<ExtractionResult>),
            "The result as it is now",
        ))
}

fn reviews(api: Api<AiService>) -> Api<AiService> {
    api.get(
        "/reviews",
        reviews::list,
        Operation::new("listReviews", "Results that a person must look at")
            .shows("result")
            .asked(Kind::Object(&fields::REVIEWS))
            .answers(Answer::json(
                200,
                Kind::Of(of::<reviews::Reviews>),
                "A part of the queue",
            )),
    )
    .post(
        "/results/{id}/claim",
        reviews::claim,
        decision("claimReview", "Somebody looks at it"),
    )
    .post(
        "/results/{id}/corrections",
        reviews::correct,
        decision(
            "correctResult",
            "Values are put in the place of what was read",
        )
        .takes(Kind::Of(of::<reviews::Corrections>)),
    )
    .post(
        "/results/{id}/accept",
        reviews::accept,
        decision("acceptResult", "What it says, as corrected, counts"),
    )
    .post(
        "/results/{id}/refuse",
        reviews::refuse,
        decision("refuseResult", "It does not count").takes(Kind::Of(of::<reviews::Refusal>)),
    )
    .post(
        "/jobs/{id}/cancel",
        reviews::cancel,
        Operation::new("cancelJob", "Takes a job back that has no result")
            .by_somebody()
            .refuses(&[409])
            .answers(Answer::json(
                200,
                Kind::Of(of::<Job>),
                "The job as it is now",
            )),
    )
}
