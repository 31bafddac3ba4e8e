//! Events that are published later: never early, once, over restarts.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::Order;
use sagabus::retry::Jitter;
use sagabus::{Bus, Clock, ErrorKind, HandlerError, Retry, Start, Timestamp};

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
async fn a_repeat_of_a_scheduled_event_is_told_what_is_kept_whether_it_waits_or_is_published() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let bus = open(&disk, &clock);
    let hour = |hours| clock.now().after(Duration::from_hours(hours));
    let (due, later) = (hour(1), hour(9));
    let keyed = |bus: &Bus| event(bus, "a.b", "1").idempotency_key("lims-4711");
    let first = bus.publish_at(keyed(&bus), due, Some("one")).await.unwrap();
    let waits = first.waits.clone().unwrap();
    assert_eq!((waits.due, waits.cancel_key.as_deref()), (due, Some("one")));
    let again = bus
        .publish_at(keyed(&bus), later, Some("other"))
        .await
        .unwrap();
    assert!(again.duplicate);
    assert_eq!((&again.id, &again.waits), (&first.id, &first.waits));
    assert!(
        !bus.schedules().cancel("other").await.unwrap(),
        "nothing has it"
    );
    assert!(bus.schedules().move_to("one", later).await.unwrap());
    let published = bus.publish(keyed(&bus)).await.unwrap();
    assert!(published.duplicate);
    assert_eq!(
        (&published.id, published.position),
        (&first.id, first.position)
    );
    assert_eq!(published.waits.unwrap().due, later, "it was moved");

    tokio::time::sleep(Duration::from_hours(10)).await;
    let position = bus.read(0, 100).await.unwrap().events[0].0;
    let mut bus = bus;
    for _life in 0..2 {
        for receipt in [
            bus.publish(keyed(&bus)).await.unwrap(),
            bus.publish_at(keyed(&bus), hour(99), None).await.unwrap(),
        ] {
            assert!(receipt.duplicate);
            assert_eq!((&receipt.id, receipt.position), (&first.id, position));
            assert_eq!(receipt.waits, None, "it is published");
        }
        bus.shutdown(Duration::ZERO).await;
        bus = open(&disk, &clock);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_may_be_published_after_all() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let got = Got::default();
    let due = clock.now().after(Duration::from_hours(1));
    let bus = open(&disk, &clock);
    let events: Vec<_> = ["1", "2", "3"].map(|data| event(&bus, "a.b", data)).into();
    for (event, key) in events.iter().zip(["one", "two", "three"]) {
        bus.publish_at(event.clone(), due, Some(key)).await.unwrap();
    }
    for key in ["one", "two"] {
        assert!(bus.schedules().cancel(key).await.unwrap());
    }
    assert!(!bus.publish(events[0].clone()).await.unwrap().duplicate);
    assert!(
        bus.publish(events[0].clone()).await.unwrap().duplicate,
        "once"
    );
    bus.shutdown(Duration::ZERO).await;
    let bus = open(&disk, &clock);
    listen(&bus, &got).await;
    assert!(
        bus.publish(events[0].clone()).await.unwrap().duplicate,
        "over a restart"
    );
    let again = bus
        .publish_at(events[1].clone(), due, Some("two"))
        .await
        .unwrap();
    assert!(!again.duplicate);
    assert!(
        bus.publish(events[2].clone()).await.unwrap().duplicate,
        "it waits"
    );
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(all(&got), ["1", "3", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_is_remembered_from_when_it_is_published() {
    let (bus, got) = (memory_bus(), Got::default());
    listen(&bus, &got).await;
    let due = bus.clock().now().after(Duration::from_hours(40));
    let later = event(&bus, "a.b", "1");
    bus.publish_at(later.clone(), due, None).await.unwrap();
    tokio::time::sleep(Duration::from_hours(60)).await;
    assert!(
        bus.publish(later.clone()).await.unwrap().duplicate,
        "20 h after"
    );
    tokio::time::sleep(Duration::from_hours(5)).await;
    assert!(!bus.publish(later).await.unwrap().duplicate, "25 h after");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(all(&got), ["1", "1"]);
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

// ---- clocks that are set ----

/// A clock whose wall clock can be set while the monotone one goes on.
#[derive(Debug)]
struct Set {
    clock: Arc<dyn Clock>,
    off_ms: AtomicI64,
}

impl Set {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: clock(),
            off_ms: AtomicI64::new(0),
        })
    }

    /// Sets it so many minutes off the truth.
    fn off(&self, minutes: i64) {
        self.off_ms.store(minutes * 60_000, Ordering::SeqCst);
    }

    /// What a right clock shows.
    fn truth(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        let off_ms = self.off_ms.load(Ordering::SeqCst);
        Timestamp::from_milliseconds(self.clock.now().milliseconds() + off_ms)
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

fn bus_on(clock: &Arc<Set>) -> Checked {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    open(&MemoryDisk::default(), &clock)
}

/// Minutes since the start at which each call of a handler began, to the nearest.
type Minutes = Arc<Mutex<Vec<u64>>>;

fn minute(clock: &Set, start: Timestamp) -> u64 {
    (clock.truth().since(start) + Duration::from_secs(30)).as_secs() / 60
}

async fn minutes(n: u64) {
    tokio::time::sleep(Duration::from_mins(n)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_an_hour_ahead_or_back_moves_no_retry() {
    // (minute, how far the clock is off from then on), while a retry after 30 minutes is waited for.
    for course in [
        vec![(10, 60)],
        vec![(10, -60)],
        vec![(10, 60), (12, 0)],
        vec![(10, -60), (12, 0)],
        vec![(10, 60), (15, -60), (20, 60)],
    ] {
        let clock = Set::new();
        let bus = bus_on(&clock);
        let (calls, start) = (Minutes::default(), clock.truth());
        let (noted, seen) = (Arc::clone(&calls), Arc::clone(&clock));
        bus.subscription("s")
            .pattern("**")
            .start(Start::Earliest)
            .retry(Retry {
                delay: Duration::from_mins(30),
                delay_max: Duration::from_mins(30),
                jitter: Jitter::None,
                ..Retry::times(2)
            })
            .handler(move |_| {
                noted.lock().unwrap().push(minute(&seen, start));
                async { Err(HandlerError::transient("not yet")) }
            })
            .await
            .unwrap();
        bus.publish(event(&bus, "a.b", "1")).await.unwrap();
        let mut now = 0;
        for (at, off) in &course {
            minutes(at - now).await;
            now = *at;
            clock.off(*off);
        }
        minutes(100).await;
        assert_eq!(*calls.lock().unwrap(), [0, 30, 60], "{course:?}");
        bus.shutdown(Duration::ZERO).await;
    }
}

/// Publishes an event for minute 30, and says when it came while the clock was set like this.
async fn came_at(course: &[(u64, i64)], until: u64) -> Vec<u64> {
    let clock = Set::new();
    let bus = bus_on(&clock);
    let (calls, start) = (Minutes::default(), clock.truth());
    let (noted, seen) = (Arc::clone(&calls), Arc::clone(&clock));
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .handler(move |_| {
            noted.lock().unwrap().push(minute(&seen, start));
            async { Ok(()) }
        })
        .await
        .unwrap();
    let due = start.after(Duration::from_mins(30));
    bus.publish_at(event(&bus, "a.b", "1"), due, None)
        .await
        .unwrap();
    let mut now = 0;
    for (at, off) in course {
        minutes(at - now).await;
        now = *at;
        clock.off(*off);
        let told = event(&bus, "a.c", "1").time;
        assert_eq!(
            told,
            clock.now(),
            "times of events are what the clock shows"
        );
    }
    minutes(until - now).await;
    bus.shutdown(Duration::ZERO).await;
    calls.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_does_not_come_early_by_a_jump_of_the_clock_that_is_taken_back() {
    assert_eq!(came_at(&[], 100).await, [30]);
    assert_eq!(came_at(&[(10, 60), (19, 0)], 100).await, [30]);
    assert_eq!(came_at(&[(10, -60), (19, 0)], 100).await, [30]);
    let forth_and_back = [(5, 60), (10, -60), (15, 60), (20, 0)];
    assert_eq!(came_at(&forth_and_back, 100).await, [30]);
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_follows_a_clock_that_stays_where_it_was_set() {
    // The clock was an hour slow and was put right: ten minutes later that is believed.
    assert_eq!(came_at(&[(10, 60)], 100).await, [20]);
    // It was an hour fast: the event comes when the clock shows its time, and not before.
    assert_eq!(came_at(&[(10, -60)], 100).await, [90]);
    // It was set back for so long that it was believed, and then right again: late by what is in doubt, and not early.
    assert_eq!(came_at(&[(10, -60), (29, 0)], 100).await, [39]);
}

#[tokio::test(start_paused = true)]
async fn no_event_expires_and_no_pause_ends_by_a_jump_of_the_clock_that_is_taken_back() {
    let clock = Set::new();
    let bus = bus_on(&clock);
    let got = Got::default();
    listen(&bus, &got).await;
    let later = clock.truth().after(Duration::from_mins(30));
    let by = sagabus::ledger::By::new("me", "a look at the handler");
    let until = sagabus::transport::PauseUntil::Time(later);
    bus.ledgers().set_pause("s", Some(until), by).await.unwrap();
    let end = clock.truth().after(Duration::from_mins(45));
    bus.publish(event(&bus, "a.b", "1").expires_at(end))
        .await
        .unwrap();
    minutes(10).await;
    clock.off(60);
    minutes(5).await;
    assert_eq!(all(&got), [""; 0], "the pause goes on");
    clock.off(0);
    minutes(14).await;
    assert_eq!(all(&got), [""; 0]);
    minutes(2).await;
    assert_eq!(all(&got), ["1"], "neither over nor late");
    assert_eq!(bus.stats().subscriptions[0].counts.expired, 0);
}

// ---- what is known of what is scheduled ----

#[tokio::test(start_paused = true)]
async fn how_late_scheduled_events_were_is_recorded_with_the_time_that_no_process_ran() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let bus = open(&disk, &clock);
    let now = clock.now();
    for minute in 0..5 {
        let due = now.after(Duration::from_mins(minute));
        bus.publish_at(event(&bus, "a.b", "1"), due, None)
            .await
            .unwrap();
    }
    let past = Timestamp::from_milliseconds(now.milliseconds() - 3_600_000);
    bus.publish_at(event(&bus, "a.b", "2"), past, None)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(200)).await;
    let stats = bus.stats();
    assert_eq!((stats.scheduled, stats.lateness.count), (1, 5));
    assert!(
        stats.lateness.max <= Duration::from_millis(2),
        "{:?}",
        stats.lateness
    );
    bus.shutdown(Duration::ZERO).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let bus = open(&disk, &clock);
    listen(&bus, &Got::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let late = bus.stats().lateness;
    assert_eq!(late.count, 1);
    assert!(late.max > Duration::from_mins(59), "{late:?}");
    assert_eq!(late.buckets.last(), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_is_listed_by_its_time_some_at_a_time() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let bus = open(&disk, &clock);
    let now = clock.now();
    let mut expected = Vec::new();
    for number in 0..250_u64 {
        // 7 and 250 have no common divisor: each minute once, in another order.
        let minute = number * 7 % 250 + 1;
        let key = format!("k{minute}");
        let due = now.after(Duration::from_mins(minute));
        bus.publish_at(event(&bus, "a.b", &minute.to_string()), due, Some(&key))
            .await
            .unwrap();
        bus.publish(event(&bus, "a.c", "0")).await.unwrap();
        expected.push(number + 1);
    }
    bus.schedules().cancel("k3").await.unwrap();
    expected.retain(|it| *it != 3);
    bus.shutdown(Duration::ZERO).await;
    let bus = open(&disk, &clock);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = bus.schedules().list(after, 100).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.due, last.position));
        for listed in page {
            let minute: u64 = String::from_utf8(listed.event.data.to_vec())
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(listed.due, now.after(Duration::from_mins(minute)));
            assert_eq!(listed.cancel_key, Some(format!("k{minute}")));
            found.push(minute);
        }
    }
    assert_eq!(found, expected);
}
