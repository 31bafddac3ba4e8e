//! The more urgent events go first, and the others are not forgotten.

use crate::bus::{HandlerError, SubscriptionBuilder};
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Call, Seen, ack, bus, counts, event, handled, idle, plain, publish_all, spec, within,
};
use crate::ledger::{Order, Priority, Sharing};
use crate::transport::{Attribute, SubscriptionSpec};

/// The calls, in their order, of a handler at a time that gets `levels.len()` events which were published before it
/// began. Their payloads are their numbers.
async fn handed_out(
    cluster: &dyn Cluster,
    levels: &[Priority],
    about: impl Fn(usize) -> String,
    ask: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
) -> Vec<Call> {
    let bus = bus(cluster).await;
    let events = levels.iter().enumerate().map(|(number, level)| {
        event(cluster, "a.b", &number.to_string())
            .about(about(number))
            .priority(*level)
    });
    publish_all(&bus, events.collect()).await;
    let seen = Seen::new(cluster);
    let builder = ask(plain(cluster, &bus, "s").concurrency(1));
    seen.on(builder, handled).await;
    idle(&bus, "s").await;
    let calls = seen.all();
    assert_eq!(calls.len(), levels.len(), "each once");
    calls
}

fn in_turn(count: usize) -> Vec<Priority> {
    Priority::ALL.into_iter().cycle().take(count).collect()
}

fn each_its_own(number: usize) -> String {
    format!("k{number}")
}

fn number(call: &Call) -> usize {
    call.data().parse().unwrap()
}

/// P01 SHOULD: with strict priority all urgent events go before any other, and so on, each level in its order.
pub async fn strict_priority_hands_out_level_by_level(cluster: &dyn Cluster) {
    let levels = in_turn(200);
    let calls = handed_out(cluster, &levels, each_its_own, |it| {
        it.sharing(Sharing::Strict)
    })
    .await;
    let order: Vec<_> = calls
        .iter()
        .map(|it| (it.event.priority, it.position))
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

/// P02 SHOULD: while all levels have events, they share 8 : 4 : 2 : 1, within a tenth.
pub async fn levels_share_by_their_weights(cluster: &dyn Cluster) {
    let levels = in_turn(1200);
    let passes_max = 1_000_000;
    let calls = handed_out(cluster, &levels, each_its_own, |it| {
        it.sharing(Sharing::Weighted { passes_max })
    })
    .await;
    // As long as the urgent ones last.
    for (level, share) in Priority::ALL.into_iter().zip([240, 120, 60, 30]) {
        let got = calls[..450].iter().filter(|it| it.event.priority == level);
        let got = got.count();
        assert!(
            got * 10 >= share * 9 && got * 10 <= share * 11,
            "{level}: {got} of {share}"
        );
    }
}

/// P03 MUST: no event is passed over by more later ones than the bound says.
pub async fn no_event_is_passed_over_more_often_than_the_bound(cluster: &dyn Cluster) {
    let mut levels = vec![Priority::Urgent; 1000];
    for number in [0, 100, 500] {
        levels[number] = Priority::Low;
    }
    let passes_max = 5;
    let calls = handed_out(cluster, &levels, each_its_own, |it| {
        it.sharing(Sharing::Weighted { passes_max })
    })
    .await;
    for (place, call) in calls.iter().enumerate() {
        let passed = calls[..place]
            .iter()
            .filter(|it| number(it) > number(call))
            .count();
        assert!(
            passed <= passes_max as usize,
            "{} was passed {passed} times",
            number(call)
        );
    }
}

/// P04 MUST: within a key, no event passes another, however urgent.
pub async fn no_urgent_event_passes_another_of_its_key(cluster: &dyn Cluster) {
    let mut levels = in_turn(400);
    levels.reverse();
    let key = |number: usize| format!("k{}", number / 4 % 10);
    let calls = handed_out(cluster, &levels, key, |it| it.order(Order::PerKey)).await;
    for number in 0..10 {
        let of_key = calls.iter().filter(|it| it.key() == format!("k{number}"));
        let positions: Vec<u64> = of_key.map(|it| it.position).collect();
        assert_eq!(positions.len(), 40);
        assert!(positions.is_sorted(), "{positions:?}");
    }
}

/// P05 SHOULD: one with ten events does not wait for one with a hundred thousand before them.
pub async fn one_with_few_events_does_not_wait_for_one_with_many(cluster: &dyn Cluster) {
    const MANY: usize = 100_000;
    let bus = bus(cluster).await;
    let many = (0..MANY).map(|_| event(cluster, "a.b", "1").about("many"));
    publish_all(&bus, many.collect()).await;
    let spec = SubscriptionSpec {
        fair_by: Some(Attribute::Subject),
        ..spec(cluster, "one")
    };
    let member = cluster.join(spec).await.unwrap();
    let mut handed_out = 0;
    let mut lease = async || {
        let leased = within("events", member.lease(8)).await.unwrap();
        let settles = leased.iter().map(|it| ack(it.token)).collect();
        member.settle(settles).await.unwrap();
        handed_out += leased.len();
        let few = leased
            .iter()
            .filter(|it| it.event.subject.as_deref() == Some("few"));
        few.count()
    };
    for _ in 0..100 {
        assert_eq!(lease().await, 0);
    }
    let few = (0..10).map(|_| event(cluster, "a.b", "1").about("few"));
    publish_all(&bus, few.collect()).await;
    let (mut got, mut turns) = (0, 0);
    while got < 10 {
        got += lease().await;
        turns += 1;
        assert!(turns <= 100, "{got} of 10 after {turns} turns");
    }
    assert!(
        handed_out < 2000,
        "{handed_out} were handed out before the last of the few"
    );
    assert!(counts(&bus, "s").pending() > 90_000);
}

/// P06 MUST: an event that is tried again has the priority that it was published with.
pub async fn an_event_that_is_tried_again_keeps_its_priority(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let (to, gate) = (seen.clone(), std::sync::Arc::clone(&release));
    let retry = crate::conformance::bench::quick(cluster, 2);
    let builder = plain(cluster, &bus, "s").concurrency(1).retry(retry);
    let started = builder.sharing(Sharing::Strict).handler(move |delivery| {
        to.note(&delivery);
        let gate = std::sync::Arc::clone(&gate);
        async move {
            if delivery.event.data == "0" && delivery.attempt == 1 {
                return Err(HandlerError::transient("not yet"));
            }
            if delivery.event.data == "1" {
                // Long enough for the retry to be due.
                gate.acquire()
                    .await
                    .map_err(HandlerError::transient)?
                    .forget();
            }
            Ok(())
        }
    });
    started.await.unwrap();
    let urgent = event(cluster, "a.b", "0").priority(Priority::Urgent);
    publish_all(&bus, vec![urgent]).await;
    let normal = (1..6).map(|it| event(cluster, "a.b", &it.to_string()));
    publish_all(&bus, normal.collect()).await;
    crate::conformance::bench::eventually("the next one runs", || seen.len() == 2).await;
    crate::conformance::bench::wait(cluster, 3).await;
    release.add_permits(1);
    idle(&bus, "s").await;
    assert_eq!(seen.data(), ["0", "1", "0", "2", "3", "4", "5"]);
    assert_eq!(seen.all()[2].event.priority, Priority::Urgent);
}
