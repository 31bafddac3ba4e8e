//! Dead letters as somebody who looks after them sees them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::bus::RetryPlan;
use sagabus::bus::dead_letter::{Crossing, from_json, to_json};
use sagabus::engines::embedded::disk::{MemoryDisk, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::{By, Order};
use sagabus::transport::{DeadLetterId, DeadLetterQuery, PauseUntil, RepairQuery};
use sagabus::{Bus, Clock, ErrorKind, Event, HandlerError, Pattern, Retry, Start, Timestamp};

use crate::support::{Checked, Notes, bus_on, checked, clock, event, idle, memory_bus};

/// A handler that fails while `is_down`, after a time, and notes what it gets otherwise.
async fn weak(bus: &Bus, name: &str, pace: Duration) -> (Arc<AtomicBool>, Notes) {
    let (is_down, notes) = (Arc::new(AtomicBool::new(true)), Notes::default());
    let (down, noted) = (Arc::clone(&is_down), notes.clone());
    bus.subscription(name)
        .pattern("**")
        .start(Start::Earliest)
        .concurrency(if pace.is_zero() { 16 } else { 1 })
        .retry(Retry::never())
        .handler(move |delivery| {
            let text = String::from_utf8(delivery.event.data.to_vec()).unwrap();
            let is_down = down.load(Ordering::SeqCst);
            if !is_down {
                noted.add(format!("{} {text}", delivery.redrives));
            }
            async move {
                if is_down && !pace.is_zero() {
                    tokio::time::sleep(pace).await;
                }
                match text.as_str() {
                    _ if !is_down => Ok(()),
                    "2" => Err(HandlerError::new(
                        sagabus::bus::Disposition::Reject,
                        "LimsError",
                        "the LIMS says no",
                    )),
                    "3" => panic!("divided by zero"),
                    _ => Err(HandlerError::permanent("down")),
                }
            }
        })
        .await
        .unwrap();
    (is_down, notes)
}

/// A bus with a subscription `weak` that gave up an event for each of these (type, subject, data), one a second.
async fn dead(events: &[(&str, &str, &str)]) -> (Checked, Arc<AtomicBool>, Notes) {
    let bus = memory_bus();
    for (event_type, subject, data) in events {
        let event = event(&bus, event_type, data).about(*subject);
        bus.publish(event).await.unwrap();
    }
    let (is_down, notes) = weak(&bus, "weak", Duration::from_secs(1)).await;
    idle(&bus).await;
    (bus, is_down, notes)
}

fn by() -> By {
    By::new("ann", "looked at it")
}

async fn positions(bus: &Bus, query: DeadLetterQuery) -> Vec<u64> {
    let found = bus.dead_letters(query).await.unwrap();
    found.iter().map(|it| it.position).collect()
}

const THREE: [(&str, &str, &str); 3] = [
    ("sample.created", "FC-1", "1"),
    ("sample.updated", "FC-2", "2"),
    ("run.started", "FC-1", "3"),
];

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_dead_letters_are_paged_through_once_each() {
    const ALL: usize = 100_000;
    let bus = memory_bus();
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::never())
        .handler(|delivery| async move {
            Err(HandlerError::permanent(format!(
                "number {}",
                delivery.position
            )))
        })
        .await
        .unwrap();
    for _ in 0..ALL / 1000 {
        let events: Vec<Event> = (0..1000).map(|_| event(&bus, "a.b", "1")).collect();
        bus.publish_batch(events).await.unwrap();
    }
    idle(&bus).await;
    assert_eq!(bus.stats().dead_letters, ALL as u64);
    let began = sagabus::SystemClock.elapsed();
    let mut query = DeadLetterQuery {
        max: 1000,
        ..DeadLetterQuery::default()
    };
    let (mut pages, mut seen) = (0, BTreeSet::new());
    loop {
        let page = bus.letters().page(&query).await.unwrap();
        assert_eq!(page.letters.len(), 1000);
        pages += 1;
        seen.extend(page.letters.iter().map(|it| it.position));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let paged = sagabus::SystemClock.elapsed();
    assert_eq!((pages, seen.len()), (100, ALL));
    // What only the ledger need be asked for is counted without an event being read.
    let said = DeadLetterQuery {
        error: Some("number 999".to_owned()),
        ..DeadLetterQuery::all()
    };
    assert_eq!(bus.letters().count(&said).await.unwrap(), 111);
    let counted = sagabus::SystemClock.elapsed();
    println!(
        "100,000 dead letters: 100 pages in {:?}, found by text in {:?}",
        paged.checked_sub(began).unwrap(),
        counted.checked_sub(paged).unwrap()
    );
    assert_eq!(bus.letters().discard(&said, &by()).await.unwrap(), 111);
    assert_eq!(bus.stats().dead_letters, ALL as u64 - 111);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_found_by_type_error_kind_time_and_key() {
    let (bus, ..) = dead(&THREE).await;
    let all = bus.dead_letters(DeadLetterQuery::all()).await.unwrap();
    let at: Vec<Timestamp> = all.iter().map(|it| it.dead_at).collect();
    let check = async |query: DeadLetterQuery, expected: &[u64]| {
        let text = format!("{query:?}");
        assert_eq!(positions(&bus, query).await, expected, "{text}");
    };
    let all = DeadLetterQuery::all;
    let text = |text: &str| Some(text.to_owned());
    let pattern = |text: &str| Some(Pattern::new(text).unwrap());
    check(all(), &[1, 2, 3]).await;
    check(
        DeadLetterQuery {
            pattern: pattern("sample.*"),
            ..all()
        },
        &[1, 2],
    )
    .await;
    check(
        DeadLetterQuery {
            error: text("LIMS"),
            ..all()
        },
        &[2],
    )
    .await;
    check(
        DeadLetterQuery {
            error_type: text("LimsError"),
            ..all()
        },
        &[2],
    )
    .await;
    check(
        DeadLetterQuery {
            kind: text("panic"),
            ..all()
        },
        &[3],
    )
    .await;
    check(DeadLetterQuery::key("weak", "FC-1"), &[1, 3]).await;
    check(
        DeadLetterQuery {
            pattern: pattern("run.*"),
            ..DeadLetterQuery::key("weak", "FC-1")
        },
        &[3],
    )
    .await;
    check(
        DeadLetterQuery {
            dead_from: Some(at[1]),
            ..all()
        },
        &[2, 3],
    )
    .await;
    check(
        DeadLetterQuery {
            dead_before: Some(at[1]),
            ..all()
        },
        &[1],
    )
    .await;
    check(
        DeadLetterQuery {
            dead_from: Some(at[1]),
            dead_before: Some(at[2]),
            ..all()
        },
        &[2],
    )
    .await;
    check(DeadLetterQuery::at("weak", &[3, 1, 3, 99]), &[1, 3]).await;
    check(
        DeadLetterQuery {
            max: 1,
            ..DeadLetterQuery::at("weak", &[1, 3])
        },
        &[1],
    )
    .await;
    check(
        DeadLetterQuery {
            after: Some(DeadLetterId::new("weak", 1)),
            ..all()
        },
        &[2, 3],
    )
    .await;
    let nobody = bus.letters().page(&DeadLetterQuery::of("nobody")).await;
    assert!(nobody.unwrap_err().to_string().contains("`nobody`"));
    let of_none = DeadLetterQuery {
        subscription: None,
        ..DeadLetterQuery::at("weak", &[1])
    };
    let refused = bus.letters().page(&of_none).await.unwrap_err();
    assert!(refused.to_string().contains("`subscription`"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_key_that_a_subscription_keeps_in_order_is_found_without_its_subject() {
    let bus = memory_bus();
    for key in ["W-1", "W-2", "W-3"] {
        let mut event = event(&bus, "a.b", "1").about("FC-1");
        event.correlation_id = Some(key.to_owned());
        bus.publish(event).await.unwrap();
    }
    bus.subscription("lanes")
        .pattern("**")
        .start(Start::Earliest)
        .order(Order::PerKey)
        .key(sagabus::transport::Attribute::CorrelationId)
        .retry(Retry::never())
        .handler(|_| async { Err(HandlerError::permanent("down")) })
        .await
        .unwrap();
    idle(&bus).await;
    let found = positions(&bus, DeadLetterQuery::key("lanes", "W-2")).await;
    assert_eq!(found, [2]);
    let found = positions(&bus, DeadLetterQuery::key("lanes", "FC-1")).await;
    assert_eq!(found, [] as [u64; 0], "the subject is not its key");
}

#[tokio::test(start_paused = true)]
async fn a_retry_reaches_the_one_or_the_key_that_was_chosen_in_its_own_subscription() {
    let (bus, is_down, notes) = dead(&THREE).await;
    let (_, others) = weak(&bus, "other", Duration::ZERO).await;
    idle(&bus).await;
    is_down.store(false, Ordering::SeqCst);
    let plan = RetryPlan::default();
    let one = DeadLetterQuery::at("weak", &[2]);
    assert_eq!(bus.letters().retry(&one, &plan).await.unwrap().count, 1);
    idle(&bus).await;
    assert_eq!(notes.all(), ["1 2"]);
    let key = DeadLetterQuery::key("weak", "FC-1");
    assert_eq!(bus.letters().retry(&key, &plan).await.unwrap().count, 2);
    idle(&bus).await;
    assert_eq!(notes.all(), ["1 2", "1 1", "1 3"]);
    let left = positions(&bus, DeadLetterQuery::of("weak")).await;
    assert_eq!(left, [] as [u64; 0]);
    assert_eq!(others.all().len(), 0, "nobody else saw them");
    assert_eq!(bus.stats().dead_letters, 3, "of the other one");
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_many_keeps_its_rate_over_all_pages_and_subscriptions() {
    const EACH: usize = 12_000;
    let bus = memory_bus();
    let mut subscriptions = Vec::new();
    let times: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    let is_down = Arc::new(AtomicBool::new(true));
    for name in ["a", "b"] {
        let (times, is_down, clock) = (
            Arc::clone(&times),
            Arc::clone(&is_down),
            Arc::clone(bus.clock()),
        );
        let started = bus
            .subscription(name)
            .pattern("**")
            .start(Start::Earliest)
            .retry(Retry::never())
            .handler(move |_| {
                let is_down = is_down.load(Ordering::SeqCst);
                if !is_down {
                    times.lock().unwrap().push(clock.now());
                }
                async move {
                    if is_down {
                        return Err(HandlerError::permanent("down"));
                    }
                    Ok(())
                }
            });
        subscriptions.push(started.await.unwrap());
    }
    for _ in 0..EACH / 1000 {
        let events: Vec<Event> = (0..1000).map(|_| event(&bus, "a.b", "1")).collect();
        bus.publish_batch(events).await.unwrap();
    }
    idle(&bus).await;
    is_down.store(false, Ordering::SeqCst);
    let plan = RetryPlan {
        per_second: Some(200),
        by: by(),
        ..RetryPlan::default()
    };
    let begin = bus.clock().now();
    let retried = bus
        .letters()
        .retry(&DeadLetterQuery::all(), &plan)
        .await
        .unwrap();
    assert_eq!(retried.count, 2 * EACH as u64);
    assert_eq!(
        retried.last_due.since(begin),
        Duration::from_millis((2 * EACH as u64 - 1) * 5)
    );
    idle(&bus).await;
    let mut times = times.lock().unwrap().clone();
    times.sort();
    assert_eq!(times.len(), 2 * EACH);
    for (first, later) in times.iter().zip(times.iter().skip(200)) {
        assert!(later.since(*first) >= Duration::from_secs(1));
    }
    let spent = times.last().unwrap().since(begin);
    assert!(
        spent < Duration::from_secs(121),
        "and not slower: {spent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_how_many_and_changes_nothing() {
    let (bus, is_down, notes) = dead(&THREE).await;
    is_down.store(false, Ordering::SeqCst);
    let before = bus.dead_letters(DeadLetterQuery::all()).await.unwrap();
    let plan = RetryPlan {
        per_second: Some(1),
        is_dry_run: true,
        by: by(),
    };
    let key = DeadLetterQuery::key("weak", "FC-1");
    let now = bus.clock().now();
    let would = bus.letters().retry(&key, &plan).await.unwrap();
    assert_eq!((would.count, would.last_due.since(now).as_secs()), (2, 1));
    assert_eq!(bus.letters().count(&key).await.unwrap(), 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = bus.dead_letters(DeadLetterQuery::all()).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(notes.all(), [] as [&str; 0]);
    let too_fast = RetryPlan {
        per_second: Some(1001),
        ..plan
    };
    let refused = bus.letters().retry(&key, &too_fast).await.unwrap_err();
    assert!(refused.to_string().contains("`ratePerSecond`"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_edited_dead_letter_keeps_what_was_published_and_who_changed_it_and_why() {
    let (bus, is_down, notes) = dead(&THREE[..1]).await;
    is_down.store(false, Ordering::SeqCst);
    let letters = bus.letters();
    let id = DeadLetterId::new("weak", 1);
    let first = By::new("ann", "typo in the form");
    let second = By::new("bob", "it was the other one");
    for (data, by, missing) in [
        ("7", By::new("", "why"), "`author`"),
        ("7", By::new("ann", " "), "`reason`"),
        ("{7", first.clone(), "JSON"),
    ] {
        let refused = letters.revise(&id, data.into(), by).await.unwrap_err();
        assert!(refused.to_string().contains(missing), "{refused}");
    }
    assert_eq!(
        letters
            .revise(&id, "7".into(), first.clone())
            .await
            .unwrap(),
        1
    );
    let revised = letters.get(&id).await.unwrap();
    assert_eq!(
        (&revised.event.data[..], &revised.data()[..]),
        (&b"1"[..], &b"7"[..])
    );
    let number = letters.revise_and_retry(&id, "8".into(), second.clone());
    assert_eq!(number.await.unwrap(), 2);
    let chain: Vec<(u32, By)> = revised
        .revisions
        .iter()
        .map(|it| (it.number, it.by.clone()))
        .collect();
    assert_eq!(chain, [(1, first)]);
    idle(&bus).await;
    assert_eq!(notes.all(), ["1 8"], "the latest is delivered");
    assert_eq!(bus.read(1, 1).await.unwrap().events[0].1.data, "1");
    let gone = letters.revise(&id, "9".into(), second).await.unwrap_err();
    assert_eq!(gone.kind(), sagabus::ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_revision_must_fit_the_type_of_its_event_and_there_are_sixteen_at_most() {
    let (bus, ..) = dead(&THREE[..1]).await;
    let id = DeadLetterId::new("weak", 1);
    for number in 1..=16 {
        let data = number.to_string().into();
        assert_eq!(bus.letters().revise(&id, data, by()).await.unwrap(), number);
    }
    let refused = bus.letters().revise(&id, "17".into(), by()).await;
    assert_eq!(refused.unwrap_err().kind(), sagabus::ErrorKind::Full);

    let clock = clock();
    let engine = Embedded::in_memory(Arc::clone(&clock)).unwrap();
    let bus = Bus::builder(Arc::new(engine), clock)
        .schema("a.b", |data| match data {
            b"1" => Ok(()),
            _ => Err(sagabus::Error::invalid("`volume` is missing")),
        })
        .build()
        .unwrap();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    weak(&bus, "weak", Duration::ZERO).await;
    idle(&bus).await;
    let refused = bus.letters().revise(&id, "2".into(), by()).await;
    assert!(refused.unwrap_err().to_string().contains("`volume`"));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_discarded_or_skipped_with_a_reason_only_and_counted_as_such() {
    let (bus, ..) = dead(&THREE).await;
    let letters = bus.letters();
    let one = DeadLetterQuery::at("weak", &[1]);
    for refused in [
        letters.discard(&one, &By::new("ann", "")).await,
        letters.skip(&one, &By::new("ann", " ")).await,
    ] {
        assert!(refused.unwrap_err().to_string().contains("`reason`"));
    }
    assert_eq!(letters.discard(&one, &by()).await.unwrap(), 1);
    assert_eq!(letters.discard(&one, &by()).await.unwrap(), 0);
    let rest = DeadLetterQuery::of("weak");
    assert_eq!(letters.skip(&rest, &by()).await.unwrap(), 2);
    let counts = bus.stats().subscriptions[0].counts;
    assert_eq!((counts.discarded, counts.skipped, counts.dead), (1, 2, 0));
    assert!(counts.is_conserved(), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn who_redrove_revised_skipped_or_discarded_what_and_why_can_be_asked_for_also_later() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let open = || {
        let settings = Settings::default();
        let engine = Embedded::on(Arc::new(disk.clone()), &settings, Arc::clone(&clock));
        Bus::builder(Arc::new(engine.unwrap()), Arc::clone(&clock))
            .build()
            .unwrap()
    };
    let bus = open();
    for number in ["1", "2", "3"] {
        bus.publish(event(&bus, "a.b", number)).await.unwrap();
    }
    weak(&bus, "weak", Duration::ZERO).await;
    idle(&bus).await;
    let letters = bus.letters().clone();
    let at = |positions: &[u64]| DeadLetterQuery::at("weak", positions);
    let first = letters
        .page(&DeadLetterQuery::of("weak"))
        .await
        .unwrap()
        .letters[0]
        .position;
    let by = |author: &str, reason: &str| By::new(author, reason);
    let plan = |by, is_dry_run| RetryPlan {
        by,
        is_dry_run,
        ..RetryPlan::default()
    };
    let all_three = [first, first + 1, first + 2];
    letters
        .retry(&at(&all_three), &plan(by("ann", "only asking"), true))
        .await
        .unwrap();
    letters
        .retry(
            &at(&all_three[..2]),
            &plan(by("ann", "the disk is back"), false),
        )
        .await
        .unwrap();
    idle(&bus).await;
    let skipped = letters
        .skip(&at(&[first]), &by("bob", "done by hand"))
        .await;
    assert_eq!(skipped.unwrap(), 1);
    letters
        .discard(&at(&[first + 1]), &by("bob", "test data"))
        .await
        .unwrap();
    let shown = |bus: &Bus, query: RepairQuery| {
        let found = bus.ledgers().repairs("weak", &query).unwrap();
        let lines = found.into_iter().map(|it| {
            let By { author, reason } = it.by;
            format!(
                "{} {} {:?} {author}: {reason}",
                it.number,
                it.act.as_str(),
                it.positions
            )
        });
        lines.collect::<Vec<_>>()
    };
    bus.shutdown(Duration::from_secs(1)).await;
    let bus = open();
    let everything = shown(&bus, RepairQuery::default());
    let (one, two) = (first, first + 1);
    assert_eq!(
        everything,
        [
            format!("3 discarded [{two}] bob: test data"),
            format!("2 skipped [{one}] bob: done by hand"),
            format!("1 redriven [{one}, {two}] ann: the disk is back"),
        ]
    );
    let of_one = RepairQuery {
        position: Some(one),
        ..RepairQuery::default()
    };
    assert_eq!(shown(&bus, of_one), everything[1..]);
    let page = RepairQuery {
        before: Some(3),
        max: 1,
        ..RepairQuery::default()
    };
    assert_eq!(shown(&bus, page), everything[1..2]);
    let error = bus.ledgers().repairs("nobody", &RepairQuery::default());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn faults_say_after_how_many_redrives_they_came_also_over_a_restart() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let open = || {
        let engine = Embedded::on(
            Arc::new(disk.clone()),
            &Settings::default(),
            Arc::clone(&clock),
        );
        let bus = Bus::builder(Arc::new(engine.unwrap()), Arc::clone(&clock)).build();
        checked(bus.unwrap())
    };
    let id = DeadLetterId::new("weak", 1);
    let bus = open();
    bus.publish(event(&bus, "a.b", "1")).await.unwrap();
    weak(&bus, "weak", Duration::ZERO).await;
    idle(&bus).await;
    let query = DeadLetterQuery::of("weak");
    let plan = RetryPlan::default();
    bus.letters().retry(&query, &plan).await.unwrap();
    idle(&bus).await;
    bus.shutdown(Duration::from_secs(1)).await;
    let bus = open();
    let (is_down, notes) = weak(&bus, "weak", Duration::ZERO).await;
    bus.letters().retry(&query, &plan).await.unwrap();
    idle(&bus).await;
    let letter = bus.letters().get(&id).await.unwrap();
    let generations: Vec<(u32, u32)> = letter
        .faults
        .iter()
        .map(|it| (it.redrives, it.attempt))
        .collect();
    assert_eq!(generations, [(0, 1), (1, 1), (2, 1)]);
    assert_eq!((letter.redrives, letter.attempts), (2, 1));
    is_down.store(false, Ordering::SeqCst);
    bus.letters().retry(&query, &plan).await.unwrap();
    idle(&bus).await;
    assert_eq!(
        notes.all(),
        ["3 1"],
        "the handler is told the third redrive"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_retry_the_same_at_once_retry_it_once() {
    let bus = memory_bus();
    let (is_down, notes) = weak(&bus, "weak", Duration::ZERO).await;
    let events: Vec<Event> = (0..500).map(|_| event(&bus, "a.b", "1")).collect();
    bus.publish_batch(events).await.unwrap();
    idle(&bus).await;
    is_down.store(false, Ordering::SeqCst);
    let tracker = tokio_util::task::TaskTracker::new();
    let retries: Vec<_> = (0..8)
        .map(|_| {
            let letters = bus.letters();
            tracker.spawn(async move {
                let query = DeadLetterQuery::of("weak");
                letters.retry(&query, &RetryPlan::default()).await.unwrap()
            })
        })
        .collect();
    let mut count = 0;
    for retry in retries {
        count += retry.await.unwrap().count;
    }
    assert_eq!(count, 500);
    idle(&bus).await;
    assert_eq!(notes.all().len(), 500);
    assert!(notes.all().iter().all(|it| it == "1 1"));
}

#[tokio::test(start_paused = true)]
async fn what_is_retried_while_its_subscription_is_paused_comes_when_it_goes_on() {
    let (bus, is_down, notes) = dead(&THREE).await;
    is_down.store(false, Ordering::SeqCst);
    let ledgers = bus.ledgers();
    let pause = Some(PauseUntil::Resumed);
    ledgers.set_pause("weak", pause, by()).await.unwrap();
    let query = DeadLetterQuery::of("weak");
    let retried = bus.letters().retry(&query, &RetryPlan::default()).await;
    assert_eq!(retried.unwrap().count, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(notes.all(), [] as [&str; 0]);
    let counts = bus.stats().subscriptions[0].counts;
    assert_eq!((counts.waiting, counts.dead), (3, 0));
    ledgers.set_pause("weak", None, by()).await.unwrap();
    idle(&bus).await;
    assert_eq!(notes.all().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_threshold_is_told_of_once_when_it_is_crossed() {
    let clock = clock();
    let engine = Embedded::in_memory(Arc::clone(&clock)).unwrap();
    let settings = sagabus::Settings {
        dead_letter_threshold: 2,
        ..sagabus::Settings::default()
    };
    let bus = Bus::builder(Arc::new(engine), clock)
        .settings(settings)
        .build()
        .unwrap();
    weak(&bus, "weak", Duration::ZERO).await;
    let letters = bus.letters();
    let mut told = Vec::new();
    for _ in 0..4 {
        bus.publish(event(&bus, "a.b", "1")).await.unwrap();
        idle(&bus).await;
        told.push(letters.crossing());
    }
    let above = Crossing::Above {
        dead: 3,
        threshold: 2,
    };
    assert_eq!(told, [None, None, Some(above), None]);
    assert_eq!(letters.crossing(), None);
    let issues = bus.health().issues;
    assert!(issues[0].contains("Dead letter queue size is excessive: 4"));
    letters
        .discard(&DeadLetterQuery::all(), &by())
        .await
        .unwrap();
    let back = Crossing::Back {
        dead: 0,
        threshold: 2,
    };
    assert_eq!(letters.crossing(), Some(back));
    assert_eq!((letters.crossing(), letters.alerts()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn an_export_has_every_dead_letter_on_a_line_that_reads_back_the_same() {
    let (bus, ..) = dead(&[
        (
            "sample.created",
            "FC-1",
            "{\"a\" :\n\r\n 1, \"b\": \"x\\ny\"}",
        ),
        ("sample.updated", "FC-2", "2"),
        ("run.started", "FC-1", "3"),
    ])
    .await;
    let letters = bus.letters();
    let id = DeadLetterId::new("weak", 2);
    letters.revise(&id, "{\n}".into(), by()).await.unwrap();
    let plan = RetryPlan::default();
    let second = DeadLetterQuery::at("weak", &[2]);
    letters.retry(&second, &plan).await.unwrap();
    idle(&bus).await;
    let mut export = letters.export(DeadLetterQuery::all());
    let mut bytes = Vec::new();
    while let Some(page) = export.next().await.unwrap() {
        bytes.extend(page);
    }
    let text = String::from_utf8(bytes).unwrap();
    let clock = bus.clock().as_ref();
    let lines = text.lines().map(|line| from_json(line.as_bytes(), clock));
    let mut read: Vec<_> = lines.map(Result::unwrap).collect();
    let mut there = bus.dead_letters(DeadLetterQuery::all()).await.unwrap();
    assert_eq!((there.len(), there[1].redrives), (3, 1));
    for letter in &there {
        let again = from_json(&to_json(letter).unwrap(), clock).unwrap();
        assert_eq!(&again, letter);
    }
    // On a line, payloads have spaces in the place of ends of lines; they are the same values.
    for letter in read.iter_mut().chain(&mut there) {
        let event = Arc::make_mut(&mut letter.event);
        for data in letter
            .revisions
            .iter_mut()
            .map(|it| &mut it.data)
            .chain([&mut event.data])
        {
            let value: serde_json::Value = serde_json::from_slice(data).unwrap();
            *data = value.to_string().into();
        }
    }
    assert_eq!(read, there);
    let later = text
        .lines()
        .next()
        .unwrap()
        .replace("\"format\":1", "\"format\":2");
    let refused = from_json(later.as_bytes(), clock).unwrap_err();
    assert!(refused.to_string().contains("`format` is 2"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_republished_dead_letter_is_a_new_event_for_all_and_stays_where_it_is() {
    let (bus, is_down, notes) = dead(&THREE[..1]).await;
    let everybody = Notes::default();
    let noted = everybody.clone();
    bus.subscription("other")
        .pattern("**")
        .start(Start::Latest)
        .handler(move |delivery| {
            noted.add(delivery.event.id.as_str());
            async { Ok(()) }
        })
        .await
        .unwrap();
    is_down.store(false, Ordering::SeqCst);
    let id = DeadLetterId::new("weak", 1);
    let original = bus.letters().get(&id).await.unwrap().event;
    let receipt = bus.letters().republish(&id).await.unwrap();
    idle(&bus).await;
    assert!(!receipt.duplicate);
    assert_eq!(everybody.all(), [receipt.id.as_str()]);
    assert_eq!(notes.all(), ["0 1"]);
    let event = bus
        .read(receipt.position, 1)
        .await
        .unwrap()
        .events
        .remove(0)
        .1;
    assert_ne!(event.id, original.id);
    assert_eq!(event.causation_id.as_ref(), Some(&original.id));
    assert_eq!(event.correlation_id.as_deref(), Some(original.id.as_str()));
    assert_eq!(
        (&event.data, &event.subject),
        (&original.data, &original.subject)
    );
    assert_eq!(positions(&bus, DeadLetterQuery::all()).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_where_it_would_be_too_large_and_the_next_one_goes_on() {
    let bus = memory_bus();
    let large = format!("\"{}\"", "x".repeat(250 * 1024));
    for _ in 0..80 {
        bus.publish(event(&bus, "a.b", &large)).await.unwrap();
    }
    weak(&bus, "weak", Duration::ZERO).await;
    idle(&bus).await;
    let mut query = DeadLetterQuery::all();
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    loop {
        let page = bus.letters().page(&query).await.unwrap();
        sizes.push(page.letters.len());
        seen.extend(page.letters.iter().map(|it| it.position));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [33, 33, 14]);
    assert_eq!(seen, (1..=80).collect::<Vec<u64>>());
    let of_type = DeadLetterQuery {
        pattern: Some(Pattern::new("a.*").unwrap()),
        ..DeadLetterQuery::all()
    };
    assert_eq!(bus.letters().count(&of_type).await.unwrap(), 80);
}

#[tokio::test]
async fn dead_letters_far_apart_in_a_log_on_a_disk_are_found_and_read_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let disk = RealDisk::new(dir.path()).unwrap();
        bus_on(Arc::new(disk), 128 * 1024).unwrap()
    };
    let bus = open();
    let mut bad = Vec::new();
    for _ in 0..4 {
        let batch = (0..900).map(|number| {
            let (event_type, data) = if number < 2 {
                ("bad.one", "1")
            } else {
                ("good.one", "2")
            };
            event(&bus, event_type, data).about(format!("FC-{number}"))
        });
        let receipts = bus.publish_batch(batch.collect()).await.unwrap();
        bad.extend(receipts.iter().take(2).map(|it| it.position));
    }
    bus.subscription("s")
        .pattern("bad.*")
        .start(Start::Earliest)
        .retry(Retry::never())
        .handler(|_| async { Err(HandlerError::permanent("down")) })
        .await
        .unwrap();
    idle(&bus).await;
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);
    let bus = open();
    assert_eq!(positions(&bus, DeadLetterQuery::of("s")).await, bad);
    let of_key = DeadLetterQuery::key("s", "FC-1");
    let second: Vec<u64> = bad.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(positions(&bus, of_key).await, second);
    let letters = bus.dead_letters(DeadLetterQuery::of("s")).await.unwrap();
    for letter in letters {
        let event = bus
            .read(letter.position, 1)
            .await
            .unwrap()
            .events
            .remove(0)
            .1;
        assert_eq!(letter.event, event);
    }
    bus.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn the_form_of_version_1_stays_readable_and_is_what_is_written() {
    let golden = include_str!("../golden/dead-letter.json").trim_end();
    let letter = from_json(golden.as_bytes(), clock().as_ref()).unwrap();
    assert_eq!(letter.id().to_string(), "sample-service/43");
    assert_eq!((letter.attempts, letter.redrives, letter.parked), (2, 1, 3));
    assert_eq!(letter.faults[0].error_type, "LimsError");
    assert_eq!(letter.data(), "{\"volume\":48}");
    assert_eq!(letter.event.data, "{\"volume\":\"48\"}");
    assert_eq!(to_json(&letter).unwrap(), golden.as_bytes());
}
