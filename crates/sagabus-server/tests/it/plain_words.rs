//! What is wrong is called what its sender called it, with the limit that holds and the words that there are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bad_input::Door;
use crate::client::{Answer, Request};
use crate::openapi::routes;
use crate::parameters::refused;
use crate::program::run;

const EVENTS: &str = "/api/events";
const BATCH: &str = "application/cloudevents-batch+json";
const STRUCTURED: &str = "application/cloudevents+json";

/// What is said of an event, in no words of readers and with no place in a text that nobody sent.
#[track_caller]
fn told(answer: &Answer, what: &str, words: &[&str]) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    let text = answer.expect_problem(400, words).to_string();
    for word in [
        "line",
        "column",
        "envelope",
        "expected",
        "invalid type",
        "variant",
        "EOF",
    ] {
        assert!(!text.contains(word), "{what}: {word}: {text}");
    }
}

/// A publish in binary mode.
fn binary(door: &Door) -> Request {
    let request = door.server.request("POST", EVENTS);
    request
        .header("ce-specversion", "1.0")
        .header("ce-id", "e-1")
        .header("ce-source", "test")
        .header("ce-type", "lab.noted")
        .body("application/json", "1")
}

/// A CloudEvent with some more attributes.
fn structured(more: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "e-1", "source": "test", "type": "lab.noted", "data": 1});
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[test]
fn a_fault_of_an_attribute_is_told_with_the_header_that_was_sent() {
    let door = Door::new();
    let many_digits = "9".repeat(256);
    let long = "x".repeat(5_000);
    let long_inside = json!({"a b": long}).to_string();
    for (header, value, words) in [
        (
            "ce-time",
            "yesterday",
            &["`ce-time` is `yesterday`", "RFC 3339"][..],
        ),
        (
            "ce-expirytime",
            "soon",
            &["`ce-expirytime` is `soon`", "RFC 3339"],
        ),
        (
            "ce-priority",
            "now",
            &[
                "`ce-priority` is `now`",
                "`urgent`, `high`, `normal`, `low`",
            ],
        ),
        ("ce-specversion", "0.3", &["`ce-specversion` must be `1.0`"]),
        ("ce-type", "lab..noted", &["`ce-type`", "lab..noted"]),
        ("ce-id", &many_digits, &["`ce-id`", "1 to 128 bytes"]),
        (
            "ce-source",
            &many_digits,
            &["`ce-source` has 256 bytes, more than 255"],
        ),
        (
            "ce-schemaversion",
            &many_digits,
            &["`ce-schemaversion` has 256 bytes"],
        ),
        (
            "ce-correlationid",
            &many_digits,
            &["`ce-correlationid` has 256 bytes"],
        ),
        (
            "ce-causationid",
            &many_digits,
            &["`ce-causationid`", "1 to 128 bytes"],
        ),
        (
            "ce-idempotencykey",
            "a%E2%80%8Bb",
            &["`ce-idempotencykey` has the character U+200B"],
        ),
        (
            "ce-tenant",
            &long,
            &["`ce-tenant` has 5000 bytes, more than 4096"],
        ),
        ("ce-foo-bar", "1", &["`ce-foo-bar`", "small letters"]),
        (
            "ce-sagabusmetadata",
            "[1]",
            &["`ce-sagabusmetadata`", "a list", "an object"],
        ),
        (
            "ce-sagabusmetadata",
            "{",
            &["`ce-sagabusmetadata`", "ends too early"],
        ),
        (
            "ce-sagabusmetadata",
            "{} x",
            &["`ce-sagabusmetadata`", "behind its end"],
        ),
        (
            "ce-sagabusmetadata",
            r#"{"a b":5}"#,
            &["`ce-sagabusmetadata`", "`a b`", "the number `5`", "a text"],
        ),
        (
            "ce-sagabusmetadata",
            r#"{"twin":"1","twin":"2"}"#,
            &["`ce-sagabusmetadata`", "`twin` is there twice"],
        ),
        (
            "ce-sagabusmetadata",
            &long_inside,
            &[
                "`ce-sagabusmetadata`",
                "`a b`",
                "5000 bytes, more than 4096",
            ],
        ),
    ] {
        let encoded = value.replace(' ', "%20").replace('"', "%22");
        let answer = binary(&door).header(header, &encoded).send();
        told(&answer, header, words);
    }
    door.is_well();
}

