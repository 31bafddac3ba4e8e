//! Events of one key come one after the other, whatever happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::bus::{Bus, HandlerError, Subscription};
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, eventually, handled, idle, letters, plain, publish_keys, quick, rejecting,
    view,
};
use crate::ledger::{By, Exhausted, Order};
use crate::retry::{Jitter, Retry};
use crate::transport::Repair;

/// Publishes `count` events of 16 keys in turn; their positions by key.
async fn publish_sixteen(
    cluster: &dyn Cluster,
    bus: &Bus,
    count: usize,
    published: &mut BTreeMap<String, Vec<u64>>,
) {
    let keys: Vec<String> = (0..count).map(|it| format!("k{}", it % 16)).collect();
    let words: Vec<&str> = keys.iter().map(String::as_str).collect();
    let positions = publish_keys(cluster, bus, &words).await;
    for (key, position) in keys.into_iter().zip(positions) {
        published.entry(key).or_default().push(position);
    }
}

/// Members in order by key that fail one call in `fails_each` (0 is never) and note what they handled.
async fn members(
    cluster: &dyn Cluster,
    bus: &Bus,
    seen: &Seen,
    life: usize,
    fails_each: usize,
) -> Vec<Subscription> {
    let calls = Arc::new(AtomicUsize::new(1));
    let mut running = Vec::new();
    for member in 0..10 {
        let (to, calls) = (seen.clone(), Arc::clone(&calls));
        let pause = cluster.unit() / 1000;
        let retry = Retry::times(1000)
            .delay(Duration::from_millis(2))
            .cap(Duration::from_millis(2))
            .jitter(Jitter::None);
        let builder = plain(cluster, bus, "s").order(Order::PerKey).retry(retry);
        let budget = crate::ledger::RetryBudget {
            tokens_max: 1_000_000,
            per_second: 1_000_000,
            successes_per_token: 1,
        };
        let builder = builder.retry_budget(budget).concurrency(3);
        let started = builder
            .member(&format!("{life}-{member}"))
            .handler(move |delivery| {
                let (to, call) = (to.clone(), calls.fetch_add(1, Ordering::SeqCst));
                async move {
                    tokio::time::sleep(pause * u32::try_from(call % 3).unwrap()).await;
                    if fails_each > 0 && call % fails_each == 0 {
                        return Err(HandlerError::transient("one in so many"));
                    }
                    to.note(&delivery);
                    Ok(())
                }
            });
        running.push(started.await.unwrap());
    }
    running
}

/// For each key, the first time that each event was handled is in the order of the log, and none is missing.
fn check_order(seen: &Seen, published: &BTreeMap<String, Vec<u64>>) {
    let mut handled: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for call in seen.all() {
        let positions = handled.entry(call.key()).or_default();
        if !positions.contains(&call.position) {
            positions.push(call.position);
        }
    }
    for (key, positions) in published {
        assert_eq!(handled.get(key), Some(positions), "{key}");
    }
}

/// O01 MUST: a thousand events of each of sixteen keys come in order, with ten members at work.
pub async fn a_thousand_events_of_each_key_come_in_order(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, mut published) = (Seen::new(cluster), BTreeMap::new());
    publish_sixteen(cluster, &bus, 16_000, &mut published).await;
    members(cluster, &bus, &seen, 0, 0).await;
    idle(&bus, "s").await;
    check_order(&seen, &published);
    assert_eq!(seen.len(), 16_000, "each once");
}

/// O02 MUST: the same where one call in ten fails.
pub async fn keys_stay_in_order_through_failures(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, mut published) = (Seen::new(cluster), BTreeMap::new());
    publish_sixteen(cluster, &bus, 1600, &mut published).await;
    members(cluster, &bus, &seen, 0, 10).await;
    idle(&bus, "s").await;
    check_order(&seen, &published);
    assert_eq!(seen.len(), 1600);
    assert!(bus.stats().failed_attempts >= 160);
}

