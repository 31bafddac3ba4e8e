//! Events that are published later, clocks that jump, and events whose time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::bus::HandlerError;
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Call, Seen, ack, bus, counts, event, eventually, handled, idle, letters, plain, publish,
    publish_all, spec, wait, within,
};
use crate::retry::{Jitter, Retry};
use crate::transport::Start;

/// T01 SHOULD: an event that is published later comes at its time, not before it, and once.
pub async fn an_event_for_later_comes_at_its_time_and_not_before(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let due = cluster.clock().now().after(cluster.unit() * 10);
    let later = event(cluster, "a.b", "1");
    let first = bus.publish_at(later.clone(), due, None).await.unwrap();
    let again = bus.publish_at(later, due, None).await.unwrap();
    assert_eq!((again.position, again.duplicate), (first.position, true));
    eventually("it comes", || seen.len() == 1).await;
    let late = seen.all()[0].at;
    assert!(late >= due, "early: {late}, due {due}");
    assert!(
        late.since(due) <= cluster.lateness(),
        "late: {late}, due {due}"
    );
    wait(cluster, 5).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(bus.schedules().count(), 0);
}

/// T02 SHOULD: ten thousand events that are due in the same millisecond all come, each once, none early and none very late.
pub async fn ten_thousand_events_of_one_moment_all_come(cluster: &dyn Cluster) {
    const EVENTS: usize = 10_000;
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").concurrency(64);
    seen.on(builder, handled).await;
    // Long enough to publish all of them before.
    let delay = (cluster.unit() * 400).min(Duration::from_mins(1));
    let due = cluster.clock().now().after(delay);
    let mut positions = BTreeSet::new();
    for numbers in (0..EVENTS).collect::<Vec<_>>().chunks(1000) {
        let mut publishers = JoinSet::new();
        for number in numbers {
            let (bus, event) = (bus.clone(), event(cluster, "a.b", &number.to_string()));
            publishers.spawn(async move { bus.publish_at(event, due, None).await.unwrap() });
        }
        let receipts = publishers.join_all().await;
        positions.extend(receipts.iter().map(|it| it.position));
    }
    assert_eq!((positions.len(), seen.len()), (EVENTS, 0));
    eventually("all come", || counts(&bus, "s").acked == EVENTS as u64).await;
    let calls = seen.all();
    let data: BTreeSet<String> = calls.iter().map(Call::data).collect();
    assert_eq!((calls.len(), data.len()), (EVENTS, EVENTS), "each once");
    let first = calls.iter().map(|it| it.at).min().unwrap();
    let last = calls.iter().map(|it| it.at).max().unwrap();
    assert!(first >= due, "early: {first}, due {due}");
    let late = last.since(due);
    assert!(late <= cluster.lateness() * 2, "the last was {late:?} late");
    assert_eq!(bus.schedules().count(), 0);
}

/// T03 MUST: an event that is to be published at a time which is over is published now, and once.
pub async fn an_event_for_a_time_that_is_over_comes_now(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let now = cluster.clock().now();
    let over = crate::clock::Timestamp::from_milliseconds(now.milliseconds() - 3_600_000);
    bus.publish_at(event(cluster, "a.b", "1"), over, None)
        .await
        .unwrap();
    eventually("it comes", || seen.len() == 1).await;
    assert!(seen.all()[0].at.since(now) <= cluster.lateness());
    wait(cluster, 5).await;
    assert_eq!(seen.len(), 1);
}

/// T04 SHOULD: what is cancelled before its time never comes, and a second cancel finds nothing.
pub async fn what_is_cancelled_before_its_time_never_comes(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let due = cluster.clock().now().after(cluster.unit() * 20);
    for (data, key) in [("1", "one"), ("2", "two")] {
        let event = event(cluster, "a.b", data);
        bus.publish_at(event, due, Some(key)).await.unwrap();
    }
    assert!(bus.schedules().cancel("one").await.unwrap());
    assert!(!bus.schedules().cancel("one").await.unwrap());
    eventually("the other comes", || seen.len() == 1).await;
    assert!(!bus.schedules().cancel("two").await.unwrap(), "published");
    wait(cluster, 5).await;
    assert_eq!(seen.data(), ["2"]);
}

