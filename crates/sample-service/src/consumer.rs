//! What the sample service does about the events of others.

use nanopore::events::ai::ExtractionConfidenceLow;
use sagabus::saga::events::SagaFailed;
use sagabus::sqlite::inbox;
use sagabus::{Event, Payload, Result};

use crate::model::SubmissionStatus;
use crate::repository as rows;
use crate::service::SampleService;

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
    /// having been accepted or rejected is rejected: its first step failed, or its compensation was given up.
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
        let now = self.clock.now();
        self.outbox
            .database()
            .call(move |tx| {
                if inbox::first_time(tx, CONSUMER, &id, now)? {
                    rows::mark_for_review(tx, &submission_id, &why, now)?;
                }
                Ok(())
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
        let now = self.clock.now();
        self.outbox
            .database()
            .call(move |tx| {
                if inbox::first_time(tx, CONSUMER, &id, now)?
                    && let Some(mut submission) = rows::find_submission(tx, &submission_id)?
                    && matches!(
                        submission.status,
                        SubmissionStatus::Received | SubmissionStatus::Processing
                    )
                {
                    submission.status = SubmissionStatus::Rejected;
                    submission.reason = Some(failed.error);
                    submission.updated_at = now;
                    rows::update_submission(tx, &submission)?;
                }
                Ok(())
            })
            .await
    }
}
