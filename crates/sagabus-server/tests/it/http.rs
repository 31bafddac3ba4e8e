//! The routes: each with an input that is right and one that is wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::{self, Embedded};
use sagabus::saga::machine::INTERRUPTIONS_MAX;
use sagabus::saga::{self, Definition, Handlers, Step, StepContext, StepError};
use sagabus::sqlite::rusqlite::Connection;
use sagabus::transport::Transport;
use sagabus::{Clock, Sagas, SystemClock};
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::program::{Place, Server, form_bytes, sagabus, until};
use crate::world;

/// Media type of a CloudEvent.
const CLOUD_EVENT: &str = "application/cloudevents+json";

fn event(id: &str) -> Value {
    json!({
        "id": id, "type": "lab.noted", "source": "test", "subject": "bench-4", "correlationId": "work-7",
        "data": {"text": "as received: 1e2"},
    })
}

#[test]
fn events_go_in_as_envelopes_or_cloud_events_and_come_back_as_either() {
    let place = Place::new();
    let server = Server::start(&place);
    let first = server.post("/api/events", &event("e-1")).expect(201);
    assert_eq!(
        (&first["id"], &first["duplicate"]),
        (&json!("e-1"), &json!(false))
    );
    let again = server.post("/api/events", &event("e-1")).expect(200);
    assert_eq!(
        (&again["position"], &again["duplicate"]),
        (&first["position"], &json!(true))
    );
    let cloud = json!({
        "specversion": "1.0", "id": "e-2", "type": "lab.noted", "source": "test", "correlationid": "work-7",
        "time": "2026-01-02T03:04:05Z", "data": {"text": "cloud"},
    });
    server
        .request("POST", "/api/events")
        .body(CLOUD_EVENT, cloud.to_string())
        .send()
        .expect(201);
    // Id and time are filled in where the envelope leaves them out.
    let bare = json!({"type": "lab.cleaned", "source": "test", "data": [1, 2]});
    let bare = server.post("/api/events", &bare).expect(201);
    assert!(bare["id"].as_str().unwrap().len() > 30, "{bare}");

    let found = |query: &str| -> Vec<Value> {
        let page = server.get(&format!("/api/events?{query}")).expect(200);
        assert_eq!(page["isLast"], true, "{page}");
        page["events"].as_array().unwrap().clone()
    };
    let own = found("type=lab.noted");
    let ids: Vec<&Value> = own.iter().map(|it| &it["event"]["id"]).collect();
    assert_eq!(ids, ["e-1", "e-2"]);
    assert_eq!(own[0]["event"]["data"], json!({"text": "as received: 1e2"}));
    assert_eq!(
        own[1]["event"]["timestamp"].as_str().unwrap()[..19],
        *"2026-01-02T03:04:05"
    );
    assert_eq!(found("type=lab.*").len(), 3);
    assert_eq!(found("type=lab.*&correlationId=work-7").len(), 2);
    assert_eq!(found("type=lab.*&subject=bench-4").len(), 1);
    let from = own[1]["position"].as_u64().unwrap();
    assert_eq!(found(&format!("type=lab.*&from={from}")).len(), 2);
    let page = server.get("/api/events?type=lab.*&limit=1").expect(200);
    assert_eq!(
        (page["events"].as_array().unwrap().len(), &page["isLast"]),
        (1, &json!(false))
    );
    let cloud = server
        .request("GET", "/api/events?type=lab.noted")
        .header("accept", CLOUD_EVENT)
        .send()
        .expect(200);
    assert_eq!(cloud["events"][0]["event"]["specversion"], "1.0", "{cloud}");
    assert_eq!(cloud["events"][0]["event"]["correlationid"], "work-7");
}

