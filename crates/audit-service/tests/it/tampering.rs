//! Whoever changes the file behind the service's back is found out.

use audit_service::merkle::hex;
use audit_service::model::Verification;
use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Connection;
use sagabus::sqlite::rusqlite::types::Value;

use super::fixture::{Fixture, event};

pub(crate) const COLUMNS: [&str; 25] = [
    "seq",
    "id",
    "event_id",
    "time_ms",
    "recorded_ms",
    "service",
    "action",
    "actor_id",
    "actor_email",
    "resource",
    "resource_id",
    "outcome",
    "severity",
    "category",
    "correlation_id",
    "causation_id",
    "reason",
    "ip_address",
    "user_agent",
    "session_id",
    "tags",
    "duration_ms",
    "old_values",
    "new_values",
    "details",
];

async fn untouched(entries: usize) -> Fixture {
    let fixture = Fixture::new().await;
    for _ in 0..entries {
        let mut event = event(
            "auth.login",
            r#"{"userId":"ada","actor":{"id":"x","email":"ada@lab.example.edu"}}"#,
        );
        event.causation_id = Some(event.id.clone());
        fixture.service.consume(&event).await.unwrap();
    }
    fixture.events().await;
    fixture
}

/// The file of a trail without what keeps it from being changed.
fn laid_open(fixture: &Fixture) -> Connection {
    let file = Connection::open(fixture.path()).unwrap();
    file.execute_batch(
        "DROP TRIGGER audit_entries_never_change; DROP TRIGGER audit_entries_never_go;
         DROP TRIGGER audit_nodes_never_change; DROP TRIGGER audit_nodes_never_go;",
    )
    .unwrap();
    file
}

async fn trail(entries: usize) -> (Fixture, Connection) {
    let fixture = untouched(entries).await;
    let file = laid_open(&fixture);
    (fixture, file)
}

/// One bit of the last byte is turned over.
fn turned(value: &Value) -> Value {
    let turn = |mut bytes: Vec<u8>| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    match value {
        Value::Integer(number) => Value::Integer(number ^ 1 << 20),
        Value::Text(text) => {
            Value::Text(String::from_utf8(turn(text.clone().into_bytes())).unwrap())
        }
        Value::Blob(bytes) => Value::Blob(turn(bytes.clone())),
        Value::Null => Value::Blob(vec![]),
        Value::Real(_) => panic!("no column has such numbers"),
    }
}

async fn first_bad(fixture: &Fixture) -> Option<u64> {
    let verification = fixture.service.verify().await.unwrap();
    // That the triggers are gone is found as well, and said where it is all that there is.
    let is_trigger = |fault: &str| fault.contains("the trigger `audit_");
    let is_whole = verification.fault.as_deref().is_none_or(is_trigger);
    assert_eq!(is_whole, verification.first_bad_sequence.is_none());
    verification.first_bad_sequence
}

#[tokio::test]
async fn one_changed_byte_in_any_column_is_found() {
    let (fixture, file) = trail(4).await;
    let named: Vec<String> = file
        .prepare("SELECT * FROM audit_entries")
        .unwrap()
        .column_names()
        .map(str::to_owned)
        .collect();
    assert_eq!(named, COLUMNS, "every column is tried");
    for column in COLUMNS {
        let rowid = "SELECT rowid FROM audit_entries ORDER BY rowid LIMIT 1 OFFSET 2";
        let rowid: i64 = file.query_row(rowid, [], |row| row.get(0)).unwrap();
        let read = format!("SELECT {column} FROM audit_entries WHERE rowid = ?1");
        let before: Value = file.query_row(&read, [rowid], |row| row.get(0)).unwrap();
        let after = match (column, turned(&before)) {
            ("duration_ms", Value::Blob(_)) => Value::Integer(0),
            ("reason" | "ip_address" | "user_agent" | "session_id" | "tags", Value::Blob(_)) => {
                Value::Text(String::new())
            }
            (_, after) => after,
        };
        let write = format!("UPDATE audit_entries SET {column} = ?1 WHERE rowid = ?2");
        assert_eq!(file.execute(&write, (&after, rowid)).unwrap(), 1);
        assert_eq!(first_bad(&fixture).await, Some(3), "{column}");

        let now = if let (true, Value::Integer(seq)) = (column == "seq", after) {
            seq
        } else {
            rowid
        };
        assert_eq!(file.execute(&write, (&before, now)).unwrap(), 1);
        assert_eq!(first_bad(&fixture).await, None, "{column} as it was");
    }
}

