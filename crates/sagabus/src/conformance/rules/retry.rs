//! What becomes of an event whose handler fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::bus::{Breaker, HandlerError};
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Call, Seen, bus, counts, event, eventually, failing, handled, idle, letters, plain, publish,
    quick, rejecting, spec, wait, within,
};
use crate::event::Payload;
use crate::ledger::RetryBudget;
use crate::retry::{self, Retry};
use crate::transport::Start;

/// A payload with one field.
#[derive(serde::Serialize, serde::Deserialize)]
struct Measured {
    volume: u32,
}

impl Payload for Measured {
    const TYPE: &'static str = "sample.measured";
    const SOURCE: &'static str = "conformance";
}

/// The gaps between calls, each within what the cluster calls late.
fn check_gaps(cluster: &dyn Cluster, calls: &[Call], expected: &[Duration]) {
    assert_eq!(calls.len(), expected.len() + 1);
    for (pair, expected) in calls.windows(2).zip(expected) {
        let gap = pair[1].elapsed.saturating_sub(pair[0].elapsed);
        // A timestamp has whole milliseconds.
        assert!(
            gap + Duration::from_millis(1) >= *expected,
            "early: {gap:?} of {expected:?}"
        );
        assert!(
            gap <= *expected + cluster.lateness(),
            "late: {gap:?} of {expected:?}"
        );
    }
}

/// R01 MUST: attempts come at the times of the policy, and its chance can be foretold; calls within an attempt come first.
pub async fn attempts_come_when_the_policy_says(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let unit = cluster.unit();
    let retry = Retry::times(4).delay(unit * 2).cap(unit * 8);
    seen.on(plain(cluster, &bus, "s").retry(retry.clone()), failing)
        .await;
    let event = event(cluster, "a.b", "1");
    let seed = retry::seed(&[event.id.as_str(), "s"]);
    bus.publish(event).await.unwrap();
    idle(&bus, "s").await;
    let delays: Vec<Duration> = (1..=4).map(|it| retry.delay_after(it, seed)).collect();
    check_gaps(cluster, &seen.all(), &delays);
    for (number, delay) in delays.iter().enumerate() {
        let nominal = (unit * 2 * 2_u32.pow(number.try_into().unwrap())).min(unit * 8);
        assert!(*delay * 2 + Duration::from_millis(1) >= nominal && *delay <= nominal);
    }
}

/// R01 MUST: calls within an attempt come at once and are one attempt.
pub async fn calls_within_an_attempt_are_one_attempt(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let unit = cluster.unit();
    let retry = quick(cluster, 1).delay(unit * 4).inline(2, unit / 10);
    seen.on(plain(cluster, &bus, "s").retry(retry), failing)
        .await;
    publish(cluster, &bus, 1).await;
    idle(&bus, "s").await;
    let calls = seen.all();
    let attempts: Vec<u32> = calls.iter().map(|it| it.attempt).collect();
    assert_eq!(attempts, [1, 1, 1, 2, 2, 2]);
    let short = unit / 10;
    check_gaps(cluster, &calls, &[short, short, unit * 4, short, short]);
    let letters = letters(&bus, "s").await;
    assert_eq!((letters[0].attempts, letters[0].faults.len()), (2, 2));
}

/// R02 MUST: the least time that a handler asks for is kept, and a longer one of the policy too.
pub async fn the_least_time_that_a_handler_asks_for_is_kept(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let unit = cluster.unit();
    let retry = quick(cluster, 2).delay(unit * 3).cap(unit * 3);
    seen.on(plain(cluster, &bus, "s").retry(retry), move |delivery| {
        let after = if delivery.attempt == 1 {
            unit * 6
        } else {
            unit
        };
        Err(HandlerError::retry_after(after, "busy"))
    })
    .await;
    publish(cluster, &bus, 1).await;
    idle(&bus, "s").await;
    check_gaps(cluster, &seen.all(), &[unit * 6, unit * 3]);
}

/// R03 MUST: an error that no attempt will mend makes a dead letter at once.
pub async fn a_permanent_error_is_a_dead_letter_at_once(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), rejecting).await;
    publish(cluster, &bus, 1).await;
    idle(&bus, "s").await;
    assert_eq!(seen.len(), 1);
    let letters = letters(&bus, "s").await;
    let fault = &letters[0].faults[0];
    assert_eq!(
        (fault.kind.as_str(), fault.error.as_str()),
        ("rejected", "never")
    );
}

