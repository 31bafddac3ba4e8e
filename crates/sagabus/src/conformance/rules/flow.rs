//! Stopping, pausing, and stores that go away under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::bus::{Bus, HandlerError, Rate};
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, event, eventually, handled, idle, plain, publish, quick, view, wait,
};
use crate::error::ErrorKind;
use crate::event::Event;
use crate::ledger::By;
use crate::transport::PauseUntil;

/// L01 MUST: events that nobody fetches are kept without being looked at, and are all handled when somebody does.
pub async fn a_stopped_subscriber_costs_nothing_and_loses_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let running = seen.on(plain(cluster, &bus, "s"), handled).await;
    running.stop(cluster.unit()).await;
    let published = publish(cluster, &bus, 3000).await;
    let before = view(&bus, "s");
    assert_eq!((before.ahead, before.counts.pending()), (3000, 0));
    seen.on(plain(cluster, &bus, "s"), handled).await;
    idle(&bus, "s").await;
    let mut got = seen.positions();
    got.sort_unstable();
    assert_eq!(got, published);
}

/// Publishes until it is refused for want of room; what was stored, and what was refused.
async fn fill(cluster: &dyn Cluster, bus: &Bus) -> (Vec<u64>, Event) {
    let data = format!("\"{}\"", "x".repeat(100_000));
    let mut stored = Vec::new();
    loop {
        let event = event(cluster, "a.b", &data);
        match bus.publish(event.clone()).await {
            Ok(receipt) => stored.push(receipt.position),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{}", error.chain());
                return (stored, event);
            }
        }
        assert!(stored.len() < 10_000, "there is always room");
    }
}

/// What was refused is refused again; where it is not, there was room left after all, and it is filled.
async fn refuse(cluster: &dyn Cluster, bus: &Bus, stored: &mut Vec<u64>, refused: &mut Event) {
    match bus.publish(refused.clone()).await {
        Ok(receipt) => {
            stored.push(receipt.position);
            let (more, again) = fill(cluster, bus).await;
            stored.extend(more);
            *refused = again;
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{}", error.chain()),
    }
}

/// There is room again: publishes the event until it is taken.
async fn publish_again(cluster: &dyn Cluster, bus: &Bus, event: &Event) -> u64 {
    let end = cluster.clock().elapsed() + cluster.lateness() + cluster.unit() * 100;
    loop {
        match bus.publish(event.clone()).await {
            Ok(receipt) => return receipt.position,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{}", error.chain());
                let is_late = cluster.clock().elapsed() > end;
                assert!(!is_late, "there is room, and nothing is taken");
                wait(cluster, 1).await;
            }
        }
    }
}

/// L02 MUST: publishers are refused while there is no room: nothing of what was refused is stored, health says so, and
/// they are taken when there is room again.
pub async fn publishers_are_refused_while_there_is_no_room(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    cluster.set_room(false);
    let (mut stored, mut refused) = fill(cluster, &bus).await;
    for _ in 0..3 {
        refuse(cluster, &bus, &mut stored, &mut refused).await;
    }
    assert_eq!(bus.condition().unwrap_err().kind(), ErrorKind::Full);
    assert!(!bus.health().issues.is_empty());
    cluster.set_room(true);
    stored.push(publish_again(cluster, &bus, &refused).await);
    eventually("it is well", || bus.condition().is_ok()).await;
    let read = bus.read(0, 1000).await.unwrap().events;
    let positions: Vec<u64> = read.iter().map(|it| it.0).collect();
    assert_eq!(positions, stored, "each once, and nothing else");
}

