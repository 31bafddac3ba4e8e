//! What goes into the trail, and what does not.

use audit_service::consumer::wants;
use nanopore::events::audit::EntryRecorded;
use nanopore::steps::StepCall;
use sagabus::ErrorKind;
use sagabus::event::Cause;
use serde_json::json;

use super::fixture::{Fixture, event};

/// Of what sagas and services ask each other, the trail keeps who, what and how it ended.
#[tokio::test]
async fn what_handlers_elsewhere_are_given_and_return_is_not_in_the_trail() {
    let fixture = Fixture::new().await;
    let asked = r#"{"sagaId":"s","stepId":"read","service":"ai","action":"read","attempt":1,
        "fence":7,"input":{"name":"K. Ito"},"outputs":{"check":"K. Ito"},"data":"K. Ito","item":"K. Ito",
        "compensation":{"output":"K. Ito"}}"#;
    let replied =
        r#"{"sagaId":"s","stepId":"read","status":"succeeded","output":{"name":"K. Ito"}}"#;
    for (event_type, data) in [
        ("saga.step_requested", asked),
        ("saga.step_replied", replied),
    ] {
        fixture
            .service
            .consume(&event(event_type, data))
            .await
            .unwrap();
    }
    let entries = fixture.entries().await;
    let details: Vec<String> = entries.iter().map(|it| it.details.to_string()).collect();
    assert_eq!(details.len(), 2);
    assert!(!details.concat().contains("Ito"), "{details:?}");
    assert!(details[0].contains("\"action\":\"read\""), "{details:?}");
    assert!(
        details[1].contains("\"status\":\"succeeded\""),
        "{details:?}"
    );
}

#[tokio::test]
async fn signs_of_life_of_handlers_elsewhere_are_not_in_the_trail() {
    let fixture = Fixture::new().await;
    let sign = r#"{"sagaId":"s","stepId":"read","service":"ai","attempt":1,"fence":7}"#;
    for event_type in ["saga.step_progressed", "saga.step_stopped"] {
        let event = event(event_type, sign);
        assert_eq!(wants(&event), event_type == "saga.step_stopped");
        fixture.service.consume(&event).await.unwrap();
    }
    let entries = fixture.entries().await;
    let actions: Vec<_> = entries.iter().map(|it| it.action.as_str()).collect();
    assert_eq!(actions, ["saga.step_stopped"]);
}

