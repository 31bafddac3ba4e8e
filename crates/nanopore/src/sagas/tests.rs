//! The definitions are what the orchestrator understands.

use sagabus::saga::Definition;

use super::*;

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
