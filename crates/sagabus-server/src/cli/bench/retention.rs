//! Time and memory that dropping old events takes, while many dead letters of them are kept.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Clock, HandlerError, Start, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::{self, Load};
use super::{Folder, failed, process};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Bytes of a stored event.
const EVENT_BYTES: usize = 400;

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    events: usize,
    dead_letters: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let path = folder.fresh("retention")?;
    runtime.block_on(fill(&path, events, dead_letters))?;
    let dropped = runtime.block_on(drop_all(&path))?;
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "events": events,
                "event_bytes": EVENT_BYTES,
                "dead_letters": dead_letters,
                "bytes_before": dropped.bytes_before,
                "bytes_after": dropped.bytes_after,
                "seconds": dropped.time.as_secs_f64(),
                "resident_bytes_before": dropped.resident,
                "peak_resident_bytes": dropped.peak,
            })
        ),
        Output::Text => {
            let mebibytes = |bytes: u64| bytes / (1024 * 1024);
            say!(
                "{events} events of {EVENT_BYTES} bytes, {dead_letters} of them dead letters: {} MiB of files became {} MiB in {:.1} s",
                mebibytes(dropped.bytes_before),
                mebibytes(dropped.bytes_after),
                dropped.time.as_secs_f64()
            );
            say!(
                "resident memory {} MiB before, {} MiB at most meanwhile",
                mebibytes(dropped.resident),
                mebibytes(dropped.peak)
            );
        }
    }
    Ok(())
}

/// Publishes events, of which the first are refused for good by who handles them.
async fn fill(path: &Path, events: usize, dead_letters: usize) -> Result<(), Failure> {
    let bus = load::durable(path, &Settings::default())?;
    let seen = Arc::new(AtomicUsize::new(0));
    let all_handled = Arc::new(Notify::new());
    let handler = {
        let all_handled = Arc::clone(&all_handled);
        move |_| {
            let number = seen.fetch_add(1, Ordering::Relaxed);
            if number + 1 == events {
                all_handled.notify_one();
            }
            std::future::ready(if number < dead_letters {
                Err(HandlerError::permanent("measured as a dead letter"))
            } else {
                Ok(())
            })
        }
    };
    bus.subscription("retention")
        .pattern("bench.*")
        .start(Start::Earliest)
        .concurrency(64)
        .handler(handler)
        .await?;
    Load::new(EVENT_BYTES)?.publish(&bus, events).await?;
    all_handled.notified().await;
    bus.shutdown(Duration::from_secs(30)).await;
    Ok(())
}

struct Dropped {
    bytes_before: u64,
    bytes_after: u64,
    time: Duration,
    resident: u64,
    peak: u64,
}

/// Opens the log again and drops all that nobody needs.
async fn drop_all(path: &Path) -> Result<Dropped, Failure> {
    let settings = Settings {
        deduplication_events: 1,
        retention_bytes: 0,
        ..Settings::default()
    };
    let engine = Arc::new(Embedded::open(path, &settings, Arc::new(SystemClock))?);
    let bus = Bus::builder(Arc::clone(&engine) as _, Arc::new(SystemClock)).build()?;
    process::forget_peak()?;
    let (bytes_before, resident) = (bus.stats().kept.bytes, process::peak_bytes()?);
    let started = SystemClock.elapsed();
    engine.retain().await?;
    let time = SystemClock.elapsed().saturating_sub(started);
    let dropped = Dropped {
        bytes_before,
        bytes_after: bus.stats().kept.bytes,
        time,
        resident,
        peak: process::peak_bytes()?,
    };
    if dropped.bytes_after >= bytes_before {
        return Err(failed("nothing was dropped"));
    }
    bus.shutdown(Duration::from_secs(5)).await;
    Ok(dropped)
}
