//! What is known after a start of a log that is longer than what is looked at again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Clock, Event, HandlerError, Start};

use crate::support::{clock, event};

/// More than two of the blocks in which events are counted.
const EVENTS: usize = 20_000;
/// Handled before the stop: within a block.
const HANDLED: usize = 9_000;
/// Events that are remembered: fewer than a block has.
const REMEMBERED: usize = 1_000;

fn open(disk: &MemoryDisk, clock: &Arc<dyn Clock>) -> Bus {
    let settings = Settings {
        deduplication_events: REMEMBERED,
        segment_bytes: 1024 * 1024,
        ..Settings::default()
    };
    let engine = Embedded::on(Arc::new(disk.clone()), &settings, Arc::clone(clock)).unwrap();
    Bus::builder(Arc::new(engine), Arc::clone(clock))
        .build()
        .unwrap()
}

/// Every third event is of another type.
fn published(bus: &Bus) -> Vec<Event> {
    let event_type = |number: usize| {
        if number.is_multiple_of(3) {
            "b.c"
        } else {
            "a.b"
        }
    };
    let events = 0..EVENTS;
    events
        .map(|number| event(bus, event_type(number), &number.to_string()))
        .collect()
}

fn ahead(bus: &Bus) -> Vec<(String, u64)> {
    let views = bus.ledgers().list();
    let views = views.into_iter();
    views.map(|it| (it.subscription, it.ahead)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_is_counted_and_remembered_over_a_start_as_it_was() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let bus = open(&disk, &clock);
    for (name, pattern) in [("all", "**"), ("none", "c.*"), ("some", "b.*")] {
        let subscription = bus.subscription(name).pattern(pattern);
        let subscription = subscription.start(Start::Earliest);
        let subscription = subscription.handler(|_| std::future::ready(Ok(()))).await;
        subscription.unwrap().stop(Duration::from_secs(1)).await;
    }
    let events = published(&bus);
    for batch in events.chunks(500) {
        bus.publish_batch(batch.to_vec()).await.unwrap();
    }
    let handled = Arc::new(AtomicUsize::new(0));
    let subscription = bus.subscription("all").pattern("**").concurrency(1);
    let subscription = subscription.start(Start::Earliest).handler({
        let handled = Arc::clone(&handled);
        move |_| {
            let is_enough = handled.fetch_add(1, Ordering::Relaxed) >= HANDLED;
            async move {
                if is_enough {
                    std::future::pending::<()>().await;
                }
                Ok::<(), HandlerError>(())
            }
        }
    });
    let subscription = subscription.await.unwrap();
    while handled.load(Ordering::Relaxed) <= HANDLED {
        tokio::task::yield_now().await;
    }
    subscription.stop(Duration::ZERO).await;
    let before = ahead(&bus);
    bus.shutdown(Duration::from_secs(1)).await;

    let bus = open(&disk, &clock);
    assert_eq!(ahead(&bus), before);
    assert!(before.contains(&("some".to_owned(), EVENTS.div_ceil(3) as u64)));
    assert!(before.contains(&("none".to_owned(), 0)));
    for (number, again) in events.iter().enumerate().rev().step_by(501) {
        let receipt = bus.publish(again.clone()).await.unwrap();
        // A repeat that is stored takes the place of the oldest that is remembered.
        let is_remembered = number >= EVENTS - REMEMBERED;
        assert_eq!(receipt.duplicate, is_remembered, "{number}");
        if !is_remembered {
            break;
        }
    }
}
