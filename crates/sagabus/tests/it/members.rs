//! Members of a subscription, whatever starts, stops, is cut short, is silent or is removed meanwhile.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::clock::TestClock;
use sagabus::engines::embedded::disk::{Disk, MemoryDisk, RealDisk};
use sagabus::engines::embedded::{Embedded, SEGMENT_BYTES, Settings};
use sagabus::ledger::By;
use sagabus::transport::{Settle, SubscriptionSpec, Transport, Verdict};
use sagabus::{Bus, ErrorKind, Event, EventType, Pattern, Start, SystemClock, Timestamp};
use tempfile::tempdir;

use crate::support::{FaultDisk, Notes, bus_on, event, idle, memory_bus};

fn engine_on(disk: &MemoryDisk) -> Embedded {
    let clock = Arc::new(TestClock::new(Timestamp::from_milliseconds(1), 7));
    Embedded::on(Arc::new(disk.clone()), &Settings::default(), clock).unwrap()
}

fn spec() -> SubscriptionSpec {
    SubscriptionSpec::new("s", vec![Pattern::new("**").unwrap()], Start::Earliest)
}

async fn append(engine: &Embedded, count: usize) {
    let clock = SystemClock;
    for _ in 0..count {
        let event_type = EventType::new("a.b").unwrap();
        let event = Event::raw(event_type, "test", "1".into(), &clock);
        engine.append(&[Arc::new(event)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_member_that_left_gets_nothing_settles_nothing_and_does_not_free_the_name() {
    let engine = engine_on(&MemoryDisk::default());
    append(&engine, 2).await;
    let old = engine.join(spec()).await.unwrap();
    let held = old.lease(1).await.unwrap();
    old.leave();
    let new = engine.join(spec()).await.unwrap();
    let again = new.lease(2).await.unwrap();
    assert_eq!(again.len(), 2);
    append(&engine, 1).await;
    let refused = tokio::time::timeout(Duration::from_secs(1), old.lease(1)).await;
    assert_eq!(refused.unwrap().unwrap_err().kind(), ErrorKind::Fenced);
    let ack = |token| Settle::new(token, Verdict::Ack);
    assert_eq!(old.settle(vec![ack(held[0].token)]).await.unwrap(), [false]);
    drop(old);
    let third = SubscriptionSpec {
        member: "other".to_owned(),
        patterns: vec![Pattern::new("x.*").unwrap()],
        ..spec()
    };
    let third = engine.join(third).await.unwrap_err();
    assert_eq!(third.kind(), ErrorKind::Conflict);
    let settled = new.settle(again.iter().map(|it| ack(it.token)).collect());
    assert_eq!(settled.await.unwrap(), [true, true]);
}

#[tokio::test]
async fn a_late_settle_does_not_reach_the_next_subscription_of_the_same_name() {
    let disk = MemoryDisk::default();
    let engine = engine_on(&disk);
    append(&engine, 1).await;
    let old = engine.join(spec()).await.unwrap();
    let held = old.lease(1).await.unwrap();
    old.leave();
    assert!(engine.ledgers().remove("s", By::default()).await.unwrap());
    let new = engine.join(spec()).await.unwrap();
    assert_eq!(new.lease(1).await.unwrap().len(), 1);
    let late = Settle::new(held[0].token, Verdict::Ack);
    assert_eq!(old.settle(vec![late]).await.unwrap(), [false]);
    drop((old, new, engine));
    let engine = engine_on(&disk);
    let member = engine.join(spec()).await.unwrap();
    let leased = tokio::time::timeout(Duration::from_secs(1), member.lease(1)).await;
    assert_eq!(leased.unwrap().unwrap()[0].token.attempt, 2);
}

#[tokio::test]
async fn events_that_a_full_disk_kept_from_being_handed_out_are_not_passed_over_later() {
    let dir = tempdir().unwrap();
    let disk = FaultDisk::new(dir.path());
    let open = || {
        let settings = Settings {
            segment_bytes: 4096,
            ..Settings::default()
        };
        Embedded::on(Arc::new(disk.clone()), &settings, Arc::new(SystemClock)).unwrap()
    };
    let engine = open();
    append(&engine, 3).await;
    let member = engine.join(spec()).await.unwrap();
    disk.faults.is_full.store(true, Ordering::SeqCst);
    // The first event goes back and forth until there is no room to write even that down.
    let refused = loop {
        match member.lease(1).await {
            Ok(leased) => {
                let release = Settle::new(leased[0].token, Verdict::Release);
                let _full = member.settle(vec![release]).await;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Full);
    let refused = member.lease(2).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    let view = engine.ledgers().list().remove(0);
    assert!(view.counts.is_conserved());
    assert_eq!(view.ahead + view.counts.pending(), 3);
    disk.faults.is_full.store(false, Ordering::SeqCst);
    // What handed back the leases that failed may be refused still, and takes this one along.
    let leased = match member.lease(1).await {
        Err(error) if error.kind() == ErrorKind::Full => member.lease(1).await,
        leased => leased,
    };
    assert_eq!(leased.unwrap().len(), 1);
    drop((member, engine));
    let engine = open();
    let member = engine.join(spec()).await.unwrap();
    let leased = member.lease(3).await.unwrap();
    assert_eq!(leased.len(), 3, "{leased:?}");
}

#[tokio::test]
async fn a_start_that_was_cut_short_can_be_repeated() {
    let dir = tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir.path()).unwrap());
    let bus = bus_on(disk, SEGMENT_BYTES).unwrap();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    let notes = Notes::default();
    let start = |name: String| {
        let notes = notes.clone();
        let subscription = bus.subscription(&name);
        subscription
            .pattern("**")
            .start(Start::Earliest)
            .handler(move |_| {
                notes.add(name.clone());
                async { Ok(()) }
            })
    };
    // How often the disk is faster than the caller is not for a test to say.
    let (mut cut, mut started) = (0, 0);
    while cut < 3 && started < 90 {
        let name = format!("s{started}");
        started += 1;
        if tokio::time::timeout(Duration::ZERO, start(name.clone()))
            .await
            .is_err()
        {
            cut += 1;
            start(name).await.unwrap();
        }
    }
    assert!(cut > 0, "no start was cut short");
    idle(&bus).await;
    assert_eq!(notes.all().len(), started);
    assert!(bus.stats().subscriptions.iter().all(|it| it.ahead == 0));
    bus.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn publishing_does_not_wait_for_a_filter() {
    let bus = memory_bus();
    let (published, is_published) = mpsc::channel::<()>();
    let is_published = Mutex::new(is_published);
    let asked = bus.clone();
    let notes = Notes::default();
    let noted = notes.clone();
    bus.subscription("slow")
        .pattern("a.first")
        .start(Start::Earliest)
        .filter_fn("slow", move |_| {
            noted.add("asked");
            let waited = is_published
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(5));
            noted.add(format!("{} {}", waited.is_ok(), asked.stats().total_events));
            true
        })
        .handler(|_| async { Ok(()) })
        .await
        .unwrap();
    bus.publish(event(&bus, "a.first", "1")).await.unwrap();
    while notes.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bus.publish(event(&bus, "a.second", "1")).await.unwrap();
    published.send(()).unwrap();
    idle(&bus).await;
    assert_eq!(notes.all(), ["asked", "true 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_shuts_down_takes_no_new_subscription() {
    let bus = memory_bus();
    let hanging = bus.subscription("hangs").pattern("**");
    hanging
        .start(Start::Earliest)
        .timeout(Duration::from_hours(1))
        .handler(|_| pending())
        .await
        .unwrap();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        start_noting(&bus, "late").await
    };
    let (report, late) = tokio::join!(bus.shutdown(Duration::from_secs(5)), late);
    assert_eq!(report.cut, 1);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
}

async fn start_noting(bus: &Bus, name: &str) -> sagabus::Result<sagabus::bus::Subscription> {
    bus.subscription(name)
        .pattern("**")
        .start(Start::Earliest)
        .handler(|_| async { Ok(()) })
        .await
}

#[tokio::test]
async fn a_directory_stays_locked_while_a_member_of_the_engine_lives() {
    let dir = tempdir().unwrap();
    let open = || Embedded::open(dir.path(), &Settings::default(), Arc::new(SystemClock));
    let engine = open().unwrap();
    let member = engine.join(spec()).await.unwrap();
    drop(engine);
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Conflict);
    drop(member);
    open().unwrap();
}

#[tokio::test]
async fn an_engine_that_was_closed_lets_its_directory_go_whoever_still_holds_it() {
    let dir = tempdir().unwrap();
    let open = || Embedded::open(dir.path(), &Settings::default(), Arc::new(SystemClock));
    let engine = open().unwrap();
    let member = engine.join(spec()).await.unwrap();
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Conflict);
    engine.close().await;
    let next = open().unwrap();
    assert_eq!(member.lease(1).await.unwrap_err().kind(), ErrorKind::Closed);
    next.join(spec()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_come_and_go_while_publishing_miss_nothing_and_get_nothing_twice() {
    const EVENTS: u64 = 20_000;
    let dir = tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir.path()).unwrap());
    let bus = bus_on(disk, 256 * 1024).unwrap();
    let publish = async {
        let mut last = 0;
        while last < EVENTS {
            let events = (0..50).map(|it| event(&bus, "a.b", &it.to_string()));
            let receipts = bus.publish_batch(events.collect()).await.unwrap();
            last += receipts.len() as u64;
        }
    };
    // Each begins somewhere in the stream, is stopped now and then, and goes on under the same name.
    let subscribe = |number: usize| {
        let (bus, notes) = (bus.clone(), Notes::default());
        async move {
            let name = format!("s{number}");
            for round in 0..6_u64 {
                let noted = notes.clone();
                let running = bus
                    .subscription(&name)
                    .pattern("a.*")
                    .start(Start::Latest)
                    .handler(move |delivery| {
                        noted.add(delivery.position.to_string());
                        async { Ok(()) }
                    })
                    .await
                    .unwrap();
                if round < 5 {
                    tokio::time::sleep(Duration::from_millis(5 + 3 * number as u64)).await;
                    assert_eq!(running.stop(Duration::from_secs(5)).await, 0);
                }
            }
            notes
        }
    };
    let (a, b, c, d, ()) = tokio::join!(
        subscribe(0),
        subscribe(1),
        subscribe(2),
        subscribe(3),
        publish
    );
    idle(&bus).await;
    let mut stored = Vec::new();
    let mut from = 1;
    loop {
        let page = bus.read(from, 1000).await.unwrap();
        stored.extend(page.events.iter().map(|it| it.0));
        from = page.next;
        if page.is_last {
            break;
        }
    }
    assert_eq!(stored.len() as u64, EVENTS);
    for notes in [a, b, c, d] {
        let mut got: Vec<u64> = notes.all().iter().map(|it| it.parse().unwrap()).collect();
        got.sort_unstable();
        let first = stored.iter().position(|it| *it == got[0]).unwrap();
        assert_eq!(got, stored[first..], "from {first}");
    }
    for subscription in bus.stats().subscriptions {
        assert_eq!(subscription.ahead, 0, "{subscription:?}");
        assert!(subscription.counts.is_conserved(), "{subscription:?}");
    }
    bus.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_waits_is_told_when_the_engine_is_closed() {
    let engine = engine_on(&MemoryDisk::default());
    assert!(engine.condition().is_ok());
    let (one, two) = (
        engine.join(spec()).await.unwrap(),
        SubscriptionSpec {
            member: "other".to_owned(),
            ..spec()
        },
    );
    let two = engine.join(two).await.unwrap();
    let waiting = async { tokio::join!(one.lease(1), two.lease(1)) };
    let closing = async {
        tokio::task::yield_now().await;
        engine.close().await;
    };
    // An hour of the paused clock passes at once where nobody is woken.
    let both = async { tokio::join!(waiting, closing).0 };
    let outcome = tokio::time::timeout(Duration::from_hours(1), both).await;
    let (first, second) = outcome.expect("both are woken");
    for outcome in [first, second, one.lease(1).await] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[tokio::test]
async fn an_engine_that_was_closed_says_so() {
    let engine = engine_on(&MemoryDisk::default());
    append(&engine, 1).await;
    assert!(engine.condition().is_ok());
    engine.close().await;
    assert_eq!(engine.condition().unwrap_err().kind(), ErrorKind::Closed);
    engine.close().await;
    let event = Event::raw(
        EventType::new("a").unwrap(),
        "test",
        "1".into(),
        &SystemClock,
    );
    let refused = engine.append(&[Arc::new(event)]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}
