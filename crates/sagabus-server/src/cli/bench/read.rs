//! Reading a log that is stored: page by page, by one and by several at a time, and by a subscription that catches up.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::Settings;
use sagabus::{Bus, Clock, Start, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::{self, Load};
use super::{Folder, failed, median};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Bytes of a stored event.
const EVENT_BYTES: usize = 400;
/// Events asked for at once.
const PAGE_EVENTS: usize = 1000;
/// Readers at a time.
const READERS: [usize; 3] = [1, 2, 4];
/// Rounds; the median counts.
const ROUNDS: usize = 3;

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    events: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let path = folder.fresh("read")?;
    let bus = load::durable(&path, &Settings::default())?;
    runtime.block_on(Load::new(EVENT_BYTES)?.publish(&bus, events))?;
    // What is left in memory is not what is measured.
    runtime.block_on(bus.shutdown(Duration::from_secs(5)));
    let bus = load::durable(&path, &Settings::default())?;
    let stored = Stored { bus, events };
    let mut figures = Vec::new();
    for readers in READERS {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push(runtime.block_on(stored.read_rate(readers))?);
        }
        figures.push((readers, median(rates)));
    }
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        rates.push(runtime.block_on(stored.catch_up_rate(round))?);
    }
    let catch_up = median(rates);
    runtime.block_on(stored.bus.shutdown(Duration::from_secs(5)));
    match output {
        Output::Json => {
            let mut object = serde_json::Map::new();
            object.insert("event_bytes".to_owned(), EVENT_BYTES.into());
            object.insert("events".to_owned(), events.into());
            for (readers, rate) in figures {
                let name = format!("records_per_second_each_of_{readers}");
                object.insert(name, json!(rate.round()));
            }
            let name = "deliveries_per_second_catching_up".to_owned();
            object.insert(name, json!(catch_up.round()));
            say!("{}", serde_json::Value::Object(object));
        }
        Output::Text => {
            say!("{events} stored events of {EVENT_BYTES} bytes, in pages of {PAGE_EVENTS}");
            for (readers, rate) in figures {
                say!("{readers:>3} readers {rate:>10.0} records/s each");
            }
            say!("subscription that catches up {catch_up:>10.0} deliveries/s");
        }
    }
    Ok(())
}

/// Events on the disk, and none of them in memory.
struct Stored {
    bus: Bus,
    events: usize,
}

impl Stored {
    /// Records per second of each of so many readers of the whole log.
    async fn read_rate(&self, readers: usize) -> Result<f64, Failure> {
        let started = SystemClock.elapsed();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..readers {
            let bus = self.bus.clone();
            tasks.spawn(async move {
                let (mut position, mut count) = (1, 0);
                loop {
                    let page = bus.read(position, PAGE_EVENTS).await?;
                    count += page.events.len();
                    position = page.next;
                    if page.is_last {
                        return Ok::<usize, sagabus::Error>(count);
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            let count = ended.map_err(failed)??;
            if count != self.events {
                return Err(failed(format!("read {count} of {} events", self.events)));
            }
        }
        Ok(per_second(self.events, started))
    }

    /// Deliveries per second of a new subscription that begins with the oldest event.
    async fn catch_up_rate(&self, round: usize) -> Result<f64, Failure> {
        let left = Arc::new(AtomicUsize::new(self.events));
        let all_handled = Arc::new(Notify::new());
        let started = SystemClock.elapsed();
        let handler = {
            let all_handled = Arc::clone(&all_handled);
            move |_| {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    all_handled.notify_one();
                }
                std::future::ready(Ok(()))
            }
        };
        let subscription = self
            .bus
            .subscription(&format!("reader-{round}"))
            .pattern("bench.*")
            .start(Start::Earliest)
            .concurrency(256)
            .handler(handler)
            .await?;
        all_handled.notified().await;
        let rate = per_second(self.events, started);
        subscription.stop(Duration::from_secs(5)).await;
        Ok(rate)
    }
}

fn per_second(events: usize, started: Duration) -> f64 {
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / elapsed.as_secs_f64()
}