#[test]
fn an_attribute_that_is_missing_or_wrong_in_one_body_is_named_too() {
    let door = Door::new();
    let many_digits = "9".repeat(256);
    for header in ["ce-id", "ce-source", "ce-type"] {
        let mut request = door
            .server
            .request("POST", EVENTS)
            .body("application/json", "1");
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "s"),
            ("ce-type", "lab.noted"),
        ] {
            if name != header {
                request = request.header(name, value);
            }
        }
        refused(
            &request.send(),
            header,
            &[&format!("`{header}` is missing")],
        );
    }
    // The same in one body, where they have other names.
    for (more, words) in [
        (
            json!({"correlationid": many_digits}),
            &["`correlationid` has 256"][..],
        ),
        (
            json!({"schemaversion": many_digits}),
            &["`schemaversion` has 256"],
        ),
        (
            json!({"causationid": many_digits}),
            &["`causationid`", "1 to 128 bytes"],
        ),
        (
            json!({"sagabusmetadata": r#"{"a b":5}"#}),
            &["`sagabusmetadata`", "`a b`", "the number `5`"],
        ),
    ] {
        let request = door.server.request("POST", EVENTS);
        let answer = request.body(STRUCTURED, structured(&more).to_string());
        refused(&answer.send(), STRUCTURED, words);
    }
    door.is_well();
}

#[test]
fn what_is_null_in_a_cloud_event_is_as_if_it_were_left_out() {
    let door = Door::new();
    let mut more =
        json!({"tenant": null, "sagabusmetadata": null, "data_base64": null, "shard": 7});
    for name in [
        "time",
        "subject",
        "datacontenttype",
        "schemaversion",
        "correlationid",
        "causationid",
        "priority",
        "expirytime",
        "idempotencykey",
    ] {
        more[name] = Value::Null;
    }
    let one = structured(&more);
    let mut other = one.clone();
    other["id"] = json!("e-2");
    let mut third = one.clone();
    third["id"] = json!("e-3");
    let publish = |kind: &str, body: &Value| {
        let request = door.server.request("POST", EVENTS);
        request.body(kind, body.to_string()).send().expect(201)
    };
    let positions = [
        publish(STRUCTURED, &one)["position"].clone(),
        publish(BATCH, &json!([other]))[0]["position"].clone(),
        publish("application/json", &third)["position"].clone(),
    ];
    for position in positions {
        let event = door.server.get(&format!("{EVENTS}/{position}")).expect(200);
        assert_eq!(event["metadata"], json!({"shard": "7"}), "{event}");
        assert_eq!(
            (&event["priority"], &event["version"]),
            (&Value::Null, &json!("1.0"))
        );
    }
    // What must be there is missing then, and `null` is data.
    for name in ["id", "source", "type", "specversion"] {
        let event = structured(&json!({ name: null })).to_string();
        let answer = door.server.request("POST", EVENTS).body(STRUCTURED, event);
        answer.send().expect_problem(400, &[&format!("`{name}`")]);
    }
    let answer = door.server.request("POST", EVENTS);
    let null = structured(&json!({"id": "e-4", "data": null})).to_string();
    answer.body(STRUCTURED, null).send().expect(201);
}

#[test]
fn a_header_that_nobody_could_read_where_it_stands_is_refused() {
    let door = Door::new();
    for (value, told) in [
        ("a\tb".to_owned(), "`x-user-id` has a tab"),
        ("u".repeat(256), "`x-user-id` has more than 255 bytes"),
    ] {
        let request = door.server.request("GET", "/api/samples");
        let answer = request.header("x-user-id", &value).send();
        answer.expect_problem(400, &[told]);
    }
    let longest = door.server.request("GET", "/api/samples");
    let answer = longest.header("x-user-id", &"u".repeat(255)).send();
    answer.expect(200);
    let hidden = door.server.get("/api/samples?q=%00");
    hidden.expect_problem(400, &["q", "U+0000"]);
}

#[test]
fn a_text_in_another_charset_is_415_wherever_one_is_taken() {
    let door = Door::new();
    let event = structured(&json!({})).to_string();
    let batch = format!("[{event}]");
    let later = "/api/schedules?due=2999-01-01T00:00:00Z";
    for (path, kind, body) in [
        (EVENTS, STRUCTURED, event.as_str()),
        (EVENTS, BATCH, &batch),
        (EVENTS, "application/json", &event),
        (later, STRUCTURED, &event),
        ("/api/sagas", "application/json", "{}"),
        ("/api/dead-letters/redrive", "application/json", "{}"),
        ("/api/samples", "application/json", "{}"),
        ("/api/audit/events", "application/json", "{}"),
    ] {
        for charset in ["iso-8859-1", "latin1", "\"utf-16\"", "us-ascii", ""] {
            let kind = format!("{kind}; charset={charset}");
            let answer = door.server.request("POST", path).body(&kind, body).send();
            answer.expect_problem(415, &["application/json", "UTF-8"]);
        }
    }
    let table = "sampleName\n\u{e9}tang\n";
    let import = "/api/submissions/import?preview=true&submitterName=A&submitterEmail=a@b.edu&sampleType=DNA&chartField=HTSF-001";
    for (charset, status) in [("iso-8859-1", 415), ("\"UTF-8\"", 200)] {
        let kind = format!("text/csv; charset={charset}");
        let answer = door.server.request("POST", import).body(&kind, table);
        let answer = answer.send();
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(status == 200 || answer.text().contains("text is in UTF-8"));
    }
    for path in ["/api/samples", "/api/audit/events"] {
        let answer = door.server.request("POST", path).body("text/plain", "{}");
        answer
            .send()
            .expect_problem(415, &["text/plain", "`application/json`"]);
        let answer = door
            .server
            .request("POST", path)
            .body("application/json; charset=UTF-8", "{}");
        answer.send().expect_problem(400, &[]);
    }
    let events = door.server.get(EVENTS).expect(200);
    assert_eq!(events["events"], json!([]));
    for (kind, body) in [
        ("Application/CloudEvents+JSON; Charset=\"UTF-8\"", &event),
        (
            "application/cloudevents-batch+json;charset=utf-8; x=1",
            &batch,
        ),
    ] {
        let answer = door
            .server
            .request("POST", EVENTS)
            .body(kind, body.as_str());
        assert!(answer.send().status < 300, "{kind}");
    }
}

#[test]
fn a_body_that_is_packed_is_415_on_every_route() {
    let door = Door::new();
    for path in routes() {
        for coding in ["gzip", "br", "identity, x-gzip"] {
            let request = door
                .server
                .request("POST", &path)
                .header("content-encoding", coding);
            let answer = request.json(&json!({})).send();
            let named = format!("`{coding}`");
            answer.expect_problem(415, &["`content-encoding`", &named, "`identity`"]);
            assert!(
                answer.head.contains("accept-encoding: identity"),
                "{}",
                answer.head
            );
        }
    }
    let event = json!({"type": "lab.noted", "source": "test", "data": 1});
    let twice = door.server.request("POST", EVENTS).json(&event);
    let twice = twice.header("content-encoding", "identity");
    let twice = twice.header_again("content-encoding", "deflate").send();
    twice.expect_problem(415, &["`deflate`"]);
    door.is_well();
    let plain = door.server.request("POST", EVENTS).json(&event);
    plain
        .header("content-encoding", "Identity")
        .send()
        .expect(201);
}

#[test]
fn a_word_that_there_is_not_is_refused_with_those_that_there_are() {
    let door = Door::new();
    let kinds = [
        "`nope`",
        "`error`",
        "`panic`",
        "`timeout`",
        "`filter`",
        "`crash_loop`",
    ];
    let severities = ["is `nope`", "`info`", "`warn`", "`error`", "`critical`"];
    for (path, words) in [
        ("/api/audit/events?severity=nope", &severities[..]),
        (
            "/api/audit/events?outcome=nope",
            &["is `nope`", "`success`, `failure`"],
        ),
        (
            "/api/audit/events?category=nope",
            &["is `nope`", "`system`"],
        ),
        ("/api/dead-letters?kind=nope", &kinds),
        ("/api/dead-letters/export?kind=nope", &kinds),
        ("/api/dead-letters?kind=", &kinds[1..]),
    ] {
        refused(&door.server.get(path), path, words);
    }
    for (field, value, words) in [
        ("severity", json!("nope"), &severities[..]),
        ("severity", json!(5), &["is `5`", "`info`", "`critical`"]),
        (
            "outcome",
            json!({"success": null}),
            &["`success`, `failure`"],
        ),
        ("category", json!("x"), &["is `x`", "`system`"]),
        ("timestamp", json!("soon"), &["RFC 3339"]),
    ] {
        let mut act = json!({"service": "s", "action": "a", "resource": "r"});
        act[field] = value;
        let answer = door.server.post("/api/audit/events", &act);
        refused(&answer, field, words);
    }
    let order = json!({"query": {"kind": "nope"}, "author": "a", "reason": "r"});
    for verb in ["redrive", "skip", "discard"] {
        let answer = door
            .server
            .post(&format!("/api/dead-letters/{verb}"), &order);
        refused(&answer, verb, &kinds);
    }
    door.is_well();
}

#[test]
fn a_command_that_is_wrong_is_refused_in_plain_words() {
    let door = Door::new();
    let url = format!("http://{}", door.server.address());
    let ran = run(&["dead-letters", "list", "--url", &url, "--kind", "nope"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("`crash_loop`"), "{ran:?}");
    for (arguments, words) in [
        (
            &["saga", "start", "x", "--context", "{"][..],
            &["`--context`", "ends too early"],
        ),
        (
            &["saga", "start", "x", "--context", "{a: 1}"],
            &["`--context`", "not in quotes"],
        ),
        (
            &[
                "dead-letters",
                "revise",
                "s/1",
                "--reason",
                "r",
                "--data",
                "{",
            ],
            &["`--data`", "ends too early"],
        ),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        for word in words {
            assert!(ran.err.contains(word), "{word}: {ran:?}");
        }
        assert!(
            !ran.err.contains("EOF") && !ran.err.contains("key must"),
            "{ran:?}"
        );
    }
    door.is_well();
}

#[test]
fn a_field_that_is_wrong_is_called_as_it_was_sent() {
    let door = Door::new();
    let long = "x".repeat(300);
    for (field, value) in [("id", ""), ("causationId", ""), ("causationId", &long)] {
        let mut event = json!({"type": "lab.noted", "source": "s", "data": 1});
        event[field] = json!(value);
        let words = [&*format!("`{field}`"), "1 to 128 bytes"];
        let answer = door.server.post(EVENTS, &event);
        refused(&answer, field, &words);
        assert_eq!(
            answer.text().contains("`id`"),
            field == "id",
            "{}",
            answer.text()
        );
    }
    for path in [EVENTS, "/api/dead-letters", "/api/dead-letters/export"] {
        for (given, word) in [
            ("a..b", "`a..b`"),
            (&long, "has 300 bytes, more than 255"),
            ("a.**.b", "`a.**.b`"),
        ] {
            let answer = door.server.get(&format!("{path}?type={given}"));
            told(&answer, path, &["`type`", word]);
            assert!(!answer.text().contains("pattern"), "{}", answer.text());
        }
    }
    door.is_well();
}

#[test]
fn a_limit_is_said_as_it_is() {
    let door = Door::new();
    for (rate, given) in [
        (json!(0), "`0`"),
        (json!(1001), "`1001`"),
        (json!(5_000_000_000_u64), "`5000000000`"),
        (json!(-1), "`-1`"),
        (json!(1.5), "`1.5`"),
        (json!("x"), "x"),
    ] {
        let order = json!({"query": {}, "author": "a", "reason": "r", "ratePerSecond": rate});
        let answer = door.server.post("/api/dead-letters/redrive", &order);
        refused(&answer, given, &["`ratePerSecond`", given, "1 to 1000"]);
    }
    let order = json!({"subscription": "s", "author": "a", "reason": "r"});
    let answer = door.server.post("/api/dead-letters/redrive", &order);
    refused(&answer, "redrive", &["`positions` (at most 1000)"]);
    door.is_well();
}

#[test]
fn a_number_has_no_sign_in_any_place() {
    let door = Door::new();
    for path in [
        "/api/events?limit=%2B1",
        "/api/events?from=%2B1",
        "/api/events/+1",
        "/api/sagas?limit=%2B1",
        "/api/schedules?limit=%2B1",
        "/api/schedules?after=%2B1/1",
        "/api/schedules?after=1/%2B1",
        "/api/dead-letters?limit=%2B1",
        "/api/dead-letters?subscription=audit-service&after=%2B1",
        "/api/dead-letters?after=audit-service/%2B1",
        "/api/dead-letters/export?limit=%2B1",
        "/api/dead-letters/audit-service/+1",
        "/api/subscriptions/audit-service/repairs?limit=%2B1",
        "/api/subscriptions/audit-service/repairs?position=%2B1",
        "/api/subscriptions/audit-service/repairs?before=%2B1",
        "/api/audit/events?limit=%2B1",
        "/api/audit/events?page=%2B1",
        "/api/audit/events/+1",
        "/api/audit/stats?daysBack=%2B1",
        "/api/jobs?limit=%2B1",
        "/api/jobs?offset=%2B1",
        "/api/jobs/sample/x?limit=%2B1",
        "/api/samples?limit=%2B1",
        "/api/samples?page=%2B1",
        "/api/samples/search?limit=%2B1",
        "/api/submissions?limit=%2B1",
        "/api/submissions?page=%2B1",
    ] {
        refused(&door.server.get(path), path, &[]);
    }
    let import = "/api/dead-letters/import?author=a&reason=r&firstLine=%2B1";
    refused(
        &door.server.post(import, &json!({})),
        import,
        &["`firstLine`"],
    );
    let sample = door
        .server
        .request("PUT", "/api/samples/x")
        .json(&json!({}));
    let answer = sample.header("if-match", "\"+1\"").send();
    refused(&answer, "if-match", &["If-Match", "version"]);
    let ran = run(&["dead-letters", "show", "s/+1"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    door.is_well();
}

#[test]
fn a_parameter_that_is_not_known_is_answered_with_those_that_there_are() {
    let door = Door::new();
    for (path, known) in [
        ("/api/audit/events", "correlationId"),
        ("/api/audit/events", "severity"),
        ("/api/audit/stats", "daysBack"),
        ("/api/dead-letters", "deadFrom"),
        ("/api/dead-letters/export", "errorType"),
        ("/api/events", "correlationId"),
        ("/api/events/1", "form"),
        ("/api/jobs", "offset"),
        ("/api/jobs/sample/x", "limit"),
        ("/api/sagas", "attribute"),
        ("/api/sagas/x", "include"),
        ("/api/samples", "searchTerm"),
        ("/api/samples/assignee/x", "submitterEmail"),
        ("/api/samples/priority/high", "page"),
        ("/api/samples/search", "q"),
        ("/api/samples/status/submitted", "limit"),
        ("/api/schedules", "after"),
        ("/api/submissions", "status"),
        ("/api/subscriptions/audit-service/repairs", "before"),
    ] {
        let answer = door.server.get(&format!("{path}?nope=1"));
        let known = format!("`{known}`");
        let words = ["parameter `nope` is not known; there are `", &known];
        refused(&answer, path, &words);
        // Each of them is taken for what it is.
        let text = answer.expect_problem(400, &[])["detail"].to_string();
        let listed = text.split("there are ").nth(1).unwrap();
        let listed = listed.split('`').filter(|it| !it.is_empty());
        for name in listed.filter(|it| it.bytes().all(|it| it.is_ascii_alphanumeric())) {
            let answer = door.server.get(&format!("{path}?{name}="));
            let text = answer.text();
            assert!(
                !text.contains("not known") && !text.contains("no filter"),
                "{path} {name}: {text}"
            );
        }
    }
    let answer = door.server.get("/api/samples?status[]=submitted");
    answer.expect(200);
    door.is_well();
}

#[test]
fn a_head_that_is_too_large_is_answered_with_its_status_alone() {
    let door = Door::new();
    // Which of two bounds a long address meets first is chance of the network, as what fits into one read is taken.
    for (head, statuses) in [
        (
            format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000)),
            &["414", "431"][..],
        ),
        (
            format!("GET / HTTP/1.1\r\nx: {}\r\n", "x".repeat(200_000)),
            &["431"],
        ),
        (
            format!("GET / HTTP/1.1\r\n{}", "x: y\r\n".repeat(101)),
            &["431"],
        ),
        ("GET / HTTP/9\r\n".to_owned(), &["400"]),
    ] {
        let mut stream = TcpStream::connect(door.server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let head = format!("{head}host: localhost\r\n\r\n");
        let _all_written = stream.write_all(head.as_bytes());
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap();
        assert!(statuses.contains(&status), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("problem"), "{answer}");
    }
    door.is_well();
}
