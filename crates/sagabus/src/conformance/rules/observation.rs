//! What an operator sees of deliveries.

use crate::bus::HandlerError;
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, event, eventually, idle, plain, publish_all, quick, view,
};
use crate::filter::Filter;
use crate::ledger::{By, Order};
use crate::transport::Repair;

/// M01 MUST: at every moment what came is where it went, and the numbers are those of the ledger.
pub async fn what_came_is_where_it_went_at_every_moment(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").order(Order::PerKey);
    let filter = Filter::sql("subject != 'not'").unwrap();
    seen.on(builder.filter(filter), |delivery| {
        match delivery.position % 5 {
            0 => Err(HandlerError::permanent("never")),
            1 if delivery.attempt < 3 => Err(HandlerError::transient("later")),
            _ => Ok(()),
        }
    })
    .await;
    let keys = ["a", "b", "c", "d", "e", "f", "not"];
    let mut total = 0;
    for round in 0..30 {
        let events = keys.iter().map(|key| {
            let key = if *key == "not" {
                "not".to_owned()
            } else {
                format!("{key}{round}")
            };
            event(cluster, "a.b", "1").about(key)
        });
        total += publish_all(&bus, events.collect()).await.len() as u64;
        for _ in 0..5 {
            tokio::task::yield_now().await;
            assert!(counts(&bus, "s").is_conserved(), "{:?}", counts(&bus, "s"));
        }
    }
    idle(&bus, "s").await;
    let ledger = view(&bus, "s");
    assert_eq!(ledger.counts.matched + ledger.ahead, total);
    assert_eq!(ledger.counts.filtered, 30);
    let stats = bus.stats();
    let shown = stats.subscriptions.iter().find(|it| it.name == "s");
    assert_eq!(shown.map(|it| it.counts), Some(ledger.counts));
    assert_eq!(stats.dead_letters, ledger.counts.dead);
    assert_eq!(stats.attempts, seen.len() as u64);
    let letters = crate::conformance::bench::letters(&bus, "s").await;
    assert_eq!(letters.len() as u64, ledger.counts.dead);
    let skip = Repair::Skip(By::new("ann", "test data"));
    bus.ledgers()
        .repair("s", &[letters[0].position], skip)
        .await
        .unwrap();
    let counts = counts(&bus, "s");
    assert!(counts.is_conserved());
    assert_eq!((counts.skipped, counts.dead), (1, ledger.counts.dead - 1));
}

/// M07 SHOULD: what holds a subscription up shows in health, by the subscription's name, until it is over.
pub async fn what_holds_a_subscription_up_shows_in_health(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = plain(cluster, &bus, "s").retry(quick(cluster, 0));
    let builder = builder.exhausted(crate::ledger::Exhausted::Pause);
    seen.on(builder, |delivery| {
        if delivery.redrives == 0 {
            return Err(HandlerError::permanent("never"));
        }
        Ok(())
    })
    .await;
    let says = |bus: &crate::Bus| {
        let issues = bus.health().issues;
        issues.iter().any(|it| it.contains("`s` is paused"))
    };
    assert!(!says(&bus));
    let published = publish_all(&bus, vec![event(cluster, "a.b", "1")]).await;
    eventually("it is paused", || view(&bus, "s").pause.is_some()).await;
    assert!(says(&bus), "{:?}", bus.health());
    bus.ledgers().redrive("s", &published).await.unwrap();
    let resumed = bus.ledgers().set_pause("s", None, By::default()).await;
    resumed.unwrap();
    idle(&bus, "s").await;
    assert!(!says(&bus), "{:?}", bus.health());
}
