//! The definitions are what the orchestrator understands.

use sagabus::saga::Definition;

use super::*;

/// The guide names the steps of the saga that `sample.created` starts, and no limits: they are those of the other one.
#[test]
fn the_saga_of_an_entered_sample_has_the_same_steps_with_actions_of_its_own() {
    let entered = Definition::from_yaml(PDF_PROCESSING).unwrap();
    assert_eq!(entered.name(), "pdf_processing_workflow");
    let submitted = Definition::from_yaml(SAMPLE_PROCESSING).unwrap();
    let actions: Vec<_> = entered
        .steps()
        .iter()
        .map(|step| (step.action.as_str(), step.compensation_action.as_deref()))
        .collect();
    assert_eq!(
        actions,
        [
            ("validate_entry", Some("revert_entry")),
            ("process_pdf", Some("cleanup_processing")),
            ("accept_entry", Some("revert_acceptance")),
            ("create_audit_log", None),
        ]
    );
    for (one, other) in entered.steps().iter().zip(submitted.steps()) {
        assert_eq!(one.id, other.id);
        assert_eq!((&one.service, one.timeout), (&other.service, other.timeout));
        assert_eq!(one.retry_attempts, other.retry_attempts);
        assert_eq!(one.dependencies, other.dependencies);
    }
}

#[test]
fn the_processing_saga_has_its_four_steps_one_after_the_other() {
    let definition = Definition::from_yaml(SAMPLE_PROCESSING).unwrap();
    assert_eq!(definition.name(), "sample_processing_workflow");
    let steps: Vec<_> = definition
        .steps()
        .iter()
        .map(|step| {
            (
                step.id.as_str(),
                step.service.as_str(),
                step.action.as_str(),
                step.compensation_action.as_deref(),
                step.timeout.map(|timeout| timeout.as_secs()),
                step.retry_attempts,
                step.dependencies.join(","),
            )
        })
        .collect();
    let none = String::new;
    let after = |id: &str| id.to_owned();
    assert_eq!(
        steps,
        [
            (
                "validate_sample",
                "sample-service",
                "validate_sample",
                Some("revert_validation"),
                Some(30),
                2,
                none()
            ),
            (
                "process_pdf",
                "ai-service",
                "process_pdf",
                Some("cleanup_processing"),
                Some(120),
                1,
                after("validate_sample")
            ),
            (
                "update_sample_status",
                "sample-service",
                "update_status",
                Some("revert_status"),
                Some(15),
                0,
                after("process_pdf")
            ),
            (
                "create_audit_log",
                "audit-service",
                "create_audit_log",
                None,
                Some(10),
                0,
                after("update_sample_status")
            ),
        ]
    );
}
