//! Durable publish beside the bare group-commit loop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Clock, Event, EventType, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;

use super::bare::Bare;
use super::{Folder, failed, median, rounded};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Publishers at a time.
const PUBLISHERS: [usize; 3] = [1, 64, 256];
/// Bytes of a stored event: a payload of 305 bytes and an envelope of 95.
const EVENT_BYTES: usize = 400;
/// Size of the files that both write.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Figures for one number of publishers.
struct Row {
    publishers: usize,
    bare: f64,
    bus: f64,
    ratio: f64,
}

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    seconds: f64,
    rounds: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let span = Duration::try_from_secs_f64(seconds).map_err(failed)?;
    let mut durability = "";
    let mut rows = Vec::new();
    for publishers in PUBLISHERS {
        let mut rates = Vec::new();
        for _ in 0..rounds {
            // Turn by turn, so that both meet the same neighbours.
            let bare = runtime.block_on(bare_rate(&folder.fresh("bare")?, publishers, span))?;
            let bus = open(&folder.fresh("bus")?)?;
            durability = bus.capabilities().durability.as_str();
            let rate = runtime.block_on(bus_rate(&bus, publishers, span))?;
            runtime.block_on(bus.shutdown(Duration::from_secs(5)));
            rates.push((bare, rate));
        }
        rows.push(Row {
            publishers,
            bare: median(rates.iter().map(|it| it.0).collect()),
            bus: median(rates.iter().map(|it| it.1).collect()),
            ratio: median(rates.iter().map(|it| it.1 / it.0).collect()),
        });
    }
    print(&rows, durability, output);
    Ok(())
}

fn open(dir: &Path) -> Result<Bus, Failure> {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        ..Settings::default()
    };
    let engine = Embedded::open(dir, &settings, Arc::new(SystemClock))?;
    Ok(Bus::builder(Arc::new(engine), Arc::new(SystemClock)).build()?)
}

fn print(rows: &[Row], durability: &str, output: Output) {
    match output {
        Output::Json => {
            let mut object = serde_json::Map::new();
            object.insert("durability".to_owned(), durability.into());
            object.insert("event_bytes".to_owned(), EVENT_BYTES.into());
            for row in rows {
                let n = row.publishers;
                object.insert(format!("bare_{n}"), json!(row.bare.round()));
                object.insert(format!("bus_{n}"), json!(row.bus.round()));
                object.insert(format!("ratio_{n}"), json!(rounded(row.ratio)));
            }
            say!("{}", serde_json::Value::Object(object));
        }
        Output::Text => {
            say!("durable publish, {EVENT_BYTES}-byte events, {durability}");
            say!("publishers   bare loop /s   Bus::publish /s   ratio (median of rounds)");
            for row in rows {
                say!(
                    "{:>10} {:>14.0} {:>17.0} {:>7.2}",
                    row.publishers,
                    row.bare,
                    row.bus,
                    row.ratio
                );
            }
        }
    }
}

/// Records per second of the bare loop.
pub(super) async fn bare_rate(
    dir: &Path,
    publishers: usize,
    span: Duration,
) -> Result<f64, Failure> {
    let bare = Bare::start(dir, SEGMENT_BYTES).map_err(failed)?;
    let rate = rate(publishers, span, |_| {
        let sender = bare.sender();
        move || {
            let sender = sender.clone();
            async move {
                let (reply, done) = tokio::sync::oneshot::channel();
                let sent = sender.is_some_and(|it| it.send((vec![7; EVENT_BYTES], reply)).is_ok());
                sent && done.await.is_ok()
            }
        }
    })
    .await;
    bare.stop().map_err(failed)?;
    Ok(rate)
}

async fn bus_rate(bus: &Bus, publishers: usize, span: Duration) -> Result<f64, Failure> {
    let event_type = EventType::new("bench.published")?;
    let payload = format!("{{\"filler\":\"{}\"}}", "x".repeat(292));
    let payload = bytes::Bytes::from(payload);
    Ok(rate(publishers, span, |_| {
        let (bus, event_type, payload) = (bus.clone(), event_type.clone(), payload.clone());
        move || {
            let event = Event::raw(
                event_type.clone(),
                "bench",
                payload.clone(),
                bus.clock().as_ref(),
            );
            let bus = bus.clone();
            async move { bus.publish(event).await.is_ok() }
        }
    })
    .await)
}

/// Calls per second of `publishers` loops that each call again when the last call is done.
async fn rate<P, F>(publishers: usize, span: Duration, publisher: impl Fn(usize) -> P) -> f64
where
    P: FnMut() -> F + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let started = SystemClock.elapsed();
    for number in 0..publishers {
        let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
        let mut call = publisher(number);
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                if !call().await {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let done = count.load(Ordering::Relaxed);
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    while tasks.join_next().await.is_some() {}
    let done = u32::try_from(done).unwrap_or(u32::MAX);
    f64::from(done) / elapsed.as_secs_f64()
}
