//! Filters as a subscriber uses them: asked once, before the first attempt.

use std::time::Duration;

use sagabus::engines::embedded::disk::MemoryDisk;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::filter::Filter;
use sagabus::ledger::Priority;
use sagabus::transport::OnFilterError;
use sagabus::{Bus, HandlerError, Retry, Start};

use crate::support::{Notes, all, checked, clock, event, idle, memory_bus};

async fn noting(bus: &Bus, filter: &str, on_error: OnFilterError) -> Notes {
    let notes = Notes::default();
    let noted = notes.clone();
    bus.subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .filter(Filter::sql(filter).unwrap())
        .on_filter_error(on_error)
        .retry(Retry::times(3))
        .handler(move |delivery| {
            noted.add(String::from_utf8_lossy(&delivery.event.data));
            async { Ok(()) }
        })
        .await
        .unwrap();
    notes
}

#[tokio::test(start_paused = true)]
async fn an_expression_chooses_by_attributes_and_by_the_payload() {
    let bus = memory_bus();
    let filter = "priority IN ('high', 'urgent') AND DATA('/volume') >= 50";
    let notes = noting(&bus, filter, OnFilterError::Skip).await;
    for (priority, data) in [
        (Priority::High, r#"{"volume":80}"#),
        (Priority::High, r#"{"volume":20}"#),
        (Priority::Normal, r#"{"volume":80}"#),
        (Priority::Urgent, r#"{"volume":50}"#),
    ] {
        bus.publish(event(&bus, "a.b", data).priority(priority))
            .await
            .unwrap();
    }
    idle(&bus).await;
    assert_eq!(notes.all().len(), 2);
    assert!(notes.all().iter().all(|it| !it.contains("20")));
    let counts = bus.stats().subscriptions[0].counts;
    assert_eq!((counts.matched, counts.acked, counts.filtered), (4, 2, 2));
    assert_eq!(bus.stats().attempts, 2, "what is filtered costs no attempt");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_filter_costs_no_attempt_and_means_what_was_asked_for() {
    for (choice, expected) in [
        (OnFilterError::Skip, (1, 0, 1, 0)),
        (OnFilterError::Deliver, (0, 1, 0, 0)),
        (OnFilterError::DeadLetter, (0, 0, 0, 1)),
    ] {
        let bus = memory_bus();
        noting(&bus, "DATA('/volume') > 1", choice).await;
        bus.publish(event(&bus, "a.b", "{}")).await.unwrap();
        idle(&bus).await;
        let counts = bus.stats().subscriptions[0].counts;
        let got = (
            counts.filtered,
            counts.acked,
            counts.filter_errors,
            counts.dead,
        );
        assert_eq!(got, expected, "{choice:?}");
        assert!(counts.is_conserved());
        if let Some(letter) = bus.dead_letters(all()).await.unwrap().first() {
            assert_eq!(
                (letter.attempts, letter.faults[0].kind.as_str()),
                (0, "filter")
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_filter_holds_for_events_that_were_not_looked_at_before() {
    let (disk, clock) = (MemoryDisk::default(), clock());
    let open = || {
        let disk = std::sync::Arc::new(disk.clone());
        let engine = Embedded::on(disk, &Settings::default(), clock.clone()).unwrap();
        let bus = Bus::builder(std::sync::Arc::new(engine), clock.clone()).build();
        checked(bus.unwrap())
    };
    let bus = open();
    let failing = bus
        .subscription("s")
        .pattern("**")
        .start(Start::Earliest)
        .filter(Filter::sql("subject = 'old'").unwrap())
        .retry(Retry::times(1).delay(Duration::from_hours(1)))
        .handler(|_| async { Err(HandlerError::transient("not yet")) });
    let running = failing.await.unwrap();
    for subject in ["old", "new"] {
        bus.publish(event(&bus, "a.b", "1").about(subject))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bus.stats().subscriptions[0].counts.waiting, 1);
    drop(running);
    bus.shutdown(Duration::from_secs(1)).await;
    let bus = open();
    let notes = noting(&bus, "subject = 'new'", OnFilterError::Skip).await;
    for subject in ["old", "new"] {
        bus.publish(event(&bus, "a.b", "2").about(subject))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(
        notes.all(),
        ["2", "1"],
        "the retry of what was taken before, and the new one"
    );
    let view = bus.ledgers().list().remove(0);
    assert!(view.filter.contains("new"), "{}", view.filter);
    assert_eq!(view.counts.filtered, 2);
}
