//! What the bus promises to publishers and subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::settings::Settings;
use sagabus::transport::DeadLetterQuery;
use sagabus::{Bus, Delivery, ErrorKind, HandlerError, Payload, Retry, Start};
use serde::{Deserialize, Serialize};

use crate::support::{Notes, checked, clock, event, idle, memory_bus};

async fn noting(bus: &Bus, name: &str, patterns: &[&str]) -> Notes {
    let notes = Notes::default();
    let to = notes.clone();
    let mut builder = bus.subscription(name).start(Start::Earliest);
    for pattern in patterns {
        builder = builder.pattern(pattern);
    }
    builder
        .handler(move |delivery| {
            to.add(delivery.event.event_type.as_str());
            async { Ok(()) }
        })
        .await
        .unwrap();
    notes
}

async fn publish(bus: &Bus, types: &[&str]) {
    for event_type in types {
        bus.publish(event(bus, event_type, "{}")).await.unwrap();
    }
}

async fn all_dead(bus: &Bus) -> Vec<sagabus::transport::DeadLetter> {
    bus.dead_letters(DeadLetterQuery {
        max: 100,
        ..DeadLetterQuery::default()
    })
    .await
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn patterns_reach_the_events_that_they_describe_once_each() {
    let bus = memory_bus();
    let samples = noting(&bus, "samples", &["sample.*", "sample.created"]).await;
    let failed = noting(&bus, "failed", &["*.failed"]).await;
    let all = noting(&bus, "all", &["*"]).await;
    let odd = noting(&bus, "odd", &["error", "newListener"]).await;
    let types = [
        "sample.created",
        "saga.failed",
        "sample.updated",
        "error",
        "newListener",
        "a.b.c",
    ];
    publish(&bus, &types).await;
    idle(&bus).await;
    assert_eq!(samples.all(), ["sample.created", "sample.updated"]);
    assert_eq!(failed.all(), ["saga.failed"]);
    assert_eq!(all.all(), types);
    assert_eq!(odd.all(), ["error", "newListener"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_for_everything_has_filter_retry_and_dead_letters_like_any_other() {
    let bus = memory_bus();
    let filtered = Arc::new(AtomicUsize::new(0));
    let calls = Notes::default();
    {
        let (filtered, calls) = (Arc::clone(&filtered), calls.clone());
        bus.subscription("audit")
            .pattern("*")
            .start(Start::Earliest)
            .filter_fn("no y", move |event| {
                filtered.fetch_add(1, Ordering::SeqCst);
                event.event_type.as_str() != "b"
            })
            .retry(Retry::times(2))
            .handler(move |delivery| {
                calls.add(format!(
                    "{} {}",
                    delivery.event.event_type, delivery.attempt
                ));
                async { Err(HandlerError::transient("no")) }
            })
            .await
            .unwrap();
    }
    publish(&bus, &["a", "b"]).await;
    idle(&bus).await;
    assert_eq!(calls.all(), ["a 1", "a 2", "a 3"]);
    assert_eq!(
        filtered.load(Ordering::SeqCst),
        2,
        "asked once per event, not on retries"
    );
    let dead = all_dead(&bus).await;
    assert_eq!(
        (dead.len(), dead[0].attempts, dead[0].faults.len()),
        (1, 3, 3)
    );
    let counts = bus.stats().subscriptions[0].counts;
    assert!(
        counts.is_conserved() && counts.filtered == 1 && counts.dead == 1,
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_panics_makes_a_dead_letter_and_never_lets_an_event_by() {
    let bus = memory_bus();
    let calls = Notes::default();
    let to = calls.clone();
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .filter_fn("panics", |event| {
            assert_ne!(event.event_type.as_str(), "bad", "cannot judge");
            true
        })
        .handler(move |delivery| {
            to.add(delivery.event.event_type.as_str());
            async { Ok(()) }
        })
        .await
        .unwrap();
    publish(&bus, &["bad", "good"]).await;
    idle(&bus).await;
    assert_eq!(calls.all(), ["good"]);
    assert_eq!(all_dead(&bus).await[0].faults[0].kind, "filter");
}

#[tokio::test(start_paused = true)]
async fn a_failing_handler_harms_neither_the_process_nor_the_publisher_nor_its_neighbours() {
    let bus = memory_bus();
    bus.subscription("panics")
        .pattern("*")
        .start(Start::Earliest)
        .retry(Retry::never())
        .handler(|_| async { panic!("boom") })
        .await
        .unwrap();
    bus.subscription("panics-at-once")
        .pattern("*")
        .start(Start::Earliest)
        .retry(Retry::never())
        .handler(|_| -> std::future::Ready<Result<(), HandlerError>> { panic!("bang") })
        .await
        .unwrap();
    let fine = noting(&bus, "fine", &["*"]).await;
    publish(&bus, &["a", "b"]).await;
    idle(&bus).await;
    assert_eq!(fine.all(), ["a", "b"]);
    let faults: Vec<_> = all_dead(&bus)
        .await
        .into_iter()
        .map(|it| {
            format!(
                "{}: {} {}",
                it.subscription, it.faults[0].kind, it.faults[0].error
            )
        })
        .collect();
    assert_eq!(
        faults,
        [
            "panics: panic boom",
            "panics: panic boom",
            "panics-at-once: panic bang",
            "panics-at-once: panic bang"
        ]
    );
    let stats = bus.stats();
    assert_eq!(
        (stats.failed_attempts, stats.attempts),
        (4, 6),
        "failures of handlers are counted"
    );
    assert!(
        bus.health()
            .issues
            .iter()
            .any(|it| it.contains("High error rate"))
    );
}

#[tokio::test(start_paused = true)]
async fn publish_does_not_wait_for_handlers() {
    let bus = memory_bus();
    bus.subscription("slow")
        .pattern("*")
        .start(Start::Earliest)
        .handler(|_| async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok(())
        })
        .await
        .unwrap();
    let before = bus.clock().elapsed();
    publish(&bus, &["a", "b", "c"]).await;
    assert_eq!(bus.clock().elapsed(), before);
    idle(&bus).await;
    assert!(
        bus.stats().average_processing_time >= Duration::from_secs(20),
        "handlers are timed, not publish"
    );
}

#[tokio::test(start_paused = true)]
async fn retries_follow_the_subscriptions_own_attempts_and_growing_delays() {
    let bus = memory_bus();
    let at = Notes::default();
    let start = bus.clock().elapsed();
    let (to, timer) = (at.clone(), Arc::clone(bus.clock()));
    let retry = Retry {
        jitter: sagabus::retry::Jitter::None,
        ..Retry::times(4).delay(Duration::from_millis(100))
    };
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .retry(retry)
        .handler(move |_| {
            to.add((timer.elapsed().checked_sub(start).unwrap().as_millis() / 10 * 10).to_string());
            async { Err(HandlerError::transient("no")) }
        })
        .await
        .unwrap();
    publish(&bus, &["a"]).await;
    idle(&bus).await;
    assert_eq!(at.all(), ["0", "100", "300", "700", "1500"]);
    let stats = bus.stats();
    assert_eq!((stats.attempts, stats.failed_attempts), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_without_dead_letters_gets_none() {
    let bus = memory_bus();
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .retry(Retry::never())
        .dead_letters(false)
        .handler(|_| async { Err(HandlerError::transient("no")) })
        .await
        .unwrap();
    publish(&bus, &["a"]).await;
    idle(&bus).await;
    assert!(all_dead(&bus).await.is_empty());
    assert_eq!(bus.stats().subscriptions[0].counts.skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_handler_is_limited_by_its_timeout_and_blocks_nobody() {
    let bus = memory_bus();
    let done = Notes::default();
    let to = done.clone();
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .retry(Retry::never())
        .timeout(Duration::from_millis(50))
        .handler(move |delivery: Delivery| {
            let to = to.clone();
            async move {
                if delivery.event.event_type.as_str() == "hang" {
                    std::future::pending::<()>().await;
                }
                to.add(delivery.event.event_type.as_str());
                Ok(())
            }
        })
        .await
        .unwrap();
    publish(&bus, &["hang", "a", "b", "hang", "c"]).await;
    idle(&bus).await;
    assert_eq!(done.all(), ["a", "b", "c"]);
    let dead = all_dead(&bus).await;
    assert_eq!(dead.len(), 2);
    assert_eq!(dead[0].faults[0].kind, "timeout");
    assert_eq!(bus.stats().failed_attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_failed_events_recover_in_seconds_after_an_outage() {
    let bus = memory_bus();
    let healed_at = bus.clock().elapsed() + Duration::from_secs(2);
    let timer = Arc::clone(bus.clock());
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .retry(Retry::times(9))
        .handler(move |_| {
            let up = timer.elapsed() > healed_at;
            async move {
                if up {
                    Ok(())
                } else {
                    Err(HandlerError::transient("down"))
                }
            }
        })
        .await
        .unwrap();
    for _ in 0..1000 {
        bus.publish(event(&bus, "a", "1")).await.unwrap();
    }
    idle(&bus).await;
    assert_eq!(bus.stats().subscriptions[0].counts.acked, 1000);
    assert!(
        bus.clock().elapsed() < healed_at + Duration::from_secs(6),
        "{:?}",
        bus.clock().elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_redrive_reaches_only_the_subscription_that_failed_and_closes_the_entry() {
    let bus = memory_bus();
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let fine = noting(&bus, "fine", &["*"]).await;
    let is_down = Arc::clone(&down);
    bus.subscription("weak")
        .pattern("*")
        .start(Start::Earliest)
        .retry(Retry::times(1))
        .handler(move |_| {
            let down = is_down.load(Ordering::SeqCst);
            async move {
                if down {
                    Err(HandlerError::transient("down"))
                } else {
                    Ok(())
                }
            }
        })
        .await
        .unwrap();
    publish(&bus, &["a", "b"]).await;
    idle(&bus).await;
    let dead = all_dead(&bus).await;
    assert_eq!(dead.len(), 2);
    let letter = &dead[0];
    assert_eq!((letter.subscription.as_str(), letter.attempts), ("weak", 2));
    assert!(letter.faults[0].at <= letter.faults[1].at && letter.faults[1].at <= letter.dead_at);
    assert_eq!(letter.faults[1].error, "down");

    down.store(false, Ordering::SeqCst);
    assert_eq!(
        bus.ledgers()
            .redrive("weak", &[letter.position, letter.position, 999])
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        bus.ledgers()
            .redrive("weak", &[letter.position])
            .await
            .unwrap(),
        0,
        "no longer a dead letter"
    );
    idle(&bus).await;
    assert_eq!(all_dead(&bus).await.len(), 1);
    assert_eq!(
        bus.ledgers()
            .discard("weak", &[dead[1].position], "test data")
            .await
            .unwrap(),
        1
    );
    assert!(all_dead(&bus).await.is_empty());
    assert_eq!(fine.all(), ["a", "b"], "nobody else saw them again");
    assert_eq!(
        bus.ledgers()
            .redrive("nobody", &[1])
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    item_id: String,
    count: u32,
}

impl Payload for Counted {
    const TYPE: &'static str = "item.counted";
    const SOURCE: &'static str = "store";

    fn subject(&self) -> Option<String> {
        Some(self.item_id.clone())
    }

    fn check(&self) -> sagabus::Result<()> {
        if self.count > 10 {
            return Err(sagabus::Error::invalid("`count` is more than 10"));
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_does_not_fit_its_type_is_refused_at_publish_with_the_field_named() {
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let bus = Bus::builder(engine, clock)
        .payload::<Counted>()
        .build()
        .unwrap();
    for (data, field) in [
        (r#"{"count":1}"#, "itemId"),
        (r#"{"itemId":"x","count":"many"}"#, "data.count"),
        (r#"{"itemId":"x","count":11}"#, "`count`"),
        (r#"{"itemId":"x","count":1} {}"#, "data"),
    ] {
        let error = bus
            .publish(event(&bus, Counted::TYPE, data))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(field), "{data}: {error}");
    }
    let error = bus
        .publish(event(&bus, "free.type", "not json"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(bus.stats().total_events, 0);

    let notes = Notes::default();
    let to = notes.clone();
    bus.subscription("s")
        .start(Start::Earliest)
        .on(move |counted: Counted, delivery: Delivery| {
            to.add(format!(
                "{} {} {}",
                counted.item_id,
                counted.count,
                delivery.event.subject.clone().unwrap()
            ));
            async { Ok(()) }
        })
        .await
        .unwrap();
    let good = sagabus::Event::new(
        &Counted {
            item_id: "x".to_owned(),
            count: 3,
        },
        bus.clock().as_ref(),
    )
    .unwrap();
    bus.publish(good).await.unwrap();
    idle(&bus).await;
    assert_eq!(notes.all(), ["x 3 x"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_id_is_one_event() {
    let bus = memory_bus();
    let notes = noting(&bus, "s", &["*"]).await;
    let once = event(&bus, "a", "1");
    let first = bus.publish(once.clone()).await.unwrap();
    let mut batch = vec![event(&bus, "b", "2"), once.clone(), event(&bus, "c", "3")];
    batch.push(batch[0].clone());
    let receipts = bus.publish_batch(batch).await.unwrap();
    let flags: Vec<_> = receipts.iter().map(|it| it.duplicate).collect();
    assert_eq!(flags, [false, true, false, true]);
    assert_eq!(receipts[1].position, first.position);
    assert_eq!(receipts[3].position, receipts[0].position);
    idle(&bus).await;
    assert_eq!(notes.all(), ["a", "b", "c"]);
    assert_eq!(bus.stats().total_events, 3);
}

#[tokio::test(start_paused = true)]
async fn at_most_the_given_number_of_handlers_run_at_a_time() {
    let bus = memory_bus();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (Arc::clone(&now), Arc::clone(&most));
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .concurrency(7)
        .handler(move |_| {
            let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
            async move {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(300)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .await
        .unwrap();
    for _ in 0..500 {
        bus.publish(event(&bus, "a", "1")).await.unwrap();
    }
    idle(&bus).await;
    assert_eq!(most.load(Ordering::SeqCst), 7);
}

#[tokio::test(start_paused = true)]
async fn statistics_stay_bounded_and_are_copies() {
    let bus = memory_bus();
    for number in 0..1200 {
        bus.publish(event(&bus, &format!("type.n{number}"), "1"))
            .await
            .unwrap();
    }
    let mut stats = bus.stats();
    assert_eq!(stats.events_by_type.len(), 1001);
    assert_eq!(stats.events_by_type["(others)"], 200);
    assert_eq!(stats.events_by_source["test"], 1200);
    stats.events_by_type.clear();
    assert_eq!(bus.stats().events_by_type.len(), 1001);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_end_by_their_own_name_and_are_limited_by_the_setting() {
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let settings = Settings {
        subscriptions_max: 2,
        ..Settings::default()
    };
    let bus = Bus::builder(engine, clock)
        .settings(settings)
        .build()
        .unwrap();
    let a = noting(&bus, "a", &["*"]).await;
    let to = Notes::default();
    let b_notes = to.clone();
    let b = bus
        .subscription("b")
        .pattern("*")
        .start(Start::Earliest)
        .handler(move |_| {
            to.add("b");
            async { Ok(()) }
        })
        .await
        .unwrap();
    let third = bus
        .subscription("c")
        .pattern("*")
        .start(Start::Latest)
        .handler(|_| async { Ok(()) })
        .await
        .unwrap_err();
    assert_eq!(third.kind(), ErrorKind::Full);
    let twice = bus
        .subscription("a")
        .pattern("x")
        .start(Start::Latest)
        .handler(|_| async { Ok(()) })
        .await
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    assert_eq!(
        bus.remove("b").await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(b.stop(Duration::from_secs(1)).await, 0);
    publish(&bus, &["x"]).await;
    assert!(bus.remove("b").await.unwrap());
    assert!(!bus.remove("unknown").await.unwrap());
    idle(&bus).await;
    assert_eq!((a.all().len(), b_notes.all().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_starts_where_it_says() {
    let bus = memory_bus();
    publish(&bus, &["a", "b", "c"]).await;
    let collect = |name: &'static str, start| {
        let bus = bus.clone();
        async move {
            let notes = Notes::default();
            let to = notes.clone();
            bus.subscription(name)
                .pattern("*")
                .start(start)
                .handler(move |delivery| {
                    to.add(delivery.event.event_type.as_str());
                    async { Ok(()) }
                })
                .await
                .unwrap();
            notes
        }
    };
    let position = bus.read(1, 10).await.unwrap().events[1].0;
    let (earliest, at, latest) = (
        collect("e", Start::Earliest).await,
        collect("at", Start::At(position)).await,
        collect("l", Start::Latest).await,
    );
    publish(&bus, &["d"]).await;
    idle(&bus).await;
    assert_eq!(earliest.all(), ["a", "b", "c", "d"]);
    assert_eq!(at.all(), ["b", "c", "d"]);
    assert_eq!(latest.all(), ["d"]);
    let none = bus
        .subscription("n")
        .pattern("*")
        .handler(|_| async { Ok(()) })
        .await
        .unwrap_err();
    assert!(none.to_string().contains("where it starts"));
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_handlers_finish_cuts_the_rest_at_the_deadline_and_loses_nothing() {
    let clock = clock();
    let disk: Arc<dyn sagabus::engines::embedded::disk::Disk> =
        Arc::new(sagabus::engines::embedded::disk::MemoryDisk::default());
    let open = || {
        let engine = Embedded::on(
            Arc::clone(&disk),
            &sagabus::engines::embedded::Settings::default(),
            Arc::clone(&clock),
        )
        .unwrap();
        let bus = Bus::builder(Arc::new(engine), Arc::clone(&clock)).build();
        checked(bus.unwrap())
    };
    let bus = open();
    let done = Notes::default();
    let work = |bus: Bus, done: Notes, seconds: u64| async move {
        bus.subscription("s")
            .pattern("*")
            .start(Start::Earliest)
            .concurrency(2)
            .timeout(Duration::from_hours(1))
            .handler(move |delivery: Delivery| {
                let done = done.clone();
                async move {
                    let slow = delivery.event.event_type.as_str() == "slow";
                    tokio::time::sleep(Duration::from_secs(if slow { seconds } else { 1 })).await;
                    done.add(format!(
                        "{} {}",
                        delivery.event.event_type, delivery.attempt
                    ));
                    Ok(())
                }
            })
            .await
            .unwrap()
    };
    work(bus.clone(), done.clone(), 1000).await;
    publish(&bus, &["quick", "slow", "later"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = bus.clock().elapsed();
    let report = bus.shutdown(Duration::from_secs(5)).await;
    assert_eq!(report.cut, 1);
    assert_eq!(done.all(), ["quick 1"]);
    assert!(bus.clock().elapsed().checked_sub(started).unwrap() < Duration::from_secs(6));
    assert_eq!(
        bus.shutdown(Duration::from_secs(5)).await.cut,
        0,
        "fine twice"
    );
    assert_eq!(
        bus.publish(event(&bus, "a", "1")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    drop(bus);

    let bus = open();
    work(bus.clone(), done.clone(), 1).await;
    idle(&bus).await;
    let mut all = done.all();
    all.sort();
    assert_eq!(all, ["later 1", "quick 1", "slow 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_far_behind_gets_everything_in_order() {
    let bus = memory_bus();
    let filler = "x".repeat(30_000);
    let publish = |from: usize, upto: usize| {
        let (bus, filler) = (bus.clone(), filler.clone());
        async move {
            for number in from..upto {
                bus.publish(event(&bus, "a", &format!("[{number},\"{filler}\"]")))
                    .await
                    .unwrap();
            }
        }
    };
    // More than what is kept in memory, twice as many events as are read from the log at once.
    publish(0, 1200).await;
    let numbers = Notes::default();
    let to = numbers.clone();
    bus.subscription("s")
        .pattern("*")
        .start(Start::Earliest)
        .concurrency(1)
        .handler(move |delivery| {
            let (number, _): (usize, String) =
                serde_json::from_slice(&delivery.event.data).unwrap();
            to.add(number.to_string());
            async { Ok(()) }
        })
        .await
        .unwrap();
    publish(1200, 1300).await;
    idle(&bus).await;
    let expected: Vec<String> = (0..1300).map(|it| it.to_string()).collect();
    assert_eq!(numbers.all(), expected);
}
