//! Versions of events through the bus: what is published, what a handler reads, and what is stored.

use std::sync::Arc;

use sagabus::bus::HandlerError;
use sagabus::engines::embedded::Embedded;
use sagabus::schema::{Registry, RegistryBuilder, UnknownTypes};
use sagabus::transport::DeadLetterQuery;
use sagabus::{Bus, Delivery, Event, Payload, Start};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{Notes, clock, event, idle};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Weighed1 {
    grams: u32,
}

impl Payload for Weighed1 {
    const TYPE: &'static str = "lab.weighed";
    const SOURCE: &'static str = "lab";
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Weighed2 {
    milligrams: u64,
}

impl Payload for Weighed2 {
    const TYPE: &'static str = "lab.weighed";
    const SOURCE: &'static str = "lab";
    const VERSION: &'static str = "2.0";
}

fn both() -> RegistryBuilder {
    Registry::builder()
        .register::<Weighed1>()
        .register::<Weighed2>()
        .upcast(|old: Weighed1| Weighed2 {
            milligrams: u64::from(old.grams) * 1000,
        })
}

/// Two buses on one log: one of a program that knows both versions, one of an older program.
fn buses() -> (Bus, Bus) {
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let new = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock)).registry(both());
    let old = Bus::builder(engine, clock).payload::<Weighed1>();
    (new.build().unwrap(), old.build().unwrap())
}

fn weighed(bus: &Bus, version: &'static str, data: &str) -> Event {
    let mut event = event(bus, "lab.weighed", data);
    event.version = version.into();
    event
}

/// Reads as the newest version.
async fn subscribe(bus: &Bus, notes: &Notes) {
    let (notes, registry) = (notes.clone(), Arc::clone(bus.registry()));
    bus.subscription("scales")
        .pattern("lab.weighed")
        .start(Start::Earliest)
        .concurrency(1)
        .handler(move |delivery: Delivery| {
            let read = registry.decode::<Weighed2>(&delivery.event);
            let noted = read.map(|it| notes.add(it.milligrams.to_string()));
            async { noted.map_err(HandlerError::from) }
        })
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_the_newest_version_gets_every_older_event_and_the_log_keeps_the_bytes() {
    let (new, old) = buses();
    let first = old.publish(weighed(&old, "1.0", r#"{"grams": 2}"#)).await;
    let minor = r#"{"grams":3, "lid": true}"#;
    let second = old.publish(weighed(&old, "1.4", minor)).await;
    new.publish(weighed(&new, "2.1", r#"{"milligrams":4,"lid":true}"#))
        .await
        .unwrap();
    let notes = Notes::default();
    subscribe(&new, &notes).await;
    idle(&new).await;
    assert_eq!(notes.all(), ["2000", "3000", "4"]);
    let page = new.read(first.unwrap().position, 1).await.unwrap();
    let (_, stored) = page.events.first().unwrap();
    assert_eq!(&stored.data[..], br#"{"grams": 2}"#);
    let page = new.read(second.unwrap().position, 1).await.unwrap();
    let (_, stored) = page.events.first().unwrap();
    assert_eq!(
        (&stored.data[..], &*stored.version),
        (minor.as_bytes(), "1.4")
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_of_an_unknown_major_is_refused_at_publish_and_named() {
    let (new, old) = buses();
    let event = weighed(&new, "2.0", r#"{"milligrams":4}"#);
    let error = old.publish(event).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "version `2.0` of `lab.weighed` is not supported; known: `1.0`"
    );
    let wrong = weighed(&new, "2.0", r#"{"grams":4}"#);
    let error = new.publish(wrong).await.unwrap_err();
    assert!(error.to_string().contains("`data.milligrams`"), "{error}");
    assert_eq!(new.stats().total_events, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_is_a_dead_letter_at_once_and_its_bytes_are_kept() {
    let (new, _) = buses();
    // A bus that checks nothing, as of a program that is newer than both.
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let newer = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock));
    let newer = newer.build().unwrap();
    let bus = Bus::builder(engine, clock)
        .registry(both())
        .build()
        .unwrap();
    let bytes = r#"{"micrograms":  7}"#;
    newer.publish(weighed(&new, "3.0", bytes)).await.unwrap();
    newer.publish(weighed(&new, "2.0", bytes)).await.unwrap();
    let notes = Notes::default();
    subscribe(&bus, &notes).await;
    idle(&bus).await;
    let query = DeadLetterQuery {
        max: 10,
        ..DeadLetterQuery::default()
    };
    let dead = bus.dead_letters(query).await.unwrap();
    let faults: Vec<(u32, &str)> = dead
        .iter()
        .map(|it| {
            let fault = it.faults.last().unwrap();
            (fault.attempt, fault.kind.as_str())
        })
        .collect();
    assert_eq!(faults, [(1, "schema_unsupported"), (1, "decode")]);
    for letter in &dead {
        assert_eq!(&letter.event.data[..], bytes.as_bytes());
    }
    assert_eq!(notes.all(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_bus_of_known_types_only_refuses_others_and_schemas_that_do_not_fit_stop_it() {
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let closed = both().unknown_types(UnknownTypes::Refuse);
    let bus = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock)).registry(closed);
    let bus = bus.build().unwrap();
    let error = bus
        .publish(event(&bus, "lab.other", "1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`lab.other`"), "{error}");
    let twice = Bus::builder(engine, clock)
        .registry(both())
        .payload::<Weighed1>();
    let error = twice.build().unwrap_err().chain();
    assert!(
        error.contains("`1.0` of `lab.weighed` is registered twice"),
        "{error}"
    );
}
