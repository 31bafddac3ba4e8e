//! Bad input at the doors of the program: HTTP and command line. Refused with field and limit, nothing stored, still alive.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Place, Server, form_bytes, sagabus};

/// A server that must be as it was after each bad request.
pub(crate) struct Door {
    pub(crate) server: Server,
    _place: Place,
}

impl Door {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        Self {
            server: Server::start(&place),
            _place: place,
        }
    }

    /// A body that is refused with this status and these words.
    #[track_caller]
    pub(crate) fn refuses(
        &self,
        path: &str,
        body: impl Into<Vec<u8>>,
        status: u16,
        words: &[&str],
    ) {
        let request = self.server.request("POST", path);
        let problem = request.body("application/json", body).send();
        problem.expect_problem(status, words);
        self.server.get("/health/ready").expect(200);
    }

    /// How many events there are. What the audit trail tells of them comes whenever it does.
    fn events(&self) -> usize {
        let page = self.server.get("/api/events?limit=1000").expect(200);
        let events = page["events"].as_array().unwrap().iter();
        let types = events.map(|event| event["event"]["type"].as_str().unwrap());
        types.filter(|it| *it != "audit.entry_recorded").count()
    }

    /// Nothing was stored, and what is good is taken.
    pub(crate) fn is_well(&self) {
        assert_eq!(self.events(), 0);
        let good = json!({"type": "lab.noted", "source": "test", "data": 1});
        self.server.post("/api/events", &good).expect(201);
        assert_eq!(self.events(), 1);
    }
}

