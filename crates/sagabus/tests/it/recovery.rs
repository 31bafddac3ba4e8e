//! What a log says about itself when files of it are missing, short or damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sagabus::ErrorKind;
use sagabus::engines::embedded::disk::{Disk, RealDisk};
use tempfile::tempdir;

use crate::support::{Checked, bus_on, event};

const SEGMENT_BYTES: u64 = 4096;

fn open(path: &Path) -> sagabus::Result<Checked> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(path).unwrap());
    bus_on(disk, SEGMENT_BYTES)
}

/// A log of `events` events, stopped in good order.
async fn log(path: &Path, events: usize) {
    let bus = open(path).unwrap();
    for number in 0..events {
        let data = format!("\"{number}-{}\"", "x".repeat(200));
        bus.publish(event(&bus, "a.b", &data)).await.unwrap();
    }
    bus.shutdown(Duration::from_secs(5)).await;
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "log"))
        .collect();
    names.sort();
    names
}

fn assert_refused(path: &Path, why: &str) {
    let error = open(path).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{why}: {}", error.chain());
}

#[tokio::test]
async fn a_missing_file_is_found_wherever_it_stood() {
    let dir = tempdir().unwrap();
    log(dir.path(), 60).await;
    let files = segments(dir.path());
    assert!(files.len() > 3);
    for file in files.iter().take(files.len() - 1) {
        let bytes = std::fs::read(file).unwrap();
        std::fs::remove_file(file).unwrap();
        assert_refused(dir.path(), &format!("{} is gone", file.display()));
        std::fs::write(file, bytes).unwrap();
    }
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_file_that_lost_its_end_is_found_wherever_it_was_cut() {
    let dir = tempdir().unwrap();
    log(dir.path(), 25).await;
    for file in segments(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for len in (0..bytes.len()).step_by(97) {
            std::fs::write(&file, &bytes[..len]).unwrap();
            assert_refused(dir.path(), &format!("{} has {len} bytes", file.display()));
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_loses_nothing_unseen_also_when_marks_stand_between() {
    let dir = tempdir().unwrap();
    // Each start and stop leaves marks between the events.
    for _ in 0..3 {
        log(dir.path(), 1).await;
    }
    // Then one more event, and an end without a mark, as after a kill.
    let killed = tempdir().unwrap();
    let bus = open(dir.path()).unwrap();
    bus.publish(event(&bus, "a.b", "4")).await.unwrap();
    let file = segments(dir.path()).remove(0);
    let copy = killed.path().join(file.file_name().unwrap());
    let good = std::fs::read(&file).unwrap();
    drop(bus);
    let last = good.windows(4).rposition(|it| it == b"SBt\x01").unwrap();
    for at in 0..last {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        std::fs::write(&copy, &bytes).unwrap();
        match open(killed.path()) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}"),
            Ok(bus) => {
                let events = bus.read(1, 100).await.unwrap().events;
                assert_eq!(events.len(), 4, "byte {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_filled_to_its_end_still_tells_damage_from_a_torn_tail() {
    let dir = tempdir().unwrap();
    let bus = open(dir.path()).unwrap();
    // The largest event that fits into a file.
    for len in (0..4096).rev() {
        let data = format!("\"{}\"", "x".repeat(len));
        match bus.publish(event(&bus, "a.b", &data)).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        }
    }
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);
    let files = segments(dir.path());
    assert_eq!(files.len(), 1);
    let mut bytes = std::fs::read(&files[0]).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&files[0], &bytes).unwrap();
    assert_refused(dir.path(), "its only event is damaged");
}

/// Where batches with records begin.
fn event_batches(bytes: &[u8]) -> Vec<usize> {
    (64..bytes.len())
        .step_by(8)
        .filter(|at| {
            let batch = bytes.get(*at..).unwrap_or_default();
            batch.starts_with(b"SBt\x01") && batch.get(4..8) != Some(&[0; 4])
        })
        .collect()
}

#[tokio::test]
async fn damage_that_comes_while_the_log_is_open_is_an_error_and_not_a_gap() {
    let dir = tempdir().unwrap();
    let bus = open(dir.path()).unwrap();
    for number in 0..60 {
        let data = format!("\"{number}-{}\"", "x".repeat(200));
        bus.publish(event(&bus, "a.b", &data)).await.unwrap();
    }
    let file = segments(dir.path()).remove(1);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = event_batches(&bytes)[2];
    bytes[at + 60] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = bus.read(1, 1000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.chain());
    bus.shutdown(Duration::from_secs(5)).await;
}
