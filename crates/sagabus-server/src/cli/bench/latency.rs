//! How long a publish takes, and an event until its handler is called, at a rate that nothing slows down.
//!
//! The load is open: an event is due at its time whether those before it are done or not, and its latency counts from
//! that time. A system that cannot keep up shows it, instead of being asked less.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use sagabus::engines::embedded::Settings;
use sagabus::{Bus, Clock, Delivery, Start, SystemClock};
use serde_json::json;
use tokio::runtime::{Handle, Runtime};
use tokio_util::task::TaskTracker;

use super::load::{self, Load};
use super::{Folder, failed};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Bytes of a stored event.
const EVENT_BYTES: usize = 400;
/// Highest latency that is told from a higher one.
const LATENCY_MAX: Duration = Duration::from_mins(1);
/// The first part of the time is not counted: files and memory are made in it.
const WARM_UP: f64 = 0.2;
/// The name in an event's metadata under which its time is.
const DUE: &str = "due";

/// What is to be measured.
#[derive(Debug)]
pub(super) struct Order {
    /// Where the log is; in memory without it.
    pub(super) dir: Option<PathBuf>,
    /// Events a second.
    pub(super) rate: u32,
    pub(super) seconds: f64,
}

/// Latencies in nanoseconds, and how many calls failed.
struct Latencies {
    publish: Mutex<Histogram<u64>>,
    end_to_end: Mutex<Histogram<u64>>,
    /// Those that are due from then on count.
    counts_from: Duration,
}

impl Latencies {
    fn new(counts_from: Duration) -> Result<Self, Failure> {
        let histogram = || {
            let most = nanoseconds(LATENCY_MAX);
            Histogram::new_with_bounds(1, most, 3)
                .map(Mutex::new)
                .map_err(failed)
        };
        Ok(Self {
            publish: histogram()?,
            end_to_end: histogram()?,
            counts_from,
        })
    }

    fn note(&self, histogram: &Mutex<Histogram<u64>>, due: Duration) {
        if due >= self.counts_from {
            let latency = nanoseconds(SystemClock.elapsed().saturating_sub(due));
            let mut histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
            histogram.saturating_record(latency);
        }
    }
}

pub(super) fn run(runtime: &Runtime, order: &Order, output: Output) -> Result<(), Failure> {
    let folder = order.dir.as_deref().map(Folder::new).transpose()?;
    let path = folder.as_ref().map(|it| it.fresh("latency")).transpose()?;
    let bus = match path.as_deref() {
        Some(path) => open(path)?,
        None => load::memory()?,
    };
    let durability = bus.capabilities().durability.as_str();
    let span = Duration::try_from_secs_f64(order.seconds).map_err(failed)?;
    let started = SystemClock.elapsed();
    let latencies = Arc::new(Latencies::new(started + span.mul_f64(WARM_UP))?);
    runtime.block_on(subscribe(&bus, &latencies))?;
    let offered = offer(runtime.handle(), &bus, &latencies, order.rate, span)?;
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    runtime.block_on(bus.shutdown(Duration::from_secs(5)));
    print(
        order,
        &latencies,
        durability,
        f64::from(offered) / elapsed.as_secs_f64(),
        output,
    );
    Ok(())
}

fn open(path: &Path) -> Result<Bus, Failure> {
    load::durable(path, &Settings::default())
}

async fn subscribe(bus: &Bus, latencies: &Arc<Latencies>) -> Result<(), Failure> {
    let latencies = Arc::clone(latencies);
    bus.subscription("latency")
        .pattern("bench.*")
        .start(Start::Earliest)
        .concurrency(64)
        .handler(move |delivery: Delivery| {
            let due = delivery.event.metadata.get(DUE);
            if let Some(due) = due.and_then(|it| it.parse().ok()) {
                latencies.note(&latencies.end_to_end, Duration::from_nanos(due));
            }
            std::future::ready(Ok(()))
        })
        .await?;
    Ok(())
}

/// Publishes each event when it is due, from this thread, which waits for nothing else; then waits for all. How many.
fn offer(
    handle: &Handle,
    bus: &Bus,
    latencies: &Arc<Latencies>,
    rate: u32,
    span: Duration,
) -> Result<u32, Failure> {
    let load = Load::new(EVENT_BYTES)?;
    let tasks = TaskTracker::new();
    let started = SystemClock.elapsed();
    let step = Duration::from_secs(1) / rate.max(1);
    let mut count = 0_u32;
    loop {
        let due = started + step * count;
        if due >= started + span {
            break;
        }
        if let Some(rest) = due.checked_sub(SystemClock.elapsed()) {
            std::thread::sleep(rest);
        }
        let mut event = load.event(bus);
        event
            .metadata
            .insert(DUE.to_owned(), nanoseconds(due).to_string());
        let (bus, latencies) = (bus.clone(), Arc::clone(latencies));
        tasks.spawn_on(
            async move {
                if bus.publish(event).await.is_ok() {
                    latencies.note(&latencies.publish, due);
                }
            },
            handle,
        );
        count += 1;
    }
    tasks.close();
    handle.block_on(tasks.wait());
    Ok(count)
}

fn print(order: &Order, latencies: &Latencies, durability: &str, achieved: f64, output: Output) {
    let rows = [
        ("publish", &latencies.publish),
        ("end_to_end", &latencies.end_to_end),
    ];
    let quantiles = [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0)];
    let microseconds = |histogram: &Histogram<u64>, quantile| {
        Duration::from_nanos(histogram.value_at_quantile(quantile)).as_secs_f64() * 1e6
    };
    match output {
        Output::Json => {
            let mut object = serde_json::Map::new();
            object.insert("durability".to_owned(), durability.into());
            object.insert("event_bytes".to_owned(), EVENT_BYTES.into());
            object.insert("offered_per_second".to_owned(), order.rate.into());
            object.insert("achieved_per_second".to_owned(), json!(achieved.round()));
            for (name, histogram) in rows {
                let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
                object.insert(format!("{name}_count"), histogram.len().into());
                for (quantile, at) in quantiles {
                    let value = microseconds(&histogram, at).round();
                    object.insert(format!("{name}_{quantile}_us"), json!(value));
                }
            }
            say!("{}", serde_json::Value::Object(object));
        }
        Output::Text => {
            say!(
                "{EVENT_BYTES}-byte events, {durability}: offered {} /s, achieved {achieved:.0} /s; latency from the time when an event is due",
                order.rate
            );
            say!("µs              p50      p99    p99.9      max     count");
            for (name, histogram) in rows {
                let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
                let row =
                    quantiles.map(|(_, at)| format!(" {:>8.0}", microseconds(&histogram, at)));
                say!("{name:<10}{} {:>9}", row.concat(), histogram.len());
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
