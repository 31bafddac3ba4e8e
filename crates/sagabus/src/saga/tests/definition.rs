//! Rules of definitions: what is refused, the two front doors, the hash.

use std::time::Duration;

use super::bed::step;
use crate::saga::definition::Changed;
use crate::saga::{Definition, DefinitionError, InvalidDefinition, Step};

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
        ("1", ".", "must be an object"),
        ("[]", ".", "is a list, and must be an object"),
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
            "a whole number from 0",
        ),
        (
            r#"{"name":"s","steps":[{"id":"a"}]}"#,
            "steps[0]",
            "missing field `action`",
        ),
        (r#"{"name":"s","steps":[]} x"#, ".", "more behind its end"),
    ] {
        match Definition::from_json(json.as_bytes()).unwrap_err().fault {
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

/// Path, line and column of what is refused.
fn place(error: &InvalidDefinition) -> (String, Option<(u64, u64)>) {
    let position = error.place.position.map(|it| (it.line, it.column));
    (error.place.path.clone(), position)
}

#[test]
fn every_refusal_names_its_path_and_its_line_and_column() {
    let long = format!("name: {}\nsteps: [{{id: a, action: a}}]\n", "n".repeat(256));
    let many: String = (0..1_001)
        .map(|n| format!("- {{id: s{n}, action: a}}\n"))
        .collect();
    let many = format!("name: s\nsteps:\n{many}");
    for (yaml, path, line, column, text) in [
        ("name: s\nsteps: []\n", "steps", 2, 1, "has no steps"),
        (many.as_str(), "steps", 2, 1, "more than 1000"),
        (long.as_str(), "name", 1, 1, "must be 1 to 255 bytes"),
        (
            "name: s\nsteps:\n- {id: a, action: a}\n- action: b\n  id: a\n",
            "steps[1].id",
            5,
            3,
            "`a` is used twice",
        ),
        (
            "name: s\nsteps:\n- id: a\n  action: a\n  dependencies:\n  - x\n",
            "steps[0].dependencies[0]",
            6,
            5,
            "depends on `x`",
        ),
        (
            "name: s\nsteps:\n- {id: b, action: b, dependencies: [a]}\n- {id: a, action: a, dependencies: [c, b]}\n- {id: c, action: c}\n",
            "steps[0].dependencies[0]",
            3,
            37,
            "b → a → b",
        ),
        (
            "name: s\nsteps:\n- {id: a, action: a}\n- {id: b, action: b, dependencies: [a, b]}\n",
            "steps[1].dependencies[1]",
            4,
            40,
            "b → b",
        ),
        (
            "name: s\nsteps:\n- id: a\n  action: a\n  timeout: 0\n",
            "steps[0].timeout",
            5,
            3,
            "is zero",
        ),
        (
            "name: s\nsteps:\n- id: a\n  action: a\n  retryDelay: 200h\n",
            "steps[0].retryDelay",
            5,
            3,
            "longer than 7 days",
        ),
        (
            "name: s\nsteps:\n- id: a\n  action: a b\n",
            "steps[0].action",
            4,
            3,
            "of letters",
        ),
        (
            "name: s\nsteps:\n- id: a\n  action: a\n  retries: 1\n",
            "steps[0].retries",
            5,
            3,
            "unknown field `retries`",
        ),
        (
            "name: s\nsteps:\n- id: a\n  action: a\n  timeout: -1\n",
            "steps[0].timeout",
            5,
            3,
            "milliseconds",
        ),
        (
            "name: s\nsteps:\n- id: a\n- id: b\n",
            "steps[0]",
            3,
            3,
            "missing field `action`",
        ),
        (
            "name: s\nsteps:\n- {id: a\n",
            "steps",
            3,
            3,
            "a bracket is not closed",
        ),
        (
            "name: s\nsteps:\n- id: a\n  child:\n    definition:\n      name: c\n      steps:\n      - id: b\n        action: b\n        retryDelay: 8d\n",
            "steps[0].child.definition.steps[0].retryDelay",
            10,
            9,
            "longer than 7 days, at `steps[0].child.definition.steps[0].retryDelay`",
        ),
        (
            "name: s\nsteps:\n- id: a\n  child:\n    definition:\n      name: c\n      steps:\n      - {id: b, action: b}\n      - id: d\n        child: {definition: {name: e, steps: [{id: f}]}}\n",
            "steps[0].child.definition.steps[1].child.definition.steps[0]",
            10,
            47,
            "at `steps[0].child.definition.steps[1].child.definition.steps[0]`: missing field",
        ),
        (
            "name: s\nsteps:\n- {id: a, signal: {name: n}, retryDelay: 5}\n",
            "steps[0].retryDelay",
            3,
            30,
            "`retryDelay` is too much",
        ),
    ] {
        let error = Definition::from_yaml(yaml).unwrap_err();
        let expected = (path.to_owned(), Some((line, column)));
        assert_eq!(place(&error), expected, "{yaml}\n{error}");
        let shown = error.to_string();
        let at = format!("line {line}, column {column}: ");
        assert!(shown.starts_with(&at) && shown.contains(text), "{shown}");
        assert!(!shown.contains('\n'), "{shown}");
    }
}

#[test]
fn json_has_the_same_places_and_one_that_is_cut_off_is_told_where_it_ends() {
    for (json, path, line, column) in [
        (
            "{\"name\": \"s\", \"steps\": [\n\t{\"id\": \"a\", \"action\": \"a\",\n\t \"dependencies\": [\"b\"]}]}",
            "steps[0].dependencies[0]",
            3,
            20,
        ),
        (
            "{\"name\": \"s\",\n \"steps\": [{\"id\": \"a\", \"action\": \"a\", \"x\": {}}]}",
            "steps[0].x",
            2,
            39,
        ),
        ("{\"name\": \"s\",\n \"steps\": [}", "steps[0]", 2, 12),
        ("{\"name\": \"s\",\n", ".", 2, 1),
        ("{\"name\":\"s\",\"steps\":[]}\nx", ".", 2, 1),
        (
            "{\"name\":\"s\",\n\"steps\":[{\"id\":\"a\",\"action\":\"a\",\n\"data\":{\"x\":1,\n\"x\":2}}]}",
            "steps[0].data",
            4,
            3,
        ),
        (
            "{\"name\":\"s\",\"steps\":[{\"id\":\"k\",\"child\":{\"definition\":{\"name\":\"c\",\n\"steps\":[{\"id\":\"a\",\"action\":\"a\",\"data\":[{\"y\":{\"x\":1,\n\"x\":2}}]}]}}}]}",
            "steps[0].child.definition.steps[0].data",
            3,
            3,
        ),
        // A column is a character.
        (
            "{\"name\":\"s\",\n\"steps\":[{\"id\":\"a\",\"action\":\"a\",\n\"data\":{\"ää\":1,\"ää\":2}}]}",
            "steps[0].data",
            3,
            19,
        ),
        ("{\"name\":\"ää\",\"steps\":x", "steps", 1, 22),
    ] {
        let error = Definition::from_json(json.as_bytes()).unwrap_err();
        let expected = (path.to_owned(), Some((line, column)));
        assert_eq!(place(&error), expected, "{json}\n{error}");
    }
    // What is no text has the place of its first such byte.
    let bytes = b"{\"name\": \"s\",\n \"st\xc3\xa4\xff\": 5}";
    let error = Definition::from_json(bytes).unwrap_err();
    assert_eq!(place(&error), (".".to_owned(), Some((2, 6))));
    let text = "it is not UTF-8: byte 21 of it, 0xff, is part of no character";
    assert!(error.to_string().ends_with(text), "{error}");
    let twice = vec![step("a"), step("a")];
    let error = Definition::from_steps("s", twice).unwrap_err();
    assert_eq!(place(&error), ("steps[1].id".to_owned(), None));
    let large = " ".repeat(1024 * 1024 + 1);
    let error = Definition::from_json(large.as_bytes()).unwrap_err();
    assert_eq!(place(&error), (".".to_owned(), None));
    assert!(matches!(error.fault, DefinitionError::TooLarge { .. }));
}

#[test]
fn data_is_kept_as_it_is_written_and_no_name_stands_twice_in_it() {
    let of = |data: &str| {
        let json = format!(r#"{{"name":"s","steps":[{{"id":"a","action":"a","data":{data}}}]}}"#);
        Definition::from_json(json.as_bytes())
    };
    for data in [
        r#"{"a":[1,-1,1.5,1e300,18446744073709551615,-9223372036854775808],"b":{"a":null,"":"ä\n"}}"#,
        "[[],{},true,false,\"x\"]",
        "5",
        "\"\"",
    ] {
        let read = of(data).unwrap();
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(read.steps()[0].data, Some(value), "{data}");
        let pinned = Definition::from_pinned(&read.to_json()).unwrap();
        assert_eq!(pinned.steps(), read.steps());
    }
    assert_eq!(of("null").unwrap().steps()[0].data, None);
    for data in [
        r#"{"x":1,"x":1}"#,
        r#"[{"y":{"x":1,"z":2,"x":3}}]"#,
        r#"{"x":1,"\u0078":2}"#,
    ] {
        let error = of(data).unwrap_err().to_string();
        let text = "at `steps[0].data`: field `x` is there twice";
        assert!(error.ends_with(text), "{data}: {error}");
    }
    // A number that readers take for different ones is a text; what was written is kept.
    let yaml = "name: s\nsteps:\n- {id: a, action: a, data: [010, 10, 0]}\n";
    let data = Definition::from_yaml(yaml).unwrap().steps()[0].data.clone();
    assert_eq!(data, Some(serde_json::json!(["010", 10, 0])));
}

#[test]
fn a_concurrency_key_names_what_can_be_found_in_an_input() {
    let of = |key: &str| {
        let json = format!(
            r#"{{"name":"s","steps":[{{"id":"a","action":"a"}}],"concurrencyKey":{{"key":"{key}"}}}}"#
        );
        Definition::from_json(json.as_bytes())
    };
    for key in ["{a}", "{/a/b}", "x {a.b} {/a~0~1} {a b}", "{/}", "{a~b}"] {
        of(key).unwrap();
    }
    for key in ["{/a~2}", "{/a~}", "{a/b}", "{a} {/b/~}", "{ a}", "{a }"] {
        let error = of(key).unwrap_err();
        assert_eq!(error.place.path, "concurrencyKey.key", "{key}");
        let named = error.to_string().contains(", and not `{");
        assert!(named, "{key}: {error}");
    }
}

#[test]
fn what_is_said_without_effect_is_a_warning_with_its_place() {
    let yaml = "name: s\nsteps:\n- {id: a, action: a}\n- id: b\n  action: b\n  retryDelay: 1s\n  dependencies:\n  - a\n  - a\n";
    let definition = Definition::from_yaml(yaml).unwrap();
    let shown: Vec<String> = definition
        .warnings()
        .into_iter()
        .map(|it| {
            let place = it.place.found_in(yaml);
            format!("{} {}: {}", place.path, place.position.unwrap(), it.kind)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "steps[1].dependencies[1] line 9, column 5: step `b` depends on `a` twice",
            "steps[1].retryDelay line 6, column 3: `retryDelay` of step `b` is never used: it has no `retryAttempts`",
        ]
    );
    assert_eq!(built().warnings(), []);
}

#[test]
fn what_a_new_definition_changes_is_named_by_step_and_field() {
    let old = built();
    let mut steps = old.steps().to_vec();
    steps[1] = steps[1]
        .clone()
        .timeout(Duration::from_secs(5))
        .action("read");
    steps[1].dependencies = vec!["check".to_owned()];
    steps.remove(0);
    steps.push(step("check"));
    let new = Definition::from_steps("other", steps).unwrap();
    let fields = |fields: &[&str]| fields.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    let changes = new.changes_from(&old);
    assert_eq!(changes.fields, fields(&["name"]));
    let step = |id: &str| id.to_owned();
    assert_eq!(
        changes.steps,
        [
            Changed::Fields {
                step: step("process_pdf"),
                fields: fields(&["action", "dependencies", "timeout"]),
            },
            Changed::Added {
                step: step("check")
            },
            Changed::Removed {
                step: step("validate_sample"),
            },
        ]
    );
    let read = Definition::from_yaml(YAML).unwrap();
    assert!(read.changes_from(&old).is_empty());
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
