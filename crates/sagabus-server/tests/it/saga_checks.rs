//! `sagabus saga check`: whatever makes a definition one that is refused at a start is found without a server, and where.

use std::collections::BTreeSet;

use sagabus::saga::Definition;
use serde_json::Value;

use crate::program::{Place, Server, run};

/// A definition with one fault, where it is told, and words that name it.
struct Fault {
    kind: &'static str,
    yaml: String,
    at: &'static str,
    words: &'static str,
}

fn steps(steps: &str) -> String {
    format!("name: s\nsteps:\n{steps}")
}

/// One step with more fields.
fn one(more: &str) -> String {
    steps(&format!("- id: a\n  action: a\n  {more}\n"))
}

fn nested(depth: usize) -> String {
    (0..depth).fold(
        "{name: s, steps: [{id: a, action: a}]}".to_owned(),
        |inner, _| {
            format!("{{name: s, steps: [{{id: a, child: {{definition: {inner}, from: ''}}}}]}}")
        },
    )
}

fn faults() -> Vec<Fault> {
    let fault = |kind, yaml: String, at, words| Fault {
        kind,
        yaml,
        at,
        words,
    };
    let many: String = (0..=1_000)
        .map(|at| format!("- {{id: a{at}, action: a}}\n"))
        .collect();
    let large = format!(
        "- id: a\n  action: a\n  data: \"{}\"\n",
        "x".repeat(1024 * 1024)
    );
    let child = |inner: &str| {
        steps(&format!(
            "- id: a\n  child: {{from: '', definition: {inner}}}\n"
        ))
    };
    let inner = "{name: c, steps: [{id: b, action: b}]}";
    vec![
        fault(
            "Empty",
            "name: s\nsteps: []\n".to_owned(),
            "2:1",
            "has no steps",
        ),
        fault("TooManySteps", steps(&many), "2:1", "more than 1000"),
        fault(
            "Duplicate",
            steps("- {id: a, action: a}\n- {id: a, action: b}\n"),
            "4:4",
            "used twice",
        ),
        fault(
            "UnknownDependency",
            one("dependencies: [b]"),
            "5:18",
            "`b`, which is not a step",
        ),
        fault("Cycle", one("dependencies: [a]"), "5:18", "a → a"),
        fault(
            "Cycle",
            steps(
                "- {id: a, action: a, dependencies: [b]}\n- {id: b, action: b, dependencies: [a]}\n",
            ),
            "3:37",
            "a → b → a",
        ),
        fault(
            "TwoPivots",
            steps("- {id: a, action: a, pivot: true}\n- {id: b, action: b, pivot: true}\n"),
            "4:22",
            "`a` and `b` are both the `pivot`",
        ),
        fault(
            "ZeroTimeout",
            one("timeout: 0"),
            "5:3",
            "`timeout` of step `a` is zero",
        ),
        fault(
            "ZeroTimeout",
            one("compensationTimeout: 0"),
            "5:3",
            "`compensationTimeout`",
        ),
        fault(
            "ZeroTimeout",
            one("stepDeadline: 0"),
            "5:3",
            "`stepDeadline`",
        ),
        fault("ZeroTimeout", one("heartbeat: 0"), "5:3", "`heartbeat`"),
        fault(
            "TooLong",
            one("retryDelay: 8d"),
            "5:3",
            "`retryDelay` of step `a` is longer than 7 days",
        ),
        fault("Unreadable", one("timeout: -1"), "5:3", "steps[0].timeout"),
        fault(
            "Unreadable",
            one("retry: 3"),
            "5:3",
            "unknown field `retry`",
        ),
        fault(
            "Unreadable",
            steps("- {id: a}\n"),
            "3:3",
            "missing field `action`",
        ),
        fault(
            "NotBare",
            steps("- id: a\n  signal: {name: n}\n  timeout: 5\n"),
            "5:3",
            "waits and is not run: `timeout` is too much",
        ),
        fault(
            "NotBare",
            steps("- {id: a, timer: {for: 5}, data: {x: 1}}\n"),
            "3:28",
            "`data` is too much",
        ),
        fault(
            "Unreadable",
            steps(
                "- {id: a, signal: {name: n}, child: {definition: {}}}\n"
                    .replace("{}", inner)
                    .as_str(),
            ),
            "3:30",
            "`steps[0].child`: is too much beside `signal`",
        ),
        fault(
            "TooLong",
            child("{name: c, steps: [{id: b, action: b, retryDelay: 8d}]}"),
            "4:70",
            "at `steps[0].child.definition.steps[0].retryDelay`",
        ),
        fault(
            "Unreadable",
            child("{name: c, steps: [{id: b}]}"),
            "4:51",
            "at `steps[0].child.definition.steps[0]`: missing field `action`",
        ),
        fault(
            "Unreadable",
            one("data: {[a]: x}"),
            "5:10",
            "the name of a field must be a text",
        ),
        fault(
            "Unreadable",
            one("timeout: 010"),
            "5:3",
            "is the text \"010\", and must be milliseconds",
        ),
        fault(
            "ConcurrencyKey",
            format!("{}concurrencyKey: {{key: '{{/a~2}}'}}\n", one("timeout: 5")),
            "6:18",
            "a JSON pointer, such as `{/sample/id}`, and not `{/a~2}`",
        ),
        fault(
            "WaitLimit",
            steps("- {id: a, timer: {for: 0}}\n"),
            "3:19",
            "`timer.for` of step `a` must be 1 millisecond to 366 days",
        ),
        fault(
            "WaitLimit",
            steps("- {id: a, signal: {name: n, timeout: 400d}}\n"),
            "3:29",
            "`signal.timeout`",
        ),
        fault(
            "WaitLimit",
            steps("- {id: a, approval: {role: r, timeout: 0}}\n"),
            "3:31",
            "`approval.timeout`",
        ),
        fault(
            "Name",
            steps("- {id: a, approval: {role: ''}}\n"),
            "3:22",
            "`approval.role`",
        ),
        fault(
            "Name",
            steps("- {id: a, signal: {name: 'a b'}}\n"),
            "3:20",
            "`signal.name`",
        ),
        fault(
            "Unreadable",
            one(&format!("data: {}{}", "[".repeat(65), "]".repeat(65))),
            "5:3",
            "steps[0].data`: it is nested deeper than 64",
        ),
        fault(
            "Cycle",
            one(&format!(
                "data: {}{}\n  dependencies: [a]",
                "[".repeat(64),
                "]".repeat(64)
            )),
            "6:18",
            "a → a",
        ),
        fault(
            "Unreadable",
            one("data: {x: [1, 2}"),
            "5:13",
            "it is no YAML: a bracket is closed by one of another kind",
        ),
        fault(
            "Unreadable",
            "name: 5\nsteps: [{id: a, action: a}]\n".to_owned(),
            "1:1",
            "`name`: is 5, and must be a text",
        ),
        fault(
            "Unreadable",
            one("pivot: yes"),
            "5:3",
            "steps[0].pivot`: is the text \"yes\", and must be `true` or `false`",
        ),
        fault(
            "Pointer",
            one("forEach: {from: items}"),
            "5:3",
            "`forEach.from`",
        ),
        fault(
            "NotBefore",
            steps("- {id: a, action: a}\n- {id: b, action: b, forEach: {from: '', step: a}}\n"),
            "4:22",
            "`a`, which is not before it",
        ),
        fault(
            "NotOfChild",
            child(inner).replace("  child", "  timeout: 5\n  child"),
            "4:3",
            "a saga of its own: `timeout` is too much",
        ),
        fault("TooDeep", nested(4), "1:27", "sagas inside each other"),
        fault(
            "KeyInside",
            child("{name: c, steps: [{id: b, action: b}], concurrencyKey: {key: '{x}'}}"),
            "4:3",
            "`concurrencyKey`",
        ),
        fault(
            "TwoInputs",
            steps(&format!(
                "- id: a\n  forEach: {{from: /x}}\n  child: {{from: /y, definition: {inner}}}\n"
            )),
            "5:3",
            "another one besides",
        ),
        fault(
            "SagaLimit",
            format!("{}deadline: 0\n", one("timeout: 5")),
            "6:1",
            "`deadline` of saga `s`",
        ),
        fault(
            "SagaLimit",
            format!("{}queueTimeout: 400d\n", one("timeout: 5")),
            "6:1",
            "`queueTimeout` of saga `s`",
        ),
        fault(
            "ConcurrencyKey",
            format!("{}concurrencyKey: {{key: x}}\n", one("timeout: 5")),
            "6:18",
            "in braces",
        ),
        fault(
            "ConcurrencyKey",
            format!(
                "{}concurrencyKey: {{key: '{{x}}', limit: 1001}}\n",
                one("timeout: 5")
            ),
            "6:30",
            "must be 1 to 1000 sagas, and is 1001",
        ),
        fault(
            "EventInput",
            format!("{}eventInput: [sampleId]\n", one("timeout: 5")),
            "6:1",
            "different JSON pointers",
        ),
        fault(
            "Name",
            steps("- {id: 'a b', action: a}\n"),
            "3:4",
            "`id` of `a b`",
        ),
        fault(
            "Name",
            one("compensationAction: 'a/b'"),
            "5:3",
            "`compensationAction`",
        ),
        fault("TooLarge", steps(&large), "", "more than 1048576"),
    ]
}

