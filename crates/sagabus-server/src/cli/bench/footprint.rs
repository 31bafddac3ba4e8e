//! How much memory the process has taken at most, after many durable events were published and handled.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::Start;
use sagabus::engines::embedded::Settings;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::{self, Load};
use super::{Folder, failed, process};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Bytes of a stored event.
const EVENT_BYTES: usize = 400;
/// Publishers at a time.
const PUBLISHERS: usize = 64;

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    events: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let bus = load::durable(&folder.fresh("footprint")?, &Settings::default())?;
    let durability = bus.capabilities().durability.as_str();
    runtime.block_on(async {
        let left = Arc::new(AtomicUsize::new(events));
        let all_handled = Arc::new(Notify::new());
        let handler = {
            let all_handled = Arc::clone(&all_handled);
            move |_| {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    all_handled.notify_one();
                }
                std::future::ready(Ok(()))
            }
        };
        bus.subscription("footprint")
            .pattern("bench.*")
            .start(Start::Earliest)
            .concurrency(64)
            .handler(handler)
            .await?;
        let load = Load::new(EVENT_BYTES)?;
        let mut tasks = tokio::task::JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let share = events / PUBLISHERS + usize::from(publisher < events % PUBLISHERS);
            let (bus, load) = (bus.clone(), load.clone());
            tasks.spawn(async move {
                for _ in 0..share {
                    bus.publish(load.event(&bus)).await?;
                }
                Ok::<(), sagabus::Error>(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(failed)??;
        }
        all_handled.notified().await;
        Ok::<(), Failure>(())
    })?;
    let peak = process::peak_bytes()?;
    runtime.block_on(bus.shutdown(Duration::from_secs(5)));
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "durability": durability,
                "events": events,
                "event_bytes": EVENT_BYTES,
                "peak_resident_bytes": peak,
            })
        ),
        Output::Text => say!(
            "{events} events of {EVENT_BYTES} bytes published by {PUBLISHERS} and handled, {durability}: peak resident memory {} MiB",
            peak / (1024 * 1024)
        ),
    }
    Ok(())
}
