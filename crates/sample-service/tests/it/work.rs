//! Processing steps, holds and overridden statuses, as staff work with them.

use axum::http::StatusCode;
use nanopore::events::sample::{
    SampleProcessingCompleted, SampleProcessingFailed, SampleProcessingStarted, SampleStatusChanged,
};
use nanopore::events::sample_work::{SampleHeld, SampleProcessingSkipped, SampleReleased};
use sagabus::sqlite::{Database, FENCES, TABLES};
use sagabus::{Error, SystemClock};
use sample_service::SampleService;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::{Answer, Fixture};

async fn act(fixture: &Fixture, id: &str, what: &str, body: Value) -> Answer {
    let path = format!("/samples/{id}/{what}");
    fixture.call("POST", &path, body).await
}

async fn done(fixture: &Fixture, id: &str, what: &str, body: Value) -> Value {
    let answer = act(fixture, id, what, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.json);
    answer.json
}

fn field(answer: &Answer) -> (u16, &str) {
    let field = answer.json["errors"][0]["field"].as_str();
    (answer.status.as_u16(), field.unwrap_or_default())
}

#[tokio::test]
async fn a_sample_goes_through_its_eight_steps_and_its_status_with_it() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let steps = fixture
        .call("GET", &format!("/samples/{id}/steps"), Value::Null)
        .await;
    let steps = steps.json.as_array().unwrap().clone();
    assert_eq!(steps.len(), 8);
    assert_eq!(steps[0]["stepName"], "Sample QC");
    assert_eq!(steps[4]["estimatedDurationHours"], 48);
    let mut statuses = Vec::new();
    for step in &steps {
        let stage = step["stage"].as_str().unwrap();
        let sample = done(&fixture, &id, &format!("steps/{stage}/start"), json!({})).await;
        assert_eq!(sample["stage"], stage);
        statuses.push(sample["status"].as_str().unwrap().to_owned());
        done(
            &fixture,
            &id,
            &format!("steps/{stage}/complete"),
            Value::Null,
        )
        .await;
    }
    let expected = [
        "prep",
        "prep",
        "prep",
        "sequencing",
        "sequencing",
        "analysis",
        "analysis",
        "analysis",
    ];
    assert_eq!(statuses, expected);
    let sample = fixture
        .call("GET", &format!("/samples/{id}"), Value::Null)
        .await
        .json;
    assert_eq!(
        (&sample["status"], &sample["stage"]),
        (&json!("completed"), &Value::Null)
    );
    assert_eq!(sample["version"], 17);

    // One event for each change: that of the step, and behind it that of the status where it went along.
    let types = fixture.event_types().await;
    let count = |name: &str| types.iter().filter(|it| *it == name).count();
    assert_eq!(count("sample.processing_started"), 8);
    assert_eq!(count("sample.processing_completed"), 8);
    assert_eq!(count("sample.status_changed"), 4);
    assert_eq!(types.len(), 21);
    let events = fixture.events().await;
    assert_eq!(events[2].event_type.as_str(), "sample.status_changed");
    assert_eq!(events[2].causation_id.as_ref(), Some(&events[1].id));
}

#[tokio::test]
async fn what_is_said_of_a_step_is_kept_as_it_was_said_and_told() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let said = json!({"assignedTo": "Zoë Nuñez", "estimatedDurationHours": 0, "notes": ""});
    done(&fixture, &id, "steps/sample_qc/start", said).await;
    let results =
        json!({"DIN": 7.25, "note": "  <b>1.8 & up</b>  ", "peaks": [0, null, {"bp": 48502}]});
    let said = json!({"completedBy": "Ada", "notes": "clean", "results": results});
    done(&fixture, &id, "steps/sample_qc/complete", said).await;
    let steps = fixture
        .call("GET", &format!("/samples/{id}/steps"), Value::Null)
        .await
        .json;
    assert_eq!(steps[0]["resultsData"], results);
    assert_eq!(steps[0]["assignedTo"], "Zoë Nuñez");
    assert_eq!(steps[0]["estimatedDurationHours"], 0);
    assert_eq!(
        (&steps[0]["notes"], &steps[0]["stepStatus"]),
        (&json!("clean"), &json!("completed"))
    );
    assert!(steps[0]["startedAt"].is_string() && steps[0]["completedAt"].is_string());

    let events = fixture.events().await;
    let started: SampleProcessingStarted = events[1].payload().unwrap();
    assert_eq!(started.processing_step, "Sample QC");
    assert_eq!(started.estimated_duration.map(|it| it.0), Some(0));
    assert_eq!(started.assigned_to.as_deref(), Some("Zoë Nuñez"));
    let completed: SampleProcessingCompleted = events[3].payload().unwrap();
    assert_eq!(completed.completed_by.as_deref(), Some("Ada"));
    assert!(completed.duration.0 < 60_000);
    assert_eq!(completed.results.map(Value::Object), Some(results));
}

