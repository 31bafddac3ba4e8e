//! The routes, as a client sees them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::fixture::{Fixture, fields};

fn names(list: &Value) -> Vec<&str> {
    list["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| sample["sampleName"].as_str().unwrap())
        .collect()
}

async fn create(fixture: &Fixture, name: &str, priority: &str) -> String {
    let mut body = fields();
    body.insert("sampleName".to_owned(), name.into());
    body.insert("priority".to_owned(), priority.into());
    let answer = fixture.call("POST", "/samples", body.into()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    answer.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_wrong_field_is_named_in_a_problem_document() {
    let fixture = Fixture::new().await;
    let mut body = fields();
    body.insert("volume".to_owned(), json!(-1));
    body.remove("submitterEmail");
    let answer = fixture.call("POST", "/samples", body.into()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json["status"], 400);
    let fields: Vec<_> = answer.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["submitterEmail", "volume"]);
}

#[tokio::test]
async fn bodies_queries_and_ids_that_make_no_sense_get_a_problem_document() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let status = format!("/samples/{id}/status");
    for (method, path, body, code, text) in [
        ("POST", "/samples", json!([1]), 400, "not a JSON object"),
        (
            "GET",
            "/samples/none",
            Value::Null,
            404,
            "`none` does not exist",
        ),
        (
            "PUT",
            "/samples/none",
            json!({}),
            404,
            "`none` does not exist",
        ),
        (
            "DELETE",
            "/samples/none",
            Value::Null,
            404,
            "`none` does not exist",
        ),
        (
            "GET",
            "/samples/none/history",
            Value::Null,
            404,
            "`none` does not exist",
        ),
        (
            "GET",
            "/samples?status=banana",
            Value::Null,
            400,
            "`status` has no value `banana`",
        ),
        (
            "GET",
            "/samples?colour=red",
            Value::Null,
            400,
            "`colour` is not known; there are `status`, ",
        ),
        (
            "GET",
            "/samples/search?limit=101",
            Value::Null,
            400,
            "`limit` must be a whole number, 1 to 100",
        ),
        (
            "GET",
            "/samples?dateFrom=2026-03-02&dateTo=2026-03-01",
            Value::Null,
            400,
            "`dateFrom` is after",
        ),
        (
            "GET",
            "/samples?dateFrom=9999-12-31T23:59:59Z",
            Value::Null,
            400,
            "`9999-12-30T22:00:00.000Z` at the latest",
        ),
        (
            "GET",
            "/samples/priority/rush",
            Value::Null,
            400,
            "`priority` has no value `rush`",
        ),
        (
            "GET",
            "/submissions?status=lost",
            Value::Null,
            400,
            "`status` has no value `lost`",
        ),
        (
            "GET",
            "/submissions/none",
            Value::Null,
            404,
            "`none` does not exist",
        ),
        (
            "POST",
            &status,
            json!({"status": "done"}),
            400,
            "`status` is `done`",
        ),
        ("POST", &status, json!({}), 400, "`status` is required"),
        (
            "POST",
            &status,
            json!({"status": "prep", "why": "x"}),
            400,
            "`why` is not a field",
        ),
        (
            "POST",
            &status,
            json!({"status": "completed"}),
            409,
            "allowed: prep, archived",
        ),
    ] {
        let answer = fixture.call(method, path, body).await;
        assert_eq!(
            answer.status.as_u16(),
            code,
            "{method} {path}: {}",
            answer.json
        );
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{method} {path}: {detail}");
    }
}

#[tokio::test]
async fn the_correlation_id_and_the_user_of_the_request_reach_the_event() {
    let fixture = Fixture::new().await;
    let headers = [("x-correlation-id", "work-7"), ("x-user-id", "ada")];
    let answer = fixture
        .call_with("POST", "/samples", fields().into(), &headers)
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.json["createdBy"], "ada");
    fixture.call("POST", "/samples", fields().into()).await;
    let events = fixture.events().await;
    assert_eq!(events[0].correlation_id.as_deref(), Some("work-7"));
    let generated = events[1].correlation_id.as_deref().unwrap();
    assert_eq!(generated.len(), 36, "{generated}");
}