#[test]
fn a_wrong_event_is_refused_and_the_field_named() {
    let place = Place::new();
    let server = Server::start(&place);
    let check = |body: Value, words: &[&str]| {
        server.post("/api/events", &body).expect_problem(400, words);
    };
    let changed = |field: &str, value: Value| {
        let mut event = event("e-1");
        event[field] = value;
        event
    };
    server
        .request("POST", "/api/events")
        .body("application/json", "{\"type\":")
        .send()
        .expect_problem(400, &["JSON"]);
    check(json!({"source": "test", "data": {}}), &["type"]);
    check(json!({"type": "lab.noted", "data": {}}), &["source"]);
    check(json!({"type": "lab.noted", "source": "test"}), &["data"]);
    check(changed("type", json!("lab..noted")), &["type"]);
    check(changed("type", json!("*")), &["type"]);
    check(
        changed("timestamp", json!("yesterday")),
        &["timestamp", "RFC 3339"],
    );
    check(
        changed("correlationID", json!("work-7")),
        &["correlationID"],
    );
    check(changed("id", json!("")), &["id"]);
    check(changed("type", json!("sample.created")), &["sampleId"]);
    check(
        json!({"specversion": "0.3", "id": "e", "type": "lab.noted", "source": "test", "data": {}}),
        &["specversion"],
    );
    check(
        json!({"specversion": "1.0", "type": "lab.noted", "source": "test", "data": {}}),
        &["id"],
    );
    check(
        changed("data", json!("x".repeat(257 * 1024))),
        &["data", "262144"],
    );
    let huge = changed("data", json!("x".repeat(2 * 1024 * 1024)));
    let refused = server.post("/api/events", &huge);
    refused.expect_problem(413, &["256 KiB"]);
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("colour=red", "colour"),
        ("type=lab..x", "lab..x"),
        ("from=-1", "from"),
    ] {
        let answer = server.get(&format!("/api/events?{query}"));
        answer.expect_problem(400, &[word]);
    }
    let kept = server.get("/api/events?type=lab.*").expect(200);
    assert_eq!(kept["events"], json!([]));
    server
        .get("/api/no/such/path")
        .expect_problem(404, &["README"]);
}

#[test]
fn only_this_machine_is_answered() {
    let place = Place::new();
    let server = Server::start(&place);
    let asked = |name: &str, value: &str| -> Answer {
        let request = Request::new(&server.address, "POST", "/api/events");
        request.header(name, value).json(&event("e-1")).send()
    };
    for host in [
        "lab.example.org",
        "localhost.example.org",
        "127.0.0.1.example.org:80",
    ] {
        asked("host", host).expect_problem(403, &["localhost"]);
    }
    for origin in [
        "https://lab.example.org",
        "null",
        "http://localhost.example.org",
    ] {
        asked("origin", origin).expect_problem(403, &["localhost"]);
    }
    for path in [
        "/metrics",
        "/api/samples",
        "/api/audit/events",
        "/health/live",
    ] {
        let request = server
            .request("GET", path)
            .header("host", "lab.example.org");
        request.send().expect_problem(403, &[]);
    }
    asked("origin", "http://localhost:3000").expect(201);
    asked("host", "localhost:8080").expect(200);
}

