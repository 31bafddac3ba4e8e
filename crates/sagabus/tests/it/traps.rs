//! Faults of other systems that nothing else here would show: each is a test of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::bus::Rate;
use sagabus::ledger::Order;
use sagabus::{Bus, Delivery, HandlerError, Retry, Start};
use tokio::time::Instant;

use crate::support::{Notes, all, event, idle, memory_bus};

async fn publish(bus: &Bus, count: usize) {
    for number in 0..count {
        let event = event(bus, "a.b", &number.to_string());
        bus.publish(event).await.unwrap();
    }
}

/// A payload as text.
fn data(delivery: &Delivery) -> String {
    String::from_utf8(delivery.event.data.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_after_a_shutdown_not_even_what_was_to_come_later() {
    let bus = memory_bus();
    let notes = Notes::default();
    let to = notes.clone();
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::times(9).delay(Duration::from_secs(1)))
        .handler(move |delivery| {
            to.add(data(&delivery));
            async { Err(HandlerError::transient("again")) }
        });
    handler.await.unwrap();
    let now = bus.clock().now();
    let later = now.after(Duration::from_mins(1));
    bus.publish_at(event(&bus, "a.b", "1"), later, None)
        .await
        .unwrap();
    publish(&bus, 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    bus.shutdown(Duration::from_secs(5)).await;
    let before = notes.all();
    assert_eq!(before, ["0"]);
    // A retry and a scheduled event would be due by then.
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(notes.all(), before);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_rate_and_makes_no_dead_letter() {
    let bus = memory_bus();
    publish(&bus, 10).await;
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::never())
        .rate(Rate {
            events: 1,
            per: Duration::from_hours(1),
            burst: 1,
        })
        .handler(|_| async { Ok(()) });
    handler.await.unwrap();
    let hanging = bus
        .subscription("hangs")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::never())
        .handler(|_| std::future::pending());
    hanging.await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    bus.shutdown(Duration::from_secs(3)).await;
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    // What the shutdown cut has failed nowhere.
    for counts in bus.stats().subscriptions.iter().map(|it| it.counts) {
        assert_eq!(counts.dead, 0, "{counts:?}");
        assert!(counts.is_conserved(), "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_without_a_key_do_not_wait_for_each_other() {
    let bus = memory_bus();
    publish(&bus, 64).await;
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .concurrency(64)
        .handler(|_| async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(())
        });
    let begin = Instant::now();
    handler.await.unwrap();
    idle(&bus).await;
    assert_eq!(bus.stats().subscriptions[0].counts.acked, 64);
    // One after the other would take ten minutes.
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_trickle_of_events_waits_no_longer_than_the_linger() {
    let bus = memory_bus();
    let linger = Duration::from_millis(200);
    let published: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let waited: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (of, to) = (Arc::clone(&published), Arc::clone(&waited));
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .handler_of_many(100, linger, move |deliveries| {
            for delivery in &deliveries {
                let number: usize = data(delivery).parse().unwrap();
                let waited = of.lock().unwrap()[number].elapsed();
                to.lock().unwrap().push(waited);
            }
            let count = deliveries.len();
            async move { (0..count).map(|_| Ok(())).collect() }
        });
    handler.await.unwrap();
    // Each comes before the linger of the one before is over, so that a timer that is set anew would never run out.
    for number in 0..40 {
        published.lock().unwrap().push(Instant::now());
        let event = event(&bus, "a.b", &number.to_string());
        bus.publish(event).await.unwrap();
        tokio::time::sleep(Duration::from_millis(125)).await;
    }
    idle(&bus).await;
    let waited = waited.lock().unwrap();
    assert_eq!(waited.len(), 40);
    let longest = waited.iter().max().unwrap();
    assert!(
        *longest <= linger + Duration::from_millis(50),
        "{longest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_handed_out_again_in_the_order_of_the_log() {
    let bus = memory_bus();
    let is_down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let notes = Notes::default();
    let (down, to) = (Arc::clone(&is_down), notes.clone());
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .concurrency(1)
        .retry(Retry::never())
        .handler(move |delivery| {
            let is_down = down.load(std::sync::atomic::Ordering::SeqCst);
            if !is_down {
                to.add(data(&delivery));
            }
            async move {
                if is_down {
                    Err(HandlerError::permanent("down"))
                } else {
                    Ok(())
                }
            }
        });
    handler.await.unwrap();
    publish(&bus, 200).await;
    idle(&bus).await;
    let letters = bus.dead_letters(all()).await.unwrap();
    let mut positions: Vec<u64> = letters.iter().map(|it| it.position).collect();
    assert_eq!(positions.len(), 200);
    is_down.store(false, std::sync::atomic::Ordering::SeqCst);
    // Named in another order, they come in their own.
    positions.reverse();
    assert_eq!(bus.ledgers().redrive("s", &positions).await.unwrap(), 200);
    idle(&bus).await;
    let expected: Vec<String> = (0..200).map(|it| it.to_string()).collect();
    assert_eq!(notes.all(), expected);
}
