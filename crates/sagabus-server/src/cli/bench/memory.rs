//! Publish and handle in memory: from the first publish to the last handler's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::{Bus, Clock, Event, EventType, Start, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::median;
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Publishers at a time.
const PUBLISHERS: usize = 4;
/// Rounds; the median counts.
const ROUNDS: usize = 3;

pub(super) fn run(runtime: &Runtime, events: usize, output: Output) -> Result<(), Failure> {
    let mut figures = Vec::new();
    for subscribers in [1, 10] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push(runtime.block_on(rate(events, subscribers))?);
        }
        figures.push((subscribers, median(rates)));
    }
    match output {
        Output::Json => {
            let object: serde_json::Map<_, _> = figures
                .iter()
                .map(|(n, rate)| (format!("events_per_second_{n}"), json!(rate.round())))
                .collect();
            say!("{}", serde_json::Value::Object(object));
        }
        Output::Text => {
            say!("publish and handle in memory, {PUBLISHERS} publishers, {events} events");
            for (subscribers, rate) in figures {
                say!("{subscribers:>3} subscribers {rate:>10.0} events/s");
            }
        }
    }
    Ok(())
}

async fn rate(events: usize, subscribers: usize) -> Result<f64, Failure> {
    let engine = Embedded::in_memory(Arc::new(SystemClock))?;
    let bus = Bus::builder(Arc::new(engine), Arc::new(SystemClock)).build()?;
    let left = Arc::new(AtomicUsize::new(events * subscribers));
    let all_handled = Arc::new(Notify::new());
    for number in 0..subscribers {
        let (left, all_handled) = (Arc::clone(&left), Arc::clone(&all_handled));
        bus.subscription(&format!("subscriber-{number}"))
            .pattern("bench.*")
            .start(Start::Earliest)
            .concurrency(64)
            .handler(move |_| {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    all_handled.notify_one();
                }
                std::future::ready(Ok(()))
            })
            .await?;
    }
    let event_type = EventType::new("bench.published")?;
    let payload = bytes::Bytes::from(format!("{{\"filler\":\"{}\"}}", "x".repeat(292)));
    let started = SystemClock.elapsed();
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let share = events / PUBLISHERS + usize::from(publisher < events % PUBLISHERS);
        let (bus, event_type, payload) = (bus.clone(), event_type.clone(), payload.clone());
        tasks.spawn(async move {
            for _ in 0..share {
                let event = Event::raw(
                    event_type.clone(),
                    "bench",
                    payload.clone(),
                    bus.clock().as_ref(),
                );
                bus.publish(event).await?;
            }
            Ok::<(), sagabus::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure {
            text: error.to_string(),
            code: 1,
        })??;
    }
    all_handled.notified().await;
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    bus.shutdown(Duration::from_secs(5)).await;
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    Ok(f64::from(events) / elapsed.as_secs_f64())
}
