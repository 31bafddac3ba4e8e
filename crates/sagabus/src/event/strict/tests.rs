//! What is read from outside, as every reader understands it.

use serde_json::{Map, Value};

use super::{DEPTH_MAX, json_fault, read_json};

fn fault(body: &str) -> Option<String> {
    let read = read_json::<Map<String, Value>>(body.as_bytes());
    read.err().map(|error| json_fault(&error))
}

#[test]
fn a_name_that_stands_twice_is_named_at_any_depth_and_however_it_is_written() {
    for body in [
        r#"{"twin":1,"twin":2}"#,
        r#"{"a":[{"twin":1,"\u0074win":1}]}"#,
    ] {
        let fault = fault(body).unwrap();
        assert!(fault.contains("`twin` is there twice, line 1"), "{fault}");
    }
    assert_eq!(fault(r#"{"a":{"b":1},"b":{"b":1}}"#), None);
}

#[test]
fn nesting_is_taken_to_its_limit_and_no_deeper() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"a\":{open}{close}}}")
    };
    assert_eq!(fault(&nested(DEPTH_MAX)), None);
    for depth in [DEPTH_MAX + 1, 128, 100_000] {
        let fault = fault(&nested(depth)).unwrap();
        assert!(fault.contains("nested deeper than 64"), "{fault}");
    }
}

#[test]
fn what_is_no_json_or_something_else_is_told_in_plain_words() {
    for (body, words) in [
        ("{", "ends too early"),
        ("{} x", "more behind its end"),
        ("[]", "is a list, and must be an object"),
        (r#"{"a":1e400}"#, "larger than readers can hold"),
        (r#"{"a":"\ud800"}"#, "half a pair"),
    ] {
        let fault = fault(body).unwrap();
        assert!(fault.contains(words), "{body}: {fault}");
    }
}