#[test]
fn samples_are_made_read_changed_and_moved_along_the_legal_transitions_only() {
    let place = Place::new();
    let server = Server::start(&place);
    let fields = json!({
        "sampleName": "pond 3B", "submitterName": "Ada Lovelace", "submitterEmail": "ada@lab.example.edu",
        "sampleType": "DNA", "chartField": "HTSF-001",
    });
    let made = server.post("/api/samples", &fields).expect(201);
    let path = format!("/api/samples/{}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&path).expect(200)["sampleName"], "pond 3B");
    assert_eq!(server.get("/api/samples").expect(200)["total"], 1);
    let mut wrong = fields;
    wrong["submitterEmail"] = json!("nobody");
    wrong["volume"] = json!(-1);
    let problem = server
        .post("/api/samples", &wrong)
        .expect_problem(400, &["submitterEmail", "volume"]);
    assert!(
        problem["errors"].as_array().unwrap().len() >= 2,
        "{problem}"
    );
    let assigned = server
        .post(&format!("{path}/assign"), &json!({"assignedTo": "grace"}))
        .expect(200);
    assert_eq!(assigned["assignedTo"], "grace");
    server
        .post(&format!("{path}/assign"), &json!({"to": "grace"}))
        .expect_problem(400, &["to"]);
    let status = format!("{path}/status");
    server
        .post(&status, &json!({"status": "distributed"}))
        .expect_problem(409, &["submitted", "distributed"]);
    server
        .post(&status, &json!({"status": "lost"}))
        .expect_problem(400, &["status", "lost"]);
    assert_eq!(
        server.post(&status, &json!({"status": "prep"})).expect(200)["status"],
        "prep"
    );
    let put = |body: Value| server.request("PUT", &path).json(&body).send();
    assert_eq!(
        put(json!({"priority": "high"})).expect(200)["priority"],
        "high"
    );
    put(json!({"priority": "whenever"})).expect_problem(400, &["priority"]);
    let history = server.get(&format!("{path}/history")).expect(200);
    assert!(history.as_array().unwrap().len() >= 3, "{history}");
    assert_eq!(
        server.get("/api/statistics").expect(200)["samplesByStatus"]["prep"],
        1
    );
    assert!(
        server
            .get("/api/chart-fields")
            .expect(200)
            .to_string()
            .contains("HTSF-001")
    );
    server
        .request("DELETE", &path)
        .send()
        .expect_problem(409, &["prep"]);
    let back = json!({"status": "submitted", "reason": "sent back"});
    assert_eq!(
        server.post(&status, &back).expect(200)["status"],
        "submitted"
    );
    assert_eq!(server.request("DELETE", &path).send().status, 204);
    server.get(&path).expect_problem(404, &[]);
    world::settle(&server, &place.data());
    let told: Vec<String> = world::all_events(&server)
        .iter()
        .map(|it| it["type"].as_str().unwrap().to_owned())
        .filter(|it| it.starts_with("sample."))
        .collect();
    assert_eq!(
        told.first().map(String::as_str),
        Some("sample.created"),
        "{told:?}"
    );
    assert_eq!(
        told.last().map(String::as_str),
        Some("sample.deleted"),
        "{told:?}"
    );
}

#[test]
fn submissions_jobs_results_and_the_trail_can_be_looked_at() {
    let place = Place::new();
    let server = Server::start(&place);
    let taken = server
        .request("POST", "/api/submissions")
        .upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
        .expect(202);
    world::check(&server, &place.data(), 3);
    let id = taken["submissionId"].as_str().unwrap();
    assert_eq!(
        server
            .get(taken["submission"].as_str().unwrap())
            .expect(200)["status"],
        "accepted"
    );
    let jobs = server.get("/api/jobs").expect(200);
    assert_eq!(jobs["total"], 1, "{jobs}");
    let job = format!("/api/jobs/{}", jobs["jobs"][0]["id"].as_str().unwrap());
    let job = server.get(&job).expect(200);
    assert_eq!(job["status"], "completed", "{job}");
    let result = job["resultId"].as_str().unwrap();
    let result = server.get(&format!("/api/results/{result}")).expect(200);
    assert_eq!(result["submissionId"], id, "{result}");
    server.get("/api/jobs/none").expect_problem(404, &["none"]);
    server
        .get("/api/jobs?status=lost")
        .expect_problem(400, &["status"]);
    let read = server
        .request("POST", "/api/process/pdf")
        .upload("small.pdf", &form_bytes("small.pdf"), &[])
        .send()
        .expect(202);
    let status = read["statusUrl"].as_str().unwrap();
    until("the job's end", || {
        (server.get(status).expect(200)["status"] == "completed").then_some(())
    });
    server
        .request("POST", "/api/process/pdf")
        .json(&json!({}))
        .send()
        .expect_problem(400, &["multipart"]);
    server
        .request("POST", "/api/submissions")
        .upload("small.pdf", &form_bytes("small.pdf"), &[("colour", "red")])
        .send()
        .expect_problem(400, &["colour"]);
    world::settle(&server, &place.data());

    let trail = server.get("/api/audit/events?limit=2").expect(200);
    assert_eq!(trail["events"].as_array().unwrap().len(), 2);
    assert!(trail["total"].as_u64().unwrap() > 20, "{trail}");
    let chain = server.get("/api/audit/verify").expect(200);
    // That it was looked at is one more.
    let count = trail["total"].as_u64().unwrap() + 1;
    assert_eq!(
        (&chain["ok"], &chain["count"]),
        (&json!(true), &json!(count)),
        "{chain}"
    );
    let told = server.post("/api/audit/verify", &json!({})).expect(200);
    assert_eq!(told["ok"], true);
    until("the event about it", || {
        let found = server
            .get("/api/events?type=audit.integrity_verified")
            .expect(200);
        (found["events"].as_array().unwrap().len() == 1).then_some(())
    });
    server
        .get("/api/audit/events?colour=red")
        .expect_problem(400, &["colour"]);
    server
        .get("/api/audit/events/999999")
        .expect_problem(404, &["999999"]);
}

#[test]
fn sagas_are_started_listed_shown_and_cancelled() {
    let place = Place::new();
    let server = Server::start(&place);
    let steps = json!([{"id": "a", "name": "A", "service": "lab", "action": "do_it"}]);
    let order = |body: Value| server.post("/api/sagas", &body);
    order(json!({"name": "mine", "steps": steps, "context": {}}))
        .expect_problem(400, &["do_it", "handler"]);
    order(json!({"name": "mine", "context": {}})).expect_problem(404, &["mine"]);
    order(json!({"name": "mine", "steps": [], "context": {}})).expect_problem(400, &["steps"]);
    order(json!({"steps": steps, "context": {}})).expect_problem(400, &["name"]);
    order(json!({"name": "mine", "steps": steps, "context": {}, "colour": 1}))
        .expect_problem(400, &["colour"]);
    let cyclic = json!([
        {"id": "a", "name": "A", "service": "sample-service", "action": "validate_sample", "dependencies": ["b"]},
        {"id": "b", "name": "B", "service": "sample-service", "action": "validate_sample", "dependencies": ["a"]},
    ]);
    order(json!({"name": "mine", "steps": cyclic, "context": {}}))
        .expect_problem(400, &["a → b → a"]);
    assert_eq!(server.get("/api/sagas").expect(200)["sagas"], json!([]));

    // By its name: the submission that it is about does not exist, so it turns back at its first step.
    let started = order(json!({
        "name": "sample_processing_workflow", "correlationId": "work-7", "idempotencyKey": "k",
        "context": {"submissionId": "none", "fileId": "0", "fileName": "form.pdf"},
    }))
    .expect(202);
    let again = order(json!({
        "name": "sample_processing_workflow", "correlationId": "work-7", "idempotencyKey": "k",
        "context": {"submissionId": "none", "fileId": "0", "fileName": "form.pdf"},
    }))
    .expect(202);
    assert_eq!(started["sagaId"], again["sagaId"]);
    let what = |it: &Value| {
        let fields = ["duplicate", "sameBy", "otherOrder"];
        Value::from(fields.map(|name| it[name].clone()).to_vec())
    };
    assert_eq!(what(&started), json!([false, null, null]));
    assert_eq!(what(&again), json!([true, "idempotencyKey", false]));
    let other = order(json!({
        "name": "sample_processing_workflow", "idempotencyKey": "k", "context": {},
    }))
    .expect(202);
    assert_eq!(other["sagaId"], again["sagaId"]);
    assert_eq!(what(&other), json!([true, "idempotencyKey", true]));
    let path = started["saga"].as_str().unwrap();
    let saga = until("the saga's end", || {
        let saga = server.get(path).expect(200);
        (!saga["endedAt"].is_null()).then_some(saga)
    });
    assert_eq!(
        (&saga["status"], &saga["correlationId"]),
        (&json!("compensated"), &json!("work-7"))
    );
    assert_eq!(saga["steps"].as_array().unwrap().len(), 4, "{saga}");
    assert!(
        saga["error"].as_str().unwrap().contains("validate_sample"),
        "{saga}"
    );
    let listed = server.get("/api/sagas?status=compensated").expect(200);
    assert_eq!(listed["sagas"].as_array().unwrap().len(), 1);
    assert_eq!(
        server.get("/api/sagas?status=completed").expect(200)["sagas"],
        json!([])
    );
    server
        .get("/api/sagas?status=lost")
        .expect_problem(400, &["status", "lost"]);
    server
        .get("/api/sagas?limit=0")
        .expect_problem(400, &["limit"]);
    server
        .get("/api/sagas/01a20693-d170-7abb-b148-f81c9809837c")
        .expect_problem(404, &[]);
    server
        .post(&format!("{path}/cancel"), &json!({"author": "ann"}))
        .expect_problem(400, &["`reason` is missing"]);
    server
        .post(&format!("{path}/cancel"), &json!({"reason": "too late"}))
        .expect_problem(400, &["`author` is missing"]);
    let late = json!({"author": "ann", "reason": "too late"});
    let unchanged = server.post(&format!("{path}/cancel"), &late);
    assert_eq!(unchanged.expect(200), saga);
    server
        .post(&format!("{path}/retry"), &late)
        .expect_problem(409, &[]);
    // There is nothing to let go on, and who does so says why.
    let signed = json!({"author": "ann", "reason": "the disk was full"});
    server
        .post(&format!("{path}/resume"), &signed)
        .expect_problem(409, &[]);
    server
        .post(&format!("{path}/resume"), &json!({"author": "ann"}))
        .expect_problem(400, &["reason"]);
    assert_eq!(saga["paused"], json!(null));
    // What operators do, refused: it is over, or it makes no sense.
    let signed = |verb: &str, field: &str, value: Value| {
        let mut said = json!({"author": "ann", "reason": "r"});
        said[field] = value;
        server.post(&format!("{path}/{verb}"), &said)
    };
    for verb in ["skip", "force-done", "recompensate"] {
        let step = json!("validate_sample");
        signed(verb, "step", step).expect_problem(409, &["stays as it is"]);
        signed(verb, "step", json!(null)).expect_problem(400, &["step"]);
        signed(verb, "step", json!("x")).expect_problem(404, &["`x`"]);
    }
    signed("pause", "step", json!("x")).expect_problem(400, &["step"]);
    signed("complete", "step", json!("x")).expect_problem(400, &["output"]);
    signed("cancel", "inFlight", json!("x")).expect_problem(400, &["inFlight", "wait"]);
    signed("cancel", "inFlight", json!("wait")).expect(200);
    signed("terminate", "step", json!(null)).expect_problem(409, &["over"]);
    signed("jump", "step", json!(null)).expect_problem(404, &["jump", "force-done"]);
}

#[test]
fn the_trace_of_the_request_that_starts_a_saga_is_that_of_its_events() {
    let place = Place::new();
    let server = Server::start(&place);
    let start = |traceparent: &str| {
        let order = json!({
            "name": "waiting", "context": {},
            "steps": [{"id": "wait", "timer": {"for": "1h"}}],
        });
        let request = server.request("POST", "/api/sagas");
        let request = request.header("traceparent", traceparent).json(&order);
        request.send().expect(202)["sagaId"].clone()
    };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = start(&format!("00-{trace}-00f067aa0ba902b7-01"));
    // What is no trace is left out.
    let other = start("00-none");
    let events = server.get("/api/events").expect(200);
    let span_of = |saga: &Value| {
        let mut events = events["events"].as_array().unwrap().iter();
        let started = events.find(|it| it["event"]["subject"] == *saga).unwrap();
        started["event"]["metadata"]["traceparent"].clone()
    };
    let span = span_of(&traced);
    let span = span.as_str().unwrap();
    assert!(span.starts_with(&format!("00-{trace}-")), "{span}");
    assert!(!span.contains("00f067aa0ba902b7"), "{span}");
    assert_eq!(span_of(&other), Value::Null);
}

/// Leaves a saga in the directory whose step was cut off by the end of its process again and again.
fn cut_off_again_and_again(data: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = embedded::Settings::default();
        let step = Step::new("check").service("sample-service");
        let step = step
            .action("validate_sample")
            .timeout(Duration::from_secs(3_600));
        let definition = Definition::from_steps("checking", vec![step]).unwrap();
        for _ in 0..=INTERRUPTIONS_MAX {
            let engine = Embedded::open(data, &settings, Arc::clone(&clock)).unwrap();
            let engine = Arc::new(engine);
            let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
            let handlers = Handlers::new().handle(
                "sample-service",
                "validate_sample",
                move |_: StepContext| {
                    called.send(()).unwrap();
                    std::future::pending::<Result<(), StepError>>()
                },
            );
            let sagas = Sagas::builder(Arc::clone(&engine) as _, Arc::clone(&clock));
            let sagas = sagas.handlers(handlers).open().await.unwrap();
            let start = saga::Start::new("{}").keyed("once");
            sagas.start(&definition, start).await.unwrap();
            // At work, and then the process ends.
            calls.recv().await.unwrap();
            sagas.shutdown(Duration::ZERO).await;
            engine.close().await;
        }
    });
}

