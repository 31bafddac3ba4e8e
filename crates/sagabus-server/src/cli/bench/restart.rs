//! How long a start takes with a backlog behind a subscription that does not run.

use std::path::Path;
use std::time::Duration;

use sagabus::engines::embedded::Settings;
use sagabus::{Clock, Start, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;

use super::load::{self, Load};
use super::{Folder, failed, rounded};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Bytes of a stored event: an envelope and a payload of a few words.
const EVENT_BYTES: usize = 120;

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    events: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let path = folder.fresh("restart")?;
    let bus = load::durable(&path, &Settings::default())?;
    runtime.block_on(async {
        let subscription = bus
            .subscription("stopped")
            .pattern("bench.*")
            .start(Start::Earliest)
            .handler(|_| std::future::ready(Ok(())));
        subscription.await?.stop(Duration::from_secs(5)).await;
        Load::new(EVENT_BYTES)?.publish(&bus, events).await?;
        bus.shutdown(Duration::from_secs(5)).await;
        Ok::<(), Failure>(())
    })?;
    drop(bus);
    let started = SystemClock.elapsed();
    let bus = load::durable(&path, &Settings::default())?;
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    let views = bus.ledgers().list();
    let ahead = views.first().map_or(0, |it| it.ahead);
    if ahead != events as u64 {
        return Err(failed(format!("found {ahead} of {events} events")));
    }
    runtime.block_on(bus.shutdown(Duration::from_secs(5)));
    match output {
        Output::Json => say!(
            "{}",
            json!({
                "events": events,
                "event_bytes": EVENT_BYTES,
                "seconds": rounded(elapsed.as_secs_f64()),
            })
        ),
        Output::Text => say!(
            "start with a backlog of {events} events of {EVENT_BYTES} bytes: {:.2} s",
            elapsed.as_secs_f64()
        ),
    }
    Ok(())
}
