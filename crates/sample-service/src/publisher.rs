//! Makes the events that tell of a change; the outbox keeps them in the transaction of the change.

mod flow_cell;
mod qc;

use std::collections::BTreeMap;

use nanopore::events::facility::{
    CatalogueChanged, ProjectCreated, ProjectUpdated, SubmissionAttachmentAdded,
    SubmissionAttachmentRemoved, SubmissionCreated, SubmissionReviewCompleted,
    SubmissionReviewRequested, SubmissionStatusChanged, SubmissionWithdrawn,
};
use nanopore::events::sample::{
    Change, SampleAssigned, SampleAttachmentAdded, SampleAttachmentRemoved, SampleCreated,
    SampleDeleted, SampleProcessingCompleted, SampleProcessingFailed, SampleProcessingStarted,
    SampleStatusChanged, SampleUpdated,
};
use nanopore::events::sample_work::{
    SampleHeld, SampleProcessingSkipped, SampleReceived, SampleReleased,
};
use nanopore::events::{Milliseconds, logged};
use nanopore::sample::{Item, Status};
use sagabus::{Clock, Event, Payload, Result, Timestamp};
use serde_json::{Map, Value};

use crate::model::{
    Attachment, FormFile, Hold, ProcessingStep, Project, RETRIES_MAX, Sample, Submission,
    SubmissionStatus,
};
use crate::service::Actor;

/// Makes events for one act of one actor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publisher<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) clock: &'a dyn Clock,
}

