//! Which types of events a pattern means.

use std::collections::BTreeSet;

use crate::bus::Bus;
use crate::conformance::Cluster;
use crate::conformance::bench::{Seen, bus, event, handled, idle, publish_all};
use crate::error::ErrorKind;
use crate::transport::Start;

const TYPES: [&str; 8] = [
    "sample",
    "sample.created",
    "sample.created.twice",
    "sample.failed",
    "samples.created",
    "ai.failed",
    "ai.job.failed",
    "error",
];

/// The types, of all of [`TYPES`], of which a subscription to `patterns` got an event; each came once.
async fn got(cluster: &dyn Cluster, bus: &Bus, name: &str, patterns: &[&str]) -> Vec<String> {
    let seen = Seen::new(cluster);
    let mut builder = bus.subscription(name).start(Start::Latest);
    for pattern in patterns {
        builder = builder.pattern(pattern);
    }
    seen.on(builder, handled).await;
    let events = TYPES.iter().map(|it| event(cluster, it, "1")).collect();
    publish_all(bus, events).await;
    idle(bus, name).await;
    let calls = seen.all();
    let mut types: Vec<String> = calls
        .iter()
        .map(|it| it.event.event_type.to_string())
        .collect();
    let each: BTreeSet<&String> = types.iter().collect();
    assert_eq!(each.len(), types.len(), "some came twice: {types:?}");
    types.sort_by_key(|it| TYPES.iter().position(|known| known == it));
    types
}

/// W01 MUST: `*` stands for exactly one word.
pub async fn a_star_is_exactly_one_word(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let types = got(cluster, &bus, "after", &["sample.*"]).await;
    assert_eq!(types, ["sample.created", "sample.failed"]);
    let types = got(cluster, &bus, "before", &["*.failed"]).await;
    assert_eq!(types, ["sample.failed", "ai.failed"]);
    let types = got(cluster, &bus, "between", &["ai.*.failed"]).await;
    assert_eq!(types, ["ai.job.failed"]);
}

/// W02 MUST: `**` stands for one or more last words.
pub async fn two_stars_are_all_further_words(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let types = got(cluster, &bus, "s", &["sample.**"]).await;
    assert_eq!(
        types,
        ["sample.created", "sample.created.twice", "sample.failed"]
    );
    assert_eq!(got(cluster, &bus, "all", &["**"]).await, TYPES);
}

/// W03 MUST: a star alone is everything, however many words a type has.
pub async fn a_star_alone_is_everything(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    assert_eq!(got(cluster, &bus, "s", &["*"]).await, TYPES);
}

/// W04 MUST: a pattern without a star is one type.
pub async fn a_pattern_without_a_star_is_one_type(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    for event_type in TYPES {
        assert_eq!(
            got(cluster, &bus, event_type, &[event_type]).await,
            [event_type]
        );
    }
}

/// W05 MUST: what is no pattern is refused before anything runs.
pub async fn what_is_no_pattern_is_refused(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    for pattern in [
        "", ".", "a.", ".a", "a..b", "a.b*", "**.a", "a b", "a/b", "Ä.b",
    ] {
        let builder = bus.subscription("s").pattern(pattern).start(Start::Latest);
        let error = builder.handler(|_| async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "`{pattern}`");
    }
    assert!(bus.ledgers().list().is_empty(), "nothing is left of them");
}

/// W06 MUST: an event that fits several patterns of a subscription comes once.
pub async fn an_event_that_fits_several_patterns_comes_once(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let patterns = ["sample.*", "*.created", "sample.created", "sample.**"];
    let types = got(cluster, &bus, "s", &patterns).await;
    let expected = [
        "sample.created",
        "sample.created.twice",
        "sample.failed",
        "samples.created",
    ];
    assert_eq!(types, expected);
}

/// W07 MUST: a type that was never seen before reaches the subscriptions that it fits, without any delay of its own.
pub async fn a_type_that_is_new_reaches_those_who_wait_for_its_kind(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let builder = bus.subscription("s").pattern("new.*");
    seen.on(builder.start(Start::Latest), handled).await;
    for number in 0..10 {
        let event = event(cluster, &format!("new.t{number}"), "1");
        let published = cluster.clock().elapsed();
        bus.publish(event).await.unwrap();
        idle(&bus, "s").await;
        let calls = seen.all();
        assert_eq!(calls.len(), number + 1);
        let late = calls[number].elapsed.saturating_sub(published);
        assert!(late <= cluster.lateness(), "{late:?}");
    }
}