/// T05 MUST: an event that is cancelled at the very time at which it is due is cancelled or comes, and never both.
pub async fn a_cancellation_at_the_very_time_has_one_outcome(cluster: &dyn Cluster) {
    const EVENTS: u32 = 60;
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let since = cluster.clock().elapsed();
    let now = cluster.clock().now();
    let mut cancels = JoinSet::new();
    for number in 0..EVENTS {
        let after = cluster.unit() * 20 + Duration::from_millis(3) * number;
        let (key, data) = (format!("k{number}"), number.to_string());
        let event = event(cluster, "a.b", &data);
        bus.publish_at(event, now.after(after), Some(&key))
            .await
            .unwrap();
        // One millisecond before it, at it, and after it.
        let at = after + Duration::from_millis(u64::from(number % 3)) - Duration::from_millis(1);
        let (bus, clock) = (bus.clone(), cluster.clock());
        cancels.spawn(async move {
            let passed = clock.elapsed().saturating_sub(since);
            tokio::time::sleep(at.saturating_sub(passed)).await;
            (data, bus.schedules().cancel(&key).await.unwrap())
        });
    }
    let outcomes = cancels.join_all().await;
    let came: BTreeSet<String> = outcomes
        .iter()
        .filter(|(_, is_cancelled)| !is_cancelled)
        .map(|(data, _)| data.clone())
        .collect();
    eventually("the others come", || seen.len() >= came.len()).await;
    wait(cluster, 5).await;
    assert_eq!(seen.len(), came.len(), "each once");
    assert_eq!(seen.data().into_iter().collect::<BTreeSet<_>>(), came);
    assert_eq!(bus.schedules().count(), 0);
}

/// T06 SHOULD: an event that is given another time, earlier or later, comes at that one.
pub async fn an_event_that_gets_another_time_comes_at_that(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let now = cluster.clock().now();
    let units = |units: u32| now.after(cluster.unit() * units);
    for (data, key, at) in [("1", "later", 20), ("2", "sooner", 4000)] {
        let event = event(cluster, "a.b", data);
        bus.publish_at(event, units(at), Some(key)).await.unwrap();
    }
    let moved = bus.schedules().move_to("later", units(40)).await;
    assert!(moved.unwrap());
    let moved = bus.schedules().move_to("sooner", units(30)).await;
    assert!(moved.unwrap());
    let unknown = bus.schedules().move_to("none", units(30)).await;
    assert!(!unknown.unwrap());
    eventually("both come", || seen.len() == 2).await;
    let calls = seen.all();
    assert_eq!(seen.data(), ["2", "1"]);
    assert!(calls[0].at >= units(30) && calls[1].at >= units(40));
}

/// T07 SHOULD: an event for later comes after a crash that lasts longer than its delay, and once.
pub async fn an_event_for_later_outlasts_a_crash(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let due = cluster.clock().now().after(cluster.unit() * 5);
    for (data, key) in [("1", "one"), ("2", "two")] {
        let event = event(cluster, "a.b", data);
        first.publish_at(event, due, Some(key)).await.unwrap();
    }
    assert!(first.schedules().cancel("one").await.unwrap());
    cluster.crash().await;
    wait(cluster, 10).await;
    let seen = Seen::new(cluster);
    for _ in 0..2 {
        let bus = bus(cluster).await;
        seen.on(plain(cluster, &bus, "s"), handled).await;
        eventually("it comes", || seen.len() == 1).await;
        idle(&bus, "s").await;
        wait(cluster, 5).await;
        cluster.restart().await;
    }
    assert_eq!(seen.data(), ["2"], "once, and not what was cancelled");
}

