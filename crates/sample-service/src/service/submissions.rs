//! Submissions: documents that announce samples.

use nanopore::sample::{FieldErrors, Form, NewSample, check_file_name, check_submitter};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, EventId, Result};

use super::catalogue::check_account;
use super::{Actor, SampleService};
use crate::model::{NewSubmission, Page, Submission, SubmissionStatus};
use crate::repository as rows;

impl SampleService {
    /// Whether samples of a submission can be made of a form.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field of every row, or for an account that is not active; `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn check_form(&self, submission_id: String, form: Form) -> Result<()> {
        self.read(move |tx| {
            let submission = rows::get_submission(tx, &submission_id)?;
            samples_of(tx, &form, &submission).map(drop)
        })
        .await
    }

    /// Keeps a submission as `received`; publishes `submission.created`. A second call with the same id and the same document
    /// returns the first one unchanged.
    ///
    /// # Errors
    /// `Invalid`, naming the field. `Conflict` when there is a submission of that id with another document.
    ///
    /// # Cancel safety
    /// The submission is kept with its event or not at all.
    pub async fn create_submission(
        &self,
        submission: NewSubmission,
        actor: Actor,
    ) -> Result<Submission> {
        if let Err(message) = check_file_name(&submission.file_name) {
            return Err(FieldErrors::one("fileName", message).into());
        }
        check_submitter(
            submission.submitter_name.as_deref(),
            submission.submitter_email.as_deref(),
        )?;
        let id = match &submission.id {
            Some(id) => EventId::new(id.as_str())?,
            None => EventId::generate(&*self.clock),
        };
        self.change(actor, move |tx, act| {
            match rows::find_submission(tx, id.as_str())? {
                None => rows::insert_submission(tx, id.as_str(), &submission, act.now)?,
                Some(first) if first.file_id == submission.file_id => return Ok((first, vec![])),
                Some(first) => {
                    let text = format!(
                        "submission `{}` was made with this key of another document",
                        first.number
                    );
                    return Err(Error::new(ErrorKind::Conflict, text));
                }
            }
            let mut made = rows::get_submission(tx, id.as_str())?;
            let event = act.publisher.submission_created(&made)?;
            rows::set_event(tx, id.as_str(), &event.id)?;
            made.event_id = Some(event.id.to_string());
            Ok((made, vec![event]))
        })
        .await
    }

    /// Forgets a submission that nothing has begun with, and publishes `submission.withdrawn`; one that is no longer
    /// `received` stays.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// It is forgotten with its event or not at all.
    pub async fn withdraw_submission(
        &self,
        id: String,
        reason: String,
        actor: Actor,
    ) -> Result<()> {
        self.change(actor, move |tx, act| {
            if !rows::delete_received_submission(tx, &id)? {
                return Ok(((), vec![]));
            }
            let event = act.publisher.submission_withdrawn(id, reason)?;
            Ok(((), vec![event]))
        })
        .await
    }

    /// One submission.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn submission(&self, id: String) -> Result<Submission> {
        self.read(move |tx| rows::get_submission(tx, &id)).await
    }

    /// One page of submissions, newest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn submissions(
        &self,
        status: Option<SubmissionStatus>,
        page: Page,
    ) -> Result<(Vec<Submission>, u64)> {
        self.read(move |tx| rows::list_submissions(tx, status, page))
            .await
    }
}

/// The samples of a form, none of which is there yet.
pub(crate) fn samples_of(
    tx: &Transaction<'_>,
    form: &Form,
    submission: &Submission,
) -> Result<Vec<NewSample>> {
    let samples = form
        .samples(submission.submitter())
        .map_err(|wrong| Error::invalid("form cannot be taken").with_source(wrong))?;
    for fields in &samples {
        check_account(tx, fields)?;
    }
    Ok(samples)
}