#[tokio::test]
async fn a_step_that_fails_holds_the_sample_until_it_is_released_and_is_repeated_three_times_at_most()
 {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    for attempt in 0..4 {
        done(&fixture, &id, "steps/sample_qc/start", json!({})).await;
        let sample = done(
            &fixture,
            &id,
            "steps/sample_qc/fail",
            json!({"error": "A260/230 is 0.4"}),
        )
        .await;
        assert_eq!(
            sample["hold"]["reason"],
            "Sample QC failed: A260/230 is 0.4"
        );
        let held = act(&fixture, &id, "steps/sample_qc/start", json!({})).await;
        assert_eq!(field(&held), (409, "hold"), "{}", held.json);
        done(&fixture, &id, "release", json!({"reason": "cleaned up"})).await;
        let events = fixture.events().await;
        let [.., failed, held, released] = events.as_slice() else {
            panic!("{}", events.len());
        };
        assert_eq!(held.causation_id.as_ref(), Some(&failed.id));
        let failed: SampleProcessingFailed = failed.payload().unwrap();
        assert_eq!((failed.retry_count, failed.max_retries), (attempt, 3));
        let held: SampleHeld = held.payload().unwrap();
        let released: SampleReleased = released.payload().unwrap();
        assert_eq!(held.held_at, released.held_at);
    }
    let again = act(&fixture, &id, "steps/sample_qc/start", json!({})).await;
    assert_eq!(field(&again), (409, "step"), "{}", again.json);
    done(
        &fixture,
        &id,
        "steps/sample_qc/skip",
        json!({"reason": "taken as it is"}),
    )
    .await;
    let events = fixture.events().await;
    let skipped: SampleProcessingSkipped = events.last().unwrap().payload().unwrap();
    assert_eq!(skipped.reason, "taken as it is");
}

#[tokio::test]
async fn a_stage_stays_or_goes_on_by_one_and_what_is_not_allowed_says_what_is() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let path = format!("/samples/{id}/stage");
    for (stage, code, text) in [
        ("sample_qc", 200, ""),
        ("library_qc", 409, "allowed: sample_qc, library_prep"),
        ("library_prep", 200, ""),
        ("library_prep", 200, ""),
        ("sample_qc", 409, "allowed: library_prep, library_qc"),
        ("washing", 400, "not one of sample_qc, library_prep"),
    ] {
        let answer = fixture.call("PATCH", &path, json!({"stage": stage})).await;
        assert_eq!(answer.status.as_u16(), code, "{stage}: {}", answer.json);
        if code == 200 {
            assert_eq!(answer.json["stage"], stage);
        }
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(text), "{stage}: {detail}");
    }
    assert_eq!(
        fixture.event_types().await,
        [
            "sample.created",
            "sample.processing_completed",
            "sample.status_changed"
        ]
    );
    let events = fixture.events().await;
    let completed: SampleProcessingCompleted = events[1].payload().unwrap();
    assert_eq!(completed.duration.0, 0);
    for (what, body, expected) in [
        ("steps/library_qc/start", json!({}), (409, "stage")),
        ("steps/library_prep/complete", json!({}), (409, "step")),
        (
            "steps/library_prep/start",
            json!({"assignedTo": "R2D2"}),
            (400, "assignedTo"),
        ),
        (
            "steps/library_prep/start",
            json!({"estimatedDurationHours": -1}),
            (400, "estimatedDurationHours"),
        ),
        (
            "steps/library_prep/start",
            json!({"who": "me"}),
            (400, "who"),
        ),
        ("steps/library_prep/fail", json!({}), (400, "error")),
        (
            "steps/library_prep/skip",
            json!({"reason": " "}),
            (400, "reason"),
        ),
        (
            "steps/library_prep/complete",
            json!({"results": [1]}),
            (400, "results"),
        ),
        ("steps/washing/start", json!({}), (404, "")),
        ("steps/library_prep/undo", json!({}), (404, "")),
        ("hold", json!({}), (400, "reason")),
        ("release", json!({}), (409, "hold")),
        (
            "receive",
            json!({"receivedAt": "9999-01-01T00:00:00Z"}),
            (400, "receivedAt"),
        ),
        (
            "receive",
            json!({"receivedAt": "yesterday"}),
            (400, "receivedAt"),
        ),
    ] {
        let answer = act(&fixture, &id, what, body).await;
        assert_eq!(field(&answer), expected, "{what}: {}", answer.json);
    }
    assert_eq!(fixture.event_types().await.len(), 3);
}

