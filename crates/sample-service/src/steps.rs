//! The saga steps of the sample service. Each has its effect once per key; none has one after its compensation.

mod entry;
mod qc;
mod reviewed;

use nanopore::sample::{Form, Status};
use nanopore::steps::{StepCall, UndoCall, read};
use sagabus::sqlite::barrier::{self, Backward, Call, Forward};
use sagabus::{Error, ErrorKind, EventId, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Sample, Submission, SubmissionStatus};
use crate::repository as rows;
use crate::service::{Actor, SampleService, samples_of};

pub use self::qc::Asking;

/// The acting user where a saga was started without one.
const SERVICE: &str = "sample-service";
/// The version of a sample as [`SampleService::update_status`] leaves it: made, and moved on.
const MADE_VERSION: u64 = 2;
/// Why samples leave `submitted`.
const READY: &str = "Ready for library preparation";

/// What the processing saga is started with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SagaInput {
    submission_id: String,
    user_id: Option<String>,
}

/// What the extraction step returns.
#[derive(Debug, Deserialize)]
struct Extraction {
    form: Value,
    /// A person has to look at the form before anything is made of it.
    #[serde(default)]
    review: bool,
}

/// What [`SampleService::update_status`] returns, as far as its compensation needs it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    submission_id: String,
    sample_ids: Vec<String>,
}

impl SagaInput {
    fn actor(&self, cause: sagabus::event::Cause) -> Actor {
        Actor {
            user_id: self.user_id.clone().unwrap_or_else(|| SERVICE.to_owned()),
            cause,
        }
    }
}

impl SampleService {
    /// Step `validate_sample`: the submission is there and was not processed yet; it becomes `processing`, and
    /// `submission.status_changed` says so.
    ///
    /// # Errors
    /// `NotFound` without such a submission. `Conflict` when it is in another status, or the step was compensated.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn validate_sample(&self, call: StepCall) -> Result<Value> {
        let input: SagaInput = read("input", &call.input)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let mut submission = rows::get_submission(tx, &input.submission_id)?;
            if submission.status != SubmissionStatus::Received {
                return Err(not_now(&submission, "received"));
            }
            let moved =
                act.move_submission(tx, &mut submission, SubmissionStatus::Processing, None)?;
            let output = json!({
                "validated": true,
                "submissionId": submission.id,
                "number": submission.number,
                "fileName": submission.file_name,
            });
            barrier::done(tx, &once, &output)?;
            Ok((output, vec![moved]))
        })
        .await
    }

    /// Compensation `revert_validation`: a submission that was not accepted becomes `rejected`, with the reason, and
    /// `submission.status_changed` says so.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn revert_validation(&self, undo: UndoCall) -> Result<Value> {
        let input: SagaInput = read("input", &undo.input)?;
        let actor = input.actor(undo.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&undo.forward_key, act.now).fenced(undo.fence);
            if barrier::backward(tx, &once)? == Backward::Repeat {
                return Ok((json!({"reverted": true}), vec![]));
            }
            let rejected = act.reject_unfinished(tx, &input.submission_id, undo.reason)?;
            Ok((json!({"reverted": true}), rejected.into_iter().collect()))
        })
        .await
    }

    /// Step `update_status`: makes a sample of each row of the form and moves it to `prep`; accepts the submission.
    ///
    /// Publishes `sample.created` for each sample, then `sample.status_changed` for each and `submission.status_changed`. `extraction` is the output of
    /// `process_pdf`, whose `form` has the rows. Where a person has to look at the form first, nothing is made.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field of every row; then nothing is made. `Conflict` as for `validate_sample`.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn update_status(&self, call: StepCall, extraction: Value) -> Result<Value> {
        let input: SagaInput = read("input", &call.input)?;
        let Extraction {
            form: raw_form,
            review,
        } = read("extraction", &extraction)?;
        let form: Form = read("form", &raw_form)?;
        let actor = input.actor(call.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&call.key, act.now).fenced(call.fence);
            if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                return Ok((output, vec![]));
            }
            let mut submission = rows::get_submission(tx, &input.submission_id)?;
            if submission.status != SubmissionStatus::Processing {
                return Err(not_now(&submission, "processing"));
            }
            if review {
                // It stays as it is until the form was looked at; another saga goes on then.
                let output = json!({
                    "submissionId": submission.id,
                    "status": "review",
                    "sampleCount": 0,
                    "sampleIds": [],
                });
                barrier::done(tx, &once, &output)?;
                return Ok((output, vec![]));
            }
            let mut samples = Vec::new();
            let mut events = Vec::new();
            for fields in samples_of(tx, &form, &submission)? {
                let id = EventId::generate(act.publisher.clock).to_string();
                let mut sample = Sample::new(id, fields, act.user_id().to_owned(), act.now);
                sample.submission_id = Some(submission.id.clone());
                rows::insert_sample(tx, &sample)?;
                act.note(tx, &sample, "created", None)?;
                events.push(act.publisher.created(&sample, None)?);
                samples.push(sample);
            }
            for (index, sample) in samples.iter_mut().enumerate() {
                let mut event =
                    act.move_sample(tx, sample, Status::Prep, Some(READY.to_owned()))?;
                event.causation_id = events.get(index).map(|created| created.id.clone());
                events.push(event);
            }
            let sample_ids: Vec<_> = samples.iter().map(|sample| sample.id.clone()).collect();
            submission.sample_count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
            submission.form = Some(raw_form);
            let accepted = SubmissionStatus::Accepted;
            events.push(act.move_submission(tx, &mut submission, accepted, None)?);
            let output = json!({
                "submissionId": submission.id,
                "status": Status::Prep,
                "sampleCount": sample_ids.len(),
                "sampleIds": sample_ids,
            });
            barrier::done(tx, &once, &output)?;
            Ok((output, events))
        })
        .await
    }

    /// Compensation `revert_status`: deletes what the step made, publishing `sample.deleted` for each and
    /// `submission.status_changed`. A sample that a person has
    /// worked on since stays: what was acknowledged to them is not taken back behind their backs; its history says so.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The compensation has its whole effect or none.
    pub async fn revert_status(&self, undo: UndoCall) -> Result<Value> {
        let input: SagaInput = read("input", &undo.input)?;
        let actor = input.actor(undo.cause);
        self.change(actor, move |tx, act| {
            let once = Call::new(&undo.forward_key, act.now).fenced(undo.fence);
            let Backward::Run(output) = barrier::backward(tx, &once)? else {
                return Ok((json!({"reverted": true}), vec![]));
            };
            let made: Made = read("output", &output)?;
            let (mut events, mut kept) = (Vec::new(), 0);
            for id in &made.sample_ids {
                match rows::find_sample(tx, id)? {
                    // A person may have deleted it already.
                    None => {}
                    Some(sample) if sample.version > MADE_VERSION => {
                        act.note(tx, &sample, "kept", Some(&undo.reason))?;
                        kept += 1;
                    }
                    Some(sample) => events.push(act.remove_sample(tx, &sample)?),
                }
            }
            let mut submission = rows::get_submission(tx, &made.submission_id)?;
            submission.sample_count = kept;
            let processing = SubmissionStatus::Processing;
            events.push(act.move_submission(tx, &mut submission, processing, Some(undo.reason))?);
            Ok((json!({"reverted": true}), events))
        })
        .await
    }
}

fn not_now(submission: &Submission, expected: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "submission `{}` is `{}`, not `{expected}`",
            submission.number,
            submission.status.as_str()
        ),
    )
}