/// L03 MUST: a shutdown lets handlers finish, hands the rest back uncounted, and loses nothing.
pub async fn a_shutdown_finishes_what_runs_and_hands_back_the_rest(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let before = Seen::new(cluster);
    let finished = Arc::new(AtomicUsize::new(0));
    let (to, count) = (before.clone(), Arc::clone(&finished));
    let pause = cluster.unit();
    let started = plain(cluster, &first, "s")
        .concurrency(3)
        .handler(move |delivery| {
            to.note(&delivery);
            let count = Arc::clone(&count);
            async move {
                tokio::time::sleep(pause).await;
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        });
    started.await.unwrap();
    let published = publish(cluster, &first, 20).await;
    eventually("three run", || before.len() >= 3).await;
    let report = first.shutdown(cluster.unit() * 500).await;
    assert_eq!(report.cut, 0);
    let done = before.len();
    assert_eq!(finished.load(Ordering::SeqCst), done, "all that were begun");
    assert!(done < 20);
    wait(cluster, 3).await;
    assert_eq!(before.len(), done, "nothing is begun after it");
    cluster.restart().await;
    let second = bus(cluster).await;
    let after = Seen::new(cluster);
    after.on(plain(cluster, &second, "s"), handled).await;
    idle(&second, "s").await;
    assert!(after.all().iter().all(|it| it.attempt == 1), "uncounted");
    let mut got = [before.positions(), after.positions()].concat();
    got.sort_unstable();
    assert_eq!(got, published, "each once");
}

/// L04 MUST: what a shutdown cuts at its deadline is reported, counted as an attempt, and delivered again.
pub async fn what_a_shutdown_cuts_is_reported_and_comes_again(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let before = Seen::new(cluster);
    let to = before.clone();
    let started = plain(cluster, &first, "s").handler(move |delivery| {
        to.note(&delivery);
        async move {
            if delivery.event.data == "1" {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    started.await.unwrap();
    let published = publish(cluster, &first, 3).await;
    eventually("two are handled", || counts(&first, "s").acked == 2).await;
    assert_eq!(first.shutdown(cluster.unit()).await.cut, 1);
    cluster.restart().await;
    let second = bus(cluster).await;
    let after = Seen::new(cluster);
    after.on(plain(cluster, &second, "s"), handled).await;
    idle(&second, "s").await;
    let calls = after.all();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].position, calls[0].attempt), (published[1], 2));
}

/// L05 MUST: a pause is kept over crashes, with who and why; members stay, and everything comes when it ends.
pub async fn a_pause_survives_a_crash_and_ends_when_told(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &first, "s"), handled).await;
    let by = By::new("ann", "the sequencer is serviced");
    let pause = Some(PauseUntil::Resumed);
    let paused = first.ledgers().set_pause("s", pause, by.clone()).await;
    paused.unwrap();
    publish(cluster, &first, 3).await;
    wait(cluster, 5).await;
    assert_eq!(seen.len(), 0);
    assert_eq!(view(&first, "s").members.len(), 1, "members stay");
    cluster.crash().await;
    let second = bus(cluster).await;
    seen.on(plain(cluster, &second, "s"), handled).await;
    wait(cluster, 5).await;
    assert_eq!(seen.len(), 0);
    let paused = view(&second, "s");
    assert_eq!((paused.pause.map(|it| it.by), paused.ahead), (Some(by), 3));
    let resumed = second.ledgers().set_pause("s", None, By::default()).await;
    resumed.unwrap();
    idle(&second, "s").await;
    assert_eq!(seen.len(), 3);
}

/// L05 MUST: a pause with an end ends by itself.
pub async fn a_pause_with_an_end_ends_by_itself(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let until = cluster.clock().now().after(cluster.unit() * 10);
    let pause = Some(PauseUntil::Time(until));
    let by = By::new("ann", "for a moment");
    bus.ledgers().set_pause("s", pause, by).await.unwrap();
    publish(cluster, &bus, 1).await;
    idle(&bus, "s").await;
    let at = seen.all()[0].at;
    assert!(at >= until, "{at} before {until}");
    assert!(view(&bus, "s").pause.is_none());
}

