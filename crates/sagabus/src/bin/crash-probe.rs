//! A process for tests that one of its events ends.
//!
//! `crash-probe DIRECTORY` publishes ten events, of which one ends whoever handles it, and handles them. Lines are
//! `H <number> <attempt>` for a handler that begins. It succeeds when nothing is left to handle.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Clock, Error, Event, EventId, EventType, Result, Retry, Start, SystemClock};

const EVENTS: u32 = 10;
/// The one that ends the process.
const DEADLY: &str = "4";
/// More than the attempts after which an event is given up for ending the process.
const RETRIES: u32 = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let directory: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or_else(|| Error::invalid("say `crash-probe DIRECTORY`"))?
        .into();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Embedded::open(&directory, &Settings::default(), Arc::clone(&clock))?;
    let bus = Bus::builder(Arc::new(engine), Arc::clone(&clock)).build()?;
    for number in 0..EVENTS {
        let data = number.to_string();
        let event_type = EventType::new("a.b")?;
        let mut event = Event::raw(event_type, "probe", data.into(), clock.as_ref());
        event.id = EventId::new(format!("event-{number}"))?;
        bus.publish(event).await?;
    }
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::times(RETRIES).delay(Duration::from_millis(1)))
        .concurrency(3)
        .handler(|delivery| async move {
            let number = String::from_utf8_lossy(&delivery.event.data);
            // Whoever listens may be gone.
            let _written = writeln!(std::io::stdout().lock(), "H {number} {}", delivery.attempt);
            if number == DEADLY {
                std::process::abort();
            }
            // The others are at work when it happens.
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        })
        .await?;
    while bus.stats().queue > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bus.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