/// O03 MUST: an event that waits for another attempt holds up its own key and no other.
pub async fn a_failing_event_holds_up_its_own_key_only(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let unit = cluster.unit();
    let retry = quick(cluster, 1).delay(unit * 20).cap(unit * 20);
    let builder = plain(cluster, &bus, "s").order(Order::PerKey).retry(retry);
    seen.on(builder, |delivery| {
        let is_first = delivery.event.data == "0" && delivery.attempt == 1;
        if is_first {
            return Err(HandlerError::transient("not yet"));
        }
        Ok(())
    })
    .await;
    let since = cluster.clock().elapsed();
    publish_keys(
        cluster,
        &bus,
        &["bad", "good", "bad", "good", "other", "bad"],
    )
    .await;
    idle(&bus, "s").await;
    let calls = seen.all();
    let bad: Vec<String> = calls
        .iter()
        .filter(|it| it.key() == "bad")
        .map(|it| it.data())
        .collect();
    assert_eq!(bad, ["0", "0", "2", "5"]);
    for call in calls.iter().filter(|it| it.key() != "bad") {
        let late = call.elapsed.saturating_sub(since);
        assert!(late <= cluster.lateness(), "{late:?}");
    }
    let second = calls.iter().find(|it| it.data() == "2").unwrap();
    assert!(second.elapsed.saturating_sub(since) + Duration::from_millis(1) >= unit * 20);
}

/// O04 MUST: events behind a dead letter of their key are parked, not failed, and others go on.
pub async fn events_behind_a_dead_letter_of_their_key_are_parked(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").order(Order::PerKey);
    seen.on(builder, |delivery| match &delivery.event.data[..] {
        b"0" => Err(HandlerError::permanent("never")),
        _ => Ok(()),
    })
    .await;
    publish_keys(cluster, &bus, &["bad", "good", "bad", "good", "bad"]).await;
    idle(&bus, "s").await;
    assert_eq!(seen.data(), ["0", "1", "3"]);
    let counts = counts(&bus, "s");
    assert_eq!((counts.dead, counts.parked, counts.acked), (1, 2, 2));
    assert_eq!(letters(&bus, "s").await[0].parked, 2);
    assert_eq!(
        bus.stats().failed_attempts,
        1,
        "the parked ones did not fail"
    );
}

/// O05 MUST: where it is asked for, the events behind a dead letter go on.
pub async fn events_behind_a_dead_letter_go_on_where_that_is_asked_for(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").order(Order::PerKey);
    let builder = builder.exhausted(Exhausted::SkipAhead);
    seen.on(builder, |delivery| match &delivery.event.data[..] {
        b"0" => Err(HandlerError::permanent("never")),
        _ => Ok(()),
    })
    .await;
    publish_keys(cluster, &bus, &["bad", "bad", "bad"]).await;
    idle(&bus, "s").await;
    assert_eq!(seen.data(), ["0", "1", "2"]);
    assert_eq!(counts(&bus, "s").parked, 0);
}

/// O06 MUST: when the first of a key is mended and redriven, those behind it follow in order.
pub async fn a_mended_event_goes_first_and_its_followers_after_it(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s")
        .order(Order::PerKey)
        .concurrency(8);
    seen.on(builder, |delivery| match &delivery.event.data[..] {
        b"0" => Err(HandlerError::permanent("never")),
        _ => Ok(()),
    })
    .await;
    let positions = publish_keys(cluster, &bus, &["k", "k", "k", "k"]).await;
    idle(&bus, "s").await;
    let by = By::new("ann", "a typo in the form");
    let revise = Repair::Revise {
        data: "\"mended\"".into(),
        by,
    };
    let first = [positions[0]];
    assert_eq!(bus.ledgers().repair("s", &first, revise).await.unwrap(), 1);
    assert_eq!(bus.ledgers().redrive("s", &first).await.unwrap(), 1);
    eventually("all are handled", || counts(&bus, "s").acked == 4).await;
    assert_eq!(seen.data(), ["0", "\"mended\"", "1", "2", "3"]);
    assert_eq!(counts(&bus, "s").dead, 0);
}