/// The names of the faults that a definition can have, from where they are defined.
fn kinds() -> BTreeSet<&'static str> {
    let source = include_str!("../../../sagabus/src/saga/definition/check.rs");
    let (_, body) = source.split_once("pub enum DefinitionError {\n").unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with(|it: char| it.is_ascii_uppercase()))
        .map(|line| line.split([' ', '{', ',']).next().unwrap())
        .collect()
}

#[test]
fn whatever_makes_a_definition_refused_is_found_offline_with_line_and_column() {
    let folder = Place::new();
    let mut met = BTreeSet::new();
    let mut elsewhere = Vec::new();
    for fault in faults() {
        let Fault {
            kind,
            yaml,
            at,
            words,
        } = &fault;
        // It is this fault, by its name in the program as well.
        let refused = Definition::from_yaml(yaml).unwrap_err();
        let is = format!("{:?}", refused.fault);
        assert!(is.starts_with(kind), "{kind}: {is}");
        met.insert(*kind);
        let path = folder.file("definition.yaml");
        std::fs::write(&path, yaml).unwrap();
        let file = path.to_str().unwrap();
        let ran = run(&["saga", "check", file]);
        assert_eq!(ran.code, Some(2), "{kind}: {}{}", ran.out, ran.err);
        // What is wrong with the file as a whole has no line.
        let place = match *at {
            "" => format!("{file}: "),
            at => format!("{file}:{at}: "),
        };
        let told = ran.out.strip_prefix(&place);
        if !told.is_some_and(|it| it.contains(words)) {
            elsewhere.push(format!("{kind} at {at}, not {}", ran.out));
        }
    }
    assert_eq!(elsewhere, [""; 0]);
    assert_eq!(met, kinds(), "each fault has a file that has it");
}

