//! Each route that changes something, from one table: one event, those that follow caused by it; and the version is minded.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use sagabus::saga::{Definition, Handlers, Start, Status};
use sagabus::{Sagas, SystemClock};
use serde_json::{Value, json};

use super::fixture::{Fixture, fields};

/// A call that is made before: method, path, body. `{id}` is the sample.
type Before = (&'static str, &'static str, Value);

/// A route that changes something.
struct Row {
    method: &'static str,
    /// As the router has it.
    route: &'static str,
    /// As it is called.
    path: &'static str,
    before: Vec<Before>,
    body: Value,
    /// The event, and those that it causes; none where nothing is kept.
    events: Vec<&'static str>,
}

fn row(
    call: (&'static str, &'static str, &'static str),
    before: Vec<Before>,
    body: Value,
    events: &[&'static str],
) -> Row {
    let (method, route, path) = call;
    Row {
        method,
        route,
        path,
        before,
        body,
        events: events.to_vec(),
    }
}

fn post(path: &'static str, body: Value) -> Before {
    ("POST", path, body)
}

/// A step of the sample.
fn step(act: &'static str) -> Before {
    post(act, json!({}))
}

const QC: &str = "/samples/{id}/steps/{stage}/{act}";

fn table() -> Vec<Row> {
    let mut rows = of_samples();
    rows.extend(of_work());
    rows.extend(of_the_facility());
    rows
}

fn of_samples() -> Vec<Row> {
    let file = json!({"fileId": "7".repeat(64), "fileName": "gel.png", "fileType": "image/png"});
    let sample = Value::Object(fields());
    vec![
        row(
            ("POST", "/samples", "/samples"),
            vec![],
            sample,
            &["sample.created"],
        ),
        row(
            ("PUT", "/samples/{id}", "/samples/{id}"),
            vec![],
            json!({"volume": 3}),
            &["sample.updated"],
        ),
        row(
            ("DELETE", "/samples/{id}", "/samples/{id}"),
            vec![],
            Value::Null,
            &["sample.deleted"],
        ),
        row(
            ("POST", "/samples/{id}/assign", "/samples/{id}/assign"),
            vec![],
            json!({"assignedTo": "Ada"}),
            &["sample.assigned"],
        ),
        row(
            ("POST", "/samples/{id}/status", "/samples/{id}/status"),
            vec![],
            json!({"status": "prep"}),
            &["sample.status_changed"],
        ),
        row(
            ("POST", "/samples/{id}/status", "/samples/{id}/status"),
            vec![],
            json!({"status": "analysis", "override": true, "reason": "elsewhere"}),
            &["sample.status_changed"],
        ),
        row(
            ("PUT", "/samples/{id}/details", "/samples/{id}/details"),
            vec![],
            json!({"organism": "moss"}),
            &["sample.updated"],
        ),
        row(
            (
                "POST",
                "/samples/{id}/attachments",
                "/samples/{id}/attachments",
            ),
            vec![],
            file.clone(),
            &["sample.attachment_added"],
        ),
        row(
            (
                "DELETE",
                "/samples/{id}/attachments/{attachment}",
                "/samples/{id}/attachments/{made}",
            ),
            vec![post("/samples/{id}/attachments", file)],
            Value::Null,
            &["sample.attachment_removed"],
        ),
        row(
            ("POST", "/samples/bulk", "/samples/bulk"),
            vec![],
            json!({"operation": "updatePriority", "priority": "high", "ids": ["{id}"]}),
            &["sample.updated"],
        ),
        row(
            ("POST", "/sample-sheets", "/sample-sheets"),
            vec![],
            sheet(),
            &[],
        ),
        row(
            ("POST", "/chart-fields/validate", "/chart-fields/validate"),
            vec![],
            json!({"chartField": "HTSF-001"}),
            &[],
        ),
    ]
}

fn sheet() -> Value {
    json!({"experimentId": "E1", "kit": "SQK-LSK114", "positionId": "X1", "samples": ["{id}"]})
}

fn of_work() -> Vec<Row> {
    let start = || step("/samples/{id}/steps/sample_qc/start");
    let failing = || {
        post(
            "/samples/{id}/steps/sample_qc/fail",
            json!({"error": "A260/230 is 0.4"}),
        )
    };
    let call = |act: &'static str| ("POST", QC, act);
    let decision = json!({"decision": "proceed", "author": "Ada", "reason": "no more of it"});
    vec![
        row(
            ("PATCH", "/samples/{id}/stage", "/samples/{id}/stage"),
            vec![],
            json!({"stage": "library_prep"}),
            &["sample.processing_completed", "sample.status_changed"],
        ),
        row(
            call("/samples/{id}/steps/sample_qc/start"),
            vec![],
            json!({}),
            &["sample.processing_started", "sample.status_changed"],
        ),
        row(
            call("/samples/{id}/steps/sample_qc/complete"),
            vec![start()],
            json!({}),
            &["sample.processing_completed"],
        ),
        row(
            call("/samples/{id}/steps/sample_qc/fail"),
            vec![start()],
            json!({"error": "A260/230 is 0.4"}),
            &["sample.processing_failed", "sample.held"],
        ),
        row(
            call("/samples/{id}/steps/sample_qc/skip"),
            vec![],
            json!({"reason": "known"}),
            &["sample.processing_skipped", "sample.status_changed"],
        ),
        row(
            ("POST", "/samples/{id}/receive", "/samples/{id}/receive"),
            vec![],
            json!({}),
            &["sample.received"],
        ),
        row(
            ("POST", "/samples/{id}/hold", "/samples/{id}/hold"),
            vec![],
            json!({"reason": "no account"}),
            &["sample.held"],
        ),
        row(
            ("POST", "/samples/{id}/release", "/samples/{id}/release"),
            vec![post("/samples/{id}/hold", json!({"reason": "no account"}))],
            json!({}),
            &["sample.released"],
        ),
        row(
            ("POST", "/samples/{id}/release", "/samples/{id}/release"),
            vec![start(), failing(), post(ASK, Value::Null)],
            json!({}),
            &["sample.released", "qc.decision_withdrawn"],
        ),
        row(
            ("POST", "/samples/{id}/decision", "/samples/{id}/decision"),
            vec![start(), failing(), post(ASK, Value::Null)],
            decision,
            &["qc.decision_made"],
        ),
    ]
}

fn of_the_facility() -> Vec<Row> {
    let project = json!({"name": "Ponds", "ownerName": "Ada", "ownerEmail": "ada@lab.example.edu"});
    let file = json!({"fileId": "7".repeat(64), "fileName": "gel.png"});
    let list = json!({"samples": [Value::Object(fields())]});
    let cell = json!({"id": "FBA12345", "product": "FLO-MIN114"});
    let register = || post("/flow-cells", cell.clone());
    let load = json!({"sampleIds": ["{id}"], "instrument": "GridION", "position": "X3"});
    let handle = |path| ("POST", "/flow-cells/{id}/{act}", path);
    let kit = json!({"name": "SQK-NEW001"});
    vec![
        row(
            ("POST", "/submissions/ingest", "/submissions/ingest"),
            vec![],
            list.clone(),
            &["submission.created", "sample.created"],
        ),
        row(
            (
                "POST",
                "/submissions/import",
                "/submissions/import?submitterName=Ada&submitterEmail=a%40b.example&sampleType=DNA&chartField=HTSF-001",
            ),
            vec![],
            Value::String("Sample Name\npond 3B\n".to_owned()),
            &["submission.created", "sample.created"],
        ),
        row(
            (
                "POST",
                "/submissions/{id}/attachments",
                "/submissions/{made}/attachments",
            ),
            vec![post("/submissions/ingest", list.clone())],
            file.clone(),
            &["submission.attachment_added"],
        ),
        row(
            (
                "DELETE",
                "/submissions/{id}/attachments/{attachment}",
                "/submissions/{made}/attachments/{made2}",
            ),
            vec![
                post("/submissions/ingest", list),
                post("/submissions/{made}/attachments", file),
            ],
            Value::Null,
            &["submission.attachment_removed"],
        ),
        row(
            ("POST", "/projects", "/projects"),
            vec![],
            project.clone(),
            &["project.created"],
        ),
        row(
            ("PUT", "/projects/{id}", "/projects/{made}"),
            vec![post("/projects", project)],
            json!({"name": "Lakes"}),
            &["project.updated"],
        ),
        row(
            ("POST", "/catalogue/{kind}", "/catalogue/kit"),
            vec![],
            kit.clone(),
            &["catalogue.changed"],
        ),
        row(
            (
                "PUT",
                "/catalogue/{kind}/{name}",
                "/catalogue/kit/SQK-NEW001",
            ),
            vec![post("/catalogue/kit", kit)],
            json!({"isActive": false}),
            &["catalogue.changed"],
        ),
        row(
            ("POST", "/flow-cells", "/flow-cells"),
            vec![],
            cell.clone(),
            &["flowcell.registered"],
        ),
        row(
            handle("/flow-cells/FBA12345/load"),
            vec![register()],
            load.clone(),
            &["flowcell.loaded"],
        ),
        row(
            handle("/flow-cells/FBA12345/check"),
            vec![register()],
            json!({"pores": 1200}),
            &["flowcell.checked"],
        ),
        row(
            handle("/flow-cells/FBA12345/wash"),
            vec![register(), post("/flow-cells/FBA12345/load", load)],
            json!({}),
            &["flowcell.washed"],
        ),
        row(
            handle("/flow-cells/FBA12345/retire"),
            vec![register()],
            json!({"outcome": "returned", "reason": "too few pores"}),
            &["flowcell.retired"],
        ),
    ]
}

/// In the place of a path: the saga asks what is to become of the sample.
const ASK: &str = "(the saga asks)";

/// The sample of a row and what was made before it, put into paths and bodies.
struct World {
    fixture: Fixture,
    id: String,
    made: Vec<String>,
}

impl World {
    async fn new(before: &[Before]) -> Self {
        let fixture = Fixture::new().await;
        let id = fixture.sample().await;
        let mut world = Self {
            fixture,
            id,
            made: Vec::new(),
        };
        for (method, path, body) in before {
            if *path == ASK {
                ask(&world.fixture, &world.id).await;
                continue;
            }
            let (status, answer) = world.call(method, path, body, &[]).await;
            assert!(status.is_success(), "{path}: {answer}");
            let made = answer["submission"]["id"]
                .as_str()
                .or(answer["id"].as_str());
            world.made.push(made.unwrap_or_default().to_owned());
        }
        world
    }

    fn filled(&self, text: &str) -> String {
        let of = |index: usize| self.made.get(index).cloned().unwrap_or_default();
        text.replace("{id}", &self.id)
            .replace("{made}", &of(0))
            .replace("{made2}", &of(1))
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let body = match body {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            json => self.filled(&json.to_string()),
        };
        let path = self.filled(path);
        let call = self.fixture.send((method, &path), body, headers);
        let (answer, _) = call.await;
        (answer.status, answer.json)
    }
}

/// The saga of the failed quality control, up to where it waits for a decision.
async fn ask(fixture: &Fixture, id: &str) {
    let clock = std::sync::Arc::new(SystemClock);
    let engine = sagabus::engines::embedded::Embedded::in_memory(clock.clone()).unwrap();
    let sagas = Sagas::builder(std::sync::Arc::new(engine), clock)
        .handlers(fixture.service.bind(Handlers::new()))
        .open()
        .await
        .unwrap();
    let definition = Definition::from_yaml(nanopore::sagas::QC_DECISION).unwrap();
    // Only the step that asks.
    let steps = definition.steps()[..1].to_vec();
    let definition = Definition::from_steps("asking", steps).unwrap();
    let input = json!({"decisionId": "d-1", "sampleId": id, "stage": "sample_qc", "error": "A260/230 is 0.4"});
    let saga = sagas
        .start(&definition, Start::new(input.to_string()))
        .await
        .unwrap();
    assert_eq!(sagas.wait(&saga).await.unwrap().status, Status::Completed);
    sagas.shutdown(std::time::Duration::from_secs(5)).await;
}

/// Every route that is no `GET`, from where they are served.
fn mutating_routes() -> BTreeSet<(String, String)> {
    let (_, operations) = sample_service::routes::api().into_parts();
    let changing = operations.iter().filter(|it| it.method() != "GET");
    changing
        .map(|it| (it.method().to_owned(), it.path().to_owned()))
        .collect()
}

#[test]
fn the_table_has_every_route_that_changes_something() {
    let rows = table();
    let known: BTreeSet<(String, String)> = rows
        .iter()
        .map(|row| (row.method.to_owned(), row.route.to_owned()))
        .collect();
    assert_eq!(known, mutating_routes());
    assert!(known.len() > 25, "{}", known.len());
}

#[tokio::test]
async fn each_route_that_changes_something_writes_one_event_and_what_follows_is_caused_by_it() {
    for row in table() {
        let world = World::new(&row.before).await;
        let before = world.fixture.events().await.len();
        let (status, answer) = world.call(row.method, row.path, &row.body, &[]).await;
        assert!(status.is_success(), "{} {}: {answer}", row.method, row.path);
        let events = world.fixture.events().await;
        let new = &events[before..];
        let types: Vec<_> = new.iter().map(|it| it.event_type.as_str()).collect();
        assert_eq!(types, row.events, "{} {}", row.method, row.path);
        let Some((first, followers)) = new.split_first() else {
            continue;
        };
        assert_eq!(first.causation_id, None, "{}", row.path);
        for follower in followers {
            assert_eq!(
                follower.causation_id.as_ref(),
                Some(&first.id),
                "{}",
                row.path
            );
        }
        // What is refused writes none: the same again where it cannot be done twice, and what is no JSON.
        let (status, _) = world.call(row.method, row.path, &json!("{"), &[]).await;
        if row.method != "DELETE" && !row.path.starts_with("/submissions/import") {
            assert!(
                status.is_client_error(),
                "{} {}: {status}",
                row.method,
                row.path
            );
        }
        assert_eq!(
            world.fixture.events().await.len(),
            events.len(),
            "{}",
            row.path
        );
    }
}

#[tokio::test]
async fn a_change_of_a_version_that_is_gone_is_refused_on_every_route_of_a_sample() {
    let mut count = 0;
    for row in table() {
        let is_versioned = (row.route.starts_with("/samples/{id}")
            || row.route == "/projects/{id}"
            || row.route == "/flow-cells/{id}/{act}")
            && !row.events.is_empty();
        if !is_versioned {
            continue;
        }
        count += 1;
        let world = World::new(&row.before).await;
        let before = world.fixture.events().await.len();
        let kept = world
            .call("GET", "/samples/{id}", &Value::Null, &[])
            .await
            .1;
        let stale = [("if-match", "\"77\"")];
        let (status, answer) = world.call(row.method, row.path, &row.body, &stale).await;
        let is_refused = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED].contains(&status);
        assert!(is_refused, "{} {}: {status} {answer}", row.method, row.path);
        let text = answer["detail"].as_str().unwrap();
        assert!(text.contains("not 77"), "{}: {text}", row.path);
        assert_eq!(world.fixture.events().await.len(), before, "{}", row.path);
        let now = world
            .call("GET", "/samples/{id}", &Value::Null, &[])
            .await
            .1;
        assert_eq!(now, kept, "{}", row.path);
    }
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn the_first_decision_counts_and_the_second_is_told_who_made_it() {
    let start = step("/samples/{id}/steps/sample_qc/start");
    let fail = post("/samples/{id}/steps/sample_qc/fail", json!({"error": "e"}));
    let world = World::new(&[start, fail, post(ASK, Value::Null)]).await;
    let decide = |decision: &str, author: &str| json!({"decision": decision, "author": author, "reason": "known"});
    let path = "/samples/{id}/decision";
    let first = decide("resubmit", "Ada");
    let (status, answer) = world.call("POST", path, &first, &[]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let second = decide("cancel", "Mallory");
    let (status, answer) = world.call("POST", path, &second, &[]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    let text = answer["detail"].as_str().unwrap();
    assert!(text.contains("was made already, by Ada: known"), "{text}");
    for (body, field) in [
        (decide("wait", "Ada"), "decision"),
        (decide("cancel", ""), "author"),
        (decide("cancel", "R2D2"), "author"),
        (json!({"decision": "cancel", "author": "Ada"}), "reason"),
    ] {
        let (status, answer) = world.call("POST", path, &body, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["errors"][0]["field"], field, "{answer}");
    }
}

#[tokio::test]
async fn nobody_is_asked_about_a_sample_that_went_on_meanwhile() {
    let start = step("/samples/{id}/steps/sample_qc/start");
    let fail = post("/samples/{id}/steps/sample_qc/fail", json!({"error": "e"}));
    let release = step("/samples/{id}/release");
    let world = World::new(&[start, fail, release, post(ASK, Value::Null)]).await;
    let types = world.fixture.event_types().await;
    let asked = |name: &str| types.iter().filter(|it| *it == name).count();
    assert_eq!(asked("qc.decision_requested"), 0);
    assert_eq!(asked("qc.decision_withdrawn"), 1);
    let path = "/samples/{id}/decisions";
    let (_, all) = world.call("GET", path, &Value::Null, &[]).await;
    assert_eq!(all[0]["state"], "withdrawn", "{all}");
}