/// R04 MUST: an event whose attempts are used up is a dead letter, with the fault of each attempt.
pub async fn a_dead_letter_has_the_fault_of_each_attempt(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").retry(quick(cluster, 3));
    seen.on(builder.member("m"), |delivery| {
        let text = format!("failure {}", delivery.attempt);
        Err(HandlerError::transient(text))
    })
    .await;
    let published = publish(cluster, &bus, 1).await;
    idle(&bus, "s").await;
    let letters = letters(&bus, "s").await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.position, letter.attempts), (published[0], 4));
    let calls = seen.all();
    assert_eq!(letter.faults.len(), 4);
    for (fault, (call, number)) in letter.faults.iter().zip(calls.iter().zip(1..)) {
        assert_eq!((fault.attempt, call.attempt), (number, number));
        assert_eq!(fault.error, format!("failure {number}"));
        assert_eq!((fault.kind.as_str(), fault.member.as_str()), ("error", "m"));
        assert!(fault.at >= call.at);
    }
    assert!(letter.dead_at >= letter.faults[3].at);
}

/// R05 MUST: a payload that is not of its type is a dead letter at once, as it was published.
pub async fn a_payload_that_does_not_fit_its_type_is_a_dead_letter(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let builder = bus.subscription("s").start(Start::Earliest);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let started = builder.on(move |measured: Measured, _| {
        count.fetch_add(measured.volume as usize, Ordering::SeqCst);
        async { Ok(()) }
    });
    started.await.unwrap();
    for data in [r#"{"volume": "much"}"#, r#"{"volume":7}"#] {
        let event = event(cluster, Measured::TYPE, data);
        bus.publish(event).await.unwrap();
    }
    idle(&bus, "s").await;
    assert_eq!(
        calls.load(Ordering::SeqCst),
        7,
        "only the good one was handled"
    );
    let letters = letters(&bus, "s").await;
    assert_eq!((letters.len(), letters[0].attempts), (1, 1));
    assert_eq!(letters[0].event.data, r#"{"volume": "much"}"#);
    assert!(letters[0].faults[0].error.contains("data.volume"));
}

/// R06 MUST: a panic is a failure like any other, and the process lives.
pub async fn a_panic_is_a_failure_and_the_process_lives(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").retry(quick(cluster, 1));
    let to = seen.clone();
    let started = builder.handler(move |delivery| {
        to.note(&delivery);
        async move {
            assert!(delivery.event.data != "1", "cannot count to one");
            Ok(())
        }
    });
    started.await.unwrap();
    let published = publish(cluster, &bus, 3).await;
    idle(&bus, "s").await;
    assert_eq!(seen.len(), 4);
    let letters = letters(&bus, "s").await;
    assert_eq!((letters.len(), letters[0].position), (1, published[1]));
    let fault = &letters[0].faults[1];
    assert_eq!((fault.attempt, fault.kind.as_str()), (2, "panic"));
    assert!(fault.error.contains("cannot count"), "{}", fault.error);
    assert_eq!(counts(&bus, "s").acked, 2);
}

/// R07 MUST: an event that ends its process is tried alone at last, then given up, and the others go on.
pub async fn an_event_that_ends_the_process_is_given_up_alone(cluster: &dyn Cluster) {
    let seen = Seen::new(cluster);
    let mut published = Vec::new();
    for life in 0..5 {
        let bus = bus(cluster).await;
        if life == 0 {
            published = publish(cluster, &bus, 6).await;
        }
        let deadly = Arc::new(tokio::sync::Notify::new());
        let (to, tell) = (seen.clone(), Arc::clone(&deadly));
        let builder = plain(cluster, &bus, "s").retry(quick(cluster, 9));
        let started = builder.handler(move |delivery| {
            to.note(&delivery);
            let tell = Arc::clone(&tell);
            async move {
                if delivery.event.data == "3" {
                    tell.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        });
        started.await.unwrap();
        tokio::select! {
            () = deadly.notified() => cluster.crash().await,
            () = idle(&bus, "s") => break,
        }
        assert!(life < 3, "given up after three attempts without an outcome");
    }
    let bus = bus(cluster).await;
    let letters = letters(&bus, "s").await;
    assert_eq!((letters.len(), letters[0].position), (1, published[3]));
    assert_eq!(letters[0].faults[0].kind, "crash_loop");
    assert_eq!(counts(&bus, "s").acked, 5);
    let calls = seen.all();
    let deadly = calls.iter().filter(|it| it.position == published[3]);
    assert_eq!(deadly.count(), 3);
}

/// R07 MUST: an event that is suspected is handed out alone, after the others.
pub async fn a_suspect_is_handed_out_alone(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 1).await;
    for _ in 0..2 {
        let member = cluster.join(spec(cluster, "a")).await.unwrap();
        within("the suspect", member.lease(1)).await.unwrap();
        cluster.crash().await;
    }
    let bus = super::retry::bus(cluster).await;
    let others = publish(cluster, &bus, 3).await;
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    let mut first = Vec::new();
    while first.len() < 3 {
        let leased = within("the others", member.lease(10)).await.unwrap();
        first.extend(leased);
    }
    let positions: Vec<u64> = first.iter().map(|it| it.token.position).collect();
    assert_eq!(positions, others, "the others come first");
    let tokens = first
        .iter()
        .map(|it| crate::conformance::bench::ack(it.token));
    member.settle(tokens.collect()).await.unwrap();
    let suspect = within("the suspect", member.lease(10)).await.unwrap();
    assert_eq!((suspect.len(), suspect[0].silent), (1, 2));
    publish(cluster, &bus, 1).await;
    let more = tokio::time::timeout(cluster.unit() * 5, member.lease(10)).await;
    assert!(more.is_err(), "nothing runs beside it");
}

/// R08 MUST: a retry that waits survives the end of everything, and keeps its time, its count and its faults.
pub async fn a_retry_survives_a_restart_of_everything(cluster: &dyn Cluster) {
    let unit = cluster.unit();
    let retry = quick(cluster, 2).delay(unit * 20).cap(unit * 20);
    let first = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &first, "s").retry(retry.clone()), failing)
        .await;
    publish(cluster, &first, 1).await;
    eventually("it waits", || counts(&first, "s").waiting == 1).await;
    cluster.crash().await;
    let second = bus(cluster).await;
    seen.on(plain(cluster, &second, "s").retry(retry), handled)
        .await;
    idle(&second, "s").await;
    let calls = seen.all();
    check_gaps(cluster, &calls, &[unit * 20]);
    assert_eq!((calls[0].attempt, calls[1].attempt), (1, 2));
}

