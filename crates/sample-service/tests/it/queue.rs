//! Whose turn it is, and operations on many samples, over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::fixture::{Fixture, fields};

async fn create(fixture: &Fixture, name: &str, priority: &str) -> String {
    let mut body = fields();
    body.insert("sampleName".to_owned(), name.into());
    body.insert("priority".to_owned(), priority.into());
    let answer = fixture.call("POST", "/samples", body.into()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    answer.json["id"].as_str().unwrap().to_owned()
}

async fn post(fixture: &Fixture, id: &str, what: &str, body: Value) {
    let answer = fixture
        .call("POST", &format!("/samples/{id}/{what}"), body)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.json);
}

async fn queue(fixture: &Fixture, query: &str) -> Vec<String> {
    let answer = fixture
        .call("GET", &format!("/queue{query}"), Value::Null)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.json);
    let entries = answer.json["queue"].as_array().unwrap().clone();
    entries
        .iter()
        .map(|it| it["sampleName"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_queue_has_what_can_be_worked_on_the_most_urgent_first() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for priority in ["low", "normal", "high", "urgent"] {
        for number in [1, 2] {
            ids.push(create(&fixture, &format!("{priority}-{number}"), priority).await);
        }
    }
    assert_eq!(queue(&fixture, "").await, Vec::<String>::new());
    assert_eq!(queue(&fixture, "?show=expected").await.len(), 8);
    for id in &ids {
        post(&fixture, id, "receive", Value::Null).await;
    }
    let all = [
        "urgent-1", "urgent-2", "high-1", "high-2", "normal-1", "normal-2", "low-1", "low-2",
    ];
    assert_eq!(queue(&fixture, "").await, all);
    assert_eq!(queue(&fixture, "?limit=3&page=2").await, all[3..6]);
    let first = fixture
        .call("GET", "/queue?limit=1&page=4", Value::Null)
        .await
        .json;
    assert_eq!(
        (&first["queue"][0]["position"], &first["total"]),
        (&json!(4), &json!(8))
    );

    post(&fixture, &ids[6], "hold", json!({"reason": "no account"})).await;
    post(&fixture, &ids[7], "status", json!({"status": "archived"})).await;
    post(&fixture, &ids[4], "steps/sample_qc/start", json!({})).await;
    post(&fixture, &ids[4], "steps/sample_qc/complete", json!({})).await;
    post(&fixture, &ids[5], "assign", json!({"assignedTo": "Grace"})).await;
    assert_eq!(queue(&fixture, "").await, all[2..]);
    assert_eq!(queue(&fixture, "?show=held").await, ["urgent-1"]);
    assert_eq!(queue(&fixture, "?stage=library_prep").await, ["high-1"]);
    assert_eq!(queue(&fixture, "?assignedTo=Grace").await, ["high-2"]);
    for (query, text) in [
        ("?show=all", "must be ready, held or expected"),
        ("?stage=washing", "has no value `washing`"),
        ("?colour=red", "is not known; there are `show`"),
        ("?limit=0", "whole number"),
        ("?show=held&show=held", "given twice"),
    ] {
        let answer = fixture
            .call("GET", &format!("/queue{query}"), Value::Null)
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{query}: {detail}");
    }
}

#[tokio::test]
async fn the_clock_of_a_sample_waits_for_its_tube_and_has_the_days_of_its_service() {
    let fixture = Fixture::new().await;
    let id = create(&fixture, "a", "normal").await;
    let path = format!("/samples/{id}/turnaround");
    let clock = fixture.call("GET", &path, Value::Null).await.json;
    assert_eq!(
        clock,
        json!({"elapsedMs": 0, "heldMs": 0, "isRunning": false, "isOverdue": false})
    );
    post(&fixture, &id, "receive", Value::Null).await;
    let clock = fixture.call("GET", &path, Value::Null).await.json;
    assert_eq!(
        (&clock["isRunning"], &clock["isOverdue"]),
        (&json!(true), &json!(false))
    );
    let due = |clock: &Value| {
        let time = |name: &str| {
            clock[name]
                .as_str()
                .unwrap()
                .parse::<sagabus::Timestamp>()
                .unwrap()
                .milliseconds()
        };
        (time("dueAt") - time("startedAt")) / 86_400_000
    };
    assert_eq!(due(&clock), 42);
    let days = json!({"attributes": {"targetDays": 7}});
    fixture
        .call("PUT", "/catalogue/service/standard", days)
        .await;
    assert_eq!(due(&fixture.call("GET", &path, Value::Null).await.json), 7);
    // Another service has days of its own.
    let rush = json!({"name": "rush", "attributes": {"targetDays": 2}});
    fixture.call("POST", "/catalogue/service", rush).await;
    let of_it = json!({"serviceType": "rush"});
    fixture.call("PUT", &format!("/samples/{id}"), of_it).await;
    assert_eq!(due(&fixture.call("GET", &path, Value::Null).await.json), 2);
    post(&fixture, &id, "hold", json!({"reason": "r"})).await;
    let clock = fixture.call("GET", &path, Value::Null).await.json;
    assert_eq!(clock["isRunning"], false);
    // How long it stood still stays known when it runs again.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    post(&fixture, &id, "release", json!({})).await;
    let clock = fixture.call("GET", &path, Value::Null).await.json;
    assert_eq!(clock["isRunning"], true);
    assert!(clock["heldMs"].as_u64().unwrap() >= 30, "{clock}");
}

#[tokio::test]
async fn many_samples_are_changed_each_by_itself_with_a_result_and_an_event_each() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(create(&fixture, name, "normal").await);
    }
    post(&fixture, &ids[1], "status", json!({"status": "prep"})).await;
    let with_unknown = [ids.clone(), vec!["none".to_owned()]].concat();
    let mut expected = vec!["sample.created"; 3];
    expected.push("sample.status_changed");
    for (body, succeeded, event) in [
        (
            json!({"operation": "assign", "assignedTo": "Grace"}),
            3,
            "sample.assigned",
        ),
        (
            json!({"operation": "updatePriority", "priority": "high"}),
            3,
            "sample.updated",
        ),
        (
            json!({"operation": "updateStatus", "status": "sequencing"}),
            1,
            "sample.status_changed",
        ),
        (json!({"operation": "delete"}), 2, "sample.deleted"),
        (
            json!({"operation": "archive", "reason": "over"}),
            1,
            "sample.status_changed",
        ),
    ] {
        let mut body = body;
        body["ids"] = json!(with_unknown);
        let answer = fixture.call("POST", "/samples/bulk", body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        assert_eq!(answer.json["succeeded"], succeeded, "{}", answer.json);
        let results = answer.json["results"].as_array().unwrap();
        assert_eq!(answer.json["failed"], results.len() - succeeded);
        let told: Vec<_> = results
            .iter()
            .map(|it| it["id"].as_str().unwrap())
            .collect();
        assert_eq!(told, with_unknown);
        assert_eq!(results[3]["problem"]["status"], 404);
        expected.extend(vec![event; succeeded]);
    }
    assert_eq!(fixture.event_types().await, expected);
    let id = create(&fixture, "d", "normal").await;
    let body = json!({"operation": "stage", "stage": "library_prep", "ids": [id]});
    assert_eq!(
        fixture.call("POST", "/samples/bulk", body).await.json["succeeded"],
        1
    );
    let hundred: Vec<_> = (0..101).map(|it| it.to_string()).collect();
    for (body, field) in [
        (json!({"operation": "explode", "ids": ["a"]}), "operation"),
        (json!({"ids": ["a"]}), "operation"),
        (json!({"operation": "delete", "ids": []}), "ids"),
        (json!({"operation": "delete", "ids": hundred}), "ids"),
        (json!({"operation": "delete", "ids": ["a", 7]}), "ids[1]"),
        (
            json!({"operation": "delete", "ids": ["a", "b", "a"]}),
            "ids[2]",
        ),
        (json!({"operation": "delete"}), "ids"),
        (
            json!({"operation": "delete", "ids": ["a"], "status": "prep"}),
            "status",
        ),
        (
            json!({"operation": "updateStatus", "ids": ["a"], "status": "done"}),
            "status",
        ),
        (json!({"operation": "assign", "ids": ["a"]}), "assignedTo"),
    ] {
        let answer = fixture.call("POST", "/samples/bulk", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.json);
        assert_eq!(answer.json["errors"][0]["field"], field, "{}", answer.json);
    }
}
