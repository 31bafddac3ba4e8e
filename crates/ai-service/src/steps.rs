//! The saga steps of the AI service. Each has its effect once per key; none has one after its compensation.
//!
//! All attempts of a step are one job. An attempt that fails for good is not repeated: the next call gets the same
//! refusal and publishes nothing. An attempt that failed for a time, or was interrupted by the end of the process,
//! begins the same job again.

use nanopore::steps::{StepCall, UndoCall, read};
use sagabus::sqlite::barrier::{self, Backward, Call};
use sagabus::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Fault, FaultKind, JobStatus, ReviewStatus};
use crate::processing::{OnProgress, ProcessRequest, Processed, StepKey};
use crate::repository as rows;
use crate::service::{AiService, end_failed};
use crate::uploads::FileId;

/// What the saga is started with: a form belongs to a submission, or to one sample.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SagaInput {
    submission_id: Option<String>,
    sample_id: Option<String>,
    file_id: String,
    file_name: String,
    user_id: Option<String>,
}

/// What the saga of a reviewed form is started with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewedInput {
    extraction_result_id: String,
}

impl AiService {
    /// Step `process_pdf`: reads the form of the submission or of the sample. Events as for [`AiService::process`].
    ///
    /// Returns `extractionResultId`, `jobId`, `confidence`, `sampleCount` and `form`.
    ///
    /// # Errors
    /// `Invalid` when the document can never be read or its form breaks a rule, `Transient` when it may be read at
    /// another time: the text begins with the kind, such as `VALIDATION_ERROR`. `NotFound` without such an upload.
    /// `Conflict` when the step was compensated. `Full`, `Closed` as for [`AiService::process`].
    ///
    /// # Cancel safety
    /// The attempt goes on without its caller; the next call waits for the same job.
    pub async fn process_pdf(&self, call: StepCall, on_progress: OnProgress) -> Result<Value> {
        let input: SagaInput = read("input", &call.input)?;
        if input.submission_id.is_some() == input.sample_id.is_some() {
            let text = "input must name a `submissionId` or a `sampleId`, and not both";
            return Err(Error::invalid(text));
        }
        let request = ProcessRequest {
            file_id: FileId::new(&input.file_id)?,
            file_name: input.file_name,
            submission_id: input.submission_id,
            sample_id: input.sample_id,
            user_id: input.user_id,
            method: None,
            cause: call.cause,
        };
        let step = StepKey {
            key: call.key,
            fence: call.fence,
        };
        let processed = self.process_once(request, Some(step), on_progress).await?;
        serde_json::to_value(processed)
            .map_err(|error| Error::invalid("output cannot be written as JSON").with_source(error))
    }

    /// Step `take_reviewed`: the form of a result that a person has accepted, as they corrected it. Has no effect.
    ///
    /// Returns what `process_pdf` returns.
    ///
    /// # Errors
    /// `Invalid` when it was refused, with the reason; `Conflict` when it is not decided; `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn take_reviewed(&self, call: StepCall) -> Result<Value> {
        let input: ReviewedInput = read("input", &call.input)?;
        let result = self.result(input.extraction_result_id).await?;
        let review = result.review.as_ref();
        match review.map(|it| it.status) {
            Some(ReviewStatus::Accepted) => {}
            Some(ReviewStatus::Refused) => {
                let reason = review.and_then(|it| it.decision_reason.as_deref());
                let reason = reason.unwrap_or("without a reason");
                return Err(Error::invalid(format!(
                    "form was refused by review: {reason}"
                )));
            }
            Some(ReviewStatus::Waiting | ReviewStatus::Claimed) | None => {
                let text = format!("result `{}` is not reviewed", result.id);
                return Err(Error::new(ErrorKind::Conflict, text));
            }
        }
        let processed = Processed {
            extraction_result_id: result.id.clone(),
            job_id: result.job_id.clone(),
            confidence: result.confidence_score,
            sample_count: result.form().samples.len(),
            form: result.form().clone(),
            review: false,
        };
        serde_json::to_value(processed)
            .map_err(|error| Error::invalid("output cannot be written as JSON").with_source(error))
    }

    /// Compensation `cleanup_processing`: the result of the step is withdrawn, and a job that goes on is cancelled.
    ///
    /// Cancelling publishes the failure of the job; withdrawing publishes nothing, as no type of event tells of it.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn cleanup_processing(&self, undo: UndoCall) -> Result<Value> {
        self.change(move |tx, publisher| {
            let now = publisher.now();
            let once = Call::new(&undo.forward_key, now).fenced(undo.fence);
            match barrier::backward(tx, &once)? {
                Backward::Run(output) => {
                    let made: Processed = read("output", &output)?;
                    rows::withdraw_result(tx, &made.extraction_result_id, now)?;
                }
                Backward::NothingDone => {
                    if let Some(mut job) = rows::job_of_step(tx, &undo.forward_key)?
                        && job.status.is_open()
                    {
                        let fault = Fault {
                            kind: FaultKind::Cancelled,
                            message: "the work that the job belongs to was taken back".to_owned(),
                        };
                        end_failed(tx, publisher, &mut job, JobStatus::Cancelled, &fault)?;
                    }
                }
                Backward::Repeat => {}
            }
            Ok(json!({"cleaned": true}))
        })
        .await
    }
}
