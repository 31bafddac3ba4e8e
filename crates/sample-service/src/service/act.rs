//! One act within one transaction: what it does to a sample, its history and its steps.

use nanopore::sample::{Course, FieldErrors, Stage, Status};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Event, Result, Timestamp};

use super::conflict;
use crate::model::{Hold, ProcessingStep, Sample, Submission, SubmissionStatus};
use crate::publisher::Publisher;
use crate::repository as rows;

/// One act within one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) publisher: Publisher<'a>,
    pub(crate) now: Timestamp,
}

impl Act<'_> {
    pub(crate) fn user_id(&self) -> &str {
        &self.publisher.actor.user_id
    }

    /// Adds to the history of the sample.
    pub(crate) fn note(
        &self,
        tx: &Transaction<'_>,
        sample: &Sample,
        action: &str,
        notes: Option<&str>,
    ) -> Result<()> {
        rows::add_history(tx, sample, action, notes, (self.user_id(), self.now))
    }

    /// Rejects a submission that was neither accepted nor rejected.
    pub(crate) fn reject_unfinished(
        &self,
        tx: &Transaction<'_>,
        id: &str,
        reason: String,
    ) -> Result<Option<Event>> {
        let unfinished = [SubmissionStatus::Received, SubmissionStatus::Processing];
        let found = rows::find_submission(tx, id)?;
        let Some(mut submission) = found.filter(|it| unfinished.contains(&it.status)) else {
            return Ok(None);
        };
        let rejected = SubmissionStatus::Rejected;
        self.move_submission(tx, &mut submission, rejected, Some(reason))
            .map(Some)
    }

    /// Moves a submission, with the reason where there is one.
    pub(crate) fn move_submission(
        &self,
        tx: &Transaction<'_>,
        submission: &mut Submission,
        status: SubmissionStatus,
        reason: Option<String>,
    ) -> Result<Event> {
        let old = std::mem::replace(&mut submission.status, status);
        if reason.is_some() {
            submission.reason.clone_from(&reason);
        }
        submission.updated_at = self.now;
        rows::update_submission(tx, submission)?;
        self.publisher
            .submission_status_changed(submission, old, reason)
    }

    /// Moves the sample, and its steps with it, if the transition is legal.
    pub(crate) fn move_sample(
        &self,
        tx: &Transaction<'_>,
        sample: &mut Sample,
        status: Status,
        reason: Option<String>,
    ) -> Result<Event> {
        let old = sample.status;
        let (course, steps) = rows::course(tx, sample)?;
        let after = course
            .with_status(status)
            .map_err(|errors| conflict("sample cannot change its status so", errors))?;
        self.put(tx, sample, steps, after)?;
        self.note(tx, sample, "status_changed", reason.as_deref())?;
        self.publisher.status_changed(sample, old, reason)
    }

    /// Moves the sample, and its steps with it, wherever it is to stand.
    pub(super) fn force_sample(
        &self,
        tx: &Transaction<'_>,
        sample: &mut Sample,
        status: Status,
        reason: String,
    ) -> Result<Event> {
        let old = sample.status;
        if old == status {
            let errors = FieldErrors::one("status", format!("is `{status}` already"));
            return Err(conflict("sample cannot change its status so", errors));
        }
        let (course, steps) = rows::course(tx, sample)?;
        self.put(tx, sample, steps, course.forced_to(status))?;
        self.note(tx, sample, "status_overridden", Some(&reason))?;
        self.publisher.status_overridden(sample, old, reason)
    }

    /// Puts a sample that comes from elsewhere at the step where it was.
    pub(super) fn land_sample(
        &self,
        tx: &Transaction<'_>,
        sample: &mut Sample,
        (status, stage): (Status, Stage),
        reason: String,
    ) -> Result<Event> {
        let old = sample.status;
        let (course, steps) = rows::course(tx, sample)?;
        self.put(tx, sample, steps, course.landed(status, stage))?;
        self.note(tx, sample, "status_overridden", Some(&reason))?;
        self.publisher.status_overridden(sample, old, reason)
    }

    /// Puts the sample and its steps where `after` has them.
    fn put(
        &self,
        tx: &Transaction<'_>,
        sample: &mut Sample,
        steps: Vec<ProcessingStep>,
        after: Course,
    ) -> Result<()> {
        for (mut step, status) in steps.into_iter().zip(after.steps) {
            if step.step_status != status {
                step.put(status, self.now);
                rows::update_step(tx, &sample.id, &step)?;
            }
        }
        sample.stage = after.current();
        sample.stand(after.status, self.now);
        sample.touch(self.now);
        rows::update_sample(tx, sample)
    }

    /// Puts the sample on hold.
    pub(super) fn hold(&self, sample: &mut Sample, reason: String) -> Result<Event> {
        let hold = Hold {
            reason,
            held_by: self.user_id().to_owned(),
            held_at: self.now,
        };
        let event = self.publisher.held(sample, &hold);
        sample.hold = Some(hold);
        event
    }

    /// Deletes the sample, whatever its status.
    pub(crate) fn remove_sample(&self, tx: &Transaction<'_>, sample: &Sample) -> Result<Event> {
        rows::delete_sample(tx, &sample.id)?;
        self.note(tx, sample, "deleted", None)?;
        self.publisher.deleted(sample)
    }
}
