//! An event that is published again is the same event.

use std::time::Duration;

use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, event, eventually, failing, handled, idle, plain, publish,
};
use crate::error::ErrorKind;

/// X01 MUST: a second publish of one id is told the first position and stored once, in a batch too.
pub async fn a_second_publish_is_told_the_first_position(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let sent = event(cluster, "a.b", "1");
    let first = bus.publish(sent.clone()).await.unwrap();
    publish(cluster, &bus, 20).await;
    let second = bus.publish(sent.clone()).await.unwrap();
    assert_eq!((first.duplicate, second.duplicate), (false, true));
    assert_eq!(first.position, second.position);
    let batch = vec![sent.clone(), event(cluster, "a.b", "3"), sent];
    let batch = bus.publish_batch(batch).await.unwrap();
    let duplicates: Vec<bool> = batch.iter().map(|it| it.duplicate).collect();
    assert_eq!(duplicates, [true, false, true]);
    assert_eq!(batch[2].position, first.position);
    idle(&bus, "s").await;
    assert_eq!(seen.len(), 22);
}

/// X01 MUST: a second publish under one idempotency key of a source is told the first position, whatever its id.
pub async fn a_second_publish_under_one_key_is_told_the_first_position(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let keyed = || event(cluster, "a.b", "1").idempotency_key("lims-1");
    let first = bus.publish(keyed()).await.unwrap();
    publish(cluster, &bus, 20).await;
    let second = bus.publish(keyed()).await.unwrap();
    assert_eq!((second.position, second.duplicate), (first.position, true));
    let mut other = keyed();
    other.source = "another".into();
    let other = bus.publish(other).await.unwrap();
    assert!(!other.duplicate, "the key is the source's own");
    cluster.crash().await;
    let bus = super::dedup::bus(cluster).await;
    let third = bus.publish(keyed()).await.unwrap();
    assert_eq!((third.position, third.duplicate), (first.position, true));
}

/// X02 MUST: another payload under the same key is refused as a conflict, and nothing of its batch is stored.
pub async fn another_payload_under_one_key_is_a_conflict(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let keyed = |data: &str| event(cluster, "a.b", data).idempotency_key("lims-1");
    bus.publish(keyed("1")).await.unwrap();
    let batch = vec![event(cluster, "a.b", "3"), keyed("2")];
    let error = bus.publish_batch(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let stored = bus.read(0, 10).await.unwrap().events;
    assert_eq!(stored.len(), 1);
}

/// X01 MUST: of many who publish one event at a time, one stores it and all are told where it stands.
pub async fn publishes_of_one_event_at_a_time_are_one(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let event = event(cluster, "a.b", "1");
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (bus, event) = (bus.clone(), event.clone());
        publishers.spawn(async move { bus.publish(event).await.unwrap() });
    }
    let receipts = publishers.join_all().await;
    assert_eq!(receipts.iter().filter(|it| !it.duplicate).count(), 1);
    assert!(
        receipts
            .iter()
            .all(|it| it.position == receipts[0].position)
    );
    assert_eq!(bus.read(0, 10).await.unwrap().events.len(), 1);
}

/// X03 MUST: an event that is published again after it was forgotten, by time or by number, is a new event.
pub async fn what_is_beyond_the_window_is_a_new_event(cluster: &dyn Cluster) {
    let time = Duration::from_secs(1).max(cluster.unit() * 20);
    cluster.remember(8, time);
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    seen.on(plain(cluster, &bus, "s"), handled).await;
    let sent = event(cluster, "a.b", "\"old\"");
    let first = bus.publish(sent.clone()).await.unwrap();
    let again = bus.publish(sent.clone()).await.unwrap();
    assert_eq!((again.position, again.duplicate), (first.position, true));
    // The ninth one pushes it out.
    publish(cluster, &bus, 9).await;
    let second = bus.publish(sent.clone()).await.unwrap();
    assert!(!second.duplicate && second.position > first.position);
    let again = bus.publish(sent.clone()).await.unwrap();
    assert_eq!((again.position, again.duplicate), (second.position, true));
    tokio::time::sleep(time + cluster.unit()).await;
    let third = bus.publish(sent.clone()).await.unwrap();
    assert!(!third.duplicate && third.position > second.position);
    idle(&bus, "s").await;
    let old = seen.data().iter().filter(|it| *it == "\"old\"").count();
    assert_eq!((old, seen.len()), (3, 12));
}

/// X04 MUST: what was published is known after a crash and after a restart in good order.
pub async fn what_was_published_is_known_after_a_restart(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let sent = event(cluster, "a.b", "1");
    let position = first.publish(sent.clone()).await.unwrap().position;
    publish(cluster, &first, 50).await;
    cluster.crash().await;
    for _ in 0..2 {
        let bus = bus(cluster).await;
        let receipt = bus.publish(sent.clone()).await.unwrap();
        assert_eq!((receipt.position, receipt.duplicate), (position, true));
        bus.shutdown(cluster.unit()).await;
        cluster.restart().await;
    }
}

/// X07 MUST: an event whose handler failed is not taken for handled, in this process or the next.
pub async fn a_failed_event_is_not_taken_for_handled(cluster: &dyn Cluster) {
    let first = bus(cluster).await;
    let before = Seen::new(cluster);
    let retry = crate::conformance::bench::quick(cluster, 9);
    before
        .on(plain(cluster, &first, "s").retry(retry.clone()), failing)
        .await;
    let published = publish(cluster, &first, 1).await;
    eventually("it failed twice", || before.len() >= 2).await;
    assert_eq!(counts(&first, "s").acked, 0);
    cluster.crash().await;
    let second = bus(cluster).await;
    let after = Seen::new(cluster);
    after
        .on(plain(cluster, &second, "s").retry(retry), handled)
        .await;
    idle(&second, "s").await;
    assert_eq!(after.positions(), published);
    assert!(after.all()[0].attempt >= 3);
    assert_eq!(counts(&second, "s").acked, 1);
}