#[test]
fn a_saga_that_ends_its_process_again_and_again_is_paused_and_in_health_and_metrics() {
    let place = Place::new();
    cut_off_again_and_again(&place.data());
    let server = Server::start(&place);
    let metric = || {
        let text = server.get("/metrics").text();
        let mut lines = text.lines();
        let line = lines.find(|it| it.starts_with("saga_poisoned_transactions "));
        line.unwrap().to_owned()
    };
    assert_eq!(metric(), "saga_poisoned_transactions 1");
    let health = server.get("/api/sagas/health").expect(503);
    assert_eq!(
        health["issues"],
        json!(["1 sagas are paused: cut off again and again without progress"])
    );
    let sagas = server.get("/api/sagas?status=paused").expect(200);
    let id = sagas["sagas"][0]["id"].as_str().unwrap();
    // An operator lets it go on: the step is refused, since there is no such sample, and it is over.
    let by = json!({"author": "ann", "reason": "the disk was full"});
    server
        .post(&format!("/api/sagas/{id}/resume"), &by)
        .expect(200);
    let ended = until("the saga is over", || {
        let saga = server.get(&format!("/api/sagas/{id}")).expect(200);
        (saga["status"] == "compensated").then_some(saga)
    });
    assert_eq!(ended["id"], id);
    assert_eq!(metric(), "saga_poisoned_transactions 0");
    server.get("/api/sagas/health").expect(200);
}

