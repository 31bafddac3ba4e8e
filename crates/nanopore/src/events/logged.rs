//! How loud the log is about an event: by its type, so that who watches for errors and warnings sees those that are some.

use sagabus::Event;
use tracing::Level;

/// Types that tell of a failure.
const ERRORS: [&str; 4] = [
    "sample.processing_failed",
    "ai.pdf_processing_failed",
    "ai.processing_job_failed",
    "audit.integrity_failed",
];
/// Types that somebody should look at.
const WARNINGS: [&str; 5] = [
    "ai.extraction_confidence_low",
    "ai.model_performance_degraded",
    "qc.decision_overdue",
    "audit.access_denied",
    "audit.alert_triggered",
];
/// Types of which there is one for each other event.
const DETAILS: [&str; 1] = ["audit.entry_recorded"];

/// The level at which an event of this type is logged.
#[must_use]
pub fn level(event_type: &str) -> Level {
    match event_type {
        it if ERRORS.contains(&it) => Level::ERROR,
        it if WARNINGS.contains(&it) => Level::WARN,
        it if DETAILS.contains(&it) => Level::DEBUG,
        _ => Level::INFO,
    }
}

/// Logs that an event goes to the outbox, within the transaction of what it tells of. Ids only, no personal data.
pub fn log(event: &Event) {
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                event_id = %event.id,
                event_type = %event.event_type,
                subject = event.subject,
                correlation_id = event.correlation_id,
                "event goes to the outbox"
            )
        };
    }
    match level(event.event_type.as_str()) {
        Level::ERROR => say!(error),
        Level::WARN => say!(warn),
        Level::DEBUG | Level::TRACE => say!(debug),
        Level::INFO => say!(info),
    }
}