#[tokio::test]
async fn every_event_goes_into_the_trail_once_and_is_told_of() {
    let fixture = Fixture::new().await;
    let created = event(
        "sample.created",
        r#"{"userId":"ada","sampleId":"sample-1"}"#,
    );
    let mut failed = event("saga.failed", r#"{"sagaId":"s"}"#);
    failed.causation_id = Some(created.id.clone());
    for event in [&created, &created, &failed, &created] {
        fixture.service.consume(event).await.unwrap();
    }
    let entries = fixture.entries().await;
    assert_eq!(entries.len(), 2);
    let entry = &entries[0];
    assert_eq!(entry.sequence, 1);
    assert_eq!(entry.event_id.as_deref(), Some(created.id.as_str()));
    assert_eq!(entry.timestamp, created.time);
    assert_eq!(entry.action, "sample.created");
    assert_eq!(entry.actor.id.as_deref(), Some("ada"));
    assert_eq!(entry.actor.service, "sample-service");
    assert_eq!(
        (entry.resource.as_str(), entry.resource_id.as_deref()),
        ("sample", Some("sample-1"))
    );
    assert_eq!(
        (entry.outcome.as_str(), entry.severity.as_str()),
        ("success", "info")
    );
    assert_eq!(entry.category, "data_modification");
    assert_eq!(entry.correlation_id.as_deref(), Some("work-1"));
    assert_eq!(
        entry.details,
        json!({"userId": "ada", "sampleId": "sample-1"})
    );
    assert_eq!(entries[1].severity, "error");
    assert_eq!(
        entries[1].causation_id.as_deref(),
        Some(created.id.as_str())
    );

    let events = fixture.events().await;
    assert_eq!(events.len(), 2);
    let recorded: EntryRecorded = events[0].payload().unwrap();
    assert_eq!(recorded.audit_id, entry.id);
    assert_eq!(recorded.entry_hash, entry.hash);
    assert_eq!(recorded.caused_by.as_deref(), Some(created.id.as_str()));
    assert_eq!(events[0].causation_id.as_ref(), Some(&created.id));
    assert_eq!(events[0].correlation_id.as_deref(), Some("work-1"));
}

#[tokio::test]
async fn the_trail_does_not_audit_its_own_events() {
    let fixture = Fixture::new().await;
    fixture
        .service
        .consume(&event("sample.created", "{}"))
        .await
        .unwrap();
    for told in fixture.events().await {
        assert!(!wants(&told));
        fixture.service.consume(&told).await.unwrap();
    }
    assert_eq!(fixture.entries().await.len(), 1);
    assert_eq!(fixture.events().await.len(), 1);
}

#[tokio::test]
async fn the_bytes_of_a_payload_are_kept_as_received() {
    let fixture = Fixture::new().await;
    let payload = r#"{ "big": 123456789012345678901234567890,  "n": 1.0 }"#;
    fixture
        .service
        .consume(&event("sample.created", payload))
        .await
        .unwrap();
    let details: Vec<u8> = fixture
        .service
        .outbox()
        .database()
        .call(|tx| {
            Ok::<_, sagabus::Error>(tx.query_row(
                "SELECT details FROM audit_entries",
                [],
                |row| row.get(0),
            )?)
        })
        .await
        .unwrap();
    assert_eq!(details, payload.as_bytes());
}

#[tokio::test]
async fn entries_are_neither_changed_nor_deleted() {
    let fixture = Fixture::new().await;
    fixture
        .service
        .consume(&event("sample.created", "{}"))
        .await
        .unwrap();
    for sql in [
        "UPDATE audit_entries SET action = 'sample.deleted'",
        "DELETE FROM audit_entries",
    ] {
        let outcome = fixture
            .service
            .outbox()
            .database()
            .call(move |tx| Ok::<_, sagabus::Error>(tx.execute(sql, [])?))
            .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(
            error.chain().contains("audit entries are never"),
            "{}",
            error.chain()
        );
    }
    assert_eq!(fixture.entries().await[0].action, "sample.created");
}

#[tokio::test]
async fn the_audit_step_of_a_saga_makes_one_entry_however_often_it_is_called() {
    let fixture = Fixture::new().await;
    let call = StepCall {
        key: "saga-1/create_audit_log".to_owned(),
        fence: 1,
        cause: Cause {
            correlation_id: "saga-1".to_owned(),
            causation_id: None,
        },
        input: json!({"submissionId": "sub-1", "userId": "ada"}),
    };
    let results = json!({"update_sample_status": {"sampleCount": 3}});
    let first = fixture
        .service
        .create_audit_log(call.clone(), results.clone())
        .await
        .unwrap();
    let second = fixture
        .service
        .create_audit_log(call.clone(), results)
        .await
        .unwrap();
    assert_eq!(first, second);
    let entries = fixture.entries().await;
    assert_eq!(entries.len(), 1);
    assert_eq!(first["entryHash"], json!(entries[0].hash));
    assert_eq!(entries[0].action, "submission.processed");
    assert_eq!(entries[0].resource_id.as_deref(), Some("sub-1"));
    assert_eq!(entries[0].correlation_id.as_deref(), Some("saga-1"));
    assert_eq!(
        entries[0].details["results"]["update_sample_status"]["sampleCount"],
        3
    );
    assert_eq!(fixture.events().await.len(), 1);

    let mut wrong = call;
    wrong.key = "saga-2/create_audit_log".to_owned();
    wrong.input = json!({});
    let error = fixture
        .service
        .create_audit_log(wrong, json!({}))
        .await
        .unwrap_err();
    assert!(
        error.chain().contains("`submissionId`"),
        "{}",
        error.chain()
    );
}
