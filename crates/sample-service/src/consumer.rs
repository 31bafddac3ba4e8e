//! What the sample service does about the events of others.

use nanopore::events::ai::ExtractionConfidenceLow;
use sagabus::saga::events::SagaFailed;
use sagabus::sqlite::inbox;
use sagabus::{Event, Payload, Result};

use crate::repository as rows;
use crate::service::SampleService;

/// Name of the subscription and of the inbox.
pub const CONSUMER: &str = "sample-service";
/// Event types to subscribe to.
pub const PATTERNS: &[&str] = &[ExtractionConfidenceLow::TYPE, SagaFailed::TYPE];

impl SampleService {
    /// Takes one event: a submission whose form was read with doubt is marked for a person to look at; one whose saga
    /// failed without its own steps having a part in it becomes `rejected`. The saga of a submission has the
    /// submission's id as its correlation id.
    ///
    /// # Errors
    /// `Invalid` when the payload does not fit; otherwise as the database says.
    ///
    /// # Cancel safety
    /// The event has its whole effect or none.
    pub async fn consume(&self, event: &Event) -> Result<()> {
        match event.event_type.as_str() {
            ExtractionConfidenceLow::TYPE => self.mark_for_review(event).await,
            SagaFailed::TYPE => self.reject_what_is_open(event).await,
            _ => Ok(()),
        }
    }

    async fn mark_for_review(&self, event: &Event) -> Result<()> {
        let low: ExtractionConfidenceLow = event.payload()?;
        let Some(submission_id) = low.submission_id else {
            return Ok(());
        };
        let why = format!(
            "confidence {} is below {}: {}",
            low.confidence_score,
            low.threshold,
            low.issues.join("; ")
        );
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

    /// By its nature done once: what is rejected is not open any more.
    async fn reject_what_is_open(&self, event: &Event) -> Result<()> {
        let failed: SagaFailed = event.payload()?;
        let Some(submission_id) = event.correlation_id.clone() else {
            return Ok(());
        };
        let now = self.clock.now();
        self.outbox
            .database()
            .call(move |tx| {
                rows::reject_open_submission(tx, &submission_id, &failed.error, now)?;
                Ok(())
            })
            .await
    }
}
