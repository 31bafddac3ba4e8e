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
        (
            &step(&format!(r#""data":{}{}"#, "[".repeat(200), "]".repeat(200))),
            "nested deeper than 64",
        ),
    ] {
        let said = said(json, true);
        assert!(said.contains(words), "{json}: {said}");
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
