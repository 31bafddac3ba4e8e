//! What is stored is handed out once more, to one subscription.

use std::sync::{Arc, Mutex, PoisonError};

use crate::conformance::Cluster;
use crate::conformance::bench::{Seen, bus, counts, handled, idle, plain, publish, within};

/// Y01 SHOULD: a window of the past is handed out once more to one subscription; its live deliveries and all other
/// subscriptions are as they were.
pub async fn a_window_is_replayed_to_one_subscription(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let (seen, others) = (Seen::new(cluster), Seen::new(cluster));
    let subscription = seen.on(plain(cluster, &bus, "s"), handled).await;
    others.on(plain(cluster, &bus, "other"), handled).await;
    let published = publish(cluster, &bus, 30).await;
    idle(&bus, "s").await;
    idle(&bus, "other").await;
    let before = counts(&bus, "s");
    let (from, until) = (published[5], published[25]);
    let replay = subscription.replay(from, until).await.unwrap();
    let more = publish(cluster, &bus, 3).await;
    let done = within("its end", replay.done()).await.unwrap();
    idle(&bus, "s").await;
    idle(&bus, "other").await;
    assert_eq!((done.acked, done.dead), (20, 0));
    let mut again = seen.positions().split_off(30);
    again.sort_unstable();
    assert_eq!(again, [&published[5..25], &more[..]].concat());
    let after = counts(&bus, "s");
    assert_eq!(
        (after.matched, after.acked),
        (before.matched + 3, before.acked + 3)
    );
    assert_eq!(others.positions(), [published, more].concat());
    assert_eq!(bus.ledgers().list().len(), 2, "it is forgotten");
}

/// Y02 SHOULD: an event that is handed out once more says so, and one that is not says that.
pub async fn a_replayed_event_says_so(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let said: Arc<Mutex<Vec<(u64, bool, u32)>>> = Arc::default();
    let to = Arc::clone(&said);
    let started = plain(cluster, &bus, "s").handler(move |delivery| {
        let it = (delivery.position, delivery.is_replay, delivery.attempt);
        to.lock().unwrap_or_else(PoisonError::into_inner).push(it);
        async { Ok(()) }
    });
    let subscription = started.await.unwrap();
    let published = publish(cluster, &bus, 2).await;
    idle(&bus, "s").await;
    let replay = subscription.replay(published[0], published[1]).await;
    within("its end", replay.unwrap().done()).await.unwrap();
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (one, two) = (published[0], published[1]);
    assert_eq!(said, [(one, false, 1), (two, false, 1), (one, true, 1)]);
}
