//! What holds events back: members, rates, circuit breakers, retries within an attempt; and handlers of several events.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::bus::{Breaker, Rate};
use sagabus::engines::embedded::Embedded;
use sagabus::ledger::{By, Order, RetryBudget, Sharing};
use sagabus::retry::Jitter;
use sagabus::transport::{
    Attribute, Member, PauseUntil, Settle, SubscriptionSpec, Transport, Verdict,
};
use sagabus::{ErrorKind, HandlerError, Pattern, Retry, Start};
use tokio::time::Instant;

use crate::support::{Notes, all, clock, event, idle, memory_bus};

async fn publish(bus: &sagabus::Bus, count: usize) {
    for number in 0..count {
        bus.publish(event(bus, "a.b", &number.to_string()))
            .await
            .unwrap();
    }
}

fn spec(member: &str) -> SubscriptionSpec {
    SubscriptionSpec {
        member: member.to_owned(),
        lease: Duration::from_secs(10),
        ..SubscriptionSpec::new("s", vec![Pattern::new("**").unwrap()], Start::Earliest)
    }
}

fn ack(token: sagabus::transport::LeaseToken) -> Settle {
    Settle::new(token, Verdict::Ack)
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_member_had_goes_to_another_and_its_late_answer_does_not_count() {
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let bus = sagabus::Bus::builder(Arc::clone(&engine) as Arc<dyn Transport>, clock)
        .build()
        .unwrap();
    publish(&bus, 1).await;
    let frozen = engine.join(spec("frozen")).await.unwrap();
    let held = frozen.lease(1).await.unwrap();
    let other = engine.join(spec("other")).await.unwrap();
    // The other one is heard of as it waits for work.
    let beats: Arc<dyn Member> = Arc::clone(&other);
    let beating = async {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            beats.renew().unwrap();
        }
    };
    let started = Instant::now();
    let leased = tokio::select! {
        leased = other.lease(1) => leased.unwrap(),
        () = beating => unreachable!(),
    };
    assert!(
        started.elapsed() >= Duration::from_secs(9),
        "not before its lease was over"
    );
    assert_eq!((leased[0].token.position, leased[0].token.attempt), (1, 2));
    assert_eq!(
        frozen.settle(vec![ack(held[0].token)]).await.unwrap(),
        [false]
    );
    assert_eq!(frozen.renew().unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(
        other.settle(vec![ack(leased[0].token)]).await.unwrap(),
        [true]
    );
    assert_eq!(engine.ledgers().list()[0].counts.acked, 1);
}

#[tokio::test(start_paused = true)]
async fn members_share_the_events_and_a_slow_handler_is_not_robbed() {
    let bus = memory_bus();
    let notes = Notes::default();
    for member in ["a", "b"] {
        let noted = notes.clone();
        let handler = bus
            .subscription("s")
            .pattern("**")
            .start(Start::Earliest)
            .member(member)
            .lease(Duration::from_secs(2))
            .timeout(Duration::from_hours(1))
            .concurrency(1)
            .handler(move |delivery| {
                noted.add(format!("{member}{}", delivery.position));
                async {
                    tokio::time::sleep(Duration::from_mins(2)).await;
                    Ok(())
                }
            });
        handler.await.unwrap();
    }
    publish(&bus, 4).await;
    idle(&bus).await;
    let mut got = notes.all();
    assert_eq!(
        got.iter().filter(|it| it.starts_with('a')).count(),
        2,
        "{got:?}"
    );
    got.sort_by_key(|it| it[1..].to_owned());
    let positions: Vec<&str> = got.iter().map(|it| &it[1..]).collect();
    assert_eq!(positions, ["4", "5", "6", "7"], "each once");
    assert_eq!(bus.stats().subscriptions[0].members, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn members_of_one_subscription_must_want_the_same() {
    let bus = memory_bus();
    let start = |member: &'static str, pattern: &'static str, order| {
        bus.subscription("s")
            .pattern(pattern)
            .start(Start::Latest)
            .order(order)
            .member(member)
            .handler(|_| async { Ok(()) })
    };
    start("a", "x.*", Order::PerKey).await.unwrap();
    start("b", "x.*", Order::PerKey).await.unwrap();
    for (member, pattern, order) in [
        ("c", "y.*", Order::PerKey),
        ("c", "x.*", Order::Unordered),
        ("a", "x.*", Order::PerKey),
    ] {
        let error = start(member, pattern, order).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{member} {pattern}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_handlers_to_it() {
    let bus = memory_bus();
    let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let to = Arc::clone(&times);
    publish(&bus, 100).await;
    let begin = Instant::now();
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .rate(Rate {
            events: 10,
            per: Duration::from_secs(1),
            burst: 1,
        })
        .handler(move |_| {
            to.lock().unwrap().push(begin.elapsed());
            async { Ok(()) }
        });
    handler.await.unwrap();
    idle(&bus).await;
    let times = times.lock().unwrap();
    for (number, time) in times.iter().enumerate() {
        let due = Duration::from_millis(100 * number as u64);
        assert!(
            *time >= due && *time <= due.mul_f64(1.05) + Duration::from_millis(20),
            "{number}: {time:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_failures_and_costs_no_attempts_while_it_is_open() {
    let bus = memory_bus();
    let is_down = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicUsize::new(0));
    let (down, count) = (Arc::clone(&is_down), Arc::clone(&calls));
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .concurrency(1)
        .retry(
            Retry::times(9)
                .delay(Duration::from_millis(10))
                .jitter(Jitter::None),
        )
        .breaker(Breaker::on("model").after(3).probe(Duration::from_secs(60)))
        .handler(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let is_down = down.load(Ordering::SeqCst);
            async move {
                if is_down {
                    return Err(HandlerError::transient("down"));
                }
                Ok(())
            }
        });
    handler.await.unwrap();
    publish(&bus, 20).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let health = bus.health();
    assert!(
        health.issues.iter().any(|it| it.contains("`model` fails")),
        "{health:?}"
    );
    tokio::time::sleep(Duration::from_mins(10)).await;
    let tried = calls.load(Ordering::SeqCst);
    assert!((13..=14).contains(&tried), "one a minute, not {tried}");
    is_down.store(false, Ordering::SeqCst);
    idle(&bus).await;
    assert_eq!(bus.stats().subscriptions[0].counts.acked, 20);
    assert!(bus.stats().dead_letters == 0);
}

#[tokio::test(start_paused = true)]
async fn calls_within_an_attempt_come_before_the_attempt_fails() {
    let bus = memory_bus();
    let times: Arc<Mutex<Vec<(u32, Duration)>>> = Arc::default();
    let to = Arc::clone(&times);
    let begin = Instant::now();
    let retry = Retry::times(1)
        .delay(Duration::from_secs(10))
        .jitter(Jitter::None)
        .inline(2, Duration::from_millis(50));
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(retry)
        .handler(move |delivery| {
            to.lock().unwrap().push((delivery.attempt, begin.elapsed()));
            async { Err(HandlerError::transient("down")) }
        });
    handler.await.unwrap();
    publish(&bus, 1).await;
    idle(&bus).await;
    let ms = |it: &(u32, Duration)| (it.0, it.1.as_millis() / 10 * 10);
    let times: Vec<_> = times.lock().unwrap().iter().map(ms).collect();
    assert_eq!(
        times,
        [
            (1, 0),
            (1, 50),
            (1, 100),
            (2, 10_100),
            (2, 10_150),
            (2, 10_200)
        ]
    );
    let letter = bus.dead_letters(all()).await.unwrap().remove(0);
    assert_eq!((letter.attempts, letter.faults.len()), (2, 2));
    assert_eq!(letter.faults[0].member, "1");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_kept_with_its_reason_and_ends_at_its_time() {
    let bus = memory_bus();
    let notes = Notes::default();
    let noted = notes.clone();
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .handler(move |_| {
            noted.add("got");
            async { Ok(()) }
        });
    handler.await.unwrap();
    let until = bus.clock().now().after(Duration::from_secs(60));
    let by = By::new("ann", "maintenance of the sequencer");
    bus.ledgers()
        .set_pause("s", Some(PauseUntil::Time(until)), by.clone())
        .await
        .unwrap();
    publish(&bus, 3).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(notes.all().is_empty());
    assert_eq!(bus.stats().subscriptions[0].pause.as_ref().unwrap().by, by);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(notes.all().len(), 3);
    assert_eq!(bus.stats().subscriptions[0].pause, None);
    let long = By::new("ann", &"x".repeat(2049));
    let error = bus.ledgers().set_pause("s", None, long).await.unwrap_err();
    assert!(error.to_string().contains("`reason` has 2049 bytes"));
}

#[tokio::test(start_paused = true)]
async fn several_events_go_to_a_handler_at_once_and_each_has_its_own_outcome() {
    let bus = memory_bus();
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let to = Arc::clone(&sizes);
    publish(&bus, 25).await;
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .concurrency(1)
        .retry(Retry::never())
        .handler_of_many(10, Duration::from_secs(1), move |deliveries| {
            to.lock().unwrap().push(deliveries.len());
            async move {
                let answer = |data: &[u8]| match data {
                    b"7" => Err(HandlerError::permanent("seven")),
                    _ => Ok(()),
                };
                deliveries.iter().map(|it| answer(&it.event.data)).collect()
            }
        });
    handler.await.unwrap();
    idle(&bus).await;
    assert_eq!(*sizes.lock().unwrap(), [10, 10, 5]);
    let letters = bus.dead_letters(all()).await.unwrap();
    assert_eq!((letters.len(), letters[0].position), (1, 8));
    assert_eq!(bus.stats().subscriptions[0].counts.acked, 24);
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_among_several_fails_for_itself_only() {
    let bus = memory_bus();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    publish(&bus, 10).await;
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::never())
        .handler_of_many(10, Duration::ZERO, move |deliveries| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(deliveries.iter().all(|it| it.event.data != "4"), "poison");
                vec![Ok(()); deliveries.len()]
            }
        });
    handler.await.unwrap();
    idle(&bus).await;
    let letters = bus.dead_letters(all()).await.unwrap();
    assert_eq!((letters.len(), letters[0].position), (1, 5));
    assert!(letters[0].faults[0].error.contains("poison"));
    assert_eq!(bus.stats().subscriptions[0].counts.acked, 9);
    assert_eq!(calls.load(Ordering::SeqCst), 11);
}

#[tokio::test(start_paused = true)]
async fn events_are_put_together_by_what_they_have_in_common() {
    let bus = memory_bus();
    let groups: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let to = Arc::clone(&groups);
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .collect_by(Attribute::Subject)
        .handler_of_many(3, Duration::from_secs(10), move |deliveries| {
            let subjects = deliveries
                .iter()
                .map(|it| it.event.subject.clone().unwrap());
            to.lock().unwrap().push(subjects.collect());
            async move { vec![Ok(()); deliveries.len()] }
        });
    handler.await.unwrap();
    for subject in ["a", "b", "a", "c", "a", "b"] {
        bus.publish(event(&bus, "a.b", "1").about(subject))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        *groups.lock().unwrap(),
        [["a", "a", "a"]],
        "as soon as there are enough"
    );
    idle(&bus).await;
    assert_eq!(groups.lock().unwrap()[1..], [vec!["b", "b"], vec!["c"]]);
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_and_not_started_is_handed_back_uncounted() {
    let bus = memory_bus();
    publish(&bus, 2).await;
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .handler_of_many(10, Duration::from_mins(1), |deliveries| async move {
            vec![Ok(()); deliveries.len()]
        });
    let running = handler.await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bus.stats().subscriptions[0].counts.leased, 2);
    assert_eq!(running.stop(Duration::from_secs(1)).await, 0);
    let attempts: Arc<Mutex<Vec<u32>>> = Arc::default();
    let to = Arc::clone(&attempts);
    let again = bus.subscription("s").pattern("**").start(Start::Earliest);
    again
        .handler(move |delivery| {
            to.lock().unwrap().push(delivery.attempt);
            async { Ok(()) }
        })
        .await
        .unwrap();
    idle(&bus).await;
    assert_eq!(*attempts.lock().unwrap(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_or_a_share_that_would_stop_everything_is_refused() {
    let bus = memory_bus();
    let builder = || bus.subscription("s").pattern("**").start(Start::Earliest);
    let nothing = RetryBudget {
        per_second: 0,
        ..RetryBudget::default()
    };
    for (builder, field) in [
        (builder().retry_budget(nothing), "retry_budget"),
        (
            builder().sharing(Sharing::Weighted { passes_max: 0 }),
            "sharing",
        ),
    ] {
        let refused = builder.handler(|_| async { Ok(()) }).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains(field), "{refused}");
    }
}