/// O07 MUST: keys stay in order through failures, members that come and go, crashes and restarts, together.
pub async fn keys_stay_in_order_through_failures_members_and_crashes(cluster: &dyn Cluster) {
    let (seen, mut published) = (Seen::new(cluster), BTreeMap::new());
    for life in 0..5 {
        let bus = bus(cluster).await;
        publish_sixteen(cluster, &bus, 160, &mut published).await;
        let mut running = members(cluster, &bus, &seen, life, 7).await;
        let some = seen.len() + 40;
        eventually("some are handled", || seen.len() >= some).await;
        match life {
            4 => idle(&bus, "s").await,
            it if it % 2 == 0 => cluster.crash().await,
            _ => {
                for leaving in running.drain(..3) {
                    leaving.stop(cluster.unit()).await;
                }
                bus.shutdown(cluster.unit() / 10).await;
                cluster.restart().await;
            }
        }
    }
    check_order(&seen, &published);
    let bus = bus(cluster).await;
    assert_eq!(counts(&bus, "s").acked, 800);
}

/// O08 MUST: events without a key are in no order and none is lost.
pub async fn events_without_a_key_are_complete(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").order(Order::PerKey);
    seen.on(builder, |delivery| match delivery.event.data[..] {
        [b'0'] => Err(HandlerError::permanent("never")),
        _ => Ok(()),
    })
    .await;
    let mut positions = crate::conformance::bench::publish(cluster, &bus, 100).await;
    idle(&bus, "s").await;
    let mut got = seen.positions();
    got.sort_unstable();
    positions.sort_unstable();
    assert_eq!(got, positions);
    assert_eq!(counts(&bus, "s").parked, 0, "nothing is behind it");
}

/// O09 SHOULD: a key with nine tenths of the events does not stop the others.
pub async fn a_key_with_most_events_does_not_stop_the_others(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let keys: Vec<String> = (0..300)
        .map(|it| match it % 10 {
            9 => format!("k{it}"),
            _ => "most".to_owned(),
        })
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    publish_keys(cluster, &bus, &keys).await;
    let to = seen.clone();
    let pause = cluster.unit() / 10;
    let builder = plain(cluster, &bus, "s")
        .order(Order::PerKey)
        .concurrency(4);
    let started = builder.handler(move |delivery| {
        to.note(&delivery);
        async move {
            tokio::time::sleep(pause).await;
            Ok(())
        }
    });
    started.await.unwrap();
    idle(&bus, "s").await;
    let calls = seen.all();
    assert_eq!(calls.len(), 300);
    let last = calls.iter().rposition(|it| it.key() != "most").unwrap();
    assert!(last < 100, "the last of the others came as number {last}");
}

/// O04 MUST: with too many parked events the subscription looks at no more, drops nothing, and says so.
pub async fn too_many_parked_events_stop_the_subscription_and_drop_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").order(Order::PerKey).parked_max(3);
    let running = seen.on(builder, rejecting).await;
    publish_keys(cluster, &bus, &["bad"; 2000]).await;
    eventually("it says so", || view(&bus, "s").is_stalled).await;
    let view = view(&bus, "s");
    assert_eq!(view.ahead + view.counts.pending() + view.counts.dead, 2000);
    assert!(!bus.health().is_healthy());
    assert_eq!(seen.len(), 1);
    running.stop(cluster.unit()).await;
    let builder = plain(cluster, &bus, "s").order(Order::PerKey).parked_max(3);
    seen.on(builder, handled).await;
    let first = letters(&bus, "s").await[0].position;
    let skip = Repair::Skip(By::new("ann", "test data"));
    bus.ledgers().repair("s", &[first], skip).await.unwrap();
    eventually("the rest is handled", || counts(&bus, "s").acked == 1999).await;
}
