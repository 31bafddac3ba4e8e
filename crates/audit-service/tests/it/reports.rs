//! Reports, once and by a schedule, exports, and entries of who looked.

use std::time::Duration;

use audit_service::model::{Order, Schedule};
use audit_service::{ACCESS, Access};
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use nanopore::events::audit::{ExportCreated, ReportFormat, ReportGenerated, ReportType};
use sagabus::SystemClock;
use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Connection;
use serde_json::{Value, json};
use sha2_of_oracle::{Digest, Sha256};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::fixture::{Fixture, event, open};
use super::http::call;

/// What a request is answered with, as it came.
async fn file(
    fixture: &Fixture,
    (method, path): (&str, &str),
    body: &Value,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let body = match body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    let request = Request::builder().method(method).uri(path);
    let router = audit_service::routes::api()
        .with_state::<()>(fixture.service.clone())
        .into_parts()
        .0;
    let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, bytes.to_vec())
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|it| format!("{it:02x}")).collect()
}

/// Acts of all sorts.
async fn acts(fixture: &Fixture) {
    for (event_type, data) in [
        ("sample.created", r#"{"userId":"ada"}"#),
        (
            "sample.processing_failed",
            r#"{"userId":"grace","error":"e"}"#,
        ),
        ("auth.login", r#"{"userId":"eve"}"#),
        ("catalogue.changed", r#"{"userId":"head"}"#),
    ] {
        fixture
            .service
            .consume(&event(event_type, data))
            .await
            .unwrap();
    }
    let timed = json!({"service": "s", "action": "read.done", "resource": "r", "durationMs": 12, "userId": "ada"});
    let (status, answer) = call(fixture, "POST", "/events", &timed).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

fn wanted(of: &str, format: &str) -> Value {
    json!({
        "name": "Review", "type": of, "format": format, "from": "2000-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z",
        "author": "head", "reason": "the yearly review",
    })
}

#[tokio::test]
async fn a_report_of_each_type_has_its_entries_and_is_an_entry_and_an_event() {
    let fixture = Fixture::new().await;
    acts(&fixture).await;
    let mut wanted_json = Vec::new();
    for (of, actions) in [
        (
            "activity",
            &[
                "read.done",
                "catalogue.changed",
                "auth.login",
                "sample.processing_failed",
                "sample.created",
            ][..],
        ),
        ("security", &["auth.login", "sample.processing_failed"]),
        (
            "compliance",
            &["sample.processing_failed", "sample.created"],
        ),
        ("performance", &["read.done"]),
    ] {
        let (status, made) = call(&fixture, "POST", "/reports", &wanted(of, "json")).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let path = format!("/reports/{}", made["id"].as_str().unwrap());
        let (status, headers, bytes) = file(&fixture, ("GET", &path), &Value::Null).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        assert_eq!(json!(digest(&bytes)), made["digest"]);
        let report: Value = serde_json::from_slice(&bytes).unwrap();
        let found: Vec<_> = report["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["action"].as_str().unwrap())
            .collect();
        let found: Vec<_> = found
            .into_iter()
            .filter(|it| !it.starts_with("audit."))
            .collect();
        assert_eq!(found, actions, "{of}");
        assert_eq!(report["summary"]["recordCount"], made["recordCount"]);
        wanted_json.push(made);
    }
    let mut custom = wanted("custom", "csv");
    custom["filters"] = json!({"userId": "grace"});
    let (_, made) = call(&fixture, "POST", "/reports", &custom).await;
    assert_eq!(made["recordCount"], 1, "{made}");
    let (_, list) = call(&fixture, "GET", "/reports", &Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 5);

    let events = fixture.events().await;
    let told: Vec<ReportGenerated> = events
        .iter()
        .filter(|it| it.event_type.as_str() == "audit.report_generated")
        .map(|it| it.payload().unwrap())
        .collect();
    assert_eq!(told.len(), 5);
    assert_eq!(
        (told[0].report_type, told[4].format),
        (ReportType::Activity, ReportFormat::Csv)
    );
    assert_eq!(
        (told[4].record_count, told[4].requested_by.as_str()),
        (1, "head")
    );
    let entries = fixture.entries().await;
    let own: Vec<_> = entries
        .iter()
        .filter(|it| it.action == "audit.report_generated")
        .collect();
    assert_eq!(own.len(), 5);
    assert_eq!(own[4].reason.as_deref(), Some("the yearly review"));
    assert_eq!(own[4].details["report"]["digest"], made["digest"]);
    assert!(fixture.service.verify().await.unwrap().ok);
}

#[tokio::test]
async fn a_report_as_a_pdf_and_a_table_is_one() {
    let fixture = Fixture::new().await;
    acts(&fixture).await;
    for (format, kind, start) in [
        ("pdf", "application/pdf", &b"%PDF-1.4"[..]),
        ("csv", "text/csv; charset=utf-8", b"sequence,id,"),
    ] {
        let (_, made) = call(&fixture, "POST", "/reports", &wanted("activity", format)).await;
        let path = format!("/reports/{}", made["id"].as_str().unwrap());
        let (_, headers, bytes) = file(&fixture, ("GET", &path), &Value::Null).await;
        assert_eq!(headers["content-type"], kind);
        assert!(bytes.starts_with(start), "{format}");
        let text = match format {
            "pdf" => pdf_extract::extract_text_from_mem(&bytes).unwrap(),
            _ => String::from_utf8(bytes).unwrap(),
        };
        assert!(text.contains("sample.processing_failed"), "{text}");
    }
}

#[tokio::test]
async fn a_report_that_somebody_changed_is_not_given_out() {
    let fixture = Fixture::new().await;
    acts(&fixture).await;
    let (_, made) = call(&fixture, "POST", "/reports", &wanted("activity", "csv")).await;
    let path = format!("/reports/{}", made["id"].as_str().unwrap());
    let (status, _, bytes) = file(&fixture, ("GET", &path), &Value::Null).await;
    assert_eq!((status, bytes.is_empty()), (StatusCode::OK, false));
    let changed = Connection::open(fixture.path())
        .unwrap()
        .execute(
            "UPDATE audit_reports SET content = CAST(x'00' || content AS BLOB)",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    let (status, _, bytes) = file(&fixture, ("GET", &path), &Value::Null).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let told = String::from_utf8(bytes).unwrap();
    assert!(told.contains("is not what was made"), "{told}");
}

#[tokio::test]
async fn what_is_wrong_with_a_report_or_a_schedule_is_told_by_its_field() {
    let fixture = Fixture::new().await;
    let schedule = |field: &str, value: Value| {
        let mut body = json!({
            "id": "weekly", "name": "Weekly", "type": "activity", "format": "pdf", "schedule": "0 6 * * 1", "days": 7,
            "author": "head", "reason": "to be read on Mondays",
        });
        body[field] = value;
        ("/report-schedules", body)
    };
    let report = |field: &str, value: Value| {
        let mut body = wanted("custom", "json");
        body[field] = value;
        ("/reports", body)
    };
    let export = |field: &str, value: Value| {
        let mut body = json!({"format": "csv", "author": "head", "reason": "r"});
        body[field] = value;
        ("/export", body)
    };
    for ((path, body), field) in [
        (schedule("schedule", json!("60 * * * *")), "schedule"),
        (schedule("schedule", json!("soon")), "schedule"),
        (schedule("days", json!(0)), "days"),
        (schedule("type", json!("gossip")), "type"),
        (schedule("format", json!("xml")), "format"),
        (
            schedule("filters", json!({"colour": "red"})),
            "filters.colour",
        ),
        (schedule("filters", json!({"page": "2"})), "filters.page"),
        (schedule("recipients", json!([" "])), "recipients[0]"),
        (schedule("author", json!("")), "author"),
        (report("from", json!("2999-02-01T00:00:00Z")), "from"),
        (report("reason", json!("")), "reason"),
        (
            report("filters", json!({"severity": "loud"})),
            "filters.severity",
        ),
        (report("more", json!(1)), "more"),
        (export("format", json!("pdf")), "format"),
        (export("author", json!(" ")), "author"),
    ] {
        let (status, answer) = call(&fixture, "POST", path, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {field}: {answer}");
        assert_eq!(answer["errors"][0]["field"], field, "{answer}");
        let words = [
            "missing field",
            "expected struct",
            "unknown variant",
            "expected a map",
        ];
        let said = answer.to_string();
        assert!(!words.iter().any(|it| said.contains(it)), "{said}");
    }
    let (_, empty) = call(&fixture, "POST", "/reports", &json!({})).await;
    assert_eq!(empty["errors"][0]["message"], "is required", "{empty}");
    assert!(fixture.entries().await.is_empty());
    let (status, _) = call(&fixture, "GET", "/reports/none", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

fn daily() -> Value {
    json!({
        "id": "daily", "name": "Daily", "type": "activity", "format": "csv", "schedule": "0 6 * * *", "days": 1,
        "recipients": ["head@lab.example.edu"], "author": "head", "reason": "to be read each morning",
    })
}

#[tokio::test]
async fn a_schedule_makes_its_report_when_it_is_due_once_after_a_long_time_and_after_a_restart() {
    let fixture = Fixture::aged(10).await;
    let (status, answer) = call(&fixture, "POST", "/report-schedules", &daily()).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    acts(&fixture).await;
    // Nothing is due yet: the next time is to come.
    for _ in 0..3 {
        assert_eq!(fixture.service.run_due_reports().await.unwrap(), 0);
    }
    // The program does not run for ten days. Then what was missed is made once.
    let fixture = fixture.today();
    let again = open(&fixture.path()).await.unwrap();
    assert_eq!(again.run_due_reports().await.unwrap(), 1);
    for service in [&again, &fixture.service] {
        assert_eq!(service.run_due_reports().await.unwrap(), 0);
    }
    let made = fixture.service.reports().await.unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].schedule_id.as_deref(), Some("daily"));
    // With what was done before it should have been made.
    assert!(made[0].record_count >= 5, "{made:?}");
    let days = (made[0].to.milliseconds() - made[0].from.milliseconds()) / 86_400_000;
    assert!((9..=11).contains(&days), "{days}");

    // One that is lifted or not active makes none.
    let order = Order {
        author: "head".to_owned(),
        reason: "enough".to_owned(),
    };
    let cause = Cause::new(None, &SystemClock);
    fixture
        .service
        .lift::<Schedule>("daily", order, cause)
        .await
        .unwrap();
    assert_eq!(fixture.service.run_due_reports().await.unwrap(), 0);
    let entries = fixture.entries().await;
    let count = |action: &str| entries.iter().filter(|it| it.action == action).count();
    assert_eq!(count("audit.report_schedule_set"), 1);
    assert_eq!(count("audit.report_schedule_lifted"), 1);
    assert_eq!(count("audit.report_generated"), 1);
}

#[tokio::test]
async fn an_export_has_the_digest_that_its_entry_and_its_event_say() {
    let fixture = Fixture::new().await;
    acts(&fixture).await;
    let body = json!({"format": "json", "filters": {"userId": "ada"}, "author": "auditor", "reason": "inspection"});
    let (status, headers, bytes) = file(&fixture, ("POST", "/export"), &body).await;
    assert_eq!(status, StatusCode::OK);
    let entries: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    let actions: Vec<_> = entries
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["read.done", "sample.created"]);
    assert_eq!(headers["x-digest-sha256"], digest(&bytes));
    assert!(
        headers["repr-digest"]
            .to_str()
            .unwrap()
            .starts_with("sha-256=:")
    );
    let events = fixture.events().await;
    let told: ExportCreated = events.last().unwrap().payload().unwrap();
    assert_eq!((told.digest, told.record_count), (digest(&bytes), 2));
    assert_eq!(
        (
            told.requested_by.as_str(),
            headers["x-export-id"].to_str().unwrap()
        ),
        ("auditor", told.export_id.as_str())
    );
    let entry = fixture.entries().await.pop().unwrap();
    assert_eq!(
        (entry.action.as_str(), entry.reason.as_deref()),
        ("audit.export_created", Some("inspection"))
    );
    assert_eq!(entry.details["digest"], json!(digest(&bytes)));
    let (_, _, table) = file(
        &fixture,
        ("POST", "/export"),
        &json!({"format": "csv", "author": "a", "reason": "r"}),
    )
    .await;
    assert_eq!(table.iter().filter(|it| **it == b'\n').count(), 7);
}

fn access(person: &str) -> Access {
    Access {
        actor_id: person.to_owned(),
        resource: "sample".to_owned(),
        resource_id: Some("S-1".to_owned()),
        correlation_id: None,
        user_agent: Some("x".repeat(400)),
        details: json!({"route": "/api/samples/{id}"}),
    }
}

/// The first transaction takes all that wait: what is read behind it sees the entries of those that came later too.
#[tokio::test(flavor = "multi_thread")]
async fn who_looks_at_the_same_time_is_written_once_each_in_one_commit_and_without_events() {
    let fixture = Fixture::new().await;
    let database = fixture.service.outbox().database().clone();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (mut looks, mut others) = (JoinSet::new(), JoinSet::new());
    let busy = database.clone();
    others.spawn(async move {
        let blocked = busy.call(move |_| {
            let _released = wait.recv();
            Ok::<i64, sagabus::Error>(0)
        });
        blocked.await.unwrap()
    });
    let pause = || tokio::time::sleep(Duration::from_millis(100));
    pause().await;
    let look = |number: usize| {
        let service = fixture.service.clone();
        async move { service.accessed(access(&format!("person-{number}"))).await }
    };
    looks.spawn(look(0));
    pause().await;
    let second = database.clone();
    others.spawn(async move {
        let read = second.call(|tx| {
            let query = "SELECT count(*) FROM audit_entries";
            Ok::<i64, sagabus::Error>(tx.query_row(query, [], |row| row.get(0))?)
        });
        read.await.unwrap()
    });
    pause().await;
    for number in 1..50 {
        looks.spawn(look(number));
    }
    pause().await;
    release.send(()).unwrap();
    while let Some(outcome) = looks.join_next().await {
        outcome.unwrap().unwrap();
    }
    let mut seen = Vec::new();
    while let Some(count) = others.join_next().await {
        seen.push(count.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 50]);
    let entries = fixture.entries().await;
    let mut people: Vec<_> = entries
        .iter()
        .filter_map(|it| it.actor.id.clone())
        .collect();
    people.sort_unstable();
    people.dedup();
    assert_eq!((entries.len(), people.len()), (50, 50));
    assert!(
        entries
            .iter()
            .all(|it| it.action == ACCESS && it.category == "data_access")
    );
    assert_eq!(entries[0].user_agent.as_ref().unwrap().len(), 255);
    assert!(fixture.events().await.is_empty());
    assert!(fixture.service.verify().await.unwrap().ok);
}

#[tokio::test]
async fn old_and_new_values_stand_in_the_entry_of_a_change() {
    let fixture = Fixture::new().await;
    for (event_type, data, old, new) in [
        (
            "sample.updated",
            r#"{"userId":"ada","changes":{"volume":{"oldValue":3,"newValue":4.5},"labName":{"oldValue":null,"newValue":"Lab"}}}"#,
            json!({"volume": 3, "labName": null}),
            json!({"volume": 4.5, "labName": "Lab"}),
        ),
        (
            "sample.status_changed",
            r#"{"userId":"ada","oldStatus":"prep","newStatus":"analysis","reason":"elsewhere","override":true}"#,
            json!({"status": "prep"}),
            json!({"status": "analysis"}),
        ),
        (
            "sample.assigned",
            r#"{"userId":"ada","assignedTo":"Grace","previousAssignee":"Linus"}"#,
            json!({"assignedTo": "Linus"}),
            json!({"assignedTo": "Grace"}),
        ),
        (
            "sample.created",
            r#"{"userId":"ada"}"#,
            Value::Null,
            Value::Null,
        ),
    ] {
        fixture
            .service
            .consume(&event(event_type, data))
            .await
            .unwrap();
        let entry = fixture.entries().await.pop().unwrap();
        assert_eq!(
            (entry.old_values, entry.new_values),
            (old, new),
            "{event_type}"
        );
    }
    let overridden = &fixture.entries().await[1];
    assert_eq!(overridden.reason.as_deref(), Some("elsewhere"));
}
