//! Makes the events that tell of a change; the outbox keeps them in the transaction of the change.

use std::collections::BTreeMap;

use nanopore::events::sample::{
    Change, SampleAssigned, SampleCreated, SampleDeleted, SampleStatusChanged, SampleUpdated,
};
use nanopore::sample::Status;
use sagabus::{Clock, Event, Payload, Result};

use crate::model::{FormFile, Sample};
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
        })
    }

    /// Logs carry ids only, no personal data.
    fn event<P: Payload>(self, payload: &P) -> Result<Event> {
        let event = Event::new(payload, self.clock)?.because(&self.actor.cause);
        event.check()?;
        tracing::info!(
            event_id = %event.id, event_type = %event.event_type, subject = event.subject,
            correlation_id = event.correlation_id, "event written to the outbox"
        );
        Ok(event)
    }
}
