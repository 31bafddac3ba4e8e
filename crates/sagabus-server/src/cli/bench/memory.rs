//! Publish and handle in memory: from the first publish to the last handler's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::{Clock, Start, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::load::{self, Load};
use super::{failed, median};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Bytes of a stored event.
const EVENT_BYTES: usize = 400;
/// Publishers at a time.
const PUBLISHERS: usize = 4;
/// Events handled at a time.
const CONCURRENCY: usize = 256;
/// Events published at a time.
const BATCHES: [usize; 2] = [1, 100];
/// Rounds; the median counts.
const ROUNDS: usize = 3;

pub(super) fn run(runtime: &Runtime, events: usize, output: Output) -> Result<(), Failure> {
    let mut figures = Vec::new();
    for (subscribers, batch) in [1, 10]
        .into_iter()
        .flat_map(|it| BATCHES.map(|batch| (it, batch)))
    {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let case = Case {
                events: events / subscribers,
                subscribers,
                batch,
            };
            rates.push(runtime.block_on(rate(&case))?);
        }
        figures.push((subscribers, batch, median(rates)));
    }
    match output {
        Output::Json => {
            let object: serde_json::Map<_, _> = figures
                .iter()
                .map(|(subscribers, batch, rate)| {
                    let name = format!("events_per_second_{subscribers}_by_{batch}");
                    (name, json!(rate.round()))
                })
                .collect();
            say!("{}", serde_json::Value::Object(object));
        }
        Output::Text => {
            say!(
                "publish and handle in memory, {PUBLISHERS} publishers, {events} deliveries, {CONCURRENCY} at a time"
            );
            for (subscribers, batch, rate) in figures {
                say!(
                    "{subscribers:>3} subscribers, published by {batch:>3}: {rate:>10.0} events/s"
                );
            }
        }
    }
    Ok(())
}

/// What is measured.
struct Case {
    events: usize,
    subscribers: usize,
    /// Events published together.
    batch: usize,
}

/// Events published and handled by all subscribers, per second.
async fn rate(case: &Case) -> Result<f64, Failure> {
    let Case {
        events,
        subscribers,
        batch,
    } = *case;
    let bus = load::memory()?;
    let left = Arc::new(AtomicUsize::new(events * subscribers));
    let all_handled = Arc::new(Notify::new());
    for number in 0..subscribers {
        let (left, all_handled) = (Arc::clone(&left), Arc::clone(&all_handled));
        bus.subscription(&format!("subscriber-{number}"))
            .pattern("bench.*")
            .start(Start::Earliest)
            .concurrency(CONCURRENCY)
            .handler(move |_| {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    all_handled.notify_one();
                }
                std::future::ready(Ok(()))
            })
            .await?;
    }
    let load = Load::new(EVENT_BYTES)?;
    let started = SystemClock.elapsed();
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let share = events / PUBLISHERS + usize::from(publisher < events % PUBLISHERS);
        let (bus, load) = (bus.clone(), load.clone());
        tasks.spawn(async move {
            let mut left = share;
            while left > 0 {
                let count = left.min(batch);
                let events = (0..count).map(|_| load.event(&bus)).collect();
                bus.publish_batch(events).await?;
                left -= count;
            }
            Ok::<(), sagabus::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(failed)??;
    }
    all_handled.notified().await;
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    bus.shutdown(Duration::from_secs(5)).await;
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    Ok(f64::from(events) / elapsed.as_secs_f64())
}