fn event(data: &str) -> String {
    format!(r#"{{"type":"lab.noted","source":"test","data":{data}}}"#)
}

pub(crate) fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn an_event_that_is_too_large_is_refused_with_its_limit() {
    let door = Door::new();
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let over = event(&text(256 * 1024));
    door.refuses(
        "/api/events",
        over,
        400,
        &["`data` has 262146 bytes", "262144"],
    );
    let far_over = event(&text(2 * 1024 * 1024));
    door.refuses("/api/events", far_over, 413, &["1024 KiB", "256 KiB"]);
    door.is_well();
}

#[test]
fn a_body_that_is_too_large_is_413_on_every_route_that_takes_one() {
    let door = Door::new();
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for path in [
        "/api/events",
        "/api/sagas",
        "/api/sagas/x/cancel",
        "/api/sagas/x/abandon",
        "/api/sagas/x/resume",
        "/api/sagas/x/complete",
        "/api/dead-letters/redrive",
        "/api/dead-letters/revise",
        "/api/dead-letters/skip",
        "/api/dead-letters/discard",
        "/api/dead-letters/republish",
        "/api/subscriptions/audit-service/pause",
        "/api/subscriptions/audit-service/resume",
        "/api/samples",
        "/api/samples/x/assign",
        "/api/samples/x/status",
        "/api/chart-fields/validate",
        "/api/audit/events",
    ] {
        door.refuses(path, large.clone(), 413, &["more"]);
    }
    door.is_well();
}

#[test]
fn a_definition_that_is_nested_deep_and_refused_does_not_end_the_program() {
    let door = Door::new();
    for depth in [50, 62, 64, 65, 100, 126, 127, 5_000] {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let step = format!(r#"{{"id":"a","action":"a","dependencies":["z"],"data":{data}}}"#);
        let order = format!(r#"{{"name":"q","context":{{}},"steps":[{step}]}}"#);
        door.refuses("/api/sagas", order, 400, &[]);
    }
    door.is_well();
}

#[test]
fn ten_thousand_headers_or_entries_are_refused() {
    let door = Door::new();
    let metadata: serde_json::Map<String, Value> = (0..10_000)
        .map(|it| (format!("k{it}"), json!("v")))
        .collect();
    let many = json!({"type": "lab.noted", "source": "test", "metadata": metadata, "data": 1});
    let words = ["`metadata` has 10000 entries", "more than 64"];
    door.refuses("/api/events", many.to_string(), 400, &words);
    // A head of so many lines is refused by the server's bound before it is an event.
    let mut stream = TcpStream::connect(door.server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let lines: String = (0..10_000).map(|it| format!("ce-k{it}: v\r\n")).collect();
    let head = format!(
        "POST /api/events HTTP/1.1\r\nhost: localhost\r\nce-specversion: 1.0\r\n{lines}content-length: 1\r\n\r\n1"
    );
    let _all_written = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    door.is_well();
}

#[test]
fn json_without_end_or_with_a_name_twice_is_refused() {
    let door = Door::new();
    for depth in [65, 10_000, 200_000] {
        door.refuses("/api/events", event(&nested(depth)), 400, &["data"]);
    }
    for body in [
        event(r#"{"twin":1,"twin":2}"#),
        event(r#"{"a":[{"twin":1,"\u0074win":2}]}"#),
        r#"{"type":"a","source":"s","metadata":{"twin":"1","twin":"2"},"data":1}"#.to_owned(),
    ] {
        door.refuses("/api/events", body, 400, &["`twin` is there twice"]);
    }
    let body = r#"{"type":"a","type":"b","source":"s","data":1}"#;
    door.refuses("/api/events", body, 400, &["`type`"]);
    let body = r#"{"name":"x","name":"y","steps":[]}"#;
    door.refuses("/api/sagas", body, 400, &["name"]);
    let body = r#"{"subscription":"audit-service","subscription":"x","all":true}"#;
    door.refuses("/api/dead-letters/redrive", body, 400, &["subscription"]);
    for path in [
        "/api/samples",
        "/api/audit/events",
        "/api/sagas",
        "/api/dead-letters/redrive",
    ] {
        door.refuses(path, nested(100_000), 400, &[]);
        door.refuses(path, "{", 400, &[]);
        door.refuses(path, [0xff, 0xfe, 0x00], 400, &[]);
        door.refuses(path, "", 400, &[]);
    }
    door.is_well();
}

#[test]
fn names_with_what_is_not_to_be_seen_are_refused_wherever_they_come_in() {
    let door = Door::new();
    for (hidden, shown) in [
        ("\0", "U+0000"),
        ("\n", "U+000A"),
        ("\u{202e}", "U+202E"),
        ("\u{200b}", "U+200B"),
    ] {
        let name = format!("S-1{hidden}");
        for field in ["source", "subject", "correlationId", "idempotencyKey"] {
            let mut body = json!({"type": "lab.noted", "source": "test", "data": 1});
            body[field] = json!(name);
            let field = format!("`{field}`");
            door.refuses("/api/events", body.to_string(), 400, &[&field, shown]);
        }
        let body = json!({"id": name, "type": "lab.noted", "source": "test", "data": 1});
        door.refuses("/api/events", body.to_string(), 400, &["`id`"]);
        let body = json!({"type": name, "source": "test", "data": 1});
        door.refuses(
            "/api/events",
            body.to_string(),
            400,
            &["`type`", "letters, digits"],
        );
        let body = json!({"name": name, "context": {}, "steps": [{"id": "a", "action": "a"}]});
        door.refuses(
            "/api/sagas",
            body.to_string(),
            400,
            &["`name`", "not to be seen"],
        );
    }
    // In binary mode they come in percent-encoded.
    let binary = door.server.request("POST", "/api/events");
    let binary = binary
        .header("ce-specversion", "1.0")
        .header("ce-id", "1%00")
        .header("ce-source", "test")
        .header("ce-type", "lab.noted")
        .body("application/json", "1");
    binary.send().expect_problem(400, &["`ce-id`"]);
    // A path or a query is no way around.
    door.server
        .get("/api/sagas/a%00b")
        .expect_problem(400, &["`id`", "letters, digits"]);
    let query = "/api/events?type=a%0A*";
    door.server
        .get(query)
        .expect_problem(400, &["`type`", "letters, digits"]);
    door.server
        .get("/api/events/%E2%80%AE1")
        .expect_problem(400, &[]);
    door.is_well();
}

#[test]
fn versions_and_forms_that_are_not_known_are_refused_by_name() {
    let door = Door::new();
    let body = r#"{"specversion":"9.9","id":"1","source":"s","type":"a","data":1}"#;
    door.refuses("/api/events", body, 400, &["`specversion` must be `1.0`"]);
    let known = json!({"type": "sample.created", "version": "9.0", "source": "test", "data": {}});
    door.refuses("/api/events", known.to_string(), 400, &["9.0"]);
    let other = door.server.request("POST", "/api/events");
    let other = other.body("application/cloudevents+avro", "x").send();
    other.expect_problem(415, &["application/cloudevents+avro"]);
    let odd = r#"{"type":"a","source":"s","corelationId":"x","data":1}"#;
    door.refuses("/api/events", odd, 400, &["corelationId"]);
    door.is_well();
}

#[test]
fn queries_and_orders_beyond_their_limits_are_refused() {
    let door = Door::new();
    let get = |path: &str, words: &[&str]| {
        door.server.get(path).expect_problem(400, words);
    };
    get("/api/events?limit=1001", &["`limit` is 1001", "1 to 1000"]);
    get("/api/events?limit=99999999999999999999", &["limit"]);
    get("/api/events?from=-1", &["from"]);
    get("/api/events?nope=1", &["nope"]);
    let stars = format!("/api/events?type={}", vec!["*"; 100].join("."));
    get(&stars, &["16 words"]);
    let long = format!("/api/events?type={}", "x".repeat(5_000));
    get(&long, &["`type` has 5000 bytes", "255"]);
    for after in ["x", "s/-1", "s/99999999999999999999", "/1"] {
        get(&format!("/api/dead-letters?after={after}"), &["`after`"]);
    }
    let error = format!("/api/dead-letters?error={}", "x".repeat(3_000));
    get(&error, &["`error` has more than 2048 bytes"]);
    let positions: Vec<u64> = (0..1_001).collect();
    let order = json!({"subscription": "audit-service", "positions": positions, "author": "ann"});
    let words = ["`positions` has 1001 entries", "more than 1000"];
    door.refuses("/api/dead-letters/redrive", order.to_string(), 400, &words);
    // A line of the request that is longer than any address.
    let endless = format!("/{}", "x".repeat(1_000_000));
    let answer = door.server.request("GET", &endless).try_send();
    if let Some(answer) = answer {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    door.server.get("/health/ready").expect(200);
    door.is_well();
}

#[test]
fn a_definition_of_a_saga_beyond_its_limits_is_refused_and_starts_nothing() {
    let door = Door::new();
    let steps: Vec<Value> = (0..1_001)
        .map(|it| json!({"id": format!("s{it}"), "action": "a"}))
        .collect();
    let many = json!({"name": "x", "context": {}, "steps": steps});
    let words = ["1001 steps", "more than 1000"];
    door.refuses("/api/sagas", many.to_string(), 400, &words);
    let circle = json!({"name": "x", "context": {}, "steps": [
        {"id": "a", "action": "a", "dependencies": ["b"]}, {"id": "b", "action": "b", "dependencies": ["a"]},
    ]});
    door.refuses("/api/sagas", circle.to_string(), 400, &["a → b → a"]);
    let sagas = door.server.get("/api/sagas").expect(200);
    assert!(!sagas.to_string().contains("\"x\""), "{sagas}");
    door.is_well();
}

#[test]
fn the_command_line_refuses_bad_input_in_one_line_and_with_an_exit_code() {
    let place = Place::new();
    let data = place.data_text();
    for (arguments, code, words) in [
        (
            &["serve", "--listen", "nowhere"][..],
            2,
            &["nowhere", "--listen"][..],
        ),
        (
            &["serve", "--listen", "0.0.0.0:0", "--data-dir", &data],
            1,
            &["0.0.0.0"],
        ),
        (&["no-such-command"], 2, &["no-such-command"]),
        (&["extract", "no-such-file.pdf"], 1, &["no-such-file.pdf"]),
        (
            &["dead-letters", "show", "a\u{202e}b"],
            2,
            &["subscription/position"],
        ),
        (
            &["dead-letters", "list", "--url", "http://127.0.0.1:1"],
            1,
            &["127.0.0.1:1"],
        ),
        (
            &[
                "dead-letters",
                "skip",
                "--all",
                "--author",
                " ",
                "--reason",
                "r",
            ],
            2,
            &["`--author` is empty"],
        ),
        (&["schema", "show", "no.such\u{1b}[31m"], 1, &["no.such"]),
        (&["demo", "--fail-at", "no-such-step"], 1, &["no-such-step"]),
    ] {
        let output = sagabus(arguments).stdin(Stdio::null()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!err.contains("panicked"), "{arguments:?}: {err}");
        assert!(!err.contains('\u{1b}'), "{arguments:?}: {err:?}");
        for word in words {
            assert!(
                err.contains(word),
                "{arguments:?}: `{word}` is not in: {err}"
            );
        }
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    }
    for (name, value, word) in [
        ("EVENT_BUS_MAX_RETRIES", "1001", "0 to 1000"),
        ("EVENT_BUS_MAX_RETRIES", "1\u{1b}[2J", "\\u{1b}"),
        ("SAGA_MAX_ACTIVE_SAGA", "1", "SAGA_MAX_ACTIVE_SAGAS"),
        ("EVENT_BUS_MAX_LISTENERS", "3", "6 to 10000"),
        ("SAGA_SERVICE_LIMITS", "ai-service=4@", "ai-service=4@"),
    ] {
        let mut command = sagabus(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
        let output = command
            .env(name, value)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains(name) && !err.contains('\u{1b}'), "{err:?}");
        assert!(err.contains(word), "`{word}` is not in: {err}");
        assert_eq!(output.status.code(), Some(1), "{err}");
    }
    assert!(
        !place.data().exists(),
        "nothing is made by a start that is refused"
    );
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let place = Place::new();
    let form = place.file("form.pdf");
    std::fs::write(&form, form_bytes("small.pdf")).unwrap();
    let form = form.to_str().unwrap();
    let server = Server::start(&place);
    let address = format!("http://{}", server.address());
    let demo_data = place.file("demo-data");
    for arguments in [
        &["reference", "settings"][..],
        &["reference", "asyncapi"],
        &["schema", "list"],
        &["schema", "asyncapi"],
        &["extract", form],
        &["extract", form, "-o", "json"],
        &["subscriptions", "list", "--url", &address],
        &["dead-letters", "list", "--url", &address],
        &["dead-letters", "export", "--url", &address],
        &["demo", "--exit", "--data-dir", demo_data.to_str().unwrap()],
    ] {
        let mut command = sagabus(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The end that reads is closed before anything is read.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), &*err),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_a_saga_is_given_is_refused_where_readers_could_not_hold_it_or_would_not_agree() {
    let door = Door::new();
    let order =
        |context: &str| format!(r#"{{"name":"sample_processing_workflow","context":{context}}}"#);
    for (value, words) in [
        ("1e400", "larger than readers can hold"),
        (r#""\ud800""#, "half a pair"),
        (r#"{"submissionId":"x","submissionId":"y"}"#, "twice"),
        (&nested(65), "64"),
    ] {
        let context = format!(r#"{{"given":{value}}}"#);
        door.refuses("/api/sagas", order(&context), 400, &["input", words]);
    }
    for steps in [
        "1e999",
        r#""\ud800""#,
        r#"[{"id":"w","id":"v"}]"#,
        &nested(127),
    ] {
        let body = format!(r#"{{"name":"t","steps":{steps},"context":{{}}}}"#);
        door.refuses("/api/sagas", body, 400, &[]);
    }
    door.is_well();
}
