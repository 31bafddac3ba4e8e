//! Events that are published later: never early, once, over restarts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::Order;
use sagabus::{Bus, Clock, ErrorKind, Start, Timestamp};

use crate::support::{Checked, checked, clock, event, memory_bus};

type Got = Arc<Mutex<Vec<(Timestamp, String)>>>;

fn open(disk: &MemoryDisk, clock: &Arc<dyn Clock>) -> Checked {
    let settings = Settings::default();
    let engine = Embedded::on(Arc::new(disk.clone()), &settings, Arc::clone(clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), Arc::clone(clock)).build();
    checked(bus.unwrap())
}

async fn listen(bus: &Bus, got: &Got) {
    let (got, clock) = (Arc::clone(got), Arc::clone(bus.clock()));
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .handler(move |delivery| {
            let data = String::from_utf8(delivery.event.data.to_vec()).unwrap();
            got.lock().unwrap().push((clock.now(), data));
            async { Ok(()) }
        })
        .await
        .unwrap();
}

fn all(got: &Got) -> Vec<String> {
    got.lock()
        .unwrap()
        .iter()
        .map(|(_, data)| data.clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_comes_at_its_time_not_before_and_once() {
    let (bus, got) = (memory_bus(), Got::default());
    listen(&bus, &got).await;
    let due = bus.clock().now().after(Duration::from_hours(1));
    let later = event(&bus, "a.b", "1");
    let first = bus.publish_at(later.clone(), due, None).await.unwrap();
    let again = bus.publish_at(later.clone(), due, None).await.unwrap();
    assert_eq!((again.position, again.duplicate), (first.position, true));
    assert!(
        bus.publish(later).await.unwrap().duplicate,
        "known by its id before it is due"
    );
    let over = bus.clock().now();
    bus.publish_at(event(&bus, "a.b", "2"), over, None)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3599)).await;
    assert_eq!(
        all(&got),
        ["2"],
        "what is past is now, the rest is not early"
    );
    assert_eq!(bus.schedules().count(), 1);
    tokio::time::sleep(Duration::from_hours(3)).await;
    assert_eq!(all(&got), ["2", "1"]);
    let late = got.lock().unwrap()[1].0.since(due);
    assert!(late <= Duration::from_millis(100), "{late:?}");
    assert_eq!(bus.schedules().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_can_be_cancelled_and_given_another_time_until_it_is_due() {
    let (bus, got) = (memory_bus(), Got::default());
    listen(&bus, &got).await;
    let hour = |hours| bus.clock().now().after(Duration::from_hours(hours));
    for (data, key) in [("1", "one"), ("2", "two"), ("3", "three")] {
        bus.publish_at(event(&bus, "a.b", data), hour(1), Some(key))
            .await
            .unwrap();
    }
    assert!(bus.schedules().cancel("one").await.unwrap());
    assert!(!bus.schedules().cancel("one").await.unwrap());
    assert!(bus.schedules().move_to("two", hour(5)).await.unwrap());
    assert!(!bus.schedules().move_to("none", hour(5)).await.unwrap());
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(all(&got), ["3"]);
    assert!(
        !bus.schedules().cancel("three").await.unwrap(),
        "it is published"
    );
    tokio::time::sleep(Duration::from_hours(4)).await;
    assert_eq!(all(&got), ["3", "2"]);
    let error = bus
        .publish_at(event(&bus, "a.b", "4"), hour(1), Some(""))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn scheduled_events_and_what_was_done_to_them_survive_a_restart_longer_than_the_delay() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let got = Got::default();
    let bus = open(&disk, &clock);
    let due = clock.now().after(Duration::from_hours(1));
    for (data, key) in [("1", "one"), ("2", "two"), ("3", "three")] {
        bus.publish_at(event(&bus, "a.b", data), due, Some(key))
            .await
            .unwrap();
    }
    assert!(bus.schedules().cancel("one").await.unwrap());
    assert!(
        bus.schedules()
            .move_to("two", due.after(Duration::from_hours(9)))
            .await
            .unwrap()
    );
    bus.shutdown(Duration::ZERO).await;
    tokio::time::sleep(Duration::from_hours(2)).await;
    let bus = open(&disk, &clock);
    listen(&bus, &got).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(all(&got), ["3"]);
    bus.shutdown(Duration::ZERO).await;
    let bus = open(&disk, &clock);
    listen(&bus, &got).await;
    tokio::time::sleep(Duration::from_hours(12)).await;
    assert_eq!(all(&got), ["3", "2"], "each once");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_events_of_one_moment_all_come_and_block_no_key_before() {
    let (bus, got) = (memory_bus(), Got::default());
    listen(&bus, &got).await;
    let due = bus.clock().now().after(Duration::from_secs(60));
    for number in 0..10_000_u32 {
        let event = event(&bus, "a.b", &number.to_string()).about(format!("k{}", number % 7));
        bus.publish_at(event, due, None).await.unwrap();
    }
    bus.publish(event(&bus, "a.b", "\"now\"").about("k1"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(
        all(&got),
        ["\"now\""],
        "what is scheduled holds up nothing of its key"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut numbers: Vec<u32> = all(&got)[1..]
        .iter()
        .map(|it| it.parse().unwrap())
        .collect();
    assert!(got.lock().unwrap()[1..].iter().all(|(at, _)| *at >= due));
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10_000));
}