#[tokio::test]
async fn a_status_out_of_order_needs_a_reason_and_is_told_as_an_override() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    for (body, expected) in [
        (json!({"status": "analysis"}), (409, "status")),
        (
            json!({"status": "analysis", "override": true}),
            (400, "reason"),
        ),
        (
            json!({"status": "analysis", "override": true, "reason": " "}),
            (400, "reason"),
        ),
        (
            json!({"status": "analysis", "override": true, "reason": "x".repeat(1_001)}),
            (400, "reason"),
        ),
        (
            json!({"status": "analysis", "override": "yes", "reason": "r"}),
            (400, "override"),
        ),
        (
            json!({"status": "submitted", "override": true, "reason": "r"}),
            (409, "status"),
        ),
    ] {
        let answer = act(&fixture, &id, "status", body).await;
        assert_eq!(field(&answer), expected, "{}", answer.json);
    }
    let why = "sequenced at the other site";
    let body = json!({"status": "analysis", "override": true, "reason": why});
    let sample = done(&fixture, &id, "status", body).await;
    assert_eq!(
        (&sample["status"], &sample["stage"]),
        (&json!("analysis"), &json!("basecalling"))
    );
    let events = fixture.events().await;
    assert_eq!(events.len(), 2);
    let changed: SampleStatusChanged = events[1].payload().unwrap();
    assert_eq!(
        (changed.reason.as_deref(), changed.overridden),
        (Some(why), Some(true))
    );
    let history = fixture
        .call("GET", &format!("/samples/{id}/history"), Value::Null)
        .await
        .json;
    assert_eq!(
        (&history[1]["action"], &history[1]["notes"]),
        (&json!("status_overridden"), &json!(why))
    );
    // Out of the archive too, which no legal transition leaves.
    done(&fixture, &id, "status", json!({"status": "archived"})).await;
    let body = json!({"status": "prep", "override": true, "reason": "archived by mistake"});
    let sample = done(&fixture, &id, "status", body).await;
    assert_eq!(sample["stage"], "library_prep");
}

#[tokio::test]
async fn a_hold_lets_nothing_begin_and_the_tube_comes_once() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let sample = done(&fixture, &id, "receive", Value::Null).await;
    assert!(sample["receivedAt"].is_string());
    assert_eq!(
        field(&act(&fixture, &id, "receive", Value::Null).await),
        (409, "receivedAt")
    );
    let earlier = json!({"receivedAt": "2026-03-01T08:00:00Z"});
    let sample = done(&fixture, &id, "receive", earlier).await;
    assert_eq!(sample["receivedAt"], "2026-03-01T08:00:00.000Z");
    let sample = done(&fixture, &id, "hold", json!({"reason": "no account"})).await;
    assert_eq!(sample["hold"]["heldBy"], "anonymous");
    assert_eq!(
        field(&act(&fixture, &id, "hold", json!({"reason": "again"})).await),
        (409, "hold")
    );
    let held = act(&fixture, &id, "status", json!({"status": "prep"})).await;
    assert_eq!(field(&held), (409, "hold"));
    let sample = done(&fixture, &id, "release", json!({})).await;
    assert_eq!(sample["hold"], Value::Null);
    done(&fixture, &id, "status", json!({"status": "prep"})).await;
    assert_eq!(
        fixture.event_types().await,
        [
            "sample.created",
            "sample.received",
            "sample.received",
            "sample.held",
            "sample.released",
            "sample.status_changed"
        ]
    );
}

