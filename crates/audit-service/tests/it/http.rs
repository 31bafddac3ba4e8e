//! The routes, as a client sees them.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::fixture::{Fixture, event};

/// What a request is answered with, as text.
pub(crate) async fn text(fixture: &Fixture, path: &str) -> String {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = audit_service::routes::api()
        .with_state::<()>(fixture.service.clone())
        .into_parts()
        .0
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn call(
    fixture: &Fixture,
    method: &str,
    path: &str,
    body: &Value,
) -> (StatusCode, Value) {
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-correlation-id", "work-9")
        .body(body)
        .unwrap();
    let response = audit_service::routes::api()
        .with_state::<()>(fixture.service.clone())
        .into_parts()
        .0
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status();
    let kind = response.headers().get("content-type");
    let is_problem = kind.is_some_and(|it| it == "application/problem+json");
    assert_eq!(is_problem, !status.is_success(), "{path}");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let json = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).unwrap(),
    };
    (status, json)
}

#[tokio::test]
async fn entries_are_filtered_and_paged_newest_first() {
    let fixture = Fixture::new().await;
    for event_type in [
        "sample.created",
        "sample.processing_failed",
        "ai.pdf_processing_started",
    ] {
        fixture
            .service
            .consume(&event(event_type, r#"{"userId":"ada"}"#))
            .await
            .unwrap();
    }
    for (query, expected) in [
        ("", vec![3, 2, 1]),
        ("?limit=2&page=2", vec![1]),
        ("?action=sample.created", vec![1]),
        ("?resource=sample&severity=error", vec![2]),
        (
            "?resourceId=sample-1&correlationId=work-1&service=sample-service&userId=ada",
            vec![3, 2, 1],
        ),
        ("?category=system", vec![3]),
        ("?outcome=failure", vec![2]),
        ("?dateFrom=2001-01-01&dateTo=2002-01-01T00:00:00Z", vec![]),
    ] {
        let (status, json) = call(&fixture, "GET", &format!("/events{query}"), &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{query}: {json}");
        let found: Vec<_> = json["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["sequence"].as_u64().unwrap())
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    let (_, page) = call(&fixture, "GET", "/events", &Value::Null).await;
    assert_eq!(
        (&page["total"], &page["page"], &page["limit"]),
        (&json!(3), &json!(1), &json!(20))
    );
    let (_, entry) = call(&fixture, "GET", "/events/2", &Value::Null).await;
    assert_eq!(entry["action"], "sample.processing_failed");
}

#[tokio::test]
async fn a_service_can_report_an_act_with_a_dotted_name() {
    let fixture = Fixture::new().await;
    let act = json!({
        "service": "auth-service", "action": "auth.login.refused", "resource": "session", "userId": "ada",
        "outcome": "failure", "severity": "warn", "category": "authentication", "details": {"ip": "10.0.0.7"},
    });
    let (status, entry) = call(&fixture, "POST", "/events", &act).await;
    assert_eq!(status, StatusCode::CREATED, "{entry}");
    assert_eq!(entry["action"], "auth.login.refused");
    assert_eq!(entry["correlationId"], "work-9");
    assert_eq!(entry["details"], json!({"ip": "10.0.0.7"}));
    let (_, verification) = call(&fixture, "GET", "/verify", &Value::Null).await;
    // The root of a tree with one leaf is the leaf.
    assert_eq!(
        verification,
        json!({"ok": true, "count": 1, "root": entry["hash"], "checkpoints": 0, "emptied": 0})
    );
    let (_, told) = call(&fixture, "POST", "/verify", &Value::Null).await;
    assert_eq!(told, verification);
    let events = fixture.events().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].event_type.as_str(), "audit.integrity_verified");
}

#[tokio::test]
async fn what_a_service_reports_of_an_act_is_kept_and_found_by_it() {
    let fixture = Fixture::new().await;
    let act = json!({
        "service": "files", "action": "file.renamed", "resource": "file", "resourceId": "f-1", "userId": "ada",
        "reason": "Spelled wrong", "ipAddress": "10.0.0.7", "userAgent": "browser", "sessionId": "s-1",
        "tags": ["by-hand", "names"], "durationMs": 40, "oldValues": {"name": "a.pdf", "size": null},
        "newValues": {"name": "b.pdf"},
    });
    let (status, entry) = call(&fixture, "POST", "/events", &act).await;
    assert_eq!(status, StatusCode::CREATED, "{entry}");
    for field in [
        "reason",
        "ipAddress",
        "userAgent",
        "sessionId",
        "tags",
        "durationMs",
        "oldValues",
        "newValues",
    ] {
        assert_eq!(entry[field], act[field], "{field}");
    }
    let other =
        json!({"service": "files", "action": "file.read", "resource": "file", "tags": ["names"]});
    call(&fixture, "POST", "/events", &other).await;
    for (query, count) in [
        ("tags=names", 2),
        ("tags=names,by-hand", 1),
        ("tags=none", 0),
        ("q=spelled", 1),
        ("q=SPELLed", 1),
        ("q=file", 2),
        ("sessionId=s-1", 1),
        ("ipAddress=10.0.0.8", 0),
    ] {
        let path = format!("/events?{query}");
        let (_, page) = call(&fixture, "GET", &path, &Value::Null).await;
        assert_eq!(page["total"], count, "{query}: {page}");
    }
    for (field, value) in [
        ("tags", json!("names")),
        ("tags", json!([1])),
        ("tags", json!([""])),
        ("durationMs", json!(-1)),
        ("durationMs", json!("40")),
        ("ipAddress", json!("10.0.0")),
        ("oldValues", json!([])),
    ] {
        let mut wrong = act.clone();
        wrong[field] = value;
        let (status, problem) = call(&fixture, "POST", "/events", &wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}: {problem}");
        assert!(problem.to_string().contains(field), "{field}: {problem}");
    }
}

#[tokio::test]
async fn counts_are_of_the_days_asked_for() {
    let fixture = Fixture::new().await;
    let mut old = event("sample.created", "{}");
    old.time = "2001-01-01T00:00:00Z".parse().unwrap();
    fixture.service.consume(&old).await.unwrap();
    for event_type in [
        "sample.created",
        "saga.failed",
        "saga.compensation_failed",
        "sample.updated",
    ] {
        fixture
            .service
            .consume(&event(event_type, r#"{"userId":"ada"}"#))
            .await
            .unwrap();
    }
    let (_, json) = call(&fixture, "GET", "/stats?daysBack=2", &Value::Null).await;
    assert_eq!(json["totalEvents"], 4);
    assert_eq!(json["errorRate"], 50.0);
    assert_eq!(
        json["eventsByCategory"],
        json!({"data_modification": 2, "system": 2})
    );
    assert_eq!(
        json["eventsBySeverity"],
        json!({"critical": 1, "error": 1, "info": 2})
    );
    assert_eq!(json["topUsers"], json!([{"name": "ada", "count": 4}]));
    assert_eq!(json["eventsByDate"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_requests_get_a_problem_that_names_the_field() {
    let fixture = Fixture::new().await;
    let good = json!({"service": "s", "action": "a", "resource": "r"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (method, path, body, field) in [
        ("GET", "/events?colour=red", Value::Null, "colour"),
        ("GET", "/events?limit=101", Value::Null, "limit"),
        ("GET", "/events?severity=loud", Value::Null, "severity"),
        ("GET", "/events?dateFrom=soon", Value::Null, "dateFrom"),
        ("GET", "/events/one", Value::Null, "sequence"),
        ("GET", "/stats?daysBack=366", Value::Null, "daysBack"),
        (
            "POST",
            "/events",
            json!({"service": "s", "action": "a"}),
            "resource",
        ),
        ("POST", "/events", with("action", json!("a b")), "action"),
        ("POST", "/events", with("action", json!(1)), "action"),
        (
            "POST",
            "/events",
            with("severity", json!("loud")),
            "severity",
        ),
        ("POST", "/events", with("colour", json!("red")), "colour"),
        (
            "POST",
            "/events",
            with("details", json!("x".repeat(300_000))),
            "details",
        ),
    ] {
        let (status, json) = call(&fixture, method, path, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {json}");
        let errors = json["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{json}");
        assert_eq!(errors[0]["field"], field);
    }
    let (status, json) = call(&fixture, "GET", "/events/7", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(json["detail"], "audit entry 7 does not exist");
    assert!(fixture.entries().await.is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_as_such() {
    let fixture = Fixture::new().await;
    // Over the limit of two megabytes that holds where no other is set.
    let body = json!({ "action": "x".repeat(3_000_000) });
    let (status, problem) = call(&fixture, "POST", "/events", &body).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    assert_eq!(problem["type"], "urn:sagabus:problem:too_large");
}
