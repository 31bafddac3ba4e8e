//! Entries lose their content when their time is over, unless they are held; every proof still holds.

use axum::http::StatusCode;
use nanopore::events::audit::RetentionApplied;
use sagabus::sqlite::rusqlite::Connection;
use serde_json::{Value, json};

use super::fixture::{Fixture, event};
use super::http::{call, text};

/// Entries about samples 1 to 9, recorded a hundred days ago, and one of today.
async fn old_trail() -> Fixture {
    let fixture = Fixture::aged(100).await;
    for number in 1..=9 {
        let mut event = event("sample.created", r#"{"userId":"ada","secret":"K. Ito"}"#);
        event.subject = Some(format!("sample-{number}"));
        fixture.service.consume(&event).await.unwrap();
    }
    fixture.service.checkpoint().await.unwrap();
    let fixture = fixture.today();
    fixture
        .service
        .consume(&event("sample.updated", "{}"))
        .await
        .unwrap();
    fixture
}

async fn post(fixture: &Fixture, path: &str, body: Value) -> (StatusCode, Value) {
    call(fixture, "POST", path, &body).await
}

async fn good(fixture: &Fixture, path: &str, body: Value) -> Value {
    let (status, answer) = post(fixture, path, body).await;
    assert!(status.is_success(), "{path}: {answer}");
    answer
}

fn order() -> Value {
    json!({"author": "head", "reason": "by the rules of the facility"})
}

fn with(more: &Value) -> Value {
    let mut body = order();
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    body
}

async fn actions(fixture: &Fixture) -> Vec<String> {
    let entries = fixture.entries().await;
    entries.into_iter().map(|it| it.action).collect()
}

#[tokio::test]
async fn what_is_old_is_emptied_what_is_held_is_not_and_the_trail_stays_whole() {
    let fixture = old_trail().await;
    let before = fixture.service.verify().await.unwrap();
    let proof = fixture.service.prove_inclusion(4, Some(9)).await.unwrap();
    good(
        &fixture,
        "/retention/policies",
        with(&json!({"id": "old", "days": 30, "resource": "sample"})),
    )
    .await;
    good(
        &fixture,
        "/holds",
        with(&json!({"id": "case-7", "resource": "sample", "resourceId": "sample-4"})),
    )
    .await;
    let applied = good(&fixture, "/retention/apply", order()).await;
    assert_eq!(applied["applied"][0]["emptied"], 8, "{applied}");

    let left = actions(&fixture).await;
    assert_eq!(
        left,
        [
            "sample.created",
            "sample.updated",
            "audit.retention_policy_set",
            "audit.hold_set",
            "audit.retention_applied"
        ]
    );
    let found = fixture.service.verify().await.unwrap();
    assert_eq!(
        (found.ok, found.count, found.emptied),
        (true, 13, 8),
        "{found}"
    );
    assert_eq!(
        fixture.service.prove_inclusion(4, Some(9)).await.unwrap(),
        proof
    );
    assert_ne!(before.root, found.root);
    let (status, gone) = call(&fixture, "GET", "/events/3", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        gone["detail"].as_str().unwrap().contains("was emptied"),
        "{gone}"
    );

    // Once is enough.
    let again = good(&fixture, "/retention/apply", order()).await;
    assert_eq!(again["applied"][0]["emptied"], 0);
    assert_eq!(actions(&fixture).await.len(), 5);
    let told = fixture.events().await;
    let applied: Vec<RetentionApplied> = told
        .iter()
        .filter(|it| it.event_type.as_str() == "audit.retention_applied")
        .map(|it| it.payload().unwrap())
        .collect();
    assert_eq!(applied.len(), 1);
    assert_eq!(
        (applied[0].deleted, applied[0].policy_id.as_str()),
        (8, "old")
    );

    // Without the hold it goes too.
    let (status, _) = post(&fixture, "/holds/case-7/lift", order()).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let last = good(&fixture, "/retention/apply", order()).await;
    assert_eq!(last["applied"][0]["emptied"], 1);
    let found = fixture.service.verify().await.unwrap();
    assert_eq!((found.ok, found.emptied), (true, 9), "{found}");
    let bundle = text(&fixture, "/bundle").await;
    assert_eq!(bundle.matches("\"leaf\":").count(), 9);
    let path = fixture.path().with_extension("bundle");
    std::fs::write(&path, bundle).unwrap();
    let (found, _) = audit_service::offline::verify_bundle(&path, None, &[]).unwrap();
    assert_eq!((found.ok, found.emptied), (true, 9), "{found}");
    if let Some((code, said)) = super::signed::python(&path, &[]) {
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("9 emptied"), "{said}");
    }
}