#[tokio::test]
async fn a_value_that_is_removed_is_found() {
    let (fixture, file) = trail(2).await;
    file.execute("UPDATE audit_entries SET actor_id = NULL WHERE seq = 1", [])
        .unwrap();
    assert_eq!(first_bad(&fixture).await, Some(1));
}

#[tokio::test]
async fn entries_that_are_missing_at_any_place_are_found() {
    for (condition, expected) in [("seq = 1", 1), ("seq = 3", 3), ("seq > 3", 4), ("1", 1)] {
        let (fixture, file) = trail(5).await;
        file.execute(&format!("DELETE FROM audit_entries WHERE {condition}"), [])
            .unwrap();
        assert_eq!(first_bad(&fixture).await, Some(expected), "{condition}");
    }
}

#[tokio::test]
async fn an_entry_added_behind_the_services_back_is_found() {
    let (fixture, file) = trail(2).await;
    file.execute(
        "INSERT INTO audit_entries (seq, id, time_ms, recorded_ms, service, action, resource, outcome, severity, category, \
         details) SELECT seq + 1, id || 'x', time_ms, recorded_ms, service, action, resource, outcome, severity, category, \
         details FROM audit_entries WHERE seq = 2",
        [],
    )
    .unwrap();
    assert_eq!(first_bad(&fixture).await, Some(3));
}

#[tokio::test]
async fn the_stored_tree_is_checked_too() {
    for (sql, expected) in [
        (
            "UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 2",
            3,
        ),
        (
            "UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 1",
            3,
        ),
        (
            "UPDATE audit_nodes SET hash = zeroblob(31) WHERE level = 0 AND idx = 1",
            2,
        ),
        (
            "UPDATE audit_nodes SET idx = idx + 10 WHERE level = 1 AND idx = 0",
            1,
        ),
        ("DELETE FROM audit_nodes WHERE level = 2", 1),
        ("DELETE FROM audit_nodes WHERE level = 0 AND idx = 1", 2),
        ("INSERT INTO audit_nodes VALUES (3, 0, zeroblob(32))", 6),
        ("INSERT INTO audit_nodes VALUES (99, 0, zeroblob(32))", 6),
        ("INSERT INTO audit_nodes VALUES (1, -1, zeroblob(32))", 6),
        ("UPDATE audit_head SET size = 4", 6),
        ("UPDATE audit_head SET is_emptying = 1", 6),
        ("DELETE FROM audit_head", 6),
    ] {
        let (fixture, file) = trail(5).await;
        assert_eq!(file.execute(sql, []).unwrap(), 1, "{sql}");
        assert_eq!(first_bad(&fixture).await, Some(expected), "{sql}");
    }
}

#[tokio::test]
async fn a_whole_trail_is_told_by_its_length_and_root() {
    // More than are read at one time, and not a power of two.
    let fixture = untouched(2_051).await;
    let found = fixture.service.verify().await.unwrap();
    let proof = fixture.service.prove_inclusion(1, None).await.unwrap();
    let expected = Verification {
        ok: true,
        count: 2_051,
        root: hex(&proof.tree.root.0),
        checkpoints: 0,
        emptied: 0,
        first_bad_sequence: None,
        fault: None,
    };
    assert_eq!(found, expected);
    let empty = Fixture::new().await;
    assert_eq!(empty.service.verify().await.unwrap().count, 0);
    assert_eq!(first_bad(&empty).await, None);
}

#[tokio::test]
async fn a_check_can_be_told_to_everybody() {
    let fixture = untouched(2).await;
    let cause = Cause {
        correlation_id: "check-1".to_owned(),
        causation_id: None,
    };
    fixture
        .service
        .verify_and_tell(cause.clone())
        .await
        .unwrap();
    let file = laid_open(&fixture);
    file.execute(
        "UPDATE audit_entries SET action = 'auth.logout' WHERE seq = 2",
        [],
    )
    .unwrap();
    fixture.service.verify_and_tell(cause).await.unwrap();
    let events = fixture.events().await;
    let told: Vec<_> = events[2..]
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    assert_eq!(told, ["audit.integrity_verified", "audit.integrity_failed"]);
    assert!(
        std::str::from_utf8(&events[3].data)
            .unwrap()
            .contains(r#""firstBadSequence":2"#)
    );
    assert_eq!(events[3].correlation_id.as_deref(), Some("check-1"));
}
