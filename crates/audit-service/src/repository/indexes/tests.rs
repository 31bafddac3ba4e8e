//! Indexes that fit, and indexes that somebody changed, made by telling SQLite for a while that they are of something else.

use std::sync::Arc;

use sagabus::event::EventType;
use sagabus::sqlite::rusqlite::Connection;
use sagabus::{Event, SystemClock};
use tempfile::TempDir;

use super::{Keys, index_fault};
use crate::check::Checker;
use crate::repository::{Checked, Pass};
use crate::{AuditService, Settings};

const ENTRIES: u64 = 1_500;

/// A trail of more entries than are checked at a time, with and without what an index is of.
async fn trail(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("audit.sqlite");
    let service = AuditService::open(&path, Settings::default(), Arc::new(SystemClock));
    let service = service.await.unwrap();
    let event = |number: u64| {
        let event_type = EventType::new(if number.is_multiple_of(2) {
            "sample.moved"
        } else {
            "kit.opened"
        })
        .unwrap();
        let data = match number % 3 {
            0 => format!(r#"{{"userId":"ada-{number}"}}"#),
            _ => "{}".to_owned(),
        };
        let event = Event::raw(event_type, "lab", data.into_bytes().into(), &SystemClock);
        event.about(format!("tube-{}", number * 7 % 11))
    };
    let events: Vec<Event> = (1..=ENTRIES).map(event).collect();
    service.consume_all(&events).await.unwrap();
    service.outbox().database().close().await.unwrap();
    path
}

/// The keys of the entries, and those that the indexes have.
fn both(connection: &mut Connection) -> (Keys, Option<Keys>) {
    let tx = connection.transaction().unwrap();
    let none = Keys::none(&tx);
    let checker = Checker::new(Vec::new());
    let mut pass = Pass {
        checker,
        keys: none.clone(),
    };
    let keys = loop {
        match pass.go_on(&tx).unwrap() {
            Checked::Some(more) => pass = more,
            Checked::All(pass, fault) => {
                assert_eq!((fault, pass.checker.count()), (None, ENTRIES));
                break pass.keys;
            }
        }
    };
    drop(tx);
    let of_indexes = none.of_indexes(connection).unwrap_or_default();
    (keys, of_indexes)
}

/// Has an index made anew as one that `sql` declares, and then declared as it was.
fn make_as(path: &std::path::Path, name: &str, sql: &str) {
    let declare = |sql: &str| {
        let file = Connection::open(path).unwrap();
        file.execute_batch("PRAGMA writable_schema = ON").unwrap();
        let statement = "UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2";
        assert_eq!(file.execute(statement, [sql, name]).unwrap(), 1);
    };
    let file = Connection::open(path).unwrap();
    let statement = "SELECT sql FROM sqlite_schema WHERE name = ?1";
    let before: String = file.query_row(statement, [name], |row| row.get(0)).unwrap();
    drop(file);
    declare(sql);
    let file = Connection::open(path).unwrap();
    file.execute_batch(&format!("REINDEX {name}")).unwrap();
    drop(file);
    declare(&before);
}

#[tokio::test]
async fn the_keys_of_the_indexes_are_those_of_the_entries() {
    let folder = TempDir::new().unwrap();
    let mut file = Connection::open(trail(&folder).await).unwrap();
    let (keys, of_indexes) = both(&mut file);
    assert!(keys.sums.iter().all(|it| *it != 0), "{keys:?}");
    assert_eq!(of_indexes, Some(keys));
    assert_eq!(index_fault(&file).unwrap(), None);
}

#[tokio::test]
async fn an_index_that_hides_moves_adds_or_mixes_up_entries_does_not_fit() {
    for (what, name, sql) in [
        (
            "hides one",
            "audit_entries_by_action",
            "(action) WHERE seq <> 700",
        ),
        (
            "hides the last",
            "audit_entries_by_time",
            "(time_ms) WHERE seq < 1500",
        ),
        (
            "hides one of a person",
            "audit_entries_by_actor",
            "(actor_id) WHERE actor_id <> 'ada-699'",
        ),
        (
            "has another word",
            "audit_entries_by_action",
            "(replace(action, 'kit.', 'kid.'))",
        ),
        (
            "has it at another place",
            "audit_entries_by_resource",
            "(resource, replace(resource_id, 'tube-3', 'tube-4'))",
        ),
        (
            "has another order",
            "audit_entries_by_resource",
            "(resource DESC, resource_id)",
        ),
        (
            "has another order of entries",
            "audit_entries_by_action",
            "(action, -seq)",
        ),
        (
            "has columns in another order",
            "audit_entries_by_resource",
            "(resource_id, resource)",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let path = trail(&folder).await;
        make_as(
            &path,
            name,
            &format!("CREATE INDEX {name} ON audit_entries {sql}"),
        );
        let mut file = Connection::open(&path).unwrap();
        let (keys, of_indexes) = both(&mut file);
        assert_ne!(of_indexes, Some(keys), "{what}");
        assert!(index_fault(&file).unwrap().is_some(), "{what}");
    }
}

#[tokio::test]
async fn what_is_declared_otherwise_is_left_to_the_check_of_sqlite() {
    for (what, sql, is_right) in [
        (
            "one more",
            "CREATE INDEX more ON audit_entries (reason)",
            true,
        ),
        ("one less", "DROP INDEX audit_entries_by_action", true),
        (
            "one of something else",
            "DROP INDEX audit_entries_by_action; CREATE INDEX audit_entries_by_action ON audit_entries (outcome)",
            true,
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let mut file = Connection::open(trail(&folder).await).unwrap();
        file.execute_batch(sql).unwrap();
        let (_, of_indexes) = both(&mut file);
        assert_eq!(of_indexes, None, "{what}");
        assert_eq!(index_fault(&file).unwrap().is_none(), is_right, "{what}");
    }
    // One that was added, and hides an entry.
    let folder = TempDir::new().unwrap();
    let path = trail(&folder).await;
    let file = Connection::open(&path).unwrap();
    file.execute_batch("CREATE INDEX more ON audit_entries (action)")
        .unwrap();
    make_as(
        &path,
        "more",
        "CREATE INDEX more ON audit_entries (action) WHERE seq <> 2",
    );
    let (_, of_indexes) = both(&mut Connection::open(&path).unwrap());
    assert_eq!(of_indexes, None);
    let (sequence, fault) = index_fault(&Connection::open(&path).unwrap())
        .unwrap()
        .unwrap();
    assert!(fault.contains("index more"), "{fault}");
    assert_eq!(sequence, Some(2), "{fault}");
}
