//! Rules of payloads that the golden files cannot show.

use super::*;

fn refused(name: &str, json: &str) -> String {
    let info = TYPES.iter().find(|info| info.name == name).unwrap();
    (info.check)(json.as_bytes()).unwrap_err().chain()
}

#[test]
fn what_failed_is_logged_as_an_error_and_what_is_to_be_looked_at_as_a_warning() {
    use tracing::Level;

    let of_level = |level: Level| {
        let names = TYPES.iter().map(|info| info.name);
        names
            .filter(|name| logged::level(name) == level)
            .collect::<Vec<_>>()
    };
    let errors = [
        "sample.processing_failed",
        "ai.pdf_processing_failed",
        "ai.processing_job_failed",
        "audit.integrity_failed",
    ];
    assert_eq!(of_level(Level::ERROR), errors);
    let warnings = [
        "qc.decision_overdue",
        "ai.extraction_confidence_low",
        "ai.model_performance_degraded",
        "audit.access_denied",
        "audit.alert_triggered",
    ];
    assert_eq!(of_level(Level::WARN), warnings);
    assert_eq!(of_level(Level::DEBUG), ["audit.entry_recorded"]);
    assert_eq!(of_level(Level::INFO).len(), TYPES.len() - 10);
}

#[test]
fn a_confidence_outside_zero_to_one_is_refused() {
    for score in ["1.01", "-0.1"] {
        let error = refused(
            "ai.pdf_processing_completed",
            &format!(
                r#"{{"submissionId":"s","fileName":"f","extractionResultId":"x","processingMethod":"pattern","confidenceScore":{score},"processingTimeMs":1,"extractedFieldCount":0}}"#
            ),
        );
        assert!(error.contains("`data.confidenceScore`"), "{error}");
    }
}

#[test]
fn an_empty_sample_id_is_refused() {
    let error = refused(
        "sample.attachment_removed",
        r#"{"sampleId":"","userId":"u","attachmentId":"a","fileName":"f"}"#,
    );
    assert!(error.contains("`data.sampleId` is empty"), "{error}");
}

#[test]
fn a_field_missing_inside_a_field_is_named_with_its_path() {
    let error = refused(
        "audit.access_denied",
        r#"{"actor":{"id":"u"},"action":"delete","resource":"sample","reason":"role"}"#,
    );
    assert!(error.contains("`data.actor.service`"), "{error}");
}

#[test]
fn a_period_that_ends_before_it_begins_is_refused() {
    let error = refused(
        "audit.integrity_verified",
        r#"{"fromSequence":5,"toSequence":4,"digest":"d"}"#,
    );
    assert!(error.contains("`data.fromSequence`"), "{error}");
}

#[test]
fn a_duration_may_have_a_fraction_but_no_minus() {
    let with = |duration: &str| {
        format!(r#"{{"sampleId":"s","userId":"u","processingStep":"qc","duration":{duration}}}"#)
    };
    let info = TYPES
        .iter()
        .find(|info| info.name == "sample.processing_completed")
        .unwrap();
    assert!((info.check)(with("12.4").as_bytes()).is_ok());
    let error = refused("sample.processing_completed", &with("-1"));
    assert!(error.contains("`data.duration`"), "{error}");
}

#[test]
fn an_event_about_a_document_has_the_submission_as_its_subject() {
    let event = ai::PdfProcessingFailed {
        sample_id: None,
        submission_id: Some("sub-1".to_owned()),
        file_name: "f.pdf".to_owned(),
        error: "TIMEOUT_ERROR".to_owned(),
        processing_method: ai::Method::Pattern,
        retry_count: 0,
        user_id: None,
    };
    let event = sagabus::Event::new(&event, &sagabus::clock::SystemClock).unwrap();
    assert_eq!(event.subject.as_deref(), Some("sub-1"));
    assert_eq!(event.source, "ai-service");
    assert!(
        !std::str::from_utf8(&event.data)
            .unwrap()
            .contains("sampleId")
    );
}