impl Publisher<'_> {
    pub(crate) fn created(self, sample: &Sample, form: Option<FormFile>) -> Result<Event> {
        let (file_id, file_name) = form.map(|it| (it.file_id, it.file_name)).unzip();
        self.event(&SampleCreated {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            sample_name: sample.fields.sample_name.clone(),
            submitter_name: sample.fields.submitter_name.clone(),
            submitter_email: sample.fields.submitter_email.clone(),
            sample_type: sample.fields.sample_type.as_str().to_owned(),
            priority: sample.fields.priority,
            project_id: sample.fields.project_id.clone(),
            lab_name: sample.fields.lab_name.clone(),
            file_id,
            file_name,
        })
    }

    pub(crate) fn updated(
        self,
        sample: &Sample,
        changes: BTreeMap<String, Change>,
    ) -> Result<Event> {
        self.event(&SampleUpdated {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            updated_fields: changes.keys().cloned().collect(),
            changes,
        })
    }

    pub(crate) fn deleted(self, sample: &Sample) -> Result<Event> {
        self.event(&SampleDeleted {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            sample_name: sample.fields.sample_name.clone(),
            deleted_at: self.clock.now(),
        })
    }

    pub(crate) fn assigned(self, sample: &Sample, previous: Option<String>) -> Result<Event> {
        self.event(&SampleAssigned {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            assigned_to: sample.fields.assigned_to.clone().unwrap_or_default(),
            library_prep_by: sample.fields.library_prep_by.clone(),
            previous_assignee: previous,
        })
    }

    pub(crate) fn status_changed(
        self,
        sample: &Sample,
        old_status: Status,
        reason: Option<String>,
    ) -> Result<Event> {
        self.event(&SampleStatusChanged {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            old_status,
            new_status: sample.status,
            reason,
            overridden: None,
        })
    }

    pub(crate) fn status_overridden(
        self,
        sample: &Sample,
        old_status: Status,
        reason: String,
    ) -> Result<Event> {
        self.event(&SampleStatusChanged {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            old_status,
            new_status: sample.status,
            reason: Some(reason),
            overridden: Some(true),
        })
    }

    pub(crate) fn processing_started(
        self,
        sample: &Sample,
        step: &ProcessingStep,
    ) -> Result<Event> {
        let hours = u64::from(step.estimated_duration_hours);
        self.event(&SampleProcessingStarted {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            processing_step: step.step_name.to_owned(),
            assigned_to: step.assigned_to.clone(),
            estimated_duration: Some(Milliseconds(hours * 3_600_000)),
        })
    }

    pub(crate) fn processing_completed(
        self,
        sample: &Sample,
        step: &ProcessingStep,
        (completed_by, results): (Option<String>, Option<Map<String, Value>>),
        now: Timestamp,
    ) -> Result<Event> {
        self.event(&SampleProcessingCompleted {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            processing_step: step.step_name.to_owned(),
            completed_by,
            duration: Milliseconds(step.duration_ms(now)),
            results,
        })
    }

    pub(crate) fn processing_failed(
        self,
        sample: &Sample,
        step: &ProcessingStep,
        error: String,
    ) -> Result<Event> {
        self.event(&SampleProcessingFailed {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            processing_step: step.step_name.to_owned(),
            error,
            retry_count: step.attempts.saturating_sub(1),
            max_retries: RETRIES_MAX,
        })
    }

    pub(crate) fn processing_skipped(
        self,
        sample: &Sample,
        step: &ProcessingStep,
        reason: String,
    ) -> Result<Event> {
        self.event(&SampleProcessingSkipped {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            processing_step: step.step_name.to_owned(),
            reason,
        })
    }

    pub(crate) fn received(self, sample: &Sample, received_at: Timestamp) -> Result<Event> {
        self.event(&SampleReceived {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            received_at,
        })
    }

    pub(crate) fn held(self, sample: &Sample, hold: &Hold) -> Result<Event> {
        self.event(&SampleHeld {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            reason: hold.reason.clone(),
            held_at: hold.held_at,
        })
    }

    pub(crate) fn released(
        self,
        sample: &Sample,
        hold: &Hold,
        released_at: Timestamp,
        reason: Option<String>,
    ) -> Result<Event> {
        self.event(&SampleReleased {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            reason,
            held_at: hold.held_at,
            released_at,
        })
    }

    pub(crate) fn attachment_added(self, sample: &Sample, file: &Attachment) -> Result<Event> {
        self.event(&SampleAttachmentAdded {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            attachment_id: file.id.clone(),
            file_name: file.file_name.clone(),
            file_size: file.file_size,
            file_type: file.file_type.clone(),
        })
    }

    pub(crate) fn attachment_removed(self, sample: &Sample, file: &Attachment) -> Result<Event> {
        self.event(&SampleAttachmentRemoved {
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            attachment_id: file.id.clone(),
            file_name: file.file_name.clone(),
        })
    }

    pub(crate) fn submission_attachment_added(self, id: &str, file: &Attachment) -> Result<Event> {
        self.event(&SubmissionAttachmentAdded {
            submission_id: id.to_owned(),
            user_id: self.actor.user_id.clone(),
            attachment_id: file.id.clone(),
            file_name: file.file_name.clone(),
            file_size: file.file_size,
            file_type: file.file_type.clone(),
        })
    }

    pub(crate) fn submission_attachment_removed(
        self,
        id: &str,
        file: &Attachment,
    ) -> Result<Event> {
        self.event(&SubmissionAttachmentRemoved {
            submission_id: id.to_owned(),
            user_id: self.actor.user_id.clone(),
            attachment_id: file.id.clone(),
            file_name: file.file_name.clone(),
        })
    }

    pub(crate) fn submission_created(self, submission: &Submission) -> Result<Event> {
        self.event(&SubmissionCreated {
            submission_id: submission.id.clone(),
            user_id: self.actor.user_id.clone(),
            number: submission.number.clone(),
            submission_type: submission.kind.as_str().to_owned(),
            sample_count: submission.sample_count,
            project_id: submission.project_id.clone(),
        })
    }

    pub(crate) fn submission_withdrawn(self, id: String, reason: String) -> Result<Event> {
        self.event(&SubmissionWithdrawn {
            submission_id: id,
            user_id: self.actor.user_id.clone(),
            reason,
        })
    }

    pub(crate) fn submission_status_changed(
        self,
        submission: &Submission,
        old_status: SubmissionStatus,
        reason: Option<String>,
    ) -> Result<Event> {
        self.event(&SubmissionStatusChanged {
            submission_id: submission.id.clone(),
            user_id: self.actor.user_id.clone(),
            old_status,
            new_status: submission.status,
            sample_count: submission.sample_count,
            reason,
        })
    }

    pub(crate) fn submission_review_requested(self, id: String, reason: String) -> Result<Event> {
        self.event(&SubmissionReviewRequested {
            submission_id: id,
            user_id: self.actor.user_id.clone(),
            reason,
        })
    }

    pub(crate) fn submission_review_completed(self, id: String) -> Result<Event> {
        self.event(&SubmissionReviewCompleted {
            submission_id: id,
            user_id: self.actor.user_id.clone(),
        })
    }

    pub(crate) fn project_created(self, project: &Project) -> Result<Event> {
        self.event(&ProjectCreated {
            project_id: project.id.clone(),
            user_id: self.actor.user_id.clone(),
            name: project.fields.name.clone(),
            status: project.fields.status.as_str().to_owned(),
        })
    }

    pub(crate) fn project_updated(
        self,
        project: &Project,
        changes: BTreeMap<String, Change>,
    ) -> Result<Event> {
        self.event(&ProjectUpdated {
            project_id: project.id.clone(),
            user_id: self.actor.user_id.clone(),
            updated_fields: changes.keys().cloned().collect(),
            changes,
        })
    }

    pub(crate) fn catalogue_changed(self, item: &Item, is_new: bool) -> Result<Event> {
        self.event(&CatalogueChanged {
            kind: item.kind.as_str().to_owned(),
            name: item.name.clone(),
            user_id: self.actor.user_id.clone(),
            is_new,
            is_active: item.is_active,
            description: item.description.clone(),
            attributes: item.attributes.clone(),
        })
    }

    fn event<P: Payload>(self, payload: &P) -> Result<Event> {
        let event = Event::new(payload, self.clock)?.because(&self.actor.cause);
        event.check()?;
        logged::log(&event);
        Ok(event)
    }
}
