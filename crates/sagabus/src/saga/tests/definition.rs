//! Rules of definitions: what is refused, the two front doors, the hash.

use std::time::Duration;

use super::bed::step;
use crate::saga::{Definition, DefinitionError, Step};

fn refused(steps: Vec<Step>) -> String {
    Definition::from_steps("s", steps).unwrap_err().to_string()
}

#[test]
fn a_definition_that_cannot_work_is_refused_and_names_the_step() {
    for (steps, text) in [
        (vec![], "saga `s` has no steps"),
        (vec![step("a"), step("a")], "step id `a` is used twice"),
        (
            vec![step("a").after("x")],
            "step `a` depends on `x`, which is not a step",
        ),
        (
            vec![step("a").after("a")],
            "steps depend on each other by `dependencies`: a → a",
        ),
        (
            vec![step("a").after("b"), step("b").after("a")],
            "steps depend on each other by `dependencies`: a → b → a",
        ),
        (
            vec![
                step("x"),
                step("d").after("c"),
                step("a").after("b"),
                step("b").after("c"),
                step("c").after("x").after("a"),
            ],
            "steps depend on each other by `dependencies`: c → a → b → c",
        ),
        (
            vec![step("a").timeout(Duration::ZERO)],
            "`timeout` of step `a` is zero",
        ),
        (
            vec![step("a").timeout(Duration::MAX)],
            "`timeout` of step `a` is longer than 7 days",
        ),
        (
            vec![step("a/b")],
            "`id` of `a/b` must be 1 to 128 bytes of letters, digits, `_`, `-`, `.`",
        ),
        (
            vec![step("a").action("")],
            "`action` of `a` must be 1 to 128 bytes of letters, digits, `_`, `-`, `.`",
        ),
    ] {
        assert_eq!(refused(steps), text);
    }
    let many = |count: usize| (0..count).map(|n| step(&format!("s{n}"))).collect();
    assert_eq!(
        refused(many(1_001)),
        "saga `s` has 1001 steps, more than 1000"
    );
    Definition::from_steps("s", many(1_000)).unwrap();
}

const YAML: &str = "
name: sample_processing_workflow
steps:
  - id: validate_sample
    name: Validate Sample Data
    service: sample-service
    action: validate_sample
    compensationAction: revert_validation
    timeout: 30000
    retryAttempts: 2
  - id: process_pdf
    name: Process PDF with AI
    service: ai-service
    action: process_pdf
    compensationAction: cleanup_processing
    timeout: 2m
    retryAttempts: 1
    retryDelay: 500ms
    dependencies: [validate_sample]
    data: {pages: [1, 2], dpi: 300}
";

fn built() -> Definition {
    let validate = Step::new("validate_sample")
        .name("Validate Sample Data")
        .service("sample-service")
        .compensated_by("revert_validation")
        .timeout(Duration::from_secs(30))
        .retries(2);
    let process = Step::new("process_pdf")
        .name("Process PDF with AI")
        .service("ai-service")
        .compensated_by("cleanup_processing")
        .timeout(Duration::from_secs(120))
        .retries(1)
        .retry_delay(Duration::from_millis(500))
        .after("validate_sample")
        .data(serde_json::json!({"dpi": 300, "pages": [1, 2]}));
    let builder = Definition::builder("sample_processing_workflow");
    builder.step(validate).step(process).build().unwrap()
}

#[test]
fn rust_json_and_yaml_give_the_same_definition_and_hash() {
    let built = built();
    let yaml = Definition::from_yaml(YAML).unwrap();
    assert_eq!(yaml.steps(), built.steps());
    assert_eq!(yaml.hash(), built.hash());
    let json = Definition::from_json(&built.to_json()).unwrap();
    assert_eq!(json.steps(), built.steps());
    assert_eq!(json.hash(), built.hash());
}

#[test]
fn the_written_form_and_its_hash_are_fixed() {
    let definition = built();
    assert_eq!(
        std::str::from_utf8(&definition.to_json()).unwrap(),
        r#"{"name":"sample_processing_workflow","steps":[{"id":"validate_sample","name":"Validate Sample Data","service":"sample-service","action":"validate_sample","compensationAction":"revert_validation","timeout":30000,"retryAttempts":2},{"id":"process_pdf","name":"Process PDF with AI","service":"ai-service","action":"process_pdf","compensationAction":"cleanup_processing","timeout":120000,"retryAttempts":1,"retryDelay":500,"dependencies":["validate_sample"],"data":{"dpi":300,"pages":[1,2]}}]}"#
    );
    assert_eq!(
        definition.hash().to_string(),
        "8ca06354d330fbf09d7be60448b2e4b67619fe6cdcee801146fc666ef8f00e7e"
    );
}

#[test]
fn a_changed_step_changes_the_hash() {
    let before = Definition::from_steps("s", vec![step("a")]).unwrap();
    let after = Definition::from_steps("s", vec![step("a").retries(1)]).unwrap();
    assert_ne!(before.hash(), after.hash());
}

#[test]
fn what_does_not_fit_is_refused_with_its_path() {
    for (json, path, reason) in [
        ("1", ".", "invalid type"),
        (
            r#"{"name":"s","steps":[{"id":"a","action":"a","retries":1}]}"#,
            "steps[0].retries",
            "unknown field `retries`",
        ),
        (
            r#"{"name":"s","steps":[{"id":"a","action":"a","timeout":-1}]}"#,
            "steps[0].timeout",
            "milliseconds",
        ),
        (
            r#"{"name":"s","steps":[{"id":"a","action":"a","timeout":"30"}]}"#,
            "steps[0].timeout",
            "milliseconds",
        ),
        (
            r#"{"name":"s","steps":[{"id":"a","action":"a","retryAttempts":-2}]}"#,
            "steps[0].retryAttempts",
            "u32",
        ),
        (
            r#"{"name":"s","steps":[{"id":"a"}]}"#,
            "steps[0]",
            "missing field `action`",
        ),
        (r#"{"name":"s","steps":[]} x"#, ".", "trailing"),
    ] {
        match Definition::from_json(json.as_bytes()).unwrap_err() {
            DefinitionError::Unreadable {
                path: at,
                reason: why,
            } => {
                assert_eq!(at, path, "{json}");
                assert!(why.contains(reason), "{json}: {why}");
            }
            other => panic!("{json}: {other}"),
        }
    }
    let error = Definition::from_yaml("name: s\nsteps:\n  - {id: a, action: a, undo: b}\n");
    assert!(error.unwrap_err().to_string().contains("undo"));
}

#[test]
fn a_step_knows_its_ancestors_and_nobody_else() {
    let steps = vec![
        step("a"),
        step("b").after("a"),
        step("x"),
        step("c").after("b"),
    ];
    let definition = Definition::from_steps("s", steps).unwrap();
    assert_eq!(definition.ancestors(3), [0, 1]);
    assert_eq!(definition.ancestors(2), [] as [usize; 0]);
}
