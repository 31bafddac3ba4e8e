//! How well-known events are judged.

use serde_json::json;

use super::*;

#[test]
fn events_are_judged_by_their_type() {
    use Category::{Authentication, DataModification, System};
    use Outcome::{Failure, Success};
    use Severity::{Critical, Error, Info, Warn};
    for (event_type, category, outcome, severity) in [
        ("sample.created", DataModification, Success, Info),
        ("sample.deleted", DataModification, Success, Warn),
        ("sample.processing_failed", DataModification, Failure, Error),
        ("ai.pdf_processing_completed", System, Success, Info),
        ("ai.pdf_processing_failed", System, Failure, Error),
        ("ai.extraction_confidence_low", System, Success, Warn),
        ("ai.model_performance_degraded", System, Success, Warn),
        ("saga.started", System, Success, Info),
        ("saga.failed", System, Failure, Error),
        ("saga.step_failed", System, Failure, Error),
        ("saga.compensation_completed", System, Success, Warn),
        ("saga.compensation_failed", System, Failure, Critical),
        ("auth.login", Authentication, Success, Info),
        ("something", System, Success, Info),
    ] {
        let expected = Judgement {
            category,
            outcome,
            severity,
        };
        assert_eq!(judge(event_type, &json!({})), expected, "{event_type}");
    }
}

#[test]
fn a_job_that_ended_without_success_is_a_failure() {
    let judgement = judge("ai.processing_job_completed", &json!({"success": false}));
    assert_eq!(
        (judgement.outcome, judgement.severity),
        (Outcome::Failure, Severity::Warn)
    );
}
