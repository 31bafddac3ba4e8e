//! Publishes and consumes until it is killed, and writes what was acknowledged and handled to its standard output.
//!
//! `fault-probe DIRECTORY LIFE PUBLISHERS SUBSCRIPTIONS EVENTS [drop]`; lines are `A <id> <position>` for an acknowledged event,
//! `H <subscription> <position> <attempt>` for a delivery that begins, `D <subscription> <position>` for one that is done, `F` for a refusal for want of room.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{
    Bus, Clock, Error, ErrorKind, Event, EventId, EventType, HandlerError, Retry, Start,
    SystemClock,
};
use tokio::task::JoinSet;

/// Small files, so that a run begins many.
const SEGMENT_BYTES: u64 = 64 * 1024;
/// Where what is old is dropped: more than are on their way at a time.
const DEDUPLICATION_EVENTS: usize = 64;
/// Wait before an event that found no room is published again.
const FULL_WAIT: Duration = Duration::from_millis(5);
/// More than any run needs: what a kill interrupts is tried again.
const RETRIES: u32 = 10_000;

struct Order {
    directory: PathBuf,
    life: String,
    publishers: usize,
    subscriptions: usize,
    /// Per publisher.
    events: usize,
    /// What is old and needed by nobody is dropped.
    drops: bool,
}

fn main() -> ExitCode {
    let Some(order) = order() else {
        say("usage: fault-probe DIRECTORY LIFE PUBLISHERS SUBSCRIPTIONS EVENTS [drop]");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let outcome = runtime
        .map_err(|error| Error::new(ErrorKind::Transient, "no runtime").with_source(error))
        .and_then(|runtime| runtime.block_on(run(&order)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("E {}", error.chain()));
            ExitCode::from(75)
        }
    }
}

fn order() -> Option<Order> {
    let mut words = std::env::args().skip(1);
    Some(Order {
        directory: words.next()?.into(),
        life: words.next()?,
        publishers: words.next()?.parse().ok()?,
        subscriptions: words.next()?.parse().ok()?,
        events: words.next()?.parse().ok()?,
        drops: match words.next().as_deref() {
            None => false,
            Some("drop") => true,
            Some(_) => return None,
        },
    })
}

/// One line, at once.
fn say(line: &str) {
    // Whoever listens may be gone.
    let _written = writeln!(std::io::stdout().lock(), "{line}");
}

async fn run(order: &Order) -> Result<(), Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        ..Settings::default()
    };
    if order.drops {
        settings.retention_bytes = 0;
        settings.deduplication_events = DEDUPLICATION_EVENTS;
    }
    let engine = Embedded::open(&order.directory, &settings, Arc::clone(&clock))?;
    let bus = Bus::builder(Arc::new(engine), clock).build()?;
    for number in 0..order.subscriptions {
        subscribe(&bus, &format!("s{number}")).await?;
    }
    let mut publishers = JoinSet::new();
    for number in 0..order.publishers {
        let prefix = format!("{}-{number}", order.life);
        publishers.spawn(publish(bus.clone(), prefix, order.events));
    }
    while let Some(ended) = publishers.join_next().await {
        ended.map_err(|error| Error::closed("a publisher broke down").with_source(error))??;
    }
    bus.shutdown(Duration::from_secs(5)).await;
    bus.condition()
}

/// Each seventh event fails at its first attempt.
async fn subscribe(bus: &Bus, name: &str) -> Result<(), Error> {
    bus.subscription(name)
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::times(RETRIES).delay(Duration::from_millis(1)))
        .concurrency(4)
        .handler(|delivery| async move {
            let (name, position) = (&delivery.subscription, delivery.position);
            say(&format!("H {name} {position} {}", delivery.attempt));
            if delivery.attempt == 1 && position % 7 == 0 {
                return Err(HandlerError::transient("the first attempt fails"));
            }
            say(&format!("D {name} {position}"));
            Ok(())
        })
        .await?;
    Ok(())
}

/// One after the other, each tenth with two more as one batch.
async fn publish(bus: Bus, prefix: String, events: usize) -> Result<(), Error> {
    let mut number = 0;
    while number < events {
        let count = if number % 10 == 9 { 3 } else { 1 };
        let mut batch = Vec::with_capacity(count);
        for number in number..number + count {
            batch.push(event(&bus, &format!("{prefix}-{number}"), number)?);
        }
        match bus.publish_batch(batch).await {
            Ok(receipts) => {
                for receipt in receipts {
                    say(&format!("A {} {}", receipt.id, receipt.position));
                }
                number += count;
            }
            Err(error) if error.kind() == ErrorKind::Full => {
                say("F");
                tokio::time::sleep(FULL_WAIT).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn event(bus: &Bus, id: &str, number: usize) -> Result<Event, Error> {
    let data = format!("\"{}\"", format!("{id} ").repeat(1 + number % 40));
    let event_type = EventType::new("a.b")?;
    let mut event = Event::raw(event_type, "probe", data.into(), bus.clock().as_ref());
    event.id = EventId::new(id)?;
    Ok(event)
}
