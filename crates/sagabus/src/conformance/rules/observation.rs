//! What an operator sees of deliveries.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bus::{Emit, HandlerError};
use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, event, eventually, idle, plain, publish_all, quick, read_of_type, view,
};
use crate::event::trace::{TRACEPARENT, TraceContext};
use crate::filter::Filter;
use crate::ledger::{By, Order};
use crate::transport::{Repair, Start};

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

/// M02 SHOULD: the span of an attempt is a child of the one that the event was published from, a retry is another span of
/// the same trace, what the handler answers with comes from its span, and several events at a time have a parent each.
pub async fn a_trace_goes_from_publish_through_attempts_to_what_follows(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let publisher: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let traced = |event_type: &str, trace: Option<&str>| {
        let mut event = event(cluster, event_type, "1");
        let trace = trace.map(|it| (TRACEPARENT.to_owned(), it.to_owned()));
        event.metadata.extend(trace);
        event
    };
    let spans: Arc<Mutex<Vec<Option<TraceContext>>>> = Arc::default();
    let noted = Arc::clone(&spans);
    let follows = traced("a.next", None);
    let started = bus
        .subscription("s")
        .pattern("a.first")
        .start(Start::Earliest)
        .retry(quick(cluster, 2))
        .handler_emitting(move |delivery| {
            let mut spans = noted.lock().unwrap_or_else(PoisonError::into_inner);
            spans.push(delivery.trace());
            let follows = follows.clone();
            async move {
                if delivery.attempt == 1 {
                    return Err(HandlerError::transient("not at first"));
                }
                Ok(Emit::none().event(follows))
            }
        });
    started.await.unwrap();
    let first = traced("a.first", Some(&publisher.to_string()));
    let from = bus.publish(first).await.unwrap().position;
    idle(&bus, "s").await;
    let own: Vec<TraceContext> = spans
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .flatten()
        .copied()
        .collect();
    let [one, two] = own.as_slice() else {
        panic!("two attempts have spans: {own:?}");
    };
    for span in [one, two] {
        assert_eq!(span.trace_id(), publisher.trace_id());
        assert_ne!(span.span_id(), publisher.span_id());
    }
    assert_ne!(one.span_id(), two.span_id(), "each attempt has its own");
    let next = read_of_type(&bus, from, "a.next").await;
    assert_eq!(
        TraceContext::of(&next),
        Some(*two),
        "what follows comes from it"
    );

    // Events of several traces, of none, and of what is no trace, at a time.
    let other = publisher.span(7);
    let texts = [publisher.to_string(), other.to_string(), "00-ab".to_owned()];
    let batch = texts.iter().map(|it| traced("b.c", Some(it)));
    publish_all(&bus, batch.chain([traced("b.c", None)]).collect()).await;
    let links: Arc<Mutex<Vec<Option<TraceContext>>>> = Arc::default();
    let noted = Arc::clone(&links);
    let started = bus
        .subscription("many")
        .pattern("b.c")
        .start(Start::Earliest)
        .handler_of_many(4, cluster.unit(), move |deliveries| {
            let mut links = noted.lock().unwrap_or_else(PoisonError::into_inner);
            links.extend(deliveries.iter().map(|it| TraceContext::of(&it.event)));
            let answers = deliveries.iter().map(|_| Ok(())).collect();
            async move { answers }
        });
    started.await.unwrap();
    idle(&bus, "many").await;
    let links = links.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(links, [Some(publisher), Some(other), None, None]);
}
