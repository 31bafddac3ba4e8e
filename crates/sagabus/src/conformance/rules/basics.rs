//! What is published arrives, whole, where it is wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::bus::BATCH_EVENTS_MAX;
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, event, handled, idle, plain, publish, publish_all, wait,
};
use crate::error::ErrorKind;
use crate::event::{DATA_BYTES_MAX, METADATA_ENTRIES_MAX};
use crate::ledger::Priority;
use crate::transport::Start;

/// B01 MUST: an event comes with the payload and with every attribute that it was published with.
pub async fn an_event_arrives_as_it_was_published(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let cause = event(cluster, "a.cause", "1");
    let mut sent = event(cluster, "a.b", r#"{ "x" : 1.50, "y": "µ" }"#)
        .about("sample/7")
        .caused_by(&cause)
        .correlated("run-9")
        .priority(Priority::High)
        .expires_at(cluster.clock().now().after(Duration::from_hours(1)))
        .idempotency_key("lims-4711");
    sent.version = "2.1".into();
    sent.metadata.insert("tenant".to_owned(), "lab".to_owned());
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let receipt = bus.publish(sent.clone()).await.unwrap();
    idle(&bus, "s").await;
    let calls = seen.all();
    assert_eq!(calls.len(), 1);
    assert_eq!(*calls[0].event, sent);
    assert_eq!((calls[0].position, calls[0].attempt), (receipt.position, 1));
    assert_eq!((receipt.id, receipt.duplicate), (sent.id, false));
}

/// B02 MUST: payloads from the shortest to the longest, and as many and as long attributes as there may be, come unchanged.
pub async fn payloads_of_every_size_arrive_byte_by_byte(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let longest = format!("\"{}\"", "x".repeat(DATA_BYTES_MAX - 2));
    let mut sent = Vec::new();
    for data in [
        "0",
        "\"\"",
        "{}",
        "\"a\\u0000b\"",
        " [1, 2 ]\n",
        longest.as_str(),
    ] {
        let mut event = event(cluster, "a.b", data).about("größe-Ω-試料");
        for number in 0..METADATA_ENTRIES_MAX {
            event
                .metadata
                .insert(format!("k{number}"), format!("wört {number} 🧬"));
        }
        bus.publish(event.clone()).await.unwrap();
        sent.push(event);
    }
    idle(&bus, "s").await;
    let mut calls = seen.all();
    calls.sort_by_key(|it| it.position);
    let got: Vec<_> = calls.iter().map(|it| it.event.as_ref().clone()).collect();
    assert!(got == sent, "not what was published");
}

/// B03 MUST: a new subscription begins with the oldest event, with the next one, or with the position that it names.
pub async fn a_new_subscription_begins_where_it_says(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let before = publish(cluster, &bus, 5).await;
    let starts = [
        ("earliest", Start::Earliest, 5),
        ("latest", Start::Latest, 0),
        ("at", Start::At(before[3]), 2),
    ];
    let mut seens = Vec::new();
    for (name, start, past) in starts {
        let seen = Seen::new(cluster);
        seen.on(plain(cluster, &bus, name).start(start), handled)
            .await;
        seens.push((name, seen, past));
    }
    let after = publish(cluster, &bus, 2).await;
    for (name, seen, past) in seens {
        idle(&bus, name).await;
        let mut got = seen.positions();
        got.sort_unstable();
        let expected: Vec<u64> = before[5 - past..].iter().chain(&after).copied().collect();
        assert_eq!(got, expected, "{name}");
    }
}

/// B03 MUST: a subscription that says nothing about the past is refused.
pub async fn a_subscription_must_say_where_it_begins(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let started = bus.subscription("s").pattern("**");
    let error = started.handler(|_| async { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// B04 MUST: subscriptions to two types get their own events only.
pub async fn two_types_do_not_mix(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (ones, twos) = (Seen::new(cluster), Seen::new(cluster));
    for (name, pattern, seen) in [("one", "x.one", &ones), ("two", "x.two", &twos)] {
        let builder = bus.subscription(name).pattern(pattern);
        seen.on(builder.start(Start::Latest), handled).await;
    }
    for number in 0..50 {
        let event_type = if number % 3 == 0 { "x.one" } else { "x.two" };
        let event = event(cluster, event_type, "1");
        bus.publish(event).await.unwrap();
    }
    for (name, seen, event_type, count) in
        [("one", &ones, "x.one", 17), ("two", &twos, "x.two", 33)]
    {
        idle(&bus, name).await;
        let calls = seen.all();
        assert_eq!(calls.len(), count, "{name}");
        assert!(
            calls
                .iter()
                .all(|it| it.event.event_type.as_str() == event_type)
        );
    }
}

/// B05 MUST: twenty types at a time each reach their own subscription, complete and in their order.
pub async fn twenty_types_at_a_time_each_reach_their_subscription(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let mut seens = Vec::new();
    for number in 0..20 {
        let seen = Seen::new(cluster);
        let builder = bus
            .subscription(&format!("s{number}"))
            .pattern(&format!("t{number}.x"))
            .start(Start::Latest)
            .concurrency(1);
        seen.on(builder, handled).await;
        seens.push(seen);
    }
    let mut expected = vec![Vec::new(); 20];
    for round in 0..10 {
        let types = 0..20_usize;
        let events = types.map(|it| event(cluster, &format!("t{it}.x"), &round.to_string()));
        let positions = publish_all(&bus, events.collect()).await;
        for (expected, position) in expected.iter_mut().zip(positions) {
            expected.push(position);
        }
    }
    for (number, (seen, expected)) in seens.iter().zip(&expected).enumerate() {
        idle(&bus, &format!("s{number}")).await;
        assert_eq!(&seen.positions(), expected, "type {number}");
    }
}

/// B06 MUST: what many publish at a time reaches many members, each event once.
pub async fn many_publishers_and_many_members_lose_and_double_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    for member in 0..8 {
        let builder = plain(cluster, &bus, "s").member(&format!("m{member}"));
        seen.on(builder, handled).await;
    }
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let events: Vec<_> = (0..50).map(|_| event(cluster, "a.b", "1")).collect();
        let bus = bus.clone();
        publishers.spawn(async move {
            let mut positions = Vec::new();
            for event in events {
                positions.push(bus.publish(event).await.unwrap().position);
            }
            positions
        });
    }
    let published: BTreeSet<u64> = publishers.join_all().await.into_iter().flatten().collect();
    assert_eq!(published.len(), 400, "each at a place of its own");
    idle(&bus, "s").await;
    let got = seen.positions();
    assert_eq!(got.len(), 400);
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), published);
}

