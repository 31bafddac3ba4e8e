//! What a handler emits and the ack of its delivery: both are there or neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::bus::Subscription;
use sagabus::engines::embedded::disk::{MemoryDisk, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::{Counts, Order};
use sagabus::testing::TestBus;
use sagabus::transport::{LeaseToken, Property, Settle, SubscriptionSpec, Transport, Verdict};
use sagabus::{Bus, Emit, ErrorKind, Event, Pattern, Retry, Start};

use crate::support::{
    Checked, FaultDisk, Mood, Unsteady, all, bus_on, checked, clock, event, idle,
};

/// Events of a type in the log.
async fn stored(bus: &Bus, event_type: &str) -> Vec<Arc<Event>> {
    let (mut found, mut from) = (Vec::new(), 1);
    loop {
        let page = bus.read(from, 1000).await.unwrap();
        from = page.next;
        let events = page.events.into_iter().map(|(_, event)| event);
        found.extend(events.filter(|it| it.event_type.as_str() == event_type));
        if page.is_last {
            return found;
        }
    }
}

fn counts(bus: &Bus) -> Counts {
    let counts = bus.stats().subscriptions.first().unwrap().counts;
    assert!(counts.is_conserved(), "{counts:?}");
    counts
}

/// A handler of `a.in` that answers with two events `a.out`.
async fn double(bus: &Bus, calls: &Arc<AtomicUsize>) -> sagabus::Result<Subscription> {
    let (calls, maker) = (Arc::clone(calls), bus.clone());
    bus.subscription("double")
        .pattern("a.in")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .retry(Retry::times(1000).delay(Duration::from_millis(5)))
        .handler_emitting(move |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            let emit = Emit::none()
                .event(event(&maker, "a.out", "1"))
                .event(event(&maker, "a.out", "2"));
            async { Ok(emit) }
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn emitted_events_and_the_ack_are_both_there_or_neither_wherever_the_process_is_killed() {
    let mut killed = 0;
    let mut seen = [0; 2];
    for writes in 0.. {
        let (serves, calls) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let (is_serving, called) = (Arc::clone(&serves), Arc::clone(&calls));
        let mut bus = TestBus::start(move |bus| {
            let (is_serving, called) = (Arc::clone(&is_serving), Arc::clone(&called));
            async move {
                if is_serving.load(Ordering::SeqCst) {
                    double(&bus, &called).await?;
                }
                Ok(())
            }
        })
        .await
        .unwrap();
        bus.power().turn_off_after(writes);
        let first = event(bus.bus(), "a.in", "0");
        let _unknown = bus.bus().publish(first.clone()).await;
        bus.advance(Duration::from_secs(5)).await;
        let was_killed = bus.power().is_off();
        serves.store(false, Ordering::SeqCst);
        bus.crash_and_restart().await.unwrap();
        let emitted = stored(bus.bus(), "a.out").await.len() as u64;
        let acked = counts(bus.bus()).acked;
        assert_eq!(emitted, 2 * acked, "killed at write {writes}");
        seen[usize::try_from(acked).unwrap()] += 1;
        serves.store(true, Ordering::SeqCst);
        bus.crash_and_restart().await.unwrap();
        bus.bus().publish(first).await.unwrap();
        bus.idle().await.unwrap();
        assert_eq!(stored(bus.bus(), "a.out").await.len(), 2);
        assert_eq!(counts(bus.bus()).acked, 1);
        if !was_killed {
            break;
        }
        killed += 1;
    }
    println!(
        "killed at {killed} writes: neither {}, both {}",
        seen[0], seen[1]
    );
    assert!(
        killed >= 4 && seen[0] >= 3 && seen[1] >= 1,
        "{killed} {seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_store_both_together_has_the_events_published_before_the_ack() {
    let clock = clock();
    let mut engine = Unsteady::new(&clock);
    engine.capabilities.lacks = &[Property::EmitWithAck];
    let bus = engine.bus(&clock);
    let calls = Arc::default();
    bus.publish(event(&bus, "a.in", "0")).await.unwrap();
    engine.set(Mood::LostAfter);
    double(&bus, &calls).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stored(&bus, "a.out").await.len(), 2, "they are published");
    assert_eq!(counts(&bus).acked, 0, "and the attempt has failed");
    engine.set(Mood::Well);
    idle(&bus).await;
    assert_eq!(stored(&bus, "a.out").await.len(), 2, "once");
    assert_eq!(counts(&bus).acked, 1);
    assert!(calls.load(Ordering::SeqCst) > 1);
}

/// Handlers that all run at once, of which some emit under one name.
async fn emit_under_one_name(order: Order, open: impl Fn() -> Checked) {
    let bus = open();
    let maker = bus.clone();
    bus.subscription("s")
        .pattern("a.in")
        .start(Start::Earliest)
        .order(order)
        .retry(Retry::never())
        .concurrency(64)
        .handler_emitting(move |delivery| {
            let data = String::from_utf8(delivery.event.data.to_vec()).unwrap();
            let number: u32 = data.parse().unwrap();
            let mut out = event(&maker, "a.out", &data);
            if number.is_multiple_of(10) {
                out = out.idempotency_key("one name");
            }
            async { Ok(Emit::none().event(out)) }
        })
        .await
        .unwrap();
    let events = (0..200).map(|number: u32| {
        let data = number.to_string();
        event(&bus, "a.in", &data).about(data)
    });
    bus.publish_batch(events.collect()).await.unwrap();
    idle(&bus).await;
    // What is acked leaves the queue a moment before it is on the disk.
    for _ in 0..1000 {
        if bus.stats().total_events == 200 + 181 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bus.stats().total_events, 200 + 181);
    let before = counts(&bus);
    assert_eq!((before.acked, before.dead, before.leased), (181, 19, 0));
    bus.shutdown(Duration::from_secs(1)).await;
    let before = counts(&bus);
    drop(bus);
    let bus = open();
    assert_eq!(counts(&bus), before);
    assert_eq!(stored(&bus, "a.out").await.len(), 181);
    let letters = bus.dead_letters(all()).await.unwrap();
    for letter in letters {
        let data = String::from_utf8(letter.event.data.to_vec()).unwrap();
        assert!(data.ends_with('0'), "{data}");
        let error = &letter.faults.first().unwrap().error;
        assert!(error.contains("`one name`"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_emits_something_else_under_a_known_name_is_a_dead_letter() {
    let disk = MemoryDisk::default();
    let clock = clock();
    emit_under_one_name(Order::Unordered, || {
        let settings = Settings::default();
        let engine = Embedded::on(Arc::new(disk.clone()), &settings, Arc::clone(&clock));
        let bus = Bus::builder(Arc::new(engine.unwrap()), Arc::clone(&clock));
        checked(bus.build().unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_emitted_at_the_same_time_as_something_that_is_refused_is_not_refused_with_it() {
    for order in [Order::Unordered, Order::PerKey] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        emit_under_one_name(order, || {
            let disk = RealDisk::new(&path).unwrap();
            bus_on(Arc::new(disk), 1024 * 1024).unwrap()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_a_member_that_was_replaced_publishes_nothing() {
    let clock = clock();
    let engine = Embedded::in_memory(Arc::clone(&clock)).unwrap();
    let input = Event::raw(
        sagabus::EventType::new("a.in").unwrap(),
        "test",
        "0".into(),
        clock.as_ref(),
    );
    engine.append(&[Arc::new(input.clone())]).await.unwrap();
    let spec = SubscriptionSpec::new("s", vec![Pattern::new("a.in").unwrap()], Start::Earliest);
    let old = engine.join(spec.clone()).await.unwrap();
    let leased = old.lease(1).await.unwrap();
    let new = engine.join(spec).await.unwrap();
    let again = new.lease(1).await.unwrap();
    let emit = |token: LeaseToken| {
        let mut out = input.clone();
        out.id = sagabus::EventId::new("out").unwrap();
        out.event_type = sagabus::EventType::new("a.out").unwrap();
        Settle {
            events: vec![Arc::new(out)],
            ..Settle::new(token, Verdict::Ack)
        }
    };
    let late = old.settle(vec![emit(leased[0].token)]).await.unwrap();
    assert_eq!(late, [false]);
    assert_eq!(engine.published().total, 1);
    let mut release = emit(again[0].token);
    release.verdict = Verdict::Release;
    let error = new.settle(vec![release]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let settled = new.settle(vec![emit(again[0].token)]).await.unwrap();
    assert_eq!((settled, engine.published().total), (vec![true], 2));
}

#[tokio::test]
async fn what_is_emitted_while_the_disk_has_no_room_is_tried_again_and_emitted_once() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = FaultDisk::new(dir.path());
    let bus = bus_on(Arc::new(faulty.clone()), 64 * 1024).unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let tried = Arc::new(AtomicUsize::new(0));
    let (full, tries, maker) = (Arc::clone(&is_full), Arc::clone(&tried), bus.clone());
    let payload = format!("\"{}\"", "x".repeat(4000));
    let large = payload.clone();
    bus.subscription("s")
        .pattern("a.in")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .retry(
            Retry::times(100_000)
                .delay(Duration::from_millis(5))
                .cap(Duration::from_millis(20)),
        )
        .handler_emitting(move |_| {
            let full = full.load(Ordering::SeqCst);
            tries.fetch_add(usize::from(full), Ordering::SeqCst);
            let emit = Emit::none().event(event(&maker, "a.out", &large));
            async move {
                if full {
                    return Ok(emit);
                }
                Err(sagabus::HandlerError::transient("not yet"))
            }
        })
        .await
        .unwrap();
    for _ in 0..2 {
        bus.publish(event(&bus, "a.in", "0").about("key"))
            .await
            .unwrap();
    }
    faulty.faults.is_full.store(true, Ordering::SeqCst);
    while bus.publish(event(&bus, "a.fill", &payload)).await.is_ok() {}
    is_full.store(true, Ordering::SeqCst);
    while tried.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(stored(&bus, "a.out").await.len(), 0);
    // An ack counts from when it is asked for until it is refused.
    while counts(&bus).acked > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    faulty.faults.is_full.store(false, Ordering::SeqCst);
    while stored(&bus, "a.out").await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(counts(&bus).acked, 2);
    bus.shutdown(Duration::from_secs(5)).await;
    let before = counts(&bus);
    drop(bus);
    let bus = bus_on(Arc::new(RealDisk::new(dir.path()).unwrap()), 64 * 1024).unwrap();
    assert_eq!(counts(&bus), before);
    assert_eq!(stored(&bus, "a.out").await.len(), 2);
}