#[test]
fn a_running_saga_that_is_cancelled_takes_back_what_it_did() {
    let place = Place::new();
    let data = place.data_text();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    // One at a time, so that the others still wait for their turn when they are cancelled.
    let server = Server::spawn(
        &place,
        sagabus(&arguments).env("SAGA_MAX_ACTIVE_SAGAS", "1"),
    );
    let taken: Vec<Value> = (0..8)
        .map(|_| {
            server
                .request("POST", "/api/submissions")
                .upload("large.pdf", &form_bytes("small.pdf"), &[])
                .send()
                .expect(202)
        })
        .collect();
    let last = taken.last().unwrap();
    let path = last["saga"].as_str().unwrap();
    server
        .post(
            &format!("{path}/cancel"),
            &json!({"author": "ann", "reason": "sent by mistake"}),
        )
        .expect(200);
    let checked = world::check(&server, &place.data(), 3);
    assert_eq!((checked.accepted, checked.rejected), (7, 1), "{checked:?}");
    let submission = server.get(last["submission"].as_str().unwrap()).expect(200);
    assert!(
        submission["reason"]
            .as_str()
            .unwrap()
            .contains("sent by mistake"),
        "{submission}"
    );
}

#[test]
fn a_long_line_of_sagas_is_a_warning_and_the_program_stays_ready() {
    let place = Place::new();
    let server = Server::start(&place);
    // The first waits for somebody, and the others for the key that it has.
    let definition = json!({
        "name": "waits", "steps": [{"id": "w", "signal": {"name": "measured"}}],
        "concurrencyKey": {"key": "tube {tube}"},
    });
    let order = json!({"definition": definition, "context": {"tube": 7}});
    for _ in 0..102 {
        server.post("/api/sagas", &order).expect(202);
    }
    let ready = server.get("/health/ready").expect(200);
    let warning = json!(["High number of active sagas: 101, more than 100"]);
    assert_eq!(
        (&ready["issues"], &ready["warnings"]),
        (&json!([]), &warning)
    );
    // The sagas themselves say so as before.
    let health = server.get("/api/sagas/health").expect(503);
    assert_eq!(
        (&health["issues"], &health["warnings"]),
        (&warning, &warning)
    );
}

