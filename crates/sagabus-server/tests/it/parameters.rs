//! What is asked for and sent in a wrong form, at every route: refused by name, in words of this program and no library's.

use serde_json::{Value, json};

use crate::bad_input::Door;
use crate::client::Answer;
use crate::openapi::routes;

/// Words of readers and frameworks, which say nothing to whoever sent it.
const OF_LIBRARIES: [&str; 22] = [
    "deserialize",
    "target type",
    "query string",
    "usize",
    "u64",
    "u32",
    "digit",
    "Cannot parse",
    "URL",
    "struct ",
    "enum",
    "variant",
    "expected",
    "Expected",
    "invalid type",
    "borrowed",
    "a sequence",
    "Option",
    "field headers",
    "multipart/form-data` request",
    "stream",
    "EOF",
];

#[track_caller]
pub(crate) fn refused(answer: &Answer, what: &str, words: &[&str]) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    let problem = answer.expect_problem(400, &[]);
    let text = problem.to_string();
    for word in words {
        assert!(text.contains(word), "{what}: no {word}: {text}");
    }
    for word in OF_LIBRARIES {
        assert!(!text.contains(word), "{what}: {word}: {text}");
    }
}

#[test]
fn a_parameter_that_is_out_of_range_is_refused_in_plain_words_with_its_limit() {
    let door = Door::new();
    let of_1000 = &["`limit`", "1 to 1000"][..];
    for (path, words) in [
        ("/api/events?limit=0", of_1000),
        ("/api/events?limit=99999999999", of_1000),
        ("/api/events?limit=99999999999999999999999", of_1000),
        ("/api/events?limit=x", of_1000),
        ("/api/events?limit=", of_1000),
        ("/api/events?limit=-1", of_1000),
        ("/api/events?limit=1.5", of_1000),
        ("/api/sagas?limit=0", of_1000),
        ("/api/sagas?limit=x", of_1000),
        ("/api/sagas?limit=99999999999999999999999", of_1000),
        ("/api/schedules?limit=0", &["`limit`", "1 to "]),
        ("/api/schedules?limit=x", &["`limit` is `x`", "1 to "]),
        ("/api/dead-letters?limit=0", of_1000),
        ("/api/dead-letters?limit=x", of_1000),
        (
            "/api/dead-letters/export?limit=x",
            &["`limit` is `x`", "1 to "],
        ),
        ("/api/subscriptions/audit-service/repairs?limit=0", of_1000),
        ("/api/subscriptions/audit-service/repairs?limit=x", of_1000),
        (
            "/api/subscriptions/audit-service/repairs?position=x",
            &["`position` is `x`", "whole number", "18446744073709551615"],
        ),
        ("/api/events?from=x", &["`from` is `x`", "whole number"]),
        (
            "/api/events?from=99999999999999999999",
            &["`from`", "18446744073709551615"],
        ),
        (
            "/api/dead-letters?deadFrom=yesterday",
            &["`deadFrom` is `yesterday`", "RFC 3339"],
        ),
        (
            "/api/dead-letters?deadBefore=9999-12-31T00:00:00Z",
            &["`deadBefore`", "9999-12-30"],
        ),
        ("/api/sagas?from=yesterday", &["`from`", "RFC 3339"]),
        (
            "/api/events/first",
            &["`position` is `first`", "whole number"],
        ),
        (
            "/api/events/1?form=xml",
            &["`form` is `xml`", "`structured`"],
        ),
        (
            "/api/dead-letters/audit-service/first",
            &["`position` is `first`", "whole number"],
        ),
        ("/api/events/%ff", &["path", "UTF-8"]),
        ("/api/sagas/%ff", &["path", "UTF-8"]),
        ("/api/samples/%ff", &["path", "UTF-8"]),
        ("/api/schemas/%ff", &["path", "UTF-8"]),
        ("/api/jobs/%ff", &["path", "UTF-8"]),
        ("/api/sagas?name=%ff", &["query", "UTF-8"]),
        ("/api/audit/events/first", &["sequence", "whole number"]),
        ("/api/audit/events?limit=0", &["limit", "1 to "]),
        ("/api/audit/stats?daysBack=0", &["daysBack", "1 to 365"]),
        ("/api/jobs?limit=99999999999", &["limit", "1 to 100"]),
        ("/api/jobs?offset=x", &["offset", "whole number"]),
        ("/api/samples?limit=x", &["limit", "1 to "]),
        ("/api/submissions?limit=0", &["limit", "1 to "]),
        ("/api/submissions?page=0", &["page", "1"]),
    ] {
        refused(&door.server.get(path), path, words);
    }
    let event = json!({"type": "lab.noted", "source": "test", "data": 1});
    for (path, words) in [
        ("/api/schedules", &["`due` is missing"][..]),
        ("/api/schedules?due=soon", &["`due` is `soon`", "RFC 3339"]),
        (
            "/api/dead-letters/import?author=a&reason=r&firstLine=0",
            &["`firstLine` is 0", "1 to "],
        ),
        (
            "/api/dead-letters/import?author=a&reason=r&firstLine=x",
            &["`firstLine` is `x`", "whole number"],
        ),
    ] {
        refused(&door.server.post(path, &event), path, words);
    }
    door.is_well();
}

