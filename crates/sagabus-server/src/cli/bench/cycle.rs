//! A whole durable cycle beside the bare group-commit loop: published, handled, acked.

use std::path::Path;
use std::time::Duration;

use sagabus::engines::embedded::Settings;
use sagabus::{Bus, Clock, Start, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;

use super::load::{self, Load};
use super::publish::bare_rate;
use super::{Folder, failed, median, rounded};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Publishers at a time.
const PUBLISHERS: usize = 8;
/// Bytes of a stored event.
const EVENT_BYTES: usize = 400;
/// Name of the subscription.
const NAME: &str = "cycle";
/// Pause between two looks at what is acked.
const LOOK: Duration = Duration::from_millis(1);

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    seconds: f64,
    rounds: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let span = Duration::try_from_secs_f64(seconds).map_err(failed)?;
    let mut rates = Vec::new();
    let mut durability = "";
    for _ in 0..rounds {
        // Turn by turn, so that both meet the same neighbours.
        let bare = runtime.block_on(bare_rate(&folder.fresh("bare")?, PUBLISHERS, span))?;
        let bus = load::durable(&folder.fresh("bus")?, &Settings::default())?;
        durability = bus.capabilities().durability.as_str();
        let cycle = runtime.block_on(cycle_rate(&bus, span))?;
        runtime.block_on(bus.shutdown(Duration::from_secs(5)));
        rates.push((bare, cycle));
    }
    let bare = median(rates.iter().map(|it| it.0).collect());
    let cycle = median(rates.iter().map(|it| it.1).collect());
    let ratio = median(rates.iter().map(|it| it.1 / it.0).collect());
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "durability": durability,
                "publishers": PUBLISHERS,
                "event_bytes": EVENT_BYTES,
                "bare_per_second": bare.round(),
                "cycles_per_second": cycle.round(),
                "ratio": rounded(ratio),
            })
        ),
        Output::Text => {
            say!(
                "publish, handle and ack, {PUBLISHERS} publishers, {EVENT_BYTES}-byte events, {durability}"
            );
            say!("bare loop {bare:.0} records/s, cycles {cycle:.0} /s, ratio {ratio:.2}");
        }
    }
    Ok(())
}

/// Events per second from the first publish until the last one is acked.
async fn cycle_rate(bus: &Bus, span: Duration) -> Result<f64, Failure> {
    let load = Load::new(EVENT_BYTES)?;
    bus.subscription(NAME)
        .pattern("bench.*")
        .start(Start::Earliest)
        .concurrency(64)
        .handler(|_| std::future::ready(Ok(())))
        .await?;
    let started = SystemClock.elapsed();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (bus, load) = (bus.clone(), load.clone());
        tasks.spawn(async move {
            let mut count = 0_u32;
            while SystemClock.elapsed().saturating_sub(started) < span {
                bus.publish(load.event(&bus)).await?;
                count += 1;
            }
            Ok::<u32, sagabus::Error>(count)
        });
    }
    let mut published = 0;
    while let Some(ended) = tasks.join_next().await {
        published += ended.map_err(failed)??;
    }
    while acked(bus) < u64::from(published) {
        tokio::time::sleep(LOOK).await;
    }
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    Ok(f64::from(published) / elapsed.as_secs_f64())
}

fn acked(bus: &Bus) -> u64 {
    let views = bus.ledgers().list();
    let view = views.into_iter().find(|it| it.subscription == NAME);
    view.map_or(0, |it| it.counts.acked)
}
