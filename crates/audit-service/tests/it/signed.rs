//! Checkpoints, proofs and bundles, and what the key and the file of checkpoints are for.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use audit_service::merkle::{hex, is_consistent, is_included};
use audit_service::note::Verifier;
use audit_service::offline::{Places, verify_bundle, verify_database};
use audit_service::{AuditService, Settings};
use sagabus::sqlite::rusqlite::Connection;
use sagabus::{ErrorKind, SystemClock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fixture::{Fixture, event, open};
use super::http::{call, text};

async fn with(entries: usize) -> Fixture {
    let fixture = Fixture::new().await;
    for _ in 0..entries {
        add(&fixture).await;
    }
    fixture
}

async fn add(fixture: &Fixture) {
    let event = event("sample.created", r#"{"userId":"ada"}"#);
    fixture.service.consume(&event).await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_is_signed_once_for_a_state_and_stands_in_the_file_too() {
    let fixture = with(3).await;
    let first = fixture.service.checkpoint().await.unwrap();
    assert_eq!(fixture.service.checkpoint().await.unwrap(), first);
    add(&fixture).await;
    let second = fixture.service.checkpoint().await.unwrap();
    let file = std::fs::read_to_string(fixture.path().with_extension("checkpoints")).unwrap();
    assert_eq!(file, format!("{}\n{}\n", first.note, second.note));
    let last = fixture.service.last_checkpoint().await.unwrap();
    assert_eq!(last, Some(second));
    let found = fixture.service.verify().await.unwrap();
    assert_eq!((found.ok, found.checkpoints), (true, 2));
}

#[tokio::test]
async fn a_trail_that_forked_is_not_signed_again() {
    let fixture = with(3).await;
    fixture.service.checkpoint().await.unwrap();
    add(&fixture).await;
    let file = Connection::open(fixture.path()).unwrap();
    file.execute_batch(
        "DROP TRIGGER audit_nodes_never_change; UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 1;",
    )
    .unwrap();
    let error = fixture.service.checkpoint().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.chain());
}

async fn signed_up_to(service: &AuditService, size: u64) {
    let signed = async {
        loop {
            let last = service.last_checkpoint().await.unwrap();
            if last.is_some_and(|it| it.state.size == size) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), signed)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_trail_is_signed_after_some_time_after_many_entries_and_at_the_end() {
    const HOUR: Duration = Duration::from_hours(1);
    for (checkpoint_entries, checkpoint_interval) in [(1_000, Duration::ZERO), (3, HOUR)] {
        let folder = TempDir::new().unwrap();
        let settings = Settings {
            checkpoint_entries,
            checkpoint_interval,
            ..Settings::default()
        };
        let path = folder.path().join("audit.db");
        let service = AuditService::open(path, settings, Arc::new(SystemClock))
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(service.clone().work(stop.clone()));
        let events: Vec<_> = (0..4).map(|_| event("sample.created", "{}")).collect();
        service.consume_all(&events[..3]).await.unwrap();
        signed_up_to(&service, 3).await;
        service.consume(&events[3]).await.unwrap();
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        signed_up_to(&service, 4).await;
    }
}

#[tokio::test]
async fn the_key_is_made_once_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = with(1).await;
    let path = fixture.path().with_extension("key");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let checkpoint = fixture.service.checkpoint().await.unwrap();
    fixture.service.outbox().database().close().await.unwrap();

    let again = open(&fixture.path()).await.unwrap();
    assert_eq!(again.verifier(), fixture.service.verifier());
    assert_eq!(again.checkpoint().await.unwrap(), checkpoint);
    again.outbox().database().close().await.unwrap();

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let error = open(&fixture.path()).await.unwrap_err();
    assert!(error.chain().contains("chmod 600"), "{}", error.chain());
    std::fs::remove_file(&path).unwrap();
    let error = open(&fixture.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.chain());
    assert!(
        error.chain().contains("AUDIT_KEY_FILE"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn a_loss_of_power_between_file_and_database_leaves_the_trail_whole() {
    let fixture = with(2).await;
    fixture.service.checkpoint().await.unwrap();
    add(&fixture).await;
    let last = fixture.service.checkpoint().await.unwrap();
    fixture.service.outbox().database().close().await.unwrap();
    let path = fixture.path().with_extension("checkpoints");
    let whole = std::fs::read_to_string(&path).unwrap();
    let file = Connection::open(fixture.path()).unwrap();
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'audit_checkpoints_never_go'";
    let trigger: String = file.query_row(trigger, [], |row| row.get(0)).unwrap();
    file.execute_batch(
        "DROP TRIGGER audit_checkpoints_never_go; DELETE FROM audit_checkpoints WHERE size = 3;",
    )
    .unwrap();
    file.execute_batch(&trigger).unwrap();
    drop(file);
    // The note was written, the database was not; or the note was written in part.
    for (in_file, expected) in [
        (whole.clone(), 2),
        (format!("{whole}{}", &last.note[..30]), 2),
    ] {
        std::fs::write(&path, in_file).unwrap();
        let service = open(&fixture.path()).await.unwrap();
        let found = service.verify().await.unwrap();
        assert_eq!((found.ok, found.checkpoints), (true, expected), "{found}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        service.outbox().database().close().await.unwrap();
    }
}

#[tokio::test]
async fn proofs_are_checked_with_nothing_but_a_checkpoint() {
    let fixture = with(11).await;
    let old = fixture.service.checkpoint().await.unwrap().state;
    for _ in 0..10 {
        add(&fixture).await;
    }
    let new = fixture.service.checkpoint().await.unwrap().state;
    for sequence in 1..=21 {
        let proof = fixture
            .service
            .prove_inclusion(sequence, None)
            .await
            .unwrap();
        let path: Vec<_> = proof.hashes.iter().map(|it| it.0).collect();
        assert!(is_included(
            &proof.leaf.0,
            sequence - 1,
            new.size,
            &path,
            &new.root
        ));
        let entry = fixture.service.entry(sequence).await.unwrap();
        assert_eq!(entry.hash, hex(&proof.leaf.0));
    }
    let proof = fixture
        .service
        .prove_consistency(11, Some(21))
        .await
        .unwrap();
    let path: Vec<_> = proof.hashes.iter().map(|it| it.0).collect();
    assert!(is_consistent((11, &old.root), (21, &new.root), &path));
}

#[tokio::test]
async fn checkpoints_and_proofs_are_there_over_http() {
    use axum::http::StatusCode;
    use serde_json::Value;
    let fixture = with(5).await;
    let get = async |path: &str| call(&fixture, "GET", path, &Value::Null).await;
    let (status, _) = get("/checkpoint").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, signed) = call(&fixture, "POST", "/checkpoint", &Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
    assert_eq!(signed["size"], 5);
    assert_eq!(get("/checkpoint").await.1, signed);
    let (_, key) = get("/key").await;
    let verifier = Verifier::read(key["publicKey"].as_str().unwrap()).unwrap();
    let checkpoint = verifier.open(signed["note"].as_str().unwrap()).unwrap();
    assert_eq!(signed["root"], hex(&checkpoint.state.root));

    let (_, by_sequence) = get("/proofs/inclusion?sequence=2&size=4").await;
    assert_eq!(by_sequence["tree"]["size"], 4);
    assert_eq!(by_sequence["hashes"].as_array().unwrap().len(), 2);
    let id = fixture.service.entry(2).await.unwrap().id;
    let (_, by_id) = get(&format!("/proofs/inclusion?id={id}&size=4")).await;
    assert_eq!(by_id, by_sequence);
    let (_, grown) = get("/proofs/consistency?from=4").await;
    assert_eq!(grown["from"]["root"], by_sequence["tree"]["root"]);
    assert_eq!(grown["to"]["root"], signed["root"]);
    for (path, status, words) in [
        ("/proofs/inclusion", 400, "`id`"),
        ("/proofs/inclusion?sequence=1&id=x", 400, "`id`"),
        ("/proofs/inclusion?sequence=x", 400, "whole number"),
        ("/proofs/inclusion?sequence=0", 404, "not among"),
        ("/proofs/inclusion?sequence=5&size=4", 404, "not among"),
        ("/proofs/inclusion?sequence=5&size=9", 400, "`size` is 9"),
        ("/proofs/inclusion?id=x", 404, "no audit entry"),
        ("/proofs/consistency", 400, "`from`"),
        ("/proofs/consistency?from=0", 400, "1 to 5"),
        ("/proofs/consistency?from=3&to=2", 400, "1 to 2"),
        ("/proofs/consistency?from=3&to=9", 400, "`to` is 9"),
        ("/proofs/consistency?from=3&colour=red", 400, "`colour`"),
    ] {
        let (found, problem) = get(path).await;
        assert_eq!(found.as_u16(), status, "{path}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
}

/// Runs the verifier in Python; nothing where there is no Python.
pub(crate) fn python(bundle: &std::path::Path, more: &[&str]) -> Option<(i32, String)> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/audit_verify.py");
    let run = Command::new("python3")
        .arg(program)
        .arg(bundle)
        .args(more)
        .output();
    match run {
        Ok(output) => Some((
            output.status.code().unwrap(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )),
        Err(why) => {
            println!("skipped: the verifier in Python: {why}");
            None
        }
    }
}

#[tokio::test]
async fn a_bundle_is_verified_by_this_program_and_by_another() {
    // More than one page of a bundle.
    let fixture = with(300).await;
    let older = fixture.service.checkpoint().await.unwrap();
    add(&fixture).await;
    let bundle = text(&fixture, "/bundle").await;
    let folder = TempDir::new().unwrap();
    let (path, kept) = (
        folder.path().join("bundle.jsonl"),
        folder.path().join("kept"),
    );
    std::fs::write(&kept, &older.note).unwrap();
    let kept_text = kept.to_str().unwrap();
    let own = fixture.service.verifier().to_string();
    let whole = fixture.service.verify().await.unwrap();
    let lines: Vec<&str> = bundle.split_inclusive('\n').collect();
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let without = [&lines[..7], &lines[8..]].concat();
    let turned = bundle.replacen(":\"cgAAAAAAAA", ":\"cgAAAAAAAB", 1);
    assert_ne!(turned, bundle);
    for (what, bundle, code) in [
        ("whole", bundle.clone(), 0),
        ("cut", lines[..300].concat(), 1),
        ("swapped", swapped.concat(), 1),
        ("one left out", without.concat(), 1),
        ("one twice", format!("{bundle}{}", lines[301]), 1),
        ("a byte is turned", turned, 1),
        (
            "of another form",
            bundle.replacen("bundle/1", "bundle/9", 1),
            2,
        ),
        (
            "signed for another size",
            bundle.replacen("\\n301\\n", "\\n300\\n", 1),
            1,
        ),
    ] {
        std::fs::write(&path, bundle).unwrap();
        let ours = verify_bundle(&path, None, std::slice::from_ref(&older.note));
        let ours = match &ours {
            Ok((found, key)) => {
                assert_eq!(key.to_string(), own);
                if found.ok {
                    assert_eq!((found.count, &found.root), (301, &whole.root));
                    assert_eq!(found.checkpoints, 2);
                }
                i32::from(!found.ok)
            }
            Err(_) => 2,
        };
        assert_eq!(ours, code, "{what}");
        if let Some((theirs, said)) = python(&path, &["--key", &own, "--checkpoint", kept_text]) {
            assert_eq!(theirs, code, "{what}: {said}");
            assert_eq!(said.contains(&whole.root), code == 0, "{said}");
        }
    }
}

#[tokio::test]
async fn an_index_that_hides_an_entry_is_found_although_all_entries_are_there() {
    let fixture = Fixture::new().await;
    for subject in ["tube-1", "tube-2"] {
        let event = event("tube.moved", "{}").about(subject);
        fixture.service.consume(&event).await.unwrap();
    }
    fixture.service.checkpoint().await.unwrap();
    let places = Places::beside(&fixture.path());
    let verifier = places.verifier().unwrap();
    assert!(fixture.service.verify().await.unwrap().ok);
    Connection::open(fixture.path())
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    // In the index the number of the entry is behind the name; in the entry itself there are further columns.
    let mut bytes = std::fs::read(&places.database).unwrap();
    let name = b"tube-1";
    let at: Vec<usize> = (0..bytes.len() - name.len() - 7)
        .filter(|at| bytes[*at..].starts_with(name))
        .filter(|at| !bytes[at + name.len()..].starts_with(b"success"))
        .filter(|at| bytes[..*at].ends_with(b"tube"))
        .collect();
    assert!(!at.is_empty(), "the index has the name");
    for at in at {
        bytes[at + name.len() - 1] = b'9';
    }
    let place = fixture.path().with_file_name("moved.db");
    std::fs::write(&place, bytes).unwrap();
    for kind in ["checkpoints", "key"] {
        let of = |path: &std::path::Path| path.with_extension(kind);
        std::fs::copy(of(&places.database), of(&place)).unwrap();
    }
    let found = verify_database(&Places::beside(&place), &verifier, &[]).unwrap();
    assert!(!found.ok && found.first_bad_sequence.is_some(), "{found}");
    let said = found.to_string();
    assert!(said.contains("not every entry can be found"), "{said}");
    assert!(said.ends_with("; 2 entries are proven"), "{said}");
    let moved = AuditService::open(place, Settings::default(), Arc::new(SystemClock));
    let moved = moved.await.unwrap();
    assert!(!moved.verify().await.unwrap().ok);
}

#[tokio::test]
async fn a_database_is_verified_as_it_lies_there_and_against_what_was_kept() {
    let fixture = with(4).await;
    let kept = fixture.service.checkpoint().await.unwrap();
    let places = Places::beside(&fixture.path());
    let verifier = places.verifier().unwrap();
    // While the service runs.
    add(&fixture).await;
    let notes = [kept.note];
    let found = verify_database(&places, &verifier, &notes).unwrap();
    assert_eq!((found.ok, found.count, found.checkpoints), (true, 5, 1));

    // Another trail, whole in itself, in its place.
    let other = with(9).await;
    other.service.checkpoint().await.unwrap();
    let elsewhere = Places::beside(&other.path());
    let error = verify_database(&elsewhere, &elsewhere.verifier().unwrap(), &notes).unwrap_err();
    assert!(error.chain().contains("of the log"), "{}", error.chain());
    let found = verify_database(&elsewhere, &verifier, &[]).unwrap();
    assert!(!found.ok);
    let nowhere = Places::beside(&other.path().with_file_name("none.db"));
    let error = verify_database(&nowhere, &verifier, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