#[tokio::test]
async fn an_emptied_event_is_not_taken_again() {
    let fixture = Fixture::aged(100).await;
    let mut once = event("sample.created", "{}");
    once.subject = Some("sample-1".to_owned());
    fixture.service.consume(&once).await.unwrap();
    let fixture = fixture.today();
    good(
        &fixture,
        "/retention/policies",
        with(&json!({"id": "all", "days": 1})),
    )
    .await;
    good(&fixture, "/retention/apply", order()).await;
    // That it came again is said, once, and nothing of what it tells.
    for _ in 0..3 {
        fixture.service.consume(&once).await.unwrap();
    }
    let all = actions(&fixture).await;
    let count = |action: &str| all.iter().filter(|it| *it == action).count();
    assert_eq!(
        (count("sample.created"), count("audit.event_repeated")),
        (0, 1)
    );
    assert!(fixture.service.verify().await.unwrap().ok);
}

#[tokio::test]
async fn an_event_that_somebody_says_was_emptied_does_not_vanish() {
    let fixture = Fixture::new().await;
    let next = event("sample.created", "{}");
    let file = Connection::open(fixture.path()).unwrap();
    let insert = "INSERT INTO audit_emptied_events VALUES (?1)";
    file.execute(insert, [next.id.as_str()]).unwrap();
    fixture.service.consume(&next).await.unwrap();
    let entry = &fixture.entries().await[0];
    assert_eq!(
        (entry.action.as_str(), entry.resource_id.as_deref()),
        ("audit.event_repeated", Some(next.id.as_str()))
    );
}

#[tokio::test]
async fn holds_are_by_thing_person_and_time_and_hold_all_that_fits() {
    for (hold, held) in [
        (json!({"resource": "sample"}), 9),
        (json!({"resourceId": "sample-2"}), 1),
        (json!({"actorId": "ada"}), 9),
        (json!({"actorId": "bob"}), 0),
        (json!({"actorId": "ada", "resourceId": "sample-3"}), 1),
        (json!({"from": "2001-01-01T00:00:00Z"}), 9),
        (json!({"to": "2001-01-01T00:00:00Z"}), 0),
        (json!({}), 9),
    ] {
        let fixture = old_trail().await;
        good(
            &fixture,
            "/retention/policies",
            with(&json!({"id": "all", "days": 30})),
        )
        .await;
        let mut body = with(&hold);
        body["id"] = json!("h");
        good(&fixture, "/holds", body).await;
        let applied = good(&fixture, "/retention/apply", order()).await;
        assert_eq!(applied["applied"][0]["emptied"], 9 - held, "{hold}");
    }
}