#[tokio::test]
async fn nothing_is_done_with_an_archived_sample_until_its_status_is_overridden() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    done(&fixture, &id, "hold", json!({"reason": "no account"})).await;
    done(&fixture, &id, "status", json!({"status": "archived"})).await;
    let acts = [
        ("receive", Value::Null),
        ("hold", json!({"reason": "too late"})),
        ("assign", json!({"assignedTo": "Ada"})),
    ];
    for (name, body) in &acts {
        let refused = act(&fixture, &id, name, body.clone()).await;
        assert_eq!(field(&refused), (409, "status"), "{name}");
    }
    let sheet = json!({"experimentId": "run_7", "kit": "SQK-NBD114.96", "samples": [id]});
    let refused = fixture.call("POST", "/sample-sheets", sheet).await;
    assert_eq!(field(&refused), (400, "samples[0].id"));
    // A hold of before can be ended.
    done(&fixture, &id, "release", json!({})).await;
    let back = json!({"status": "prep", "override": true, "reason": "archived by mistake"});
    done(&fixture, &id, "status", back).await;
    for (name, body) in acts {
        done(&fixture, &id, name, body).await;
    }
}

#[tokio::test]
async fn the_clock_of_an_archived_sample_stands_still_whatever_is_said_of_it_later() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    done(&fixture, &id, "receive", Value::Null).await;
    done(&fixture, &id, "hold", json!({"reason": "no account"})).await;
    let archived = done(&fixture, &id, "status", json!({"status": "archived"})).await;
    let at = |what: &str| format!("/samples/{id}{what}");
    let clock = async || {
        let read = fixture.call("GET", &at("/turnaround"), Value::Null).await;
        (read.json["elapsedMs"].clone(), read.json["heldMs"].clone())
    };
    let before = clock().await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let changed = fixture
        .call("PUT", &at(""), json!({"priority": "urgent"}))
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    assert_eq!(changed.json["archivedAt"], archived["archivedAt"]);
    let details = fixture
        .call("PUT", &at("/details"), json!({"barcode": "barcode01"}))
        .await;
    assert_eq!(details.status, StatusCode::OK, "{}", details.json);
    assert_eq!(clock().await, before);
    done(&fixture, &id, "release", json!({})).await;
    assert_eq!(clock().await, before);
    let back = json!({"status": "submitted", "override": true, "reason": "archived by mistake"});
    let back = done(&fixture, &id, "status", back).await;
    assert_eq!(back["archivedAt"], Value::Null);
}

const BEFORE: &[&str] = &[TABLES, include_str!("../../src/tables.sql"), FENCES];

#[tokio::test]
async fn a_file_of_before_gets_its_steps_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("samples.db");
    let old = Database::open(&path, BEFORE).await.unwrap();
    old.call(|tx| {
        let fields = r#"{"sampleName":"old","submitterName":"Ada","submitterEmail":"a@b.example","sampleType":"DNA","flowCellCount":1,"priority":"low"}"#;
        for status in ["submitted", "sequencing", "completed", "archived"] {
            tx.execute(
                "INSERT INTO samples (id, version, status, fields, submitted_ms, created_ms, updated_ms, created_by) \
                 VALUES (?1, 3, ?1, ?2, 1, 1, 1, 'ada')",
                [status, fields],
            )?;
        }
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    old.close().await.unwrap();
    let service = SampleService::open(&path, std::sync::Arc::new(SystemClock))
        .await
        .unwrap();
    for (id, stage, skipped) in [
        ("submitted", Some("sample_qc"), 0),
        ("sequencing", Some("sequencing_setup"), 3),
        ("completed", None, 8),
        ("archived", Some("sample_qc"), 0),
    ] {
        let sample = service.get(id.to_owned()).await.unwrap();
        assert_eq!(sample.archived_at.is_some(), id == "archived");
        assert_eq!(sample.stage.map(|it| it.as_str()), stage, "{id}");
        assert_eq!(
            (sample.version, sample.fields.sample_name.as_str()),
            (3, "old")
        );
        let steps = service.steps(id.to_owned()).await.unwrap();
        assert_eq!(steps.len(), 8);
        let done = steps.iter().filter(|it| !it.step_status.is_open()).count();
        assert_eq!(done, skipped, "{id}");
    }
    // And the other way: a program of before refuses the file, and says which one.
    service.outbox().database().close().await.unwrap();
    let refused = Database::open(&path, BEFORE).await.unwrap_err();
    assert_eq!(refused.kind(), sagabus::ErrorKind::Conflict);
    assert!(
        refused.chain().contains("samples.db"),
        "{}",
        refused.chain()
    );
}
