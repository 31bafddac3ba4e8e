//! A trail that an earlier version made as a chain of hashes.

use sagabus::ErrorKind;
use sagabus::sqlite::rusqlite::Connection;
use tempfile::TempDir;

use super::fixture::open;

/// Three entries, made by the version before and dumped.
const DUMP: &str = include_str!("chained.sql");

#[tokio::test]
async fn a_chained_trail_is_taken_up_entry_by_entry() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(DUMP)
        .unwrap();
    let service = open(&path).await.unwrap();
    let found = service.verify().await.unwrap();
    assert_eq!((found.ok, found.count), (true, 3), "{found}");
    let entry = service.entry(2).await.unwrap();
    assert_eq!(entry.action, "saga.failed");
    assert_eq!(entry.actor.id, None);
    assert_eq!(entry.details["sagaId"], "s");
    service.outbox().database().close().await.unwrap();
    // Once, and not again.
    let service = open(&path).await.unwrap();
    assert_eq!(service.verify().await.unwrap().root, found.root);
}

#[tokio::test]
async fn a_chained_trail_that_was_tampered_with_is_not_taken_up() {
    for (sql, words) in [
        (
            "UPDATE audit_entries SET actor_id = 'eve' WHERE seq = 1",
            "entry 1",
        ),
        ("DELETE FROM audit_entries WHERE seq = 2", "entry 2"),
        ("DELETE FROM audit_entries WHERE seq = 3", "entry 3"),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.db");
        let file = Connection::open(&path).unwrap();
        file.execute_batch(DUMP).unwrap();
        file.execute_batch(
            "DROP TRIGGER audit_entries_never_change; DROP TRIGGER audit_entries_never_go",
        )
        .unwrap();
        assert_eq!(file.execute(sql, []).unwrap(), 1);
        file.execute_batch(
            "CREATE TRIGGER audit_entries_never_change BEFORE UPDATE ON audit_entries BEGIN SELECT 1; END;
             CREATE TRIGGER audit_entries_never_go BEFORE DELETE ON audit_entries BEGIN SELECT 1; END;",
        )
        .unwrap();
        drop(file);
        for _again in 0..2 {
            let error = open(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.chain().contains(words), "{}", error.chain());
        }
    }
}
