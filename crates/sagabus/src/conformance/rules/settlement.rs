//! How a lease ends, and what does not end it.

use crate::conformance::Cluster;
use crate::conformance::bench::{ack, bus, publish, retry_at, spec, view_of, wait, within};
use crate::transport::{Leased, Member, Settle, Verdict};

async fn lease(member: &dyn Member, max: usize) -> Vec<Leased> {
    within("events to lease", member.lease(max)).await.unwrap()
}

async fn leases(member: &dyn Member, count: usize) -> Vec<Leased> {
    let mut leased = Vec::new();
    while leased.len() < count {
        leased.extend(lease(member, count - leased.len()).await);
    }
    leased
}

/// S01 MUST: what was settled stays settled after the end of the process, in good order or not.
pub async fn what_was_settled_stays_settled_over_restarts(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let published = publish(cluster, &bus, 6).await;
    for round in 0..3_usize {
        let member = cluster.join(spec(cluster, "a")).await.unwrap();
        let leased = leases(member.as_ref(), 2).await;
        let positions: Vec<u64> = leased.iter().map(|it| it.token.position).collect();
        assert_eq!(positions, published[round * 2..round * 2 + 2]);
        let settles = leased.iter().map(|it| ack(it.token)).collect();
        assert_eq!(member.settle(settles).await.unwrap(), [true, true]);
        member.leave();
        if round % 2 == 0 {
            cluster.crash().await;
        } else {
            cluster.restart().await;
        }
    }
    let transport = cluster.transport().await;
    let view = view_of(transport.as_ref(), "s");
    assert_eq!(
        (view.counts.acked, view.counts.pending(), view.ahead),
        (6, 0, 0)
    );
}

/// S02 MUST: events are settled in any order, each for itself.
pub async fn events_are_settled_in_any_order(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let published = publish(cluster, &bus, 10).await;
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    let leased = leases(member.as_ref(), 10).await;
    for number in [9, 3, 0, 5, 7, 1, 8] {
        let settled = member.settle(vec![ack(leased[number].token)]).await;
        assert_eq!(settled.unwrap(), [true]);
    }
    member.leave();
    let other = cluster.join(spec(cluster, "b")).await.unwrap();
    let mut rest: Vec<u64> = leases(other.as_ref(), 3)
        .await
        .iter()
        .map(|it| it.token.position)
        .collect();
    rest.sort_unstable();
    assert_eq!(rest, [published[2], published[4], published[6]]);
}

/// S03 MUST: an event whose lease nobody settles comes back, its attempt counted, over a crash too.
pub async fn an_event_that_nobody_settles_comes_back(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let published = publish(cluster, &bus, 1).await;
    for attempt in 1..=2 {
        let member = cluster.join(spec(cluster, "a")).await.unwrap();
        let leased = lease(member.as_ref(), 1).await;
        let token = leased[0].token;
        assert_eq!((token.position, token.attempt), (published[0], attempt));
        drop(member);
    }
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    let leased = lease(member.as_ref(), 1).await;
    assert_eq!(leased[0].token.attempt, 3);
    cluster.crash().await;
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    let leased = lease(member.as_ref(), 1).await;
    assert_eq!(
        leased[0].token.attempt, 4,
        "counted before it was handed out"
    );
    assert_eq!(leased[0].silent, 3);
}

/// S04 MUST: a lease is settled once; what comes after that changes nothing.
pub async fn a_lease_is_settled_once(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 2).await;
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    let leased = leases(member.as_ref(), 2).await;
    let (one, two) = (leased[0].token, leased[1].token);
    let now = cluster.clock().now();
    let both = vec![ack(one), retry_at(one, now)];
    let counted = member.settle(both).await.unwrap();
    assert!(counted[0]);
    let late = member.settle(vec![retry_at(one, now)]).await.unwrap();
    assert_eq!(late, [false]);
    assert_eq!(
        member.settle(vec![retry_at(two, now)]).await.unwrap(),
        [true]
    );
    assert_eq!(member.settle(vec![ack(two)]).await.unwrap(), [false]);
    let again = lease(member.as_ref(), 1).await;
    assert_eq!(
        (again[0].token.position, again[0].token.attempt),
        (two.position, 2)
    );
    let old = member.settle(vec![ack(two)]).await.unwrap();
    assert_eq!(old, [false], "the token of an earlier attempt");
    let transport = cluster.transport().await;
    let counts = view_of(transport.as_ref(), "s").counts;
    assert_eq!((counts.acked, counts.leased), (1, 1));
}

/// S05 MUST: an event that is handed back unstarted has no attempt counted, as often as that happens.
pub async fn an_event_that_is_handed_back_costs_no_attempt(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 1).await;
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    for _ in 0..5 {
        let leased = lease(member.as_ref(), 1).await;
        assert_eq!((leased[0].token.attempt, leased[0].silent), (1, 0));
        let release = Settle::new(leased[0].token, Verdict::Release);
        assert_eq!(member.settle(vec![release]).await.unwrap(), [true]);
    }
    let leased = lease(member.as_ref(), 1).await;
    let failed = retry_at(leased[0].token, cluster.clock().now());
    assert_eq!(member.settle(vec![failed]).await.unwrap(), [true]);
    let leased = lease(member.as_ref(), 1).await;
    assert_eq!(leased[0].token.attempt, 2);
}

/// S05 MUST: a call for events that is given up takes none with it and counts no attempt.
pub async fn a_call_that_is_given_up_takes_no_event_with_it(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let member = cluster.join(spec(cluster, "a")).await.unwrap();
    for number in 0..20 {
        let call = member.lease(1);
        let published = async {
            if number == 10 {
                publish(cluster, &bus, 1).await;
            }
        };
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            leased = call => {
                let release = Settle::new(leased.unwrap()[0].token, Verdict::Release);
                member.settle(vec![release]).await.unwrap();
            }
        }
        published.await;
        wait(cluster, 1).await;
        member.renew().unwrap();
    }
    let leased = lease(member.as_ref(), 1).await;
    assert_eq!((leased[0].token.attempt, leased[0].silent), (1, 0));
}
