//! Members of a subscription share its events; subscriptions do not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, ack, bus, counts, eventually, handled, idle, plain, publish, publish_keys, spec, view_of,
    wait, within,
};
use crate::error::ErrorKind;
use crate::ledger::Order;
use crate::transport::{Leased, Member};

fn once_each(mut got: Vec<u64>, expected: &[u64]) {
    got.sort_unstable();
    assert_eq!(got, expected, "each once");
}

/// Leases one event while the other members are heard of.
async fn lease_one(member: &Arc<dyn Member>) -> Leased {
    let mut leased = within("an event to lease", member.lease(1)).await.unwrap();
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

/// G01 MUST: two subscriptions each get all events.
pub async fn two_subscriptions_each_get_everything(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seens = [Seen::new(cluster), Seen::new(cluster)];
    for (name, seen) in ["one", "two"].into_iter().zip(&seens) {
        seen.on(plain(cluster, &bus, name), handled).await;
    }
    let published = publish(cluster, &bus, 100).await;
    for (name, seen) in ["one", "two"].into_iter().zip(&seens) {
        idle(&bus, name).await;
        once_each(seen.positions(), &published);
    }
}

/// G02 MUST: members share the events of their subscription, each event once, and all members have work.
pub async fn members_share_the_events_of_their_subscription(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seens: Vec<Seen> = (0..4).map(|_| Seen::new(cluster)).collect();
    let pause = cluster.unit() / 10;
    for (number, seen) in seens.iter().enumerate() {
        let to = seen.clone();
        let builder = plain(cluster, &bus, "s").member(&format!("m{number}"));
        let started = builder.concurrency(1).handler(move |delivery| {
            to.note(&delivery);
            async move {
                tokio::time::sleep(pause).await;
                Ok(())
            }
        });
        started.await.unwrap();
    }
    let published = publish(cluster, &bus, 60).await;
    idle(&bus, "s").await;
    assert!(seens.iter().all(|it| it.len() >= 3), "all have work");
    once_each(seens.iter().flat_map(Seen::positions).collect(), &published);
}

/// G03 MUST: a member that joins while events come gets its share, and nothing is lost or doubled.
pub async fn a_member_that_joins_under_load_gets_its_share(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (first, second) = (Seen::new(cluster), Seen::new(cluster));
    let pause = cluster.unit() / 10;
    let mut published = Vec::new();
    for (member, seen) in [("a", &first), ("b", &second)] {
        let to = seen.clone();
        let builder = plain(cluster, &bus, "s").member(member).concurrency(1);
        let started = builder.handler(move |delivery| {
            to.note(&delivery);
            async move {
                tokio::time::sleep(pause).await;
                Ok(())
            }
        });
        started.await.unwrap();
        published.extend(publish(cluster, &bus, 40).await);
    }
    idle(&bus, "s").await;
    assert!(second.len() >= 10, "{}", second.len());
    let got = [&first, &second].into_iter().flat_map(Seen::positions);
    once_each(got.collect(), &published);
}

/// G04 MUST: a member that leaves finishes what it has begun, and the rest goes to the others, uncounted.
pub async fn a_member_that_leaves_loses_and_doubles_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let pause = cluster.unit() / 10;
    let mut running = Vec::new();
    for member in ["a", "b"] {
        let to = seen.clone();
        let builder = plain(cluster, &bus, "s").member(member).concurrency(2);
        let started = builder.handler(move |delivery| {
            to.note(&delivery);
            async move {
                tokio::time::sleep(pause).await;
                Ok(())
            }
        });
        running.push(started.await.unwrap());
    }
    let published = publish(cluster, &bus, 40).await;
    eventually("some were handled", || seen.len() >= 6).await;
    let leaving = running.remove(0);
    assert_eq!(leaving.stop(cluster.unit() * 100).await, 0, "none was cut");
    idle(&bus, "s").await;
    assert!(seen.all().iter().all(|it| it.attempt == 1));
    once_each(seen.positions(), &published);
}

/// G05 MUST: what a killed member had goes to another when its lease is over, and not before; its attempt counts.
pub async fn what_a_killed_member_had_goes_to_another_after_its_lease(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let published = publish(cluster, &bus, 1).await;
    let killed = cluster.join(spec(cluster, "killed")).await.unwrap();
    let held = lease_one(&killed).await;
    let since = cluster.clock().elapsed();
    assert_eq!((held.token.position, held.token.attempt), (published[0], 1));
    cluster.kill(killed);
    let other = cluster.join(spec(cluster, "other")).await.unwrap();
    let beats = Arc::clone(&other);
    let beat = cluster.unit() * 3;
    let beating = async move {
        loop {
            tokio::time::sleep(beat).await;
            beats.renew().unwrap();
        }
    };
    let leased = tokio::select! {
        leased = lease_one(&other) => leased,
        () = beating => panic!("beats for ever"),
    };
    let waited = cluster.clock().elapsed().saturating_sub(since);
    assert!(
        waited + Duration::from_millis(2) >= cluster.unit() * 10,
        "{waited:?}"
    );
    assert_eq!(
        (leased.token.position, leased.token.attempt),
        (published[0], 2)
    );
    assert_eq!(leased.silent, 1, "one attempt without an outcome");
    assert_eq!(other.settle(vec![ack(leased.token)]).await.unwrap(), [true]);
}

