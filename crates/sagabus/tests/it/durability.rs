//! What is acknowledged stays: over restarts, torn writes, failed syncs and full disks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sagabus::engines::embedded::disk::{Disk, RealDisk};
use sagabus::engines::embedded::{DirectoryLock, Embedded, Settings};
use sagabus::saga_store::{SagaBatch, SagaStore};
use sagabus::transport::DeadLetterQuery;
use sagabus::{ErrorKind, HandlerError, Retry, Start, SystemClock};
use tempfile::tempdir;

use crate::support::{FaultDisk, Notes, bus_on, event, idle};

const SEGMENT_BYTES: u64 = 64 * 1024;

fn disk(path: &Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::new(path).unwrap())
}

/// All events in the log, as their payloads.
async fn stored(path: &Path) -> Vec<String> {
    let bus = bus_on(disk(path), SEGMENT_BYTES).unwrap();
    let mut payloads = Vec::new();
    let mut position = 1;
    loop {
        let page = bus.read(position, 1000).await.unwrap();
        payloads.extend(
            page.events
                .iter()
                .map(|(_, it)| String::from_utf8(it.data.to_vec()).unwrap()),
        );
        if page.is_last {
            break;
        }
        position = page.next;
    }
    bus.shutdown(Duration::from_secs(5)).await;
    payloads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_there_after_a_restart_over_many_segments() {
    let dir = tempdir().unwrap();
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    let mut expected = Vec::new();
    for number in 0..40 {
        let batch: Vec<_> = (0..25)
            .map(|it| {
                event(
                    &bus,
                    "a.b",
                    &format!("\"{number}-{it}-{}\"", "x".repeat(200)),
                )
            })
            .collect();
        expected.extend(
            batch
                .iter()
                .map(|it| String::from_utf8(it.data.to_vec()).unwrap()),
        );
        bus.publish_batch(batch).await.unwrap();
    }
    drop(bus);
    assert_eq!(stored(dir.path()).await, expected);
    let segments = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(segments > 4, "{segments} files");
}

#[tokio::test]
async fn deliveries_go_on_after_a_restart_where_they_stood() {
    let dir = tempdir().unwrap();
    let notes = Notes::default();
    for round in 0..3 {
        let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
        if round < 2 {
            for number in 0..10 {
                bus.publish(event(&bus, "a.b", &format!("\"{round}-{number}\"")))
                    .await
                    .unwrap();
            }
        }
        if round != 1 {
            let notes = notes.clone();
            bus.subscription("s")
                .pattern("a.*")
                .start(Start::Earliest)
                .concurrency(1)
                .handler(move |delivery| {
                    notes.add(String::from_utf8(delivery.event.data.to_vec()).unwrap());
                    async { Ok(()) }
                })
                .await
                .unwrap();
            idle(&bus).await;
        }
        bus.shutdown(Duration::from_secs(5)).await;
    }
    let expected: Vec<String> = (0..2)
        .flat_map(|round| (0..10).map(move |it| format!("\"{round}-{it}\"")))
        .collect();
    assert_eq!(notes.all(), expected);
}

#[tokio::test]
async fn attempts_and_dead_letters_are_counted_over_restarts() {
    let dir = tempdir().unwrap();
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    bus.subscription("s")
        .pattern("a.b")
        .start(Start::Earliest)
        .retry(Retry::times(1).delay(Duration::from_millis(1)))
        .handler(|_| async { Err(HandlerError::transient("down")) })
        .await
        .unwrap();
    idle(&bus).await;
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);

    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    let dead = bus
        .dead_letters(DeadLetterQuery {
            max: 10,
            ..DeadLetterQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (
            dead[0].subscription.as_str(),
            dead[0].attempts,
            dead[0].faults.len()
        ),
        ("s", 2, 2)
    );
    assert_eq!(dead[0].faults[1].error, "down");
    bus.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_retry_that_waits_over_a_restart_counts_on_from_the_attempts_before_it() {
    let dir = tempdir().unwrap();
    let notes = Notes::default();
    let subscribe = async |bus: &sagabus::Bus| {
        let notes = notes.clone();
        let retry = Retry {
            jitter: sagabus::retry::Jitter::None,
            ..Retry::times(2).delay(Duration::from_millis(100))
        };
        bus.subscription("s")
            .pattern("a.b")
            .start(Start::Earliest)
            .retry(retry)
            .handler(move |delivery| {
                notes.add(delivery.attempt.to_string());
                async { Err(HandlerError::transient("down")) }
            })
            .await
            .unwrap();
    };
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    subscribe(&bus).await;
    while bus.stats().retry_queue == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);
    assert_eq!(notes.all(), ["1"]);

    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    subscribe(&bus).await;
    idle(&bus).await;
    assert_eq!(notes.all(), ["1", "2", "3"]);
    let query = DeadLetterQuery {
        max: 10,
        ..DeadLetterQuery::default()
    };
    let dead = bus.dead_letters(query).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].attempts, dead[0].faults.len()),
        (1, 3, 3)
    );
    bus.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_event_published_again_after_a_restart_is_stored_once() {
    let dir = tempdir().unwrap();
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    let once = event(&bus, "a.b", "1");
    let first = bus.publish(once.clone()).await.unwrap();
    drop(bus);
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    let again = bus.publish(once).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.position, again.position);
    drop(bus);
    assert_eq!(stored(dir.path()).await, ["1"]);
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_nothing_acknowledged_goes_with_it() {
    let dir = tempdir().unwrap();
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    for number in 0..5 {
        bus.publish(event(&bus, "a.b", &number.to_string()))
            .await
            .unwrap();
    }
    drop(bus);
    let path = only_segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|it| *it != 0).unwrap() / 8 * 8 + 8;
    // A batch that never got whole: a good magic, then noise.
    bytes[end..end + 4].copy_from_slice(b"SBt\x01");
    bytes[end + 4..end + 300].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(stored(dir.path()).await, ["0", "1", "2", "3", "4"]);
    assert_eq!(stored(dir.path()).await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn damage_to_acknowledged_records_is_found_and_never_cut_away() {
    let dir = tempdir().unwrap();
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    for number in 0..20 {
        bus.publish(event(&bus, "a.b", &number.to_string()))
            .await
            .unwrap();
    }
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);
    let path = only_segment(dir.path());
    let good = std::fs::read(&path).unwrap();
    let end = good.iter().rposition(|it| *it != 0).unwrap();
    let mut found = 0;
    for at in (0..end).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        match bus_on(disk(dir.path()), SEGMENT_BYTES) {
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Corrupt,
                    "byte {at}: {}",
                    error.chain()
                );
                let text = error.to_string();
                assert!(
                    text.contains("then restore the file from a backup"),
                    "{text}"
                );
                assert_eq!(
                    std::fs::read(&path).unwrap(),
                    bytes,
                    "byte {at}: the file was changed"
                );
                found += 1;
            }
            Ok(bus) => {
                // Padding, unused header bytes, or the closing mark: nothing may be missing.
                let events = bus.read(1, 1000).await.unwrap().events.len();
                assert_eq!(events, 20, "byte {at}");
            }
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(found > 100, "{found}");
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let dir = tempdir().unwrap();
    let faulty = FaultDisk::new(dir.path());
    let bus = bus_on(Arc::new(faulty.clone()), SEGMENT_BYTES).unwrap();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    faulty.faults.fail_sync.store(true, Ordering::SeqCst);
    let error = bus.publish(event(&bus, "a.b", "2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.chain().contains("did not sync"), "{}", error.chain());
    faulty.faults.fail_sync.store(false, Ordering::SeqCst);
    let syncs = faulty.faults.syncs.load(Ordering::SeqCst);
    assert_eq!(
        bus.publish(event(&bus, "a.b", "3"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Closed
    );
    assert_eq!(
        faulty.faults.syncs.load(Ordering::SeqCst),
        syncs,
        "a failed sync is never tried again"
    );
    assert!(!bus.health().is_healthy());
    drop(bus);
    let after = stored(dir.path()).await;
    assert!(after == ["1"] || after == ["1", "2"], "{after:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_events_keeps_what_was_there_and_heals_without_a_restart() {
    let dir = tempdir().unwrap();
    let faulty = FaultDisk::new(dir.path());
    let bus = bus_on(Arc::new(faulty.clone()), SEGMENT_BYTES).unwrap();
    bus.publish(event(&bus, "a.b", "0")).await.unwrap();
    // Let the spare that is being made get ready, then leave no room for the one after it.
    faulty.faults.is_full.store(true, Ordering::SeqCst);
    let payload = format!("\"{}\"", "x".repeat(4000));
    let mut accepted = 1;
    let error = loop {
        match bus.publish(event(&bus, "a.b", &payload)).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1000);
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{}", error.chain());
    assert!(
        bus.health().issues[0].contains("no room"),
        "{:?}",
        bus.health()
    );
    faulty.faults.is_full.store(false, Ordering::SeqCst);
    // It says that it is well before anybody dares to publish.
    let mut asked = 0;
    while !bus.health().is_healthy() {
        asked += 1;
        assert!(asked < 1000, "{:?}", bus.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut tries = 0;
    while bus.publish(event(&bus, "a.b", &payload)).await.is_err() {
        tries += 1;
        assert!(tries < 200, "accepts again when there is room");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(bus.health().is_healthy(), "{:?}", bus.health());
    drop(bus);
    assert_eq!(stored(dir.path()).await.len(), accepted + 1);
}

#[test]
fn a_new_file_is_zeros_that_are_really_on_the_disk() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempdir().unwrap();
    let bytes = 1024 * 1024 + 512;
    // What an older file of that name had is gone.
    std::fs::write(dir.path().join("a"), vec![7; 2 * 1024 * 1024]).unwrap();
    let file = disk(dir.path()).create("a", bytes).unwrap();
    assert_eq!(file.len().unwrap(), bytes);
    let content = std::fs::read(dir.path().join("a")).unwrap();
    assert!(content.len() as u64 == bytes && content.iter().all(|byte| *byte == 0));
    let metadata = std::fs::metadata(dir.path().join("a")).unwrap();
    assert!(
        metadata.blocks() * 512 >= bytes,
        "{} blocks",
        metadata.blocks()
    );
}

#[tokio::test]
async fn the_next_segment_is_filled_before_it_is_needed_and_no_write_makes_a_file_longer() {
    let dir = tempdir().unwrap();
    let faulty = FaultDisk::new(dir.path());
    let bus = bus_on(Arc::new(faulty.clone()), SEGMENT_BYTES).unwrap();
    bus.publish(event(&bus, "a.b", "0")).await.unwrap();
    // The first segment has hardly begun, and the one after it is there with its full length.
    let mut asked = 0;
    while faulty.faults.made.load(Ordering::SeqCst) < 2 {
        asked += 1;
        assert!(asked < 1000, "no spare was made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let spare = std::fs::read(dir.path().join("spare.tmp")).unwrap();
    assert_eq!(spare.len() as u64, SEGMENT_BYTES);
    assert!(spare.iter().all(|byte| *byte == 0));
    let payload = format!("\"{}\"", "x".repeat(4000));
    for _ in 0..60 {
        bus.publish(event(&bus, "a.b", &payload)).await.unwrap();
    }
    bus.shutdown(Duration::from_secs(5)).await;
    assert!(faulty.faults.made.load(Ordering::SeqCst) > 4);
    assert_eq!(faulty.faults.writes_past_end.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let dir = tempdir().unwrap();
    let bus = bus_on(disk(dir.path()), SEGMENT_BYTES).unwrap();
    let payload = format!("\"{}\"", "x".repeat(8000));
    let batch: Vec<_> = (0..10).map(|_| event(&bus, "a.b", &payload)).collect();
    // Larger than a segment: it can never be one batch there.
    let error = bus.publish_batch(batch.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{}", error.chain());
    bus.publish_batch(batch[..7].to_vec()).await.unwrap();
    drop(bus);
    assert_eq!(stored(dir.path()).await.len(), 7);
}

#[tokio::test]
async fn saga_records_and_their_events_are_stored_together_and_in_order() {
    let dir = tempdir().unwrap();
    let open = || {
        Embedded::on(
            disk(dir.path()),
            &Settings {
                segment_bytes: SEGMENT_BYTES,
                ..Settings::default()
            },
            Arc::new(SystemClock),
        )
        .unwrap()
    };
    let engine = Arc::new(open());
    let bus = sagabus::Bus::builder(Arc::clone(&engine) as _, Arc::new(SystemClock))
        .build()
        .unwrap();
    for number in 0..3_u8 {
        let batches = ["a", "b"].map(|saga| SagaBatch {
            keys: Vec::new(),
            saga: saga.to_owned(),
            records: vec![vec![number, 1].into(), vec![number, 2].into()],
            events: vec![event(&bus, "saga.started", &number.to_string())],
            is_start: false,
            is_last: false,
        });
        engine.append(batches.to_vec()).await.unwrap();
    }
    bus.shutdown(Duration::from_secs(5)).await;
    drop((bus, engine));
    let sagas = open().load().await.unwrap();
    assert_eq!(sagas.len(), 2);
    assert_eq!(sagas[1].saga, "b");
    assert_eq!(
        sagas[1].records,
        [[0, 1], [0, 2], [1, 1], [1, 2], [2, 1], [2, 2]].map(|it| it.to_vec())
    );
    assert_eq!(stored(dir.path()).await.len(), 6);
}

#[test]
fn a_second_process_on_one_directory_refuses_and_names_the_first() {
    let dir = tempdir().unwrap();
    let _first = DirectoryLock::take(dir.path()).unwrap();
    let error = DirectoryLock::take(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
}

fn only_segment(path: &Path) -> std::path::PathBuf {
    let mut segments: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "log"))
        .collect();
    assert_eq!(segments.len(), 1);
    segments.remove(0)
}