#[tokio::test]
async fn what_is_laid_down_is_listed_and_what_is_wrong_is_named() {
    let fixture = Fixture::new().await;
    good(
        &fixture,
        "/retention/policies",
        with(&json!({"id": "a", "days": 30})),
    )
    .await;
    good(
        &fixture,
        "/retention/policies",
        with(&json!({"id": "a", "days": 60, "category": "system"})),
    )
    .await;
    good(&fixture, "/holds", with(&json!({"id": "h"}))).await;
    let (_, policies) = call(&fixture, "GET", "/retention/policies", &Value::Null).await;
    assert_eq!(policies["items"].as_array().unwrap().len(), 1);
    assert_eq!(policies["items"][0]["days"], 60);
    let (_, holds) = call(&fixture, "GET", "/holds", &Value::Null).await;
    assert_eq!(holds["items"][0]["author"], "head");
    for (path, body, field) in [
        (
            "/retention/policies",
            with(&json!({"id": "a", "days": 0})),
            "days",
        ),
        (
            "/retention/policies",
            with(&json!({"id": "a", "days": "x"})),
            "days",
        ),
        (
            "/retention/policies",
            with(&json!({"id": "a b", "days": 1})),
            "id",
        ),
        (
            "/retention/policies",
            json!({"id": "a", "days": 1, "author": "x"}),
            "reason",
        ),
        (
            "/retention/policies",
            with(&json!({"id": "a", "days": 1, "colour": 1})),
            "colour",
        ),
        (
            "/retention/policies",
            with(&json!({"id": "a", "days": 1, "category": "x"})),
            "category",
        ),
        (
            "/holds",
            json!({"id": "a", "author": " ", "reason": "r"}),
            "author",
        ),
        ("/holds", with(&json!({"id": "a", "from": "soon"})), "from"),
        (
            "/holds",
            with(&json!({"id": "a", "from": "2002-01-01T00:00:00Z", "to": "2001-01-01T00:00:00Z"})),
            "from",
        ),
        ("/retention/apply", json!({"reason": "r"}), "author"),
    ] {
        let (status, problem) = post(&fixture, path, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let (status, problem) = post(&fixture, "/holds/none/lift", order()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    let act = json!({"service": "audit-service", "action": "audit.hold_lifted", "resource": "legal_hold", "resourceId": "h"});
    let (status, problem) = post(&fixture, "/events", act).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("action"))
    );
}

#[tokio::test]
async fn an_entry_that_is_taken_without_a_word_is_found() {
    let fixture = old_trail().await;
    good(
        &fixture,
        "/retention/policies",
        with(&json!({"id": "old", "days": 30})),
    )
    .await;
    good(&fixture, "/retention/apply", order()).await;
    let file = Connection::open(fixture.path()).unwrap();
    file.execute_batch("DROP TRIGGER audit_entries_never_go")
        .unwrap();
    assert_eq!(
        file.execute("DELETE FROM audit_entries WHERE seq = 10", [])
            .unwrap(),
        1
    );
    let found = fixture.service.verify().await.unwrap();
    assert_eq!(found.first_bad_sequence, Some(10), "{found}");
}

#[tokio::test]
async fn what_was_emptied_is_no_longer_in_the_file() {
    let fixture = old_trail().await;
    let text = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).matches("K. Ito").count()
    };
    // The outbox tells of entries without their details; the file of the database has them once each.
    assert!(text(&fixture.path()) + text(&fixture.path().with_extension("db-wal")) >= 9);
    good(
        &fixture,
        "/retention/policies",
        with(&json!({"id": "old", "days": 30})),
    )
    .await;
    good(&fixture, "/retention/apply", order()).await;
    fixture.events().await;
    fixture.service.outbox().database().close().await.unwrap();
    assert_eq!(text(&fixture.path()), 0);
}

#[tokio::test]
async fn a_policy_is_for_its_category_alone_and_never_for_the_entries_of_the_trail_itself() {
    let fixture = Fixture::aged(100).await;
    for event_type in ["sample.created", "auth.login", "catalogue.changed"] {
        let event = event(event_type, r#"{"userId":"ada"}"#);
        fixture.service.consume(&event).await.unwrap();
    }
    // Laid down long ago: its own entry is as old as the others.
    let old = with(&json!({"id": "logins", "days": 30, "category": "authentication"}));
    good(&fixture, "/retention/policies", old).await;
    let fixture = fixture.today();
    let applied = good(&fixture, "/retention/apply", order()).await;
    assert_eq!(applied["applied"][0]["emptied"], 1, "{applied}");
    let left = actions(&fixture).await;
    assert_eq!(
        left,
        [
            "sample.created",
            "catalogue.changed",
            "audit.retention_policy_set",
            "audit.retention_applied"
        ]
    );
    // One for everything leaves what says how the trail is kept.
    let all = with(&json!({"id": "all", "days": 30}));
    good(&fixture, "/retention/policies", all).await;
    good(&fixture, "/retention/apply", order()).await;
    let left = actions(&fixture).await;
    assert!(left.iter().all(|it| it.starts_with("audit.")), "{left:?}");
    assert_eq!(left[0], "audit.retention_policy_set");
    assert!(fixture.service.verify().await.unwrap().ok);
}