/// G06 MUST: a member that was frozen for longer than its lease is fenced, and its late answer does not count.
pub async fn the_late_answer_of_a_frozen_member_does_not_count(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 1).await;
    let transport = cluster.transport().await;
    let frozen = cluster.join(spec(cluster, "frozen")).await.unwrap();
    let held = lease_one(&frozen).await;
    let other = cluster.join(spec(cluster, "other")).await.unwrap();
    for _ in 0..6 {
        wait(cluster, 2).await;
        other.renew().unwrap();
    }
    let leased = lease_one(&other).await;
    let late = frozen.settle(vec![ack(held.token)]).await.unwrap();
    assert_eq!(late, [false]);
    assert_eq!(view_of(transport.as_ref(), "s").counts.acked, 0);
    assert_eq!(frozen.renew().unwrap_err().kind(), ErrorKind::Fenced);
    let error = frozen.lease(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(other.settle(vec![ack(leased.token)]).await.unwrap(), [true]);
    assert_eq!(view_of(transport.as_ref(), "s").counts.acked, 1);
}

/// G07 MUST: of two incarnations of one member the later one has its events, and the earlier one is fenced at once.
pub async fn a_second_incarnation_of_a_member_fences_the_first(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 1).await;
    let first = cluster.join(spec(cluster, "a")).await.unwrap();
    let held = lease_one(&first).await;
    let second = cluster.join(spec(cluster, "a")).await.unwrap();
    let leased = lease_one(&second).await;
    assert_eq!(leased.token.position, held.token.position);
    assert!(leased.token.epoch > held.token.epoch);
    assert_eq!(first.settle(vec![ack(held.token)]).await.unwrap(), [false]);
    assert_eq!(first.renew().unwrap_err().kind(), ErrorKind::Fenced);
    // Nor does a token of the other count when the member that has it settles it.
    assert_eq!(second.settle(vec![ack(held.token)]).await.unwrap(), [false]);
    assert_eq!(
        second.settle(vec![ack(leased.token)]).await.unwrap(),
        [true]
    );
}

/// G08 SHOULD: a hundred joins and leaves in a row lose nothing and double nothing.
pub async fn a_hundred_joins_and_leaves_lose_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let published = publish(cluster, &bus, 300).await;
    for number in 0..100 {
        let builder = plain(cluster, &bus, "s").member(&format!("m{}", number % 7));
        let running = seen.on(builder.concurrency(1), handled).await;
        tokio::task::yield_now().await;
        assert_eq!(running.stop(cluster.unit() * 100).await, 0);
    }
    let last = seen.on(plain(cluster, &bus, "s"), handled).await;
    idle(&bus, "s").await;
    last.stop(cluster.unit()).await;
    assert!(seen.all().iter().all(|it| it.attempt == 1));
    once_each(seen.positions(), &published);
    assert_eq!(counts(&bus, "s").acked, 300);
}

/// G09 MUST: the events of a key stay in order while members come and go.
pub async fn keys_stay_in_order_while_members_come_and_go(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let keys: Vec<String> = (0..400).map(|it| format!("k{}", it % 8)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    publish_keys(cluster, &bus, &keys).await;
    let pause = cluster.unit() / 100;
    let mut running = Vec::new();
    for number in 0..12 {
        let to = seen.clone();
        let builder = plain(cluster, &bus, "s")
            .order(Order::PerKey)
            .concurrency(3);
        let started = builder
            .member(&format!("m{number}"))
            .handler(move |delivery| {
                let to = to.clone();
                async move {
                    tokio::time::sleep(pause).await;
                    to.note(&delivery);
                    Ok(())
                }
            });
        running.push(started.await.unwrap());
        tokio::time::sleep(pause * 3).await;
        if running.len() > 3 {
            running.remove(0).stop(cluster.unit() * 100).await;
        }
    }
    idle(&bus, "s").await;
    let calls = seen.all();
    assert_eq!(calls.len(), 400);
    let handled_keys: BTreeSet<String> = calls.iter().map(|it| it.key()).collect();
    for key in handled_keys {
        let of_key = calls.iter().filter(|it| it.key() == key);
        let positions: Vec<u64> = of_key.map(|it| it.position).collect();
        assert!(positions.is_sorted(), "{key}: {positions:?}");
    }
}

/// G10 MUST: a handler that takes many times its member's lease is not robbed, since the member is heard of.
pub async fn a_slow_handler_is_not_robbed(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    // The shortest lease that a subscription may have.
    let lease = Duration::from_secs(1);
    for member in ["a", "b"] {
        let to = seen.clone();
        let builder = plain(cluster, &bus, "s").member(member).lease(lease);
        let started = builder.concurrency(1).handler(move |delivery| {
            to.note(&delivery);
            async move {
                tokio::time::sleep(lease * 5 / 2).await;
                Ok(())
            }
        });
        started.await.unwrap();
    }
    let published = publish(cluster, &bus, 2).await;
    idle(&bus, "s").await;
    once_each(seen.positions(), &published);
    assert!(seen.all().iter().all(|it| it.attempt == 1));
}
