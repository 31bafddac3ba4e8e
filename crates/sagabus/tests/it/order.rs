//! Order, priority and fairness as a subscriber sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::{By, Exhausted, Order, Priority, Sharing};
use sagabus::retry::Jitter;
use sagabus::transport::{Attribute, Repair};
use sagabus::{Bus, Clock, HandlerError, Retry, Start};

use crate::support::{Checked, Notes, checked, clock, event, idle, memory_bus};

fn bus_over(disk: &MemoryDisk, clock: &Arc<dyn Clock>) -> Checked {
    let disk = Arc::new(disk.clone());
    let engine = Embedded::on(disk, &Settings::default(), Arc::clone(clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), Arc::clone(clock)).build();
    checked(bus.unwrap())
}

/// Publishes events `data` of the keys in turn.
async fn publish(bus: &Bus, keys: &[&str]) {
    for (number, key) in keys.iter().enumerate() {
        let event = event(bus, "a.b", &number.to_string()).about(*key);
        bus.publish(event).await.unwrap();
    }
}

fn quick(times: u32) -> Retry {
    Retry::times(times)
        .delay(Duration::from_millis(100))
        .jitter(Jitter::None)
}

/// What was handled for each key, in the order in which that ended.
type Handled = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

#[tokio::test(start_paused = true)]
async fn events_of_one_key_are_handled_in_order_through_failures_members_and_restarts() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let handled: Handled = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut bus = bus_over(&disk, &clock);
    let mut published: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for round in 0..5 {
        for number in 0..800_u64 {
            let key = format!("k{}", number % 16);
            let event = event(&bus, "a.b", &number.to_string()).about(key.clone());
            let receipt = bus.publish(event).await.unwrap();
            published.entry(key).or_default().push(receipt.position);
        }
        for member in 0..10 {
            let (handled, calls) = (Arc::clone(&handled), Arc::clone(&calls));
            bus.subscription("s")
                .pattern("**")
                .start(Start::Earliest)
                .order(Order::PerKey)
                .retry(quick(1000))
                .member(&format!("{round}-{member}"))
                .concurrency(3)
                .handler(move |delivery| {
                    let (handled, call) =
                        (Arc::clone(&handled), calls.fetch_add(1, Ordering::SeqCst));
                    async move {
                        tokio::time::sleep(Duration::from_millis(call as u64 * 7 % 5)).await;
                        if call % 10 == 3 {
                            return Err(HandlerError::transient("one in ten"));
                        }
                        let key = delivery.event.subject.clone().unwrap();
                        handled
                            .lock()
                            .unwrap()
                            .entry(key)
                            .or_default()
                            .push(delivery.position);
                        Ok(())
                    }
                })
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        if round < 4 {
            bus.shutdown(Duration::from_millis(2)).await;
            bus = bus_over(&disk, &clock);
        }
    }
    idle(&bus).await;
    let handled = handled.lock().unwrap();
    for (key, positions) in &published {
        let mut seen = BTreeSet::new();
        let firsts: Vec<u64> = handled[key]
            .iter()
            .copied()
            .filter(|it| seen.insert(*it))
            .collect();
        assert_eq!(&firsts, positions, "{key}");
    }
    assert_eq!(bus.stats().subscriptions[0].counts.acked, 4000);
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_waits_alone_and_parks_its_followers_in_the_end() {
    let bus = memory_bus();
    let notes = Notes::default();
    let is_down = Arc::new(AtomicBool::new(true));
    let (noted, down) = (notes.clone(), Arc::clone(&is_down));
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .retry(quick(2))
        .handler(move |delivery| {
            let key = delivery.event.subject.clone().unwrap();
            let data = String::from_utf8(delivery.event.data.to_vec()).unwrap();
            let fails = key == "bad" && data == "0" && down.load(Ordering::SeqCst);
            noted.add(format!("{key}{data}"));
            async move {
                if fails {
                    return Err(HandlerError::transient("down"));
                }
                Ok(())
            }
        })
        .await
        .unwrap();
    publish(&bus, &["bad", "good", "bad", "good", "bad"]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(notes.all(), ["bad0", "good1", "good3", "bad0", "bad0"]);
    let stats = bus.stats().subscriptions.remove(0);
    assert_eq!((stats.counts.dead, stats.counts.parked), (1, 2));
    let letter = bus
        .dead_letters(crate::support::all())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(letter.parked, 2);

    // Another payload, and everything flows in order.
    let by = By::new("ann", "typo in the form");
    let revise = Repair::Revise {
        data: "7".into(),
        by: by.clone(),
    };
    let at = [letter.position];
    assert_eq!(bus.ledgers().repair("s", &at, revise).await.unwrap(), 1);
    let letter = bus
        .dead_letters(crate::support::all())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(letter.event.data, "0", "what was published stays");
    assert_eq!(
        (letter.revisions[0].number, &letter.revisions[0].by),
        (1, &by)
    );
    assert_eq!(bus.ledgers().redrive("s", &at).await.unwrap(), 1);
    idle(&bus).await;
    assert_eq!(notes.all()[5..], ["bad7", "bad2", "bad4"]);
    assert_eq!(bus.stats().dead_letters, 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_with_too_many_parked_events_looks_at_no_more_and_says_so() {
    let bus = memory_bus();
    let notes = Notes::default();
    let noted = notes.clone();
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .parked_max(3)
        .retry(Retry::never())
        .handler(move |delivery| {
            let key = delivery.event.subject.clone().unwrap();
            noted.add(key.clone());
            async move {
                if key == "bad" {
                    return Err(HandlerError::permanent("never"));
                }
                Ok(())
            }
        })
        .await
        .unwrap();
    let keys: Vec<&str> = std::iter::repeat_n("bad", 600).chain(["good"]).collect();
    publish(&bus, &keys).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(notes.all(), ["bad"], "no more is looked at");
    let health = bus.health();
    assert!(
        health
            .issues
            .iter()
            .any(|it| it.contains("`s` looks at no further events")),
        "{health:?}"
    );
    let stats = bus.stats().subscriptions.remove(0);
    assert_eq!(
        stats.ahead + stats.counts.pending() + stats.counts.dead,
        601,
        "nothing is dropped"
    );
    while let Some(letter) = bus
        .dead_letters(crate::support::all())
        .await
        .unwrap()
        .first()
    {
        let by = By::new("ann", "test data");
        let skip = Repair::Skip(by);
        bus.ledgers()
            .repair("s", &[letter.position], skip)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    idle(&bus).await;
    assert!(notes.all().contains(&"good".to_owned()));
    assert!(
        bus.health()
            .issues
            .iter()
            .all(|it| !it.contains("looks at no further"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_pauses_at_a_dead_letter_goes_on_when_it_is_told_to() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let notes = Notes::default();
    let start = |bus: &Bus| {
        let noted = notes.clone();
        bus.subscription("s")
            .pattern("**")
            .start(Start::Earliest)
            .order(Order::Strict)
            .exhausted(Exhausted::Pause)
            .retry(Retry::never())
            .handler(move |delivery| {
                noted.add(delivery.position.to_string());
                let is_bad = delivery.event.data == "1";
                async move {
                    if is_bad {
                        return Err(HandlerError::permanent("never"));
                    }
                    Ok(())
                }
            })
    };
    let bus = bus_over(&disk, &clock);
    let subscription = start(&bus).await.unwrap();
    publish(&bus, &["a", "b", "c"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.all().len(), 2);
    let issues = bus.health().issues;
    assert!(
        issues.iter().any(|it| it.contains("`s` is paused since")),
        "{issues:?}"
    );
    drop(subscription);
    bus.shutdown(Duration::from_secs(1)).await;
    let bus = bus_over(&disk, &clock);
    start(&bus).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.all().len(), 2, "a pause survives a restart");
    let by = By::new("ann", "looked at it");
    bus.ledgers().set_pause("s", None, by).await.unwrap();
    idle(&bus).await;
    assert_eq!(notes.all().len(), 3);
}

/// The order in which a handler at a time gets 400 events that were published before it began.
async fn handed_out(
    sharing: Sharing,
    fair_by: Option<Attribute>,
    level: fn(u64) -> Priority,
) -> Vec<u64> {
    let bus = memory_bus();
    for number in 0..400_u64 {
        let tenant = if number < 390 { "many" } else { "few" };
        let mut event = event(&bus, "a.b", "1").priority(level(number));
        event
            .metadata
            .insert("tenant".to_owned(), tenant.to_owned());
        bus.publish(event).await.unwrap();
    }
    let got: Arc<Mutex<Vec<u64>>> = Arc::default();
    let to = Arc::clone(&got);
    let mut builder = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .concurrency(1)
        .sharing(sharing);
    if let Some(attribute) = fair_by {
        builder = builder.fair_by(attribute);
    }
    let handler = builder.handler(move |delivery| {
        to.lock().unwrap().push(delivery.position - 1);
        async { Ok(()) }
    });
    handler.await.unwrap();
    idle(&bus).await;
    let got = got.lock().unwrap();
    assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), 400);
    got.clone()
}

fn in_turn(number: u64) -> Priority {
    match number % 4 {
        0 => Priority::Urgent,
        1 => Priority::High,
        2 => Priority::Normal,
        _ => Priority::Low,
    }
}

#[tokio::test(start_paused = true)]
async fn urgent_events_go_first_and_the_others_get_their_share() {
    let passes_max = 1_000_000;
    let got = handed_out(Sharing::Weighted { passes_max }, None, in_turn).await;
    let shares = |level: u64| got[1..151].iter().filter(|it| **it % 4 == level).count();
    for (level, share) in [(0, 80), (1, 40), (2, 20), (3, 10)] {
        let counted = shares(level);
        assert!(
            counted * 10 >= share * 9 && counted * 10 <= share * 11,
            "{level}: {counted}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn strict_sharing_hands_out_all_urgent_events_before_any_other() {
    let got = handed_out(Sharing::Strict, None, in_turn).await;
    let levels: Vec<u64> = got.iter().map(|it| it % 4).collect();
    assert!(levels.is_sorted(), "{levels:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_few_events_does_not_wait_for_one_with_many() {
    let by = Attribute::Metadata("tenant".to_owned());
    let got = handed_out(Sharing::default(), Some(by), |_| Priority::Normal).await;
    let last = got.iter().rposition(|it| *it >= 390).unwrap();
    assert!(last <= 20, "the last of the few came as number {last}");
}

#[tokio::test(start_paused = true)]
async fn an_event_past_its_time_is_not_delivered_and_is_kept_where_that_was_asked_for() {
    let bus = memory_bus();
    let soon = bus.clock().now().after(Duration::from_secs(5));
    let first = event(&bus, "a.b", "1").expires_at(soon);
    let second = event(&bus, "a.b", "2").expires_at(soon.after(Duration::from_secs(60)));
    bus.publish_batch(vec![first, second]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let notes = Notes::default();
    for (name, keep) in [("plain", false), ("keeping", true)] {
        let noted = notes.clone();
        let mut builder = bus.subscription(name).pattern("**").start(Start::Earliest);
        if keep {
            builder = builder.keep_expired();
        }
        let handler = builder.handler(move |delivery| {
            noted.add(format!("{name}{}", delivery.position));
            async { Ok(()) }
        });
        handler.await.unwrap();
    }
    idle(&bus).await;
    let mut got = notes.all();
    got.sort();
    assert_eq!(got, ["keeping2", "plain2"]);
    let stats = bus.stats();
    let counts = |name| {
        stats
            .subscriptions
            .iter()
            .find(|it| it.name == name)
            .unwrap()
            .counts
    };
    assert_eq!((counts("plain").expired, counts("keeping").expired), (1, 0));
    let letter = bus
        .dead_letters(crate::support::all())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (letter.subscription.as_str(), letter.faults[0].kind.as_str()),
        ("keeping", "expired")
    );
}