#[test]
fn a_parameter_that_is_not_known_is_refused_by_name_on_every_route() {
    let door = Door::new();
    for path in routes() {
        let mut known = 0;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let request = door.server.request(method, &format!("{path}?nope=1"));
            let answer = request.json(&json!({})).send();
            if answer.status == 405 {
                continue;
            }
            known += 1;
            refused(&answer, &format!("{method} {path}"), &["nope"]);
        }
        assert!(known > 0, "{path}");
    }
    door.is_well();
}

#[test]
fn a_body_of_the_wrong_shape_is_refused_in_plain_words_with_its_field() {
    let door = Door::new();
    let by = |more: (&str, Value)| {
        let mut order = json!({"author": "a", "reason": "r"});
        order[more.0] = more.1;
        order.to_string()
    };
    for (path, body, words) in [
        (
            "/api/sagas",
            "[]".to_owned(),
            &["a list", "must be an object"][..],
        ),
        (
            "/api/sagas",
            "5".to_owned(),
            &["the number `5`", "must be an object"],
        ),
        ("/api/sagas", "{".to_owned(), &["ends too early", "line 1"]),
        ("/api/sagas", String::new(), &["ends too early"]),
        (
            "/api/sagas",
            r#"{"context":{},"steps":[]} x"#.to_owned(),
            &["behind its end"],
        ),
        (
            "/api/sagas",
            json!({"name": 5, "context": {}}).to_string(),
            &["`name`", "the number `5`", "a text"],
        ),
        (
            "/api/sagas",
            json!({"name": "x", "contexts": {}}).to_string(),
            &["unknown field `contexts`", "`context`"],
        ),
        (
            "/api/sagas/x/pause",
            by(("step", json!(5))),
            &["`step`", "the number `5`", "a text"],
        ),
        (
            "/api/dead-letters/redrive",
            by(("positions", json!("all"))),
            &["`positions`", "the text \\\"all\\\"", "a list"],
        ),
        (
            "/api/dead-letters/redrive",
            by(("positions", json!([-1]))),
            &["`positions[0]`", "-1", "whole number"],
        ),
        (
            "/api/dead-letters/redrive",
            by(("dryRun", json!("yes"))),
            &["`dryRun`", "`true` or `false`"],
        ),
        (
            "/api/dead-letters/redrive",
            by(("query", json!({"limit": -1}))),
            &["`query.limit`", "-1", "whole number"],
        ),
        (
            "/api/dead-letters/redrive",
            by(("ratePerSecond", json!(5_000_000_000_u64))),
            &["`ratePerSecond`", "5000000000", "1 to 1000"],
        ),
        (
            "/api/schedules/k/move",
            json!({"due": "soon"}).to_string(),
            &["`due`", "RFC 3339"],
        ),
        (
            "/api/subscriptions/audit-service/pause",
            by(("until", json!(5))),
            &["`until`", "the number `5`", "a text"],
        ),
        (
            "/api/events",
            json!({"type": 5, "source": "s", "data": 1}).to_string(),
            &["`type`", "the number `5`", "a text"],
        ),
        (
            "/api/events",
            json!({"type": "a.b", "source": "s", "data": 1, "priority": "now"}).to_string(),
            &["`priority`", "must be `urgent`"],
        ),
        (
            "/api/events",
            json!({"type": "a.b", "source": "s", "data": 1, "nope": 1}).to_string(),
            &["unknown field `nope`", "`correlationId`"],
        ),
        (
            "/api/events",
            "5".to_owned(),
            &["the number `5`", "an object"],
        ),
        ("/api/events", "{".to_owned(), &["ends too early"]),
        (
            "/api/events",
            json!({"type": "sample.deleted", "source": "s", "data": {"sampleId": 5}}).to_string(),
            &["data.sampleId", "the number `5`", "a text"],
        ),
        ("/api/samples", "{".to_owned(), &["ends too early"]),
        ("/api/samples", "[]".to_owned(), &["a list", "an object"]),
        (
            "/api/audit/events",
            "5".to_owned(),
            &["the number `5`", "an object"],
        ),
    ] {
        let request = door.server.request("POST", path);
        let answer = request.body("application/json", body.as_str()).send();
        refused(&answer, &format!("{path} {body}"), words);
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = door.server.request("POST", "/api/sagas").body(kind, "{}");
        let words = [kind, "`application/json`"];
        request.send().expect_problem(415, &words);
    }
    door.is_well();
}

