//! The saga steps of a form that a person has looked at: of a submission, or of a sample that was entered with its form.

use nanopore::steps::{StepCall, UndoCall, read};
use sagabus::Result;
use sagabus::sqlite::barrier::{self, Call, Forward};
use serde_json::{Value, json};

use super::{SagaInput, not_now};
use crate::model::SubmissionStatus;
use crate::repository as rows;
use crate::service::SampleService;

/// Whether the form came with a sample, and not with a submission.
fn is_of_sample(input: &Value) -> bool {
    input.get("sampleId").is_some_and(|it| !it.is_null())
}

impl SampleService {
    /// Step `validate_reviewed`: the submission waits for its form, or the sample is as it was entered.
    ///
    /// # Errors
    /// `NotFound` without such a submission or sample. `Conflict` when it does not wait, or the step was compensated.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn validate_reviewed(&self, call: StepCall) -> Result<Value> {
        if is_of_sample(&call.input) {
            return self.validate_entry(call).await;
        }
        let input: SagaInput = read("input", &call.input)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let submission = rows::get_submission(tx, &input.submission_id)?;
            if submission.status != SubmissionStatus::Processing {
                return Err(not_now(&submission, "processing"));
            }
            rows::clear_review(tx, &submission.id, act.now)?;
            let output = json!({"validated": true, "submissionId": submission.id});
            barrier::done(tx, &once, &output)?;
            let reviewed = act.publisher.submission_review_completed(submission.id)?;
            Ok((output, vec![reviewed]))
        })
        .await
    }

    /// Compensation `revert_reviewed`: the submission becomes `rejected` with the reason; of a sample its history says it.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn revert_reviewed(&self, undo: UndoCall) -> Result<Value> {
        match is_of_sample(&undo.input) {
            true => self.revert_entry(undo).await,
            false => self.revert_validation(undo).await,
        }
    }

    /// Step `take_reviewed_form`: as `update_status` for a submission, as `accept_entry` for a sample.
    ///
    /// # Errors
    /// As these.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn take_reviewed_form(&self, call: StepCall, extraction: Value) -> Result<Value> {
        match is_of_sample(&call.input) {
            true => self.accept_entry(call, extraction).await,
            false => self.update_status(call, extraction).await,
        }
    }

    /// Compensation `revert_reviewed_form`: as `revert_status` or `revert_acceptance`.
    ///
    /// # Errors
    /// As these.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn revert_reviewed_form(&self, undo: UndoCall) -> Result<Value> {
        match is_of_sample(&undo.input) {
            true => self.revert_acceptance(undo).await,
            false => self.revert_status(undo).await,
        }
    }
}