/// L06 SHOULD: a rate holds for all members of a subscription together, within a twentieth.
pub async fn a_rate_holds_for_all_members_together(cluster: &dyn Cluster) {
    const EVENTS: u32 = 600;
    let bus = bus(cluster).await;
    publish(cluster, &bus, EVENTS as usize).await;
    let per = cluster.unit().max(Duration::from_millis(100));
    let rate = Rate {
        events: 20,
        per,
        burst: 10,
    };
    let seen = [Seen::new(cluster), Seen::new(cluster), Seen::new(cluster)];
    let since = cluster.clock().elapsed();
    for (number, seen) in seen.iter().enumerate() {
        let member = format!("m{number}");
        let builder = plain(cluster, &bus, "s").member(&member).rate(rate);
        seen.on(builder, handled).await;
    }
    idle(&bus, "s").await;
    let calls = seen.iter().flat_map(Seen::all);
    let last = calls.map(|it| it.elapsed).max().unwrap();
    let took = last.saturating_sub(since);
    // But for the burst, which is there at once.
    let nominal = per * (EVENTS - rate.burst) / rate.events;
    assert!(took >= nominal * 19 / 20, "{took:?} is too fast");
    let most = nominal * 21 / 20 + cluster.lateness();
    assert!(took <= most, "{took:?} is too slow");
    let handled: usize = seen.iter().map(Seen::len).sum();
    assert_eq!(handled, EVENTS as usize);
}

/// L07 MUST: while the store takes nothing for a minute, publishers are told so, and members wait; when it is back, they
/// go on without a restart, and nothing is lost or doubled. Nobody asks without a pause: time that stands still while
/// somebody is at work passes.
pub async fn a_store_that_is_away_for_a_minute_is_waited_for(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let retry = quick(cluster, 2).cap(cluster.unit());
    let running = seen.on(plain(cluster, &bus, "s").retry(retry), |delivery| {
        if delivery.attempt == 1 && delivery.position.is_multiple_of(3) {
            return Err(HandlerError::transient("not at first"));
        }
        Ok(())
    });
    let running = running.await;
    cluster.set_room(false);
    let (mut stored, mut refused) = fill(cluster, &bus).await;
    for _ in 0..6 {
        wait(cluster, 10).await;
        let asked = cluster.clock().elapsed();
        refuse(cluster, &bus, &mut stored, &mut refused).await;
        let took = cluster.clock().elapsed().saturating_sub(asked);
        assert!(took <= cluster.lateness(), "it answers after {took:?}");
    }
    cluster.set_room(true);
    stored.push(publish_again(cluster, &bus, &refused).await);
    stored.extend(publish(cluster, &bus, 20).await);
    idle(&bus, "s").await;
    let counts = counts(&bus, "s");
    assert_eq!((counts.acked, counts.dead), (stored.len() as u64, 0));
    let got: BTreeSet<u64> = seen.positions().into_iter().collect();
    assert_eq!(got, stored.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(running.stop(cluster.unit()).await, 0, "it ran all the time");
}

/// L08 MUST: two crashes of the store during ten thousand publishes lose nothing that was acknowledged and double nothing.
pub async fn crashes_during_publishes_lose_and_double_nothing(cluster: &dyn Cluster) {
    let events: Vec<_> = (0..100)
        .map(|batch| {
            let numbers = 0..100;
            let events = numbers.map(|it| event(cluster, "a.b", &(batch * 100 + it).to_string()));
            events.collect::<Vec<_>>()
        })
        .collect();
    let seen = Seen::new(cluster);
    let mut bus = bus(cluster).await;
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let mut published = BTreeSet::new();
    for (number, batch) in events.into_iter().enumerate() {
        if number == 33 || number == 66 {
            cluster.crash().await;
            // The outcome of such a publish is unknown: it is repeated with the same ids.
            assert!(bus.publish_batch(batch.clone()).await.is_err());
            bus = super::flow::bus(cluster).await;
            seen.on(plain(cluster, &bus, "s"), handled).await;
        }
        let receipts = bus.publish_batch(batch).await.unwrap();
        published.extend(receipts.iter().map(|it| it.position));
    }
    assert_eq!(published.len(), 10_000);
    idle(&bus, "s").await;
    assert_eq!(counts(&bus, "s").acked, 10_000);
    let got: BTreeSet<u64> = seen.positions().into_iter().collect();
    assert_eq!(got, published);
    let data: BTreeSet<String> = seen.data().into_iter().collect();
    assert_eq!(data.len(), 10_000, "each payload once");
}