/// R09 MUST: what one subscription tries again no other sees, and no other is held up.
pub async fn retries_of_one_subscription_are_seen_by_no_other(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (bad, good) = (Seen::new(cluster), Seen::new(cluster));
    seen_by_both(cluster, &bus, &bad, &good).await;
    assert_eq!((bad.len(), good.len()), (30, 10));
    assert!(good.all().iter().all(|it| it.attempt == 1));
    assert_eq!(counts(&bus, "good").acked, 10);
    assert_eq!(counts(&bus, "bad").dead, 10);
    assert!(letters(&bus, "good").await.is_empty());
    assert_eq!(bus.stats().total_events, 10, "nothing is published again");
}

async fn seen_by_both(cluster: &dyn Cluster, bus: &crate::Bus, bad: &Seen, good: &Seen) {
    bad.on(plain(cluster, bus, "bad"), failing).await;
    good.on(plain(cluster, bus, "good"), handled).await;
    publish(cluster, bus, 10).await;
    idle(bus, "bad").await;
    idle(bus, "good").await;
}

/// R10 SHOULD: while everything fails, retries do not come faster than the budget allows, and go on.
pub async fn a_failing_dependency_is_not_stormed(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let budget = RetryBudget {
        tokens_max: 20,
        per_second: 10,
        successes_per_token: 5,
    };
    let retry = Retry::times(1_000_000).delay(Duration::from_millis(1));
    let retry = retry.cap(Duration::from_millis(1));
    let builder = plain(cluster, &bus, "s").retry(retry);
    let running = seen.on(builder.retry_budget(budget), failing).await;
    publish(cluster, &bus, 50).await;
    eventually("each was tried", || seen.len() >= 50).await;
    let since = cluster.clock().elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.stop(cluster.unit()).await;
    let passed = cluster.clock().elapsed().saturating_sub(since);
    let retries = u64::try_from(seen.len()).unwrap() - 50;
    let most = 20 + 10 * (passed.as_secs() + 2);
    assert!(retries <= most, "{retries} retries, more than {most}");
    assert!(retries >= 20, "{retries} retries: it goes on");
}

/// R11 SHOULD: while a breaker is open nothing is tried, which costs no attempts, and everything is handled after that.
pub async fn an_open_breaker_costs_no_attempts(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let breaker = Breaker::on("model").after(3).probe(cluster.unit() * 10);
    let builder = plain(cluster, &bus, "s").retry(quick(cluster, 9));
    let builder = builder.concurrency(1).breaker(breaker);
    seen.on(builder, move |_| {
        if down.load(Ordering::SeqCst) {
            return Err(HandlerError::transient("down"));
        }
        Ok(())
    })
    .await;
    publish(cluster, &bus, 10).await;
    eventually("the breaker is open", || seen.len() == 3).await;
    wait(cluster, 5).await;
    assert_eq!(seen.len(), 3);
    is_down.store(false, Ordering::SeqCst);
    idle(&bus, "s").await;
    assert_eq!(counts(&bus, "s").acked, 10);
    let most = seen.all().iter().map(|it| it.attempt).max().unwrap();
    assert!(most <= 4, "{most} attempts");
}
