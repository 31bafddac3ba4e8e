//! What the sample service does about the events of others.

use nanopore::events::ai::ExtractionConfidenceLow;
use sagabus::event::Cause;
use sagabus::saga::events::SagaFailed;
use sagabus::sqlite::inbox;
use sagabus::{Event, Payload, Result};

use crate::repository as rows;
use crate::service::{Actor, SampleService};

/// Name of the subscription and of the inbox.
pub const CONSUMER: &str = "sample-service";
/// Event types to subscribe to.
pub const PATTERNS: &[&str] = &[ExtractionConfidenceLow::TYPE, SagaFailed::TYPE];

/// The sagas that a submission goes through; the submission's id is their correlation id.
const PROCESSING: [&str; 2] = ["sample_processing_workflow", "reviewed_form_workflow"];

impl SampleService {
    /// Takes one event.
    ///
    /// A submission whose form was read with doubt is marked for a person to look at. One whose saga ended without it
    /// having been accepted or rejected is rejected: its first step failed, or its compensation was given up. Both are told
    /// as events.
    ///
    /// # Errors
    /// `Invalid` when the payload does not fit; otherwise as the database says.
    ///
    /// # Cancel safety
    /// The event has its whole effect or none.
    pub async fn consume(&self, event: &Event) -> Result<()> {
        match event.event_type.as_str() {
            ExtractionConfidenceLow::TYPE => self.mark_for_review(event).await,
            SagaFailed::TYPE => self.reject_unfinished(event).await,
            _ => Ok(()),
        }
    }

    async fn mark_for_review(&self, event: &Event) -> Result<()> {
        let low: ExtractionConfidenceLow = event.payload()?;
        let Some(submission_id) = low.submission_id else {
            return Ok(());
        };
        let issues = low.issues.join("; ");
        let why = match low.confidence_score < low.threshold {
            true => format!(
                "confidence {} is below {}: {issues}",
                low.confidence_score, low.threshold
            ),
            false => format!("a person must look at it: {issues}"),
        };
        let id = event.id.clone();
        self.change(caused_by(event), move |tx, act| {
            let is_new = inbox::first_time(tx, CONSUMER, &id, act.now)?;
            if !is_new || !rows::mark_for_review(tx, &submission_id, &why, act.now)? {
                return Ok(((), vec![]));
            }
            let asked = act
                .publisher
                .submission_review_requested(submission_id, why)?;
            Ok(((), vec![asked]))
        })
        .await
    }

    async fn reject_unfinished(&self, event: &Event) -> Result<()> {
        let failed: SagaFailed = event.payload()?;
        let Some(submission_id) = event.correlation_id.clone() else {
            return Ok(());
        };
        if !PROCESSING.contains(&failed.saga_name.as_str()) {
            return Ok(());
        }
        let id = event.id.clone();
        self.change(caused_by(event), move |tx, act| {
            let is_new = inbox::first_time(tx, CONSUMER, &id, act.now)?;
            let rejected = match is_new {
                true => act.reject_unfinished(tx, &submission_id, failed.error)?,
                false => None,
            };
            Ok(((), rejected.into_iter().collect()))
        })
        .await
    }
}

/// The service itself, because of an event.
fn caused_by(event: &Event) -> Actor {
    Actor {
        user_id: CONSUMER.to_owned(),
        cause: Cause::event(event),
    }
}