/// B07 MUST: a batch is stored next to each other and as a whole.
pub async fn a_batch_is_stored_as_a_whole_and_in_its_order(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let positions = publish(cluster, &bus, 100).await;
    let read = bus.read(positions[0], 100).await.unwrap();
    let stored: Vec<u64> = read.events.iter().map(|(it, _)| *it).collect();
    assert_eq!(stored, positions);
    assert!(positions.windows(2).all(|it| it[1] == it[0] + 1));
}

/// B07 MUST: of a batch with one event that cannot be taken, or with too many, nothing is stored.
pub async fn a_batch_with_one_bad_event_stores_nothing(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let bad = event(cluster, "a.b", "no JSON");
    let mut batch: Vec<_> = (0..9).map(|_| event(cluster, "a.b", "1")).collect();
    batch.insert(5, bad);
    let error = bus.publish_batch(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let many = 0..=BATCH_EVENTS_MAX;
    let many = many.map(|_| event(cluster, "a.b", "1")).collect();
    let error = bus.publish_batch(many).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let good = publish(cluster, &bus, 1).await;
    idle(&bus, "s").await;
    assert_eq!(seen.positions(), good, "only what was published after it");
    assert_eq!(bus.stats().total_events, 1);
}

/// B08 MUST: a payload over the limit is refused by an error that says so, and nothing is stored.
pub async fn a_payload_over_the_limit_is_refused(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let long = format!("\"{}\"", "x".repeat(DATA_BYTES_MAX - 1));
    let error = bus.publish(event(cluster, "a.b", &long)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`data`"), "{error}");
    let read = bus.read(0, 10).await.unwrap();
    assert!(read.events.is_empty() && read.is_last);
}

/// B09 MUST: after the bus was shut down a publish is an error, and never a silent success.
pub async fn a_publish_after_the_shutdown_is_an_error(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish(cluster, &bus, 1).await;
    bus.shutdown(cluster.unit()).await;
    let late = event(cluster, "a.b", "2");
    let error = bus.publish(late.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    let subscribed = plain(cluster, &bus, "s").handler(|_| async { Ok(()) });
    assert_eq!(subscribed.await.unwrap_err().kind(), ErrorKind::Closed);
    bus.shutdown(cluster.unit()).await;
    cluster.restart().await;
    let bus = super::basics::bus(cluster).await;
    let stored = bus.read(0, 10).await.unwrap().events;
    assert_eq!(stored.len(), 1);
    assert!(stored.iter().all(|(_, it)| it.id != late.id));
}

/// B10 MUST: members of one subscription who want something else than those that are there are refused.
pub async fn a_second_meaning_of_one_name_is_refused(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    for (member, pattern) in [("1", "**"), ("2", "x.*")] {
        let builder = bus.subscription("s").pattern(pattern).member(member);
        let started = builder.start(Start::Earliest).handler(|_| async { Ok(()) });
        let error = started.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{member} {pattern}");
    }
    publish(cluster, &bus, 3).await;
    idle(&bus, "s").await;
    wait(cluster, 1).await;
    assert_eq!(seen.len(), 3, "the first one is as it was");
}