#[test]
fn what_is_no_text_is_refused_with_the_place_of_its_first_such_byte() {
    let folder = Place::new();
    for name in ["definition.yaml", "definition.json"] {
        let path = folder.file(name);
        let file = path.to_str().unwrap();
        std::fs::write(&path, b"name: s\nst\xc3\xa4\xff: []\n").unwrap();
        let ran = run(&["saga", "check", file]);
        assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
        let told = format!(
            "{file}:2:4: definition does not fit at `.`: it is not UTF-8: byte 13 of it, 0xff, is part of no character\n"
        );
        assert_eq!(ran.out, told);
        let ran = run(&["saga", "check", file, "-o", "json"]);
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        let found = &told["findings"][0];
        assert_eq!((&found["line"], &found["column"]), (&2.into(), &4.into()));
        // One that is too large is so, wherever it is cut.
        std::fs::write(&path, "ä".repeat(1024 * 1024)).unwrap();
        let ran = run(&["saga", "check", file]);
        assert!(ran.out.contains("more than 1048576"), "{}", ran.out);
    }
}

#[test]
fn what_the_check_of_a_file_refuses_is_refused_over_http_at_the_same_path() {
    let place = Place::new();
    let server = Server::start(&place);
    let inner = |more: &str| {
        format!(
            r#"{{"name":"s","steps":[{{"id":"k","child":{{"definition":{{"name":"c","steps":[{{"id":"a",{more}}}]}}}}}}]}}"#
        )
    };
    let within = "steps[0].child.definition.steps[0]";
    for (more, path, words) in [
        (
            r#""action":"a","data":{"x":1,"x":2}"#,
            format!("{within}.data"),
            "field `x` is there twice",
        ),
        (
            r#""signal":{"name":"n"},"retryDelay":5"#,
            format!("{within}.retryDelay"),
            "`retryDelay` is too much",
        ),
        (r#""name":"n""#, within.to_owned(), "missing field `action`"),
    ] {
        let definition = inner(more);
        let file = place.file("definition.json");
        std::fs::write(&file, &definition).unwrap();
        let ran = run(&["saga", "check", file.to_str().unwrap(), "-o", "json"]);
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        let found = &told["findings"][0];
        assert_eq!(found["path"], path, "{}", ran.out);
        let text = found["text"].as_str().unwrap();
        assert!(text.contains(words) && text.contains(&path), "{text}");
        let body = format!(r#"{{"definition":{definition},"context":{{}}}}"#);
        let request = server.request("POST", "/api/sagas");
        let answer = request.body("application/json", body).send();
        assert_eq!(answer.status, 400);
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(told.contains(words) && told.contains(&path), "{told}");
    }
}