/// T08 MUST: when the wall clock jumps, members that are alive keep what they have.
pub async fn a_jump_of_the_wall_clock_takes_no_lease_away(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 2).await;
    let one = cluster.join(spec(cluster, "one")).await.unwrap();
    let two = cluster.join(spec(cluster, "two")).await.unwrap();
    let leased = within("an event", one.lease(1)).await.unwrap();
    let other = within("an event", two.lease(1)).await.unwrap();
    assert_ne!(leased[0].token.position, other[0].token.position);
    for is_back in [false, true, true, false] {
        cluster.jump(Duration::from_hours(1), is_back);
        wait(cluster, 1).await;
        one.renew().unwrap();
        let robbed = tokio::time::timeout(cluster.unit(), two.lease(1)).await;
        assert!(robbed.is_err(), "taken from a member that is alive");
    }
    assert_eq!(
        one.settle(vec![ack(leased[0].token)]).await.unwrap(),
        [true]
    );
    assert_eq!(two.settle(vec![ack(other[0].token)]).await.unwrap(), [true]);
}

/// T08 MUST: when the wall clock jumps, a retry comes after the delay that was asked for, neither at once nor an hour later.
pub async fn a_jump_of_the_wall_clock_leaves_retries_their_delay(cluster: &dyn Cluster) {
    for is_back in [false, true] {
        let bus = bus(cluster).await;
        let name = format!("back {is_back}");
        let seen = Seen::new(cluster);
        let retry = Retry::times(2)
            .delay(cluster.unit() * 20)
            .cap(cluster.unit() * 20)
            .jitter(Jitter::None);
        let builder = plain(cluster, &bus, &name)
            .start(Start::Latest)
            .retry(retry);
        seen.on(builder, |delivery| {
            if delivery.attempt < 3 {
                return Err(HandlerError::transient("not yet"));
            }
            Ok(())
        })
        .await;
        publish(cluster, &bus, 1).await;
        for attempt in 1..=2 {
            eventually("it fails", || seen.len() == attempt).await;
            // The engine notices when it looks at the clock next, which is not later than after a second.
            wait(cluster, 2).await;
            cluster.jump(Duration::from_hours(1), is_back);
        }
        idle(&bus, &name).await;
        let calls = seen.all();
        assert_eq!(calls.len(), 3);
        for two in calls.windows(2) {
            let delay = two[1].elapsed.saturating_sub(two[0].elapsed);
            let least = cluster.unit() * 20;
            assert!(
                delay + Duration::from_millis(2) >= least,
                "early: {delay:?}"
            );
            let most = least + Duration::from_secs(2) + cluster.lateness();
            assert!(delay <= most, "late: {delay:?}");
        }
    }
}

/// T09 MUST: an event whose time is over is not delivered; it is counted, or kept where that was asked for.
pub async fn an_event_past_its_time_is_not_delivered(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let soon = cluster.clock().now().after(cluster.unit() * 5);
    let late = soon.after(Duration::from_hours(1));
    let events = vec![
        event(cluster, "a.b", "0").expires_at(soon),
        event(cluster, "a.b", "1").expires_at(late),
        event(cluster, "a.b", "2"),
    ];
    let published = publish_all(&bus, events).await;
    wait(cluster, 6).await;
    let (plainly, keeping) = (Seen::new(cluster), Seen::new(cluster));
    plainly.on(plain(cluster, &bus, "plain"), handled).await;
    let builder = plain(cluster, &bus, "keeping").keep_expired();
    keeping.on(builder, handled).await;
    for (name, seen) in [("plain", &plainly), ("keeping", &keeping)] {
        idle(&bus, name).await;
        let mut data = seen.data();
        data.sort();
        assert_eq!(data, ["1", "2"], "{name}");
    }
    let counted = (
        counts(&bus, "plain").expired,
        counts(&bus, "keeping").expired,
    );
    assert_eq!(counted, (1, 0));
    assert!(letters(&bus, "plain").await.is_empty());
    let letters = letters(&bus, "keeping").await;
    assert_eq!((letters.len(), letters[0].position), (1, published[0]));
    assert_eq!(letters[0].faults[0].kind, "expired");
}
