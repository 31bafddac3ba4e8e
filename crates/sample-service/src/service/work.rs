//! The processing steps of a sample: what is done about them, and where the sample stands after it.

use nanopore::sample::{Act as Kind, Course, FieldErrors, Stage, StepStatus};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Event, Result};

use super::{Act, Actor, SampleService, conflict, expect};
use crate::model::{ProcessingStep, RETRIES_MAX, Sample, Work};
use crate::repository as rows;

impl SampleService {
    /// The eight processing steps of a sample, in their order.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn steps(&self, id: String) -> Result<Vec<ProcessingStep>> {
        self.read(move |tx| {
            rows::get_sample(tx, &id)?;
            rows::steps(tx, &id)
        })
        .await
    }

    /// Does something about the step `stage`, which must be the current one. Publishes `sample.processing_started`,
    /// `_completed`, `_failed` or `_skipped`; then, caused by it, `sample.status_changed` when the sample goes along, and
    /// `sample.held` for one whose step failed.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for what is said; `Conflict` when it is another's turn, the sample is on hold, the step was
    /// begun too often, or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its events or not at all.
    pub async fn work_on(
        &self,
        id: String,
        stage: Stage,
        work: Work,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        work.check()?;
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let (course, steps) = rows::course(tx, &sample)?;
            let after = course.after(stage, work.act()).map_err(refused)?;
            let mut step = step_of(steps, stage)?;
            if work.act() == Kind::Start && step.attempts > RETRIES_MAX {
                let text = format!(
                    "`{stage}` failed {} times, and may be repeated {RETRIES_MAX} times; skip it, or set the status back",
                    step.attempts
                );
                return Err(refused(FieldErrors::one("step", text)));
            }
            let events = act.work(tx, &mut sample, &mut step, work, after)?;
            Ok((sample, events))
        })
        .await
    }

    /// Moves a sample on to the next step: the current one is completed, with the events of [`SampleService::work_on`].
    /// Nothing happens to a sample that is at this step already.
    ///
    /// # Errors
    /// As [`SampleService::work_on`]; `Conflict` for any other step, with what is allowed.
    ///
    /// # Cancel safety
    /// The change is made with its events or not at all.
    pub async fn move_to_stage(
        &self,
        id: String,
        stage: Stage,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let (course, steps) = rows::course(tx, &sample)?;
            let after = course.moved_to(stage).map_err(refused)?;
            let Some(current) = course.current().filter(|_| after != course) else {
                return Ok((sample, vec![]));
            };
            let mut step = step_of(steps, current)?;
            if step.step_status == StepStatus::Pending {
                let begun = Work::Start {
                    assigned_to: None,
                    estimate_hours: None,
                    notes: None,
                };
                step.take(begun, act.now);
            }
            let work = Work::Complete {
                completed_by: None,
                notes: None,
                results: None,
            };
            let events = act.work(tx, &mut sample, &mut step, work, after)?;
            Ok((sample, events))
        })
        .await
    }
}

impl Act<'_> {
    /// Keeps what was done about a step, and where the sample stands after it.
    pub(crate) fn work(
        &self,
        tx: &Transaction<'_>,
        sample: &mut Sample,
        step: &mut ProcessingStep,
        work: Work,
        after: Course,
    ) -> Result<Vec<Event>> {
        let (old, publisher) = (sample.status, self.publisher);
        step.take(work.clone(), self.now);
        let (event, action, said) = match work {
            Work::Start { .. } => (publisher.processing_started(sample, step)?, "started", None),
            Work::Complete {
                completed_by,
                results,
                ..
            } => {
                let said = (completed_by, results);
                let event = publisher.processing_completed(sample, step, said, self.now)?;
                (event, "completed", None)
            }
            Work::Fail { error, .. } => {
                let event = publisher.processing_failed(sample, step, error.clone())?;
                (event, "failed", Some(error))
            }
            Work::Skip { reason } => {
                let event = publisher.processing_skipped(sample, step, reason.clone())?;
                (event, "skipped", Some(reason))
            }
        };
        let first = event.id.clone();
        let mut events = vec![event];
        let mut follow = |mut event: Event| {
            event.causation_id = Some(first.clone());
            events.push(event);
        };
        let told = format!("{} {action}", step.step_name);
        if after.status != old {
            sample.stand(after.status, self.now);
            follow(publisher.status_changed(sample, old, Some(told.clone()))?);
        }
        if action == "failed" && sample.hold.is_none() {
            let why = format!("{told}: {}", said.as_deref().unwrap_or_default());
            follow(self.hold(sample, why)?);
        }
        sample.stage = after.current();
        sample.touch(self.now);
        rows::update_step(tx, &sample.id, step)?;
        rows::update_sample(tx, sample)?;
        let notes = match said {
            Some(said) => format!("{}: {said}", step.step_name),
            None => step.step_name.to_owned(),
        };
        self.note(tx, sample, &format!("step_{action}"), Some(&notes))?;
        Ok(events)
    }
}

fn step_of(steps: Vec<ProcessingStep>, stage: Stage) -> Result<ProcessingStep> {
    let mut steps = steps.into_iter();
    steps
        .find(|it| it.stage == stage)
        .ok_or_else(|| sagabus::Error::not_found(format!("step `{stage}` does not exist")))
}

fn refused(errors: FieldErrors) -> sagabus::Error {
    conflict("sample cannot be worked on so", errors)
}
