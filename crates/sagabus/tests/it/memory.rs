//! What waits for a subscriber that is stopped lies on the disk, and takes no memory.

use std::sync::Arc;
use std::time::Duration;

use sagabus::Start;
use sagabus::engines::embedded::disk::RealDisk;
use tempfile::TempDir;

use crate::support::{bus_on, event, idle};

const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
const EVENT_BYTES: usize = 64 * 1024;
const BATCH: usize = 32;
/// Events before memory is looked at first: the latest ones are kept, and buffers have grown.
const WARM: usize = 1024;
/// Events after that: 192 MiB.
const MORE: usize = 3072;
/// Most that memory may grow by meanwhile.
const GROWTH_KIB_MAX: u64 = 16 * 1024;
/// Most that it may grow by while all of that is handled: pages of 512 events, and the handlers'.
const CATCHING_UP_KIB_MAX: u64 = 96 * 1024;

/// Memory of this process that is in use, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

#[tokio::test]
async fn a_stopped_subscriber_takes_no_memory() {
    let folder = TempDir::new().unwrap();
    let bus = bus_on(
        Arc::new(RealDisk::new(folder.path()).unwrap()),
        SEGMENT_BYTES,
    )
    .unwrap();
    let subscribe = || {
        let builder = bus.subscription("s").pattern("**").start(Start::Earliest);
        builder.concurrency(64).handler(|_| async { Ok(()) })
    };
    let running = subscribe().await.unwrap();
    running.stop(Duration::from_secs(1)).await;
    let data = format!("\"{}\"", "x".repeat(EVENT_BYTES));
    let publish = async |events: usize| {
        for _ in 0..events / BATCH {
            let batch = (0..BATCH).map(|_| event(&bus, "a.b", &data)).collect();
            bus.publish_batch(batch).await.unwrap();
        }
    };
    publish(WARM).await;
    let before = resident_kib();
    publish(MORE).await;
    let stopped = resident_kib();
    assert_eq!(bus.stats().subscriptions[0].ahead, (WARM + MORE) as u64);
    // Nor does catching up put all of it into memory at once.
    let _running = subscribe().await.unwrap();
    idle(&bus).await;
    let caught_up = resident_kib();
    println!("KiB in use: {before} before, {stopped} with 192 MiB more, {caught_up} after them");
    assert!(stopped < before + GROWTH_KIB_MAX, "{before} to {stopped}");
    assert!(
        caught_up < before + CATCHING_UP_KIB_MAX,
        "{before} to {caught_up}"
    );
    assert_eq!(
        bus.stats().subscriptions[0].counts.acked,
        (WARM + MORE) as u64
    );
    bus.shutdown(Duration::from_secs(5)).await;
}