#[test]
fn a_form_that_is_no_form_is_refused_in_plain_words() {
    let door = Door::new();
    for path in ["/api/submissions", "/api/uploads", "/api/process/pdf"] {
        for name in ["a\r\nb.pdf", "a\nb.pdf"] {
            let request = door.server.request("POST", path);
            let answer = request.upload(name, b"%PDF-1.7", &[]).send();
            refused(&answer, &format!("{path} {name:?}"), &["file"]);
        }
        let request = || door.server.request("POST", path);
        let plain = request().body("application/json", "{}").send();
        refused(&plain, path, &["`multipart/form-data`"]);
        let cut = request().body(
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc",
        );
        refused(&cut.send(), path, &["ends too early"]);
    }
    door.is_well();
}

#[test]
fn an_event_comes_as_json_or_cloud_event_and_in_no_other_form() {
    let door = Door::new();
    let event = r#"{"type":"lab.noted","source":"test","data":1}"#;
    let taken = [
        "`application/json`",
        "`application/cloudevents+json`",
        "`application/cloudevents-batch+json`",
        "`ce-`",
    ];
    for path in ["/api/events", "/api/schedules?due=2999-01-01T00:00:00Z"] {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/xml",
            "application/jsonp",
            "application/json; charset=latin1",
            "multipart/form-data; boundary=x",
            "json",
            "application/cloudevents+avro",
        ] {
            for is_binary in [false, true] {
                let mut request = door.server.request("POST", path).body(kind, event);
                if is_binary {
                    request = request
                        .header("ce-specversion", "1.0")
                        .header("ce-id", "1")
                        .header("ce-source", "test")
                        .header("ce-type", "lab.noted");
                }
                let problem = request.send().expect_problem(415, &taken);
                let name = kind.split(';').next().unwrap();
                assert!(problem.to_string().contains(name), "{problem}");
            }
        }
    }
    let both = r#"{"specversion":"1.0","id":"1","type":"lab.noted","source":"s","data":1,"data_base64":"MQ=="}"#;
    door.refuses("/api/events", both, 400, &["`data` and `data_base64`"]);
    let named =
        r#"{"specversion":"1.0","id":"1","type":"lab.noted","source":"s","data":1,"Tenant":"x"}"#;
    door.refuses("/api/events", named, 400, &["`Tenant`", "small letters"]);
    let quoted = door.server.request("POST", "/api/events");
    let quoted = quoted.body("Application/JSON; charset=\"UTF-8\"", "{");
    refused(&quoted.send(), "any case", &["ends too early"]);
    door.is_well();
}
