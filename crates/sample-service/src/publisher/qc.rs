//! The events about decisions on samples whose quality control failed.

use nanopore::events::qc::{DecisionMade, DecisionOverdue, DecisionRequested, DecisionWithdrawn};
use nanopore::sample::QcDecision;
use sagabus::{Event, Result};

use super::Publisher;
use crate::model::{Decision, NewDecision, Sample};

impl Publisher<'_> {
    pub(crate) fn decision_requested(self, sample: &Sample, asked: &Decision) -> Result<Event> {
        self.event(&DecisionRequested {
            decision_id: asked.id.clone(),
            saga_id: asked.saga_id.clone(),
            sample_id: sample.id.clone(),
            user_id: self.actor.user_id.clone(),
            sample_name: sample.fields.sample_name.clone(),
            processing_step: asked.stage.title().to_owned(),
            error: asked.error.clone(),
            submitter_name: sample.fields.submitter_name.clone(),
            submitter_email: sample.fields.submitter_email.clone(),
            choices: QcDecision::ALL.to_vec(),
            due_at: asked.due_at,
        })
    }

    pub(crate) fn decision_made(self, asked: &Decision, said: NewDecision) -> Result<Event> {
        self.event(&DecisionMade {
            decision_id: asked.id.clone(),
            saga_id: asked.saga_id.clone(),
            sample_id: asked.sample_id.clone(),
            user_id: self.actor.user_id.clone(),
            decision: said.decision,
            author: said.author,
            reason: said.reason,
        })
    }

    pub(crate) fn decision_withdrawn(self, asked: &Decision, reason: String) -> Result<Event> {
        self.event(&DecisionWithdrawn {
            decision_id: asked.id.clone(),
            saga_id: asked.saga_id.clone(),
            sample_id: asked.sample_id.clone(),
            user_id: self.actor.user_id.clone(),
            reason,
        })
    }

    pub(crate) fn decision_overdue(self, sample: &Sample, asked: &Decision) -> Result<Event> {
        self.event(&DecisionOverdue {
            decision_id: asked.id.clone(),
            sample_id: asked.sample_id.clone(),
            user_id: self.actor.user_id.clone(),
            submitter_name: sample.fields.submitter_name.clone(),
            submitter_email: sample.fields.submitter_email.clone(),
            due_at: asked.due_at,
        })
    }
}