#[test]
fn sagas_that_wait_for_somebody_are_no_sign_of_trouble() {
    let place = Place::new();
    let server = Server::start(&place);
    let steps = json!([{"id": "w", "signal": {"name": "measured"}}]);
    let order = json!({"name": "waits", "steps": steps, "context": {}});
    for _ in 0..101 {
        server.post("/api/sagas", &order).expect(202);
    }
    let health = server.get("/api/sagas/health").expect(200);
    assert_eq!(
        (&health["activeSagas"], &health["warnings"]),
        (&json!(101), &json!([]))
    );
    let ready = server.get("/health/ready").expect(200);
    assert_eq!(
        (&ready["issues"], &ready["warnings"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn more_than_a_hundred_active_sagas_are_an_issue_and_so_is_a_database_that_hangs() {
    let place = Place::new();
    let server = Server::start(&place);
    // Somebody else holds the database of the samples: the sagas hang in their first step.
    let other = Connection::open(place.data().join("samples.sqlite")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let start = |key: usize| {
        let order = json!({
            "name": "sample_processing_workflow", "idempotencyKey": key.to_string(),
            "context": {"submissionId": "none", "fileId": "0", "fileName": "form.pdf"},
        });
        server.post("/api/sagas", &order).expect(202);
    };
    let issues = || {
        let ready = server.get("/health/ready").json();
        (
            ready["activeSagas"].as_u64().unwrap(),
            format!("{} {}", ready["issues"], ready["warnings"]),
        )
    };
    (0..100).for_each(start);
    let (active, said) = issues();
    assert_eq!(active, 100, "{said}");
    assert!(!said.contains("active sagas"), "{said}");
    assert!(
        said.contains("sample-service: its database does not answer within 1 s"),
        "{said}"
    );
    start(100);
    let (active, said) = issues();
    assert_eq!(active, 101, "{said}");
    assert!(
        said.contains("High number of active sagas: 101, more than 100"),
        "{said}"
    );
    assert_eq!(server.get("/health/ready").status, 503);
    assert_eq!(server.get("/health/live").status, 200);
    other.execute_batch("ROLLBACK").unwrap();
    until("no saga is active", || {
        let (active, said) = issues();
        (active == 0 && !said.contains("active sagas") && !said.contains("database")).then_some(())
    });
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_dead_letter_is_listed_with_its_faults_and_redriven_or_discarded() {
    let place = Place::new();
    let data = place.data_text();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let mut command = sagabus(&arguments);
    command
        .env("EVENT_BUS_MAX_RETRIES", "0")
        .env("EVENT_BUS_DEAD_LETTER_THRESHOLD", "1");
    let server = Server::spawn(&place, &mut command);
    let doubtful = |id: &str| {
        json!({"id": id, "type": "ai.extraction_confidence_low", "source": "test", "data": {
            "extractionResultId": "r", "submissionId": "none", "fileName": "form.pdf", "confidenceScore": 0.4,
            "threshold": 0.7, "extractionMethod": "pattern", "issues": ["two kits are ticked"],
        }})
    };
    // Somebody else holds the database of the samples: the handler fails.
    let other = Connection::open(place.data().join("samples.sqlite")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for id in ["d-1", "d-2"] {
        server.post("/api/events", &doubtful(id)).expect(201);
    }
    let letters = until("two dead letters", || {
        let letters = server.get("/api/dead-letters").expect(200);
        (letters["total"] == 2).then_some(letters)
    });
    other.execute_batch("ROLLBACK").unwrap();
    let letter = &letters["deadLetters"][0];
    assert_eq!(
        (&letter["subscription"], &letter["attempts"]),
        (&json!("sample-service"), &json!(1))
    );
    assert_eq!(letter["event"]["id"], "d-1", "{letter}");
    assert!(
        letter["faults"][0]["error"]
            .as_str()
            .unwrap()
            .contains("lock"),
        "{letter}"
    );
    assert!(letter["deadAt"].is_string() && letter["firstFailedAt"].is_string());
    let ready = server.get("/health/ready").expect(503);
    assert!(
        ready["issues"].to_string().contains("Dead letter"),
        "{ready}"
    );

    let order = |what: &str, mut body: Value| {
        body["author"] = json!("ann");
        server.post(&format!("/api/dead-letters/{what}"), &body)
    };
    let subscription = "sample-service";
    let positions = json!([letter["position"]]);
    order(
        "redrive",
        json!({"subscription": "nobody", "positions": positions}),
    )
    .expect_problem(404, &["nobody"]);
    order("redrive", json!({"subscription": subscription})).expect_problem(400, &["positions"]);
    order("redrive", json!({"positions": positions})).expect_problem(400, &["subscription"]);
    order(
        "discard",
        json!({"subscription": subscription, "all": true}),
    )
    .expect_problem(400, &["reason"]);
    server
        .get("/api/dead-letters?after=1")
        .expect_problem(400, &["subscription"]);
    let redriven = order(
        "redrive",
        json!({"subscription": subscription, "positions": positions}),
    );
    assert_eq!(redriven.expect(200)["redriven"], 1);
    world::settle(&server, &place.data());
    let left = server
        .get("/api/dead-letters?subscription=sample-service")
        .expect(200);
    assert_eq!(
        (&left["total"], &left["deadLetters"][0]["event"]["id"]),
        (&json!(1), &json!("d-2"))
    );
    let discarded = order(
        "discard",
        json!({"subscription": subscription, "all": true, "reason": "only a test"}),
    );
    assert_eq!(discarded.expect(200)["discarded"], 1);
    assert_eq!(server.get("/api/dead-letters").expect(200)["total"], 0);
    let stats = server.get("/api/stats").expect(200);
    assert_eq!(stats["failedAttempts"], 2, "{stats}");
    for subscription in stats["subscriptions"].as_array().unwrap() {
        assert_eq!(subscription["isConserved"], true, "{subscription}");
        let count = |field: &str| subscription[field].as_u64().unwrap();
        let fields = ["acked", "filtered", "skipped", "discarded", "expired"];
        let settled: u64 = fields.map(count).iter().sum();
        let open: u64 = ["ready", "leased", "waiting", "dead"]
            .map(count)
            .iter()
            .sum();
        assert_eq!(count("matched"), settled + open, "{subscription}");
    }
}

#[test]
fn metrics_have_the_names_that_dashboards_expect_and_agree_with_the_stats() {
    let place = Place::new();
    let server = Server::start(&place);
    let taken = server.request("POST", "/api/submissions").upload(
        "small.pdf",
        &form_bytes("small.pdf"),
        &[],
    );
    taken.send().expect(202);
    world::check(&server, &place.data(), 3);
    let answer = server.get("/metrics");
    assert!(
        answer.head.contains("application/openmetrics-text"),
        "{}",
        answer.head
    );
    let text = answer.text();
    let mut values = std::collections::BTreeMap::new();
    let mut types = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.split(' ').collect();
            match words[0] {
                "TYPE" => assert!(types.insert(words[1].to_owned()), "twice: {line}"),
                "HELP" | "EOF" | "UNIT" => {}
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(
            values.insert(name.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
    for name in [
        "http_requests_total",
        "http_request_duration_seconds",
        "samples_by_status",
        "samples_by_priority",
        "samples_total{sample_type=",
        "sample_processing_time_seconds_bucket",
        "memory_usage_bytes",
        "event_bus_events_total",
        "event_bus_dead_letter_queue_size",
        "event_bus_errors_total",
        "event_bus_queue_size",
        "saga_active_transactions",
        "saga_completed_transactions",
        "saga_failed_transactions",
        "saga_stuck_transactions",
        "ai_processing_queue_size",
        "http_request_size_bytes_bucket",
        "http_response_size_bytes_bucket",
        "active_requests",
        "errors_total",
        "errors_by_type",
        "cpu_usage_percent",
        "db_queries_total",
        "db_query_duration_seconds_bucket",
        "database_connection_pool_active",
        "database_connection_pool_idle",
        "database_connection_pool_max",
    ] {
        assert!(
            values.keys().any(|it| it.starts_with(name)),
            "{name}: {text}"
        );
    }
    assert_eq!(values["samples_by_status{status=\"prep\"}"], 3.0);
    let samples = values
        .iter()
        .filter(|it| it.0.starts_with("samples_total{"));
    let samples: f64 = samples.map(|it| it.1).sum();
    assert!((samples - 3.0).abs() < 1e-9, "{text}");
    assert_eq!(values["sample_processing_time_seconds_count"], 0.0);
    assert_eq!(values["saga_completed_transactions_total"], 1.0);
    assert!(values["memory_usage_bytes"] > 1e6);
    let stats = server.get("/api/stats").expect(200);
    let created = values["event_bus_events_total{type=\"sample.created\"}"];
    assert_eq!(
        stats["eventsByType"]["sample.created"].as_f64(),
        Some(created)
    );
    let ready = server.get("/health/ready").expect(200);
    assert_eq!(
        (&ready["status"], &ready["issues"]),
        (&json!("ready"), &json!([]))
    );
    assert_eq!(server.get("/health/live").expect(200)["status"], "live");
}
