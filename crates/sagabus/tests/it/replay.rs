//! Events that one subscription gets once more.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::{ErrorKind, HandlerError, Retry, Start};

use crate::support::{Notes, event, idle, memory_bus};

#[tokio::test(start_paused = true)]
async fn a_window_is_replayed_to_one_subscription_and_live_deliveries_are_untouched() {
    let bus = memory_bus();
    let got: Arc<Mutex<Vec<(u64, bool)>>> = Arc::default();
    let to = Arc::clone(&got);
    let handler = bus
        .subscription("s")
        .pattern("a.*")
        .start(Start::Earliest)
        .concurrency(1)
        .handler(move |delivery| {
            to.lock()
                .unwrap()
                .push((delivery.position, delivery.is_replay));
            async { Ok(()) }
        });
    let subscription = handler.await.unwrap();
    let others = Notes::default();
    let noted = others.clone();
    let other = bus
        .subscription("other")
        .pattern("**")
        .start(Start::Earliest);
    other
        .handler(move |_| {
            noted.add("got");
            async { Ok(()) }
        })
        .await
        .unwrap();
    let mut positions = Vec::new();
    for number in 0..20 {
        let kind = if number % 5 == 4 { "b.x" } else { "a.x" };
        let receipt = bus.publish(event(&bus, kind, "1")).await.unwrap();
        positions.push((receipt.position, kind));
    }
    idle(&bus).await;
    let before = bus
        .stats()
        .subscriptions
        .iter()
        .find(|it| it.name == "s")
        .unwrap()
        .counts;
    got.lock().unwrap().clear();

    let (from, until) = (positions[3].0, positions[13].0);
    let replay = subscription.replay(from, until).await.unwrap();
    bus.publish(event(&bus, "a.x", "2")).await.unwrap();
    let counts = replay.done().await.unwrap();
    idle(&bus).await;
    let expected: Vec<u64> = positions[3..13]
        .iter()
        .filter(|(_, kind)| *kind == "a.x")
        .map(|(position, _)| *position)
        .collect();
    let got = got.lock().unwrap();
    let again: Vec<u64> = got.iter().filter(|it| it.1).map(|it| it.0).collect();
    assert_eq!(again, expected);
    assert_eq!(counts.acked, expected.len() as u64);
    let live: Vec<_> = got.iter().filter(|it| !it.1).collect();
    assert_eq!(live.len(), 1, "only the new one");
    let stats = bus.stats();
    let after = stats
        .subscriptions
        .iter()
        .find(|it| it.name == "s")
        .unwrap();
    assert_eq!(after.counts.acked, before.acked + 1);
    assert_eq!(others.all().len(), 21, "nobody else saw any of it");
    assert_eq!(stats.subscriptions.len(), 2, "the replay is forgotten");
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_a_replay_is_retried_and_kept_as_its_own_dead_letter() {
    let bus = memory_bus();
    let handler = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .retry(Retry::times(1).delay(Duration::from_secs(1)))
        .handler(|delivery| async move {
            if delivery.is_replay && delivery.event.data == "1" {
                return Err(HandlerError::transient("not again"));
            }
            Ok(())
        });
    let subscription = handler.await.unwrap();
    let first = bus.publish(event(&bus, "a.b", "1")).await.unwrap().position;
    let last = bus.publish(event(&bus, "a.b", "2")).await.unwrap().position;
    idle(&bus).await;
    let replay = subscription.replay(first, last + 1).await.unwrap();
    let counts = replay.done().await.unwrap();
    assert_eq!((counts.acked, counts.dead), (1, 1));
    let letters = bus.dead_letters(crate::support::all()).await.unwrap();
    assert_eq!(
        (letters[0].subscription.as_str(), letters[0].attempts),
        (replay.name(), 2)
    );
    for (from, until) in [(5, 5), (9, 2), (0, 3), (1, 9_999)] {
        let error = subscription.replay(from, until).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
