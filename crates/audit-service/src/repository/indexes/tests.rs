//! Indexes that fit, and indexes that somebody changed, made by telling SQLite for a while that they are of something else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sagabus::event::EventType;
use sagabus::sqlite::rusqlite::Connection;
use sagabus::{Event, SystemClock};
use tempfile::TempDir;

use super::{COLUMNS, INDEXES, Index, Keys, index_fault};
use crate::check::Checker;
use crate::offline::hidden;
use crate::repository::{Checked, Pass};
use crate::{AuditService, Settings};

const ENTRIES: u64 = 1_500;

/// A trail of more entries than are checked at a time, with and without what an index is of.
async fn trail(folder: &TempDir) -> PathBuf {
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

fn declaration(path: &Path, name: &str) -> String {
    let file = Connection::open(path).unwrap();
    let statement = "SELECT sql FROM sqlite_schema WHERE name = ?1";
    file.query_row(statement, [name], |row| row.get(0)).unwrap()
}

/// Tells SQLite that something is declared so.
fn declare(path: &Path, name: &str, sql: &str) {
    let file = Connection::open(path).unwrap();
    file.execute_batch("PRAGMA writable_schema = ON").unwrap();
    let statement = "UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2";
    assert_eq!(file.execute(statement, [sql, name]).unwrap(), 1);
}

/// Has something done while it is declared so, and then declared as it was.
fn while_declared(path: &Path, name: &str, sql: &str, done: &str) {
    let before = declaration(path, name);
    declare(path, name, sql);
    let file = Connection::open(path).unwrap();
    file.execute_batch(done).unwrap();
    drop(file);
    declare(path, name, &before);
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
async fn every_index_of_the_entries_is_looked_at() {
    let folder = TempDir::new().unwrap();
    let file = Connection::open(trail(&folder).await).unwrap();
    let declared = "SELECT list.name, group_concat(info.name, ', '), list.partial \
        FROM pragma_index_list('audit_entries') list, pragma_index_info(list.name) info GROUP BY list.name";
    let mut select = file.prepare(declared).unwrap();
    let declared = select.query_map([], |row| row.try_into()).unwrap();
    let declared: BTreeSet<(String, String, bool)> = declared.map(Result::unwrap).collect();
    let all: Vec<&str> = COLUMNS.split(", ").collect();
    let looked_at = INDEXES.map(|Index(name, places, leaves_out)| {
        let columns: Vec<&str> = places.iter().map(|it| all[*it]).collect();
        (name.to_owned(), columns.join(", "), leaves_out)
    });
    assert_eq!(declared, looked_at.into());
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
        let sql = format!("CREATE INDEX {name} ON audit_entries {sql}");
        while_declared(&path, name, &sql, &format!("REINDEX {name}"));
        let mut file = Connection::open(&path).unwrap();
        let (keys, of_indexes) = both(&mut file);
        assert_ne!(of_indexes, Some(keys), "{what}");
        assert!(index_fault(&file).unwrap().is_some(), "{what}");
    }
}

#[tokio::test]
async fn a_tree_whose_parts_are_in_another_order_does_not_fit() {
    let folder = TempDir::new().unwrap();
    let path = trail(&folder).await;
    let sql = declaration(&path, "audit_nodes").replace("(level, idx)", "(level DESC, idx)");
    let again = "DROP TRIGGER audit_nodes_never_change; DROP TRIGGER audit_nodes_never_go; \
        CREATE TEMP TABLE kept AS SELECT * FROM audit_nodes; DELETE FROM audit_nodes; \
        INSERT INTO audit_nodes SELECT * FROM kept";
    while_declared(&path, "audit_nodes", &sql, again);
    let mut file = Connection::open(&path).unwrap();
    let none = Keys::none(&file.transaction().unwrap());
    assert_eq!(none.of_indexes(&mut file).unwrap(), None);
    let (_, fault) = index_fault(&file).unwrap().unwrap();
    assert!(fault.contains("audit_nodes"), "{fault}");
}

#[tokio::test]
async fn what_is_declared_otherwise_than_the_program_does_is_found() {
    let by_action = "audit_entries_by_action";
    for (what, name, from, to) in [
        ("order", by_action, "(action)", "(action DESC)"),
        (
            "comparison",
            by_action,
            "(action)",
            "(action COLLATE NOCASE)",
        ),
        ("once", by_action, "CREATE INDEX", "CREATE UNIQUE INDEX"),
        ("left out", by_action, "(action)", "(action) WHERE seq <> 2"),
        (
            "comparison of the table",
            "audit_entries",
            "actor_id TEXT",
            "actor_id TEXT COLLATE NOCASE",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let path = trail(&folder).await;
        assert_eq!(hidden(&path, true).unwrap(), None);
        let sql = declaration(&path, name);
        assert!(sql.contains(from), "{sql}");
        declare(&path, name, &sql.replace(from, to));
        let (_, fault) = hidden(&path, true).unwrap().unwrap();
        let said = format!("`{name}` is not as the program made it");
        assert!(fault.contains(&said), "{what}: {fault}");
    }
    for (sql, said) in [
        (
            "CREATE INDEX more ON audit_entries (reason)",
            "the index `more` is none that",
        ),
        (
            "DROP INDEX audit_entries_by_action",
            "the index `audit_entries_by_action` is gone",
        ),
        (
            "DROP TRIGGER audit_nodes_never_go",
            "the trigger `audit_nodes_never_go` is gone",
        ),
        (
            "CREATE TRIGGER deaf BEFORE INSERT ON inbox BEGIN SELECT RAISE(IGNORE); END",
            "the trigger `deaf` is none that",
        ),
        (
            "DROP TRIGGER audit_entries_never_change; DROP TRIGGER audit_entries_never_go; \
             ALTER TABLE audit_entries RENAME TO entries; \
             CREATE VIEW audit_entries AS SELECT * FROM entries WHERE seq <> 2",
            "is not as the program made it",
        ),
        ("PRAGMA user_version = 1", "is not as the program made it"),
    ] {
        let folder = TempDir::new().unwrap();
        let path = trail(&folder).await;
        let file = Connection::open(&path).unwrap();
        file.execute_batch(sql).unwrap();
        let (_, fault) = hidden(&path, true).unwrap().unwrap();
        assert!(fault.contains(said), "{sql}: {fault}");
    }
}
