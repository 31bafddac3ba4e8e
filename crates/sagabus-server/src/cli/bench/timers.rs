//! Events that are published later: what setting many takes, what they hold in memory, and how late they come.

use crate::cli::print::say;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sagabus::bus::Bus;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::transport::Lateness;
use sagabus::{Clock, Event, EventType, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Folder, failed};
use crate::cli::{Failure, Output};
use crate::machine::resident_bytes;

/// Callers that schedule at a time.
const CALLERS: usize = 512;
/// Timers that are set first, to know how long setting the rest will take.
const FIRST: usize = 10_000;
/// Factor by which setting may be slower than at first.
const SLOWER: u32 = 2;
/// How often it is asked whether all are published.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long after the last one was due it is waited for.
const PATIENCE: Duration = Duration::from_mins(10);

/// What was measured.
struct Figures {
    timers: usize,
    set_seconds: f64,
    bytes_each: u64,
    /// From the first that was due to the last that was published.
    fired_seconds: f64,
    lateness: Lateness,
    open_seconds: f64,
}

/// Sets `timers` that are due evenly over `over_seconds`, in no order, and waits for all.
pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    timers: usize,
    over_seconds: u32,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let path = folder.fresh("timers")?;
    let figures = runtime.block_on(measure(&path, timers.max(1), over_seconds.max(1)))?;
    let late = &figures.lateness;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "timers": figures.timers,
                "set_seconds": figures.set_seconds,
                "bytes_each": figures.bytes_each,
                "fired_seconds": figures.fired_seconds,
                "open_seconds": figures.open_seconds,
                "late_p50_ms_max": milliseconds(late.percentile(50)),
                "late_p99_ms_max": milliseconds(late.percentile(99)),
                "late_max_ms": milliseconds(late.max),
            })
        ),
        Output::Text => {
            say!(
                "{} timers, due over {over_seconds} s, in no order",
                figures.timers
            );
            say!(
                "set      {:>10.1} s, durable, {CALLERS} callers",
                figures.set_seconds
            );
            say!("memory   {:>10} bytes each, resident", figures.bytes_each);
            say!(
                "opened   {:>10.1} s, with all of them",
                figures.open_seconds
            );
            say!("published{:>10.1} s", figures.fired_seconds);
            say!(
                "late     {:>10.1} ms at most in 50 of 100, {:.1} ms in 99 of 100, {:.1} ms the latest",
                milliseconds(late.percentile(50)),
                milliseconds(late.percentile(99)),
                milliseconds(late.max)
            );
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Bus, Failure> {
    let clock = Arc::new(SystemClock);
    let engine = Embedded::open(path, &Settings::default(), clock.clone())?;
    Ok(Bus::builder(Arc::new(engine), clock).build()?)
}

async fn measure(path: &Path, timers: usize, over_seconds: u32) -> Result<Figures, Failure> {
    let bus = open(path)?;
    let before = resident_bytes();
    let began = SystemClock.elapsed();
    let first = FIRST.min(timers);
    // Those that are set first come after all others: how long setting takes is not known yet.
    let window = Duration::from_secs(u64::from(over_seconds));
    let far = SystemClock.now().after(Duration::from_hours(24));
    let first_keys = set(&bus, 0, first, move |_| far).await?;
    let rate = (SystemClock.elapsed().saturating_sub(began)) / u32::try_from(first).unwrap_or(1);
    let rest = u32::try_from(timers - first).unwrap_or(u32::MAX);
    let lead = rate * rest * SLOWER + Duration::from_secs(15);
    let base = SystemClock.now().after(lead);
    let due = move |number: usize| {
        // Multiplied by an odd number and cut: every number once, in no order.
        let place = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        base.after(window * u32::try_from(place).unwrap_or(0) / (1 << 24))
    };
    set(&bus, first, timers, due).await?;
    let set_seconds = SystemClock.elapsed().saturating_sub(began).as_secs_f64();
    let bytes = resident_bytes().saturating_sub(before);
    move_all(&bus, &first_keys, due).await?;
    if SystemClock.now() > base {
        return Err(Failure::new(
            "setting took longer than it was given; the disk is busy",
        ));
    }
    bus.shutdown(Duration::from_secs(60)).await;
    drop(bus);
    let began = SystemClock.elapsed();
    let bus = open(path)?;
    let open_seconds = SystemClock.elapsed().saturating_sub(began).as_secs_f64();
    if SystemClock.now() > base {
        return Err(Failure::new(
            "opening took longer than it was given; the disk is busy",
        ));
    }
    // Timers are watched from the first call on.
    let marker = event(&bus, 0)?;
    bus.publish_at(marker, base, None).await?;
    let end = SystemClock.elapsed() + lead + window + PATIENCE;
    while bus.schedules().count() > 0 {
        if SystemClock.elapsed() > end {
            return Err(Failure::new("not all were published in time"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let fired_seconds = SystemClock.now().since(base).as_secs_f64();
    let lateness = bus.stats().lateness;
    bus.shutdown(Duration::from_secs(60)).await;
    Ok(Figures {
        timers,
        set_seconds,
        bytes_each: bytes / timers as u64,
        fired_seconds,
        lateness,
        open_seconds,
    })
}

fn event(bus: &Bus, number: usize) -> Result<Event, Failure> {
    let payload = format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(64));
    let event_type = EventType::new("bench.reminded")?;
    Ok(Event::raw(
        event_type,
        "bench",
        payload.into(),
        bus.clock().as_ref(),
    ))
}

/// Schedules the numbers from `from` to before `until`; their keys, which are the numbers.
async fn set(
    bus: &Bus,
    from: usize,
    until: usize,
    due: impl Fn(usize) -> sagabus::Timestamp + Clone + Send + 'static,
) -> Result<Vec<String>, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (bus, due) = (bus.clone(), due.clone());
        tasks.spawn(async move {
            let mut keys = Vec::new();
            for number in (from + caller..until).step_by(CALLERS) {
                let key = number.to_string();
                bus.publish_at(event(&bus, number)?, due(number), Some(&key))
                    .await?;
                if from == 0 {
                    keys.push(key);
                }
            }
            Ok::<_, Failure>(keys)
        });
    }
    let mut keys = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        keys.extend(ended.map_err(failed)??);
    }
    Ok(keys)
}

/// Gives what has these keys, which are numbers, its time.
async fn move_all(
    bus: &Bus,
    keys: &[String],
    due: impl Fn(usize) -> sagabus::Timestamp + Clone + Send + 'static,
) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for some in keys.chunks(keys.len().div_ceil(CALLERS).max(1)) {
        let (bus, some, due) = (bus.clone(), some.to_vec(), due.clone());
        tasks.spawn(async move {
            for key in some {
                let number: usize = key.parse().map_err(failed)?;
                bus.schedules().move_to(&key, due(number)).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(failed)??;
    }
    Ok(())
}
