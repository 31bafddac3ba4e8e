//! Both readers are heard, and nothing of their own vocabulary is left.

use crate::saga::Definition;

/// What is said of a definition that is refused, without its place.
fn said(text: &str, is_json: bool) -> String {
    let refused = match is_json {
        true => Definition::from_json(text.as_bytes()),
        false => Definition::from_yaml(text),
    };
    refused.unwrap_err().fault.to_string()
}

/// A definition with one step that has this as well.
fn step(more: &str) -> String {
    format!(r#"{{"name":"s","steps":[{{"id":"a","action":"a",{more}}}]}}"#)
}

/// What is no YAML, or not of the kind that is wanted, and what is said of it.
const NO_YAML_AND_WHY: [(&str, &str); 33] = [
    (
        "name: s\nsteps:\n\t- id: a\n",
        "a tab stands where only spaces may",
    ),
    (
        "name: s\nsteps:\n- id: a\n\taction: a\n",
        "a tab stands where",
    ),
    ("name: s\nsteps: |\n\tx\n", "a tab stands where"),
    ("name: s\0\nsteps: []\n", "a character"),
    ("name: \0\nsteps: []\n", "a character"),
    ("\0", "a character"),
    ("name: s\nsteps: [\n", "a bracket is not closed"),
    ("name: s\nsteps: {\n", "`steps`: must be a list"),
    (
        "name: s\nsteps: ]\n",
        "a bracket is closed that was not opened",
    ),
    (
        "name: s\nsteps: [}\n",
        "a bracket is closed by one of another kind",
    ),
    ("name: s\nsteps: [a b: c d: e]\n", "unknown field `a b`"),
    ("name: {a b\nsteps: []\n", "`name`: must be a text"),
    ("name: &\nsteps: []\n", "a `&` or `*` has no name"),
    ("name: *\nsteps: []\n", "a `&` or `*` has no name"),
    ("name: s\nsteps: &x [*x]\n", "a name that begins with `*`"),
    ("name: \"s\nsteps: []\n", "a quote is not closed"),
    ("name: s: t\nsteps: []\n", "a `:` stands in a text"),
    ("name: s\n  steps: []\n", "no YAML"),
    ("name: s\nsteps\n", "a `:` is missing"),
    (
        "name: @s\nsteps: []\n",
        "a character stands where it cannot",
    ),
    ("name: \"\\q\"\nsteps: []\n", "a `\\` before what"),
    ("name: !x!y s\nsteps: []\n", "`!` is not taken"),
    ("name: 5\nsteps: []\n", "`name`: is 5, and must be a text"),
    (
        "name: true\nsteps: []\n",
        "`name`: is true, and must be a text",
    ),
    (
        "name: 1.5\nsteps: []\n",
        "`name`: is 1.5, and must be a text",
    ),
    (
        "name: s\nsteps: [{id: a, action: a, pivot: yes}]\n",
        "`steps[0].pivot`: is the text \"yes\", and must be `true` or `false`",
    ),
    (
        "name: s\nsteps: [{id: a, action: a, lateBinding: on}]\n",
        "`steps[0].lateBinding`: is the text \"on\", and must be `true` or `false`",
    ),
    ("{[a]: x}", "`.`: the name of a field must be a text"),
    (
        "name: s\nsteps: [{id: a, action: a, {b: c}: x}]\n",
        "`steps[0]`: the name of a field must be a text",
    ),
    (
        "name: s\nsteps: [{id: a, action: a, data: {x: {[a]: x}}}]\n",
        "`steps[0].data`: the name of a field must be a text",
    ),
    (
        "name: s\nsteps: [{id: a, action: a, data: {5: x}}]\n",
        "`steps[0].data`: the name of a field is 5, and must be a text",
    ),
    (
        "name: s\nsteps: [{id: a, action: [a]}]\n",
        "`steps[0].action`: must be a text",
    ),
    (
        "name: s\nsteps: [{id: a, action: a, timeout: 010}]\n",
        "`steps[0].timeout`: is the text \"010\", and must be milliseconds as a number, or text such as",
    ),
];

#[test]
fn what_the_readers_of_json_and_yaml_say_is_said_in_plain_words() {
    for (more, words) in [
        (
            r#""retryAttempts":-2"#,
            "a whole number from 0 to 4294967295",
        ),
        (
            r#""retryAttempts":"x""#,
            "a whole number from 0 to 4294967295",
        ),
        (r#""version":0"#, "a whole number from 1 to 4294967295"),
        (r#""pivot":5"#, "`true` or `false`"),
        (r#""dependencies":"b""#, "a list"),
        (r#""dependencies":{"b":1}"#, "a list"),
        (r#""signal":["go"]"#, "an object"),
        (r#""forEach":"/x""#, "an object"),
        (r#""compensate":"never""#, "must be one of"),
        (r#""timeout":[5]"#, "milliseconds as a number"),
        (
            r#""retries":3"#,
            "unknown field `retries`: there are `id`, `name`, `service`, `action`",
        ),
        (r#""id":"b""#, "`id` is there twice"),
        (r#""compensate":5"#, "must be one of"),
        (
            r#""data":{"y":[{"x":1,"x":2}]}"#,
            "`steps[0].data`: field `x` is there twice",
        ),
        (
            r#""timeout":"010""#,
            "is the text \"010\", and must be milliseconds as a number",
        ),
    ] {
        for is_json in [true, false] {
            let said = said(&step(more), is_json);
            assert!(said.contains(words), "{more} {is_json}: {said}");
            for word in [
                "struct", "u32", "sequence", " map", "expected", "invalid", "enum", "Option",
                "Policy",
            ] {
                assert!(!said.contains(word), "{more} {is_json}: {word}: {said}");
            }
        }
    }
    for (json, words) in [
        ("", "it is no JSON: it ends too early"),
        (r#"{"name":"s","#, "it is no JSON: it ends too early"),
        (
            r#"{"name":"s","steps":[]} x"#,
            "there is more behind its end",
        ),
        (r#"{"name":"s" "steps":[]}"#, "a `,` or a `}` is missing"),
        (r#"{"name":"s",}"#, "a comma stands before an end"),
        (r#"{name:"s"}"#, "a name of a field is not in quotes"),
        (r#"{"name":}"#, "a value is missing"),
        ("{\"name\":\"a\nb\"}", "a control character"),
        (r#"{"name":"\x"}"#, "a `\\` before what"),
        (&step(r#""data":1e999"#), "larger than readers can hold"),
        (&step(r#""timeout":010"#), "a number is not written as one"),
        (
            &step(&format!(r#""data":{}{}"#, "[".repeat(200), "]".repeat(200))),
            "nested deeper than 64",
        ),
    ] {
        let said = said(json, true);
        assert!(said.contains(words), "{json}: {said}");
    }
    for (yaml, words) in NO_YAML_AND_WHY {
        let said = said(yaml, false);
        assert!(said.contains(words), "{yaml:?}: {said}");
        for word in [
            "anchor",
            "alias",
            "scalar",
            "flow",
            "node",
            "mapping",
            "sequence",
            "expected",
            "token",
            "simple",
            "context",
            "string",
            "EOF",
            "misplaced",
            "strict",
        ] {
            assert!(!said.contains(word), "{yaml:?}: {word}: {said}");
        }
    }
    for (yaml, words) in [
        ("name: s\nname: t\nsteps: []\n", "`name` is there twice"),
        ("name: s\nsteps: [*x]\n", "is not given before with `&`"),
        (
            "name: s\nsteps: []\n---\nname: t\n",
            "more than one document",
        ),
        (
            &step(&format!(
                r#""data":{}{}"#,
                "[".repeat(3_000),
                "]".repeat(3_000)
            )),
            "nested deeper than",
        ),
    ] {
        let said = said(yaml, false);
        assert!(said.contains(words), "{yaml}: {said}");
    }
}
