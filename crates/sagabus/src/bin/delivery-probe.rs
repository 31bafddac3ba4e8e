//! Publishes events in memory and has them handled, or not: what a delivery costs is the difference.
//!
//! `delivery-probe publish|deliver EVENTS`, on one thread. The test of the costs counts the instructions of both and the
//! memory that they take.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sagabus::bus::Subscription;
use sagabus::engines::embedded::Embedded;
use sagabus::{Bus, Error, Event, EventType, Start, SystemClock};
use tokio::sync::Notify;

/// Events handled at a time.
const CONCURRENCY: usize = 256;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let order = match words.as_slice() {
        [what, events] => events.parse().ok().map(|events| (what.as_str(), events)),
        _ => None,
    };
    let Some((what @ ("publish" | "deliver"), events)) = order else {
        say("usage: delivery-probe publish|deliver EVENTS");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(|error| Error::closed("no runtime").with_source(error))
        .and_then(|runtime| runtime.block_on(run(what == "deliver", events)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.chain());
            ExitCode::FAILURE
        }
    }
}

async fn run(delivers: bool, events: usize) -> Result<(), Error> {
    let engine = Embedded::in_memory(Arc::new(SystemClock))?;
    let bus = Bus::builder(Arc::new(engine), Arc::new(SystemClock)).build()?;
    let left = Arc::new(AtomicUsize::new(events));
    let all_handled = Arc::new(Notify::new());
    // The subscription is there in both cases, so that events are counted for it.
    let stopped = subscribe(&bus, &left, &all_handled).await?;
    stopped.stop(Duration::from_secs(1)).await;
    let event_type = EventType::new("probe.published")?;
    let payload = Bytes::from(format!("{{\"filler\":\"{}\"}}", "x".repeat(292)));
    for _ in 0..events {
        let clock = bus.clock().as_ref();
        let event = Event::raw(event_type.clone(), "probe", payload.clone(), clock);
        bus.publish(event).await?;
    }
    if delivers {
        subscribe(&bus, &left, &all_handled).await?;
        all_handled.notified().await;
    }
    bus.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

async fn subscribe(
    bus: &Bus,
    left: &Arc<AtomicUsize>,
    all_handled: &Arc<Notify>,
) -> Result<Subscription, Error> {
    let (left, all_handled) = (Arc::clone(left), Arc::clone(all_handled));
    let subscription = bus
        .subscription("probe")
        .pattern("probe.*")
        .start(Start::Earliest)
        .concurrency(CONCURRENCY);
    let handler = move |_| {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            all_handled.notify_one();
        }
        std::future::ready(Ok(()))
    };
    subscription.handler(handler).await
}

fn say(line: &str) {
    // Nobody is left to be told if this fails.
    let _written = writeln!(std::io::stderr(), "{line}");
}
