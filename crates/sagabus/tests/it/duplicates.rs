//! Publishing the same thing twice.

use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Clock, ErrorKind};

use crate::support::{Checked, checked, clock, event, memory_bus};

fn open(disk: &MemoryDisk, clock: &Arc<dyn Clock>, settings: &Settings) -> Checked {
    let engine = Embedded::on(Arc::new(disk.clone()), settings, Arc::clone(clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), Arc::clone(clock)).build();
    checked(bus.unwrap())
}

#[tokio::test(start_paused = true)]
async fn another_event_under_the_same_name_is_a_conflict_and_stores_nothing() {
    let bus = memory_bus();
    let first = event(&bus, "a.b", "1").idempotency_key("lims-4711");
    let again = event(&bus, "a.b", "1").idempotency_key("lims-4711");
    let other = event(&bus, "a.b", "2").idempotency_key("lims-4711");
    let stored = bus.publish(first).await.unwrap();
    let repeated = bus.publish(again).await.unwrap();
    assert_eq!(
        (repeated.position, repeated.duplicate),
        (stored.position, true)
    );
    assert_eq!(repeated.id, stored.id, "of the event that is stored");
    let bystander = event(&bus, "a.b", "3");
    let error = bus
        .publish_batch(vec![bystander.clone(), other])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("`lims-4711`"), "{error}");
    assert_eq!(bus.stats().total_events, 1);
    // What was refused with it is not remembered.
    assert!(!bus.publish(bystander.clone()).await.unwrap().duplicate);
    let mut two = [event(&bus, "a.b", "4"), event(&bus, "a.b", "5")];
    two[1].id = two[0].id.clone();
    let error = bus.publish_batch(two.to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(text.contains(two[0].id.as_str()), "{text}");
    assert!(
        text.contains("of the batch") && !text.contains("position"),
        "{text}"
    );
    let receipts = bus.publish_batch(vec![two[0].clone(); 2]).await.unwrap();
    assert_eq!(receipts[0].position, receipts[1].position);
    assert_eq!(
        (receipts[0].duplicate, receipts[1].duplicate),
        (false, true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_known_within_the_window_of_time_and_count_and_over_restarts() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let settings = Settings {
        deduplication_events: 3,
        deduplication_time: Duration::from_secs(60),
        ..Settings::default()
    };
    let bus = open(&disk, &clock, &settings);
    let first = event(&bus, "a.b", "1");
    let stored = bus.publish(first.clone()).await.unwrap();
    bus.shutdown(Duration::ZERO).await;
    let bus = open(&disk, &clock, &settings);
    tokio::time::sleep(Duration::from_secs(59)).await;
    let repeated = bus.publish(first.clone()).await.unwrap();
    assert_eq!(
        (repeated.position, repeated.duplicate),
        (stored.position, true)
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        !bus.publish(first.clone()).await.unwrap().duplicate,
        "its time is over"
    );
    assert!(bus.publish(first.clone()).await.unwrap().duplicate);
    for _ in 0..3 {
        bus.publish(event(&bus, "a.b", "2")).await.unwrap();
    }
    assert!(
        !bus.publish(first).await.unwrap().duplicate,
        "three others came after it"
    );
}
