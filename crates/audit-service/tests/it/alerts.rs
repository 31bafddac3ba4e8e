//! Alerts tell of entries, and not too often.

use axum::http::StatusCode;
use nanopore::events::audit::AlertTriggered;
use serde_json::{Value, json};

use super::fixture::{Fixture, event};
use super::http::call;

fn alert(id: &str, cooldown: u32) -> Value {
    json!({
        "id": id, "name": "Sagas fail", "severity": "high", "recipients": ["head@lab.example.edu"],
        "condition": {"field": "action", "operator": "equals", "value": "saga.failed"},
        "cooldownMinutes": cooldown, "author": "head", "reason": "somebody must look",
    })
}

async fn failed(fixture: &Fixture) {
    let event = event("saga.failed", r#"{"sagaId":"s"}"#);
    fixture.service.consume(&event).await.unwrap();
}

async fn told(fixture: &Fixture) -> Vec<AlertTriggered> {
    let events = fixture.events().await;
    let told = events
        .iter()
        .filter(|it| it.event_type.as_str() == "audit.alert_triggered");
    told.map(|it| it.payload().unwrap()).collect()
}

#[tokio::test]
async fn an_alert_tells_of_an_entry_and_of_no_other_until_its_time_is_over() {
    let fixture = Fixture::aged(1).await;
    for body in [alert("calm", 60), alert("eager", 0)] {
        let (status, answer) = call(&fixture, "POST", "/alerts", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    fixture
        .service
        .consume(&event("sample.created", "{}"))
        .await
        .unwrap();
    for _ in 0..3 {
        failed(&fixture).await;
    }
    let ids = |told: &[AlertTriggered]| -> Vec<String> {
        told.iter().map(|it| it.alert_id.clone()).collect()
    };
    let first = told(&fixture).await;
    assert_eq!(ids(&first), ["calm", "eager", "eager", "eager"]);
    let entry = fixture.service.entry(4).await.unwrap();
    assert_eq!(first[0].matched_audit_id, entry.id);
    assert_eq!(first[0].recipients, ["head@lab.example.edu"]);

    let fixture = fixture.today();
    failed(&fixture).await;
    assert_eq!(ids(&told(&fixture).await)[4..], ["calm", "eager"]);
    let (_, history) = call(&fixture, "GET", "/alerts/history", &Value::Null).await;
    let items = history["items"].as_array().unwrap();
    assert_eq!(items.len(), 6);
    assert_eq!(
        (&items[0]["alertId"], &items[0]["sequence"]),
        (&json!("eager"), &json!(7))
    );

    let order = json!({"author": "head", "reason": "enough"});
    let (status, _) = call(&fixture, "POST", "/alerts/eager/lift", &order).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    failed(&fixture).await;
    assert_eq!(told(&fixture).await.len(), 6);
    // Who set and lifted them is in the trail, which is whole.
    let actions: Vec<_> = fixture
        .entries()
        .await
        .into_iter()
        .map(|it| it.action)
        .collect();
    assert_eq!(
        actions
            .iter()
            .filter(|it| it.starts_with("audit.alert_"))
            .count(),
        3
    );
    assert!(fixture.service.verify().await.unwrap().ok);
}