#[tokio::test]
async fn a_change_for_an_old_version_is_refused() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let path = format!("/samples/{id}");
    let first = fixture
        .call_with("PUT", &path, json!({"volume": 5}), &[("if-match", "\"1\"")])
        .await;
    assert_eq!(
        (first.status, &first.headers["etag"]),
        (StatusCode::OK, &"\"2\"".parse().unwrap())
    );
    let second = fixture
        .call_with("PUT", &path, json!({"volume": 6}), &[("if-match", "\"1\"")])
        .await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(
        fixture.call("GET", &path, Value::Null).await.json["volume"],
        5.0
    );
}

#[tokio::test]
async fn lists_are_filtered_paged_and_in_the_order_of_the_queue() {
    let fixture = Fixture::new().await;
    create(&fixture, "low_1", "low").await;
    let urgent = create(&fixture, "urgent-1", "urgent").await;
    create(&fixture, "normal 1", "normal").await;
    create(&fixture, "normal 2", "normal").await;
    let assign = format!("/samples/{urgent}/assign");
    let answer = fixture
        .call(
            "POST",
            &assign,
            json!({"assignedTo": "Grace", "libraryPrepBy": "Ada"}),
        )
        .await;
    assert_eq!(answer.json["assignedTo"], "Grace");
    let again = fixture
        .call("POST", &assign, json!({"assignedTo": "Grace"}))
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    fixture
        .call(
            "POST",
            &format!("/samples/{urgent}/status"),
            json!({"status": "prep"}),
        )
        .await;

    for (path, expected) in [
        (
            "/samples",
            vec!["urgent-1", "normal 1", "normal 2", "low_1"],
        ),
        ("/samples?limit=2&page=2", vec!["normal 2", "low_1"]),
        (
            "/samples?priority=low&priority[]=urgent",
            vec!["urgent-1", "low_1"],
        ),
        ("/samples?status=prep,archived", vec!["urgent-1"]),
        ("/samples/search?q=normal", vec!["normal 1", "normal 2"]),
        ("/samples/search?searchTerm=%25", vec![]),
        ("/samples/search?q=w_1", vec!["low_1"]),
        (
            "/samples?submitterEmail=siobhan@lab.example.edu&chartField=HTSF-001&limit=1",
            vec!["urgent-1"],
        ),
        ("/samples?dateTo=2001-01-01", vec![]),
        ("/samples/status/prep", vec!["urgent-1"]),
        ("/samples/status/submitted?limit=1", vec!["normal 1"]),
        ("/samples/priority/low", vec!["low_1"]),
        ("/samples/assignee/Grace", vec!["urgent-1"]),
    ] {
        let answer = fixture.call("GET", path, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json);
        assert_eq!(names(&answer.json), expected, "{path}");
    }
    let page = fixture
        .call("GET", "/samples?limit=2", Value::Null)
        .await
        .json;
    assert_eq!(
        (&page["total"], &page["page"], &page["limit"]),
        (&json!(4), &json!(1), &json!(2))
    );

    let statistics = fixture.call("GET", "/statistics", Value::Null).await.json;
    assert_eq!(
        statistics,
        json!({
            "totalSamples": 4,
            "samplesByStatus": {"prep": 1, "submitted": 3},
            "samplesByPriority": {"low": 1, "normal": 2, "urgent": 1},
            "recentSamples": 4,
        })
    );
}

#[tokio::test]
async fn an_account_is_valid_when_it_is_well_formed_and_active() {
    let fixture = Fixture::new().await;
    let list = fixture.call("GET", "/chart-fields", Value::Null).await.json;
    assert_eq!(list.as_array().unwrap().len(), 15);
    for (code, valid) in [("NANO-005", true), ("NANO-006", false), ("nano-005", false)] {
        let answer = fixture
            .call(
                "POST",
                "/chart-fields/validate",
                json!({"chartField": code}),
            )
            .await;
        assert_eq!(answer.json, json!({"isValid": valid}), "{code}");
    }
}

#[tokio::test]
async fn a_sample_is_deleted_once() {
    let fixture = Fixture::new().await;
    let path = format!("/samples/{}", fixture.sample().await);
    assert_eq!(
        fixture.call("DELETE", &path, Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        fixture.call("DELETE", &path, Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_as_such() {
    let fixture = Fixture::new().await;
    let mut body = fields();
    // Over the limit of two megabytes that holds where no other is set.
    body.insert("sampleName".to_owned(), "x".repeat(3_000_000).into());
    let answer = fixture.call("POST", "/samples", body.into()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json["type"], "urn:sagabus:problem:too_large");
    let list = fixture.call("GET", "/samples", Value::Null).await;
    assert_eq!(names(&list.json), Vec::<&str>::new());
}
