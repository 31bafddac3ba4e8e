//! CloudEvents 1.0 over HTTP: binary, structured and batch, in and out.

use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::program::{Place, Server};

const BATCH: &str = "application/cloudevents-batch+json";
const STRUCTURED: &str = "application/cloudevents+json";

/// A publish in binary mode.
fn binary(server: &Server, id: &str) -> Request {
    server
        .request("POST", "/api/events")
        .header("ce-specversion", "1.0")
        .header("ce-id", id)
        .header("ce-source", "/bench/4")
        .header("ce-type", "lab.noted")
        .body("application/json", r#"{"n": 1.0}"#)
}

fn cloud_event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "s", "type": "lab.noted", "data": 1})
}

/// The `ce-` headers of an answer, in order of name.
fn attributes(answer: &Answer) -> Vec<String> {
    let mut lines: Vec<String> = answer
        .head
        .lines()
        .filter(|it| it.starts_with("ce-"))
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn an_event_goes_in_as_headers_and_comes_back_in_each_form() {
    let place = Place::new();
    let server = Server::start(&place);
    let published = binary(&server, "e-1")
        .header("ce-time", "2026-01-02T03:04:05Z")
        .header("ce-subject", "Euro%20%E2%82%AC%20100%25")
        .header("ce-correlationid", "work-7")
        .header("ce-schemaversion", "1.3")
        .header("ce-tenant", "\"a \\\"b\\\"\"")
        .header("ce-traceparent", "00-ab")
        .send()
        .expect(201);
    let at = format!("/api/events/{}", published["position"]);

    let envelope = server.get(&at).expect(200);
    assert_eq!(
        envelope,
        json!({
            "id": "e-1", "type": "lab.noted", "source": "/bench/4", "version": "1.3",
            "timestamp": "2026-01-02T03:04:05.000Z", "subject": "Euro € 100%", "correlationId": "work-7",
            "metadata": {"tenant": "a \"b\"", "traceparent": "00-ab"}, "data": {"n": 1.0},
        })
    );
    let structured = server
        .request("GET", &at)
        .header("accept", STRUCTURED)
        .send();
    assert!(structured.head.contains(STRUCTURED), "{}", structured.head);
    let structured = structured.expect(200);
    assert_eq!(
        structured,
        json!({
            "specversion": "1.0", "id": "e-1", "type": "lab.noted", "source": "/bench/4", "schemaversion": "1.3",
            "time": "2026-01-02T03:04:05.000Z", "subject": "Euro € 100%", "correlationid": "work-7",
            "datacontenttype": "application/json", "tenant": "a \"b\"", "traceparent": "00-ab", "data": {"n": 1.0},
        })
    );
    let answer = server.get(&format!("{at}?form=binary"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), r#"{"n": 1.0}"#, "as received");
    assert!(answer.head.contains("content-type: application/json"));
    assert_eq!(
        attributes(&answer),
        [
            "ce-correlationid: work-7",
            "ce-id: e-1",
            "ce-schemaversion: 1.3",
            "ce-source: /bench/4",
            "ce-specversion: 1.0",
            "ce-subject: Euro%20%E2%82%AC%20100%25",
            "ce-tenant: a%20%22b%22",
            "ce-time: 2026-01-02T03:04:05.000Z",
            "ce-traceparent: 00-ab",
            "ce-type: lab.noted",
        ]
    );
    // What was read in binary mode can be published as it is: the same event again.
    let mut again = server
        .request("POST", "/api/events")
        .body("application/json", answer.body.clone());
    for line in attributes(&answer) {
        let (name, value) = line.split_once(": ").unwrap();
        again = again.header(name, value);
    }
    assert_eq!(again.send().expect(200)["duplicate"], true);
    let chosen = server
        .request("GET", &format!("{at}?form=envelope"))
        .header("accept", STRUCTURED)
        .send();
    assert_eq!(chosen.expect(200), envelope);
}

#[test]
fn a_batch_of_cloud_events_is_published_whole_or_not_at_all() {
    let place = Place::new();
    let server = Server::start(&place);
    let publish = |batch: &Value| {
        server
            .request("POST", "/api/events")
            .body(&format!("{BATCH}; charset=utf-8"), batch.to_string())
            .send()
    };
    let stored = || {
        let page = server.get("/api/events?type=lab.noted").expect(200);
        page["events"].as_array().unwrap().len()
    };
    let wrong_payload = json!({"specversion": "1.0", "id": "w", "source": "s", "type": "sample.created", "data": {}});
    let (first, second) = (cloud_event("b-1"), cloud_event("b-2"));
    publish(&json!([first, wrong_payload])).expect_problem(400, &["event 1", "sampleId"]);
    publish(&json!([first, {"id": "b-2"}])).expect_problem(400, &["event 1", "specversion"]);
    publish(&first).expect_problem(400, &["array"]);
    let many: Vec<Value> = (0..1001).map(|it| cloud_event(&it.to_string())).collect();
    publish(&json!(many)).expect_problem(400, &["1001", "1000"]);
    assert_eq!(stored(), 0);

    let receipts = publish(&json!([first, second])).expect(201);
    let position = receipts[0]["position"].as_u64().unwrap();
    assert_eq!(receipts[1]["position"], position + 1);
    assert_eq!(receipts[1]["id"], "b-2");
    let again = publish(&json!([first, second])).expect(200);
    assert_eq!(again[1]["duplicate"], true);
    assert_eq!(publish(&json!([])).expect(200), json!([]));
    assert_eq!(stored(), 2);
}

#[test]
fn what_is_no_cloud_event_is_refused_and_what_is_wrong_is_named() {
    let place = Place::new();
    let server = Server::start(&place);
    let check = |request: Request, status: u16, words: &[&str]| {
        request.send().expect_problem(status, words);
    };
    let good = || binary(&server, "e-1");
    for (name, value) in [
        ("ce-specversion", "0.3"),
        ("ce-type", "lab..noted"),
        ("ce-time", "yesterday"),
        ("ce-subject", "%4"),
        ("ce-tenant", "%ff"),
        ("ce-datacontenttype", "application/json"),
        ("ce-foo-bar", "1"),
        ("ce-data", "1"),
        ("ce-schemaversion", &"9".repeat(256)),
    ] {
        let word = match name {
            "ce-specversion" => "specversion",
            "ce-type" => "lab..noted",
            "ce-time" => "time",
            "ce-foo-bar" => "foo-bar",
            "ce-schemaversion" => "version",
            "ce-data" => "data",
            name => name,
        };
        check(good().header(name, value), 400, &[word]);
    }
    let plain = good().body("text/plain", "hello");
    check(plain, 415, &["text/plain", "application/json"]);
    check(good().body("application/json", ""), 400, &["data"]);
    check(good().body("application/json", "{} {}"), 400, &["data"]);
    let xml = good().body("application/cloudevents+xml", "<event/>");
    check(xml, 415, &["application/cloudevents+xml", STRUCTURED]);
    let no_cloud_event = json!({"id": "e", "type": "lab.noted", "source": "s", "data": 1});
    let as_structured = server
        .request("POST", "/api/events")
        .body(STRUCTURED, no_cloud_event.to_string());
    check(as_structured, 400, &["specversion"]);
    // The version decides by what the payload is checked.
    let unknown = good()
        .header("ce-type", "sample.deleted")
        .header("ce-schemaversion", "2.0");
    check(unknown, 400, &["sample.deleted", "`2.0`", "known: `1.0`"]);
    let known = good()
        .header("ce-type", "sample.deleted")
        .header("ce-schemaversion", "1.8");
    check(known, 400, &["sampleId"]);
    let page = server.get("/api/events?type=lab.*").expect(200);
    assert_eq!(page["events"], json!([]));
    for (at, status, word) in [
        ("999999", 404, "999999"),
        ("0", 404, "0"),
        ("18446744073709551615", 404, "18446744073709551615"),
        ("18446744073709551616", 400, "18446744073709551616"),
        ("first", 400, "first"),
        ("1?form=xml", 400, "xml"),
        ("1?colour=red", 400, "colour"),
    ] {
        let answer = server.get(&format!("/api/events/{at}"));
        answer.expect_problem(status, &[word]);
    }
}

#[test]
fn attributes_too_large_for_headers_are_read_in_another_form() {
    let place = Place::new();
    let server = Server::start(&place);
    let mut event = json!({"id": "e-1", "type": "lab.noted", "source": "s", "data": 1});
    event["metadata"] = (0..8)
        .map(|it| (format!("part{it}"), json!("x".repeat(4000))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let published = server.post("/api/events", &event).expect(201);
    let at = format!("/api/events/{}", published["position"]);
    server
        .get(&format!("{at}?form=binary"))
        .expect_problem(400, &["16384", STRUCTURED]);
    let structured = server.get(&format!("{at}?form=structured")).expect(200);
    assert_eq!(structured["part7"].as_str().unwrap().len(), 4000);
}
