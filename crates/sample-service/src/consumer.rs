//! What the sample service does about the events of others.

use nanopore::events::ai::ExtractionConfidenceLow;
use sagabus::sqlite::inbox;
use sagabus::{Event, Payload, Result};

use crate::repository as rows;
use crate::service::SampleService;

/// Name of the subscription and of the inbox.
pub const CONSUMER: &str = "sample-service";
/// Event types to subscribe to.
pub const PATTERNS: &[&str] = &[ExtractionConfidenceLow::TYPE];

impl SampleService {
    /// Takes one event: a submission whose form was read with doubt is marked for a person to look at.
    ///
    /// # Errors
    /// `Invalid` when the payload does not fit; otherwise as the database says.
    ///
    /// # Cancel safety
    /// The event has its whole effect or none.
    pub async fn consume(&self, event: &Event) -> Result<()> {
        if event.event_type.as_str() != ExtractionConfidenceLow::TYPE {
            return Ok(());
        }
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
}
