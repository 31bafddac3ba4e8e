//! Which events of its types a subscription wants.

use crate::conformance::Cluster;
use crate::conformance::bench::{
    Seen, bus, counts, event, failing, handled, idle, letters, plain, publish_all, view,
};
use crate::event::Event;
use crate::filter::{Filter, Outcome};
use crate::ledger::Priority;
use crate::retry::Retry;
use crate::transport::OnFilterError;

fn events(cluster: &dyn Cluster) -> Vec<Event> {
    let subjects = ["S-1", "S-2", "run/1", "run/22"];
    let mut events = Vec::new();
    for (number, subject) in subjects.into_iter().enumerate() {
        for priority in [Priority::High, Priority::Normal] {
            let data = format!(r#"{{"volume":{},"lab":{{"id":"b{number}"}}}}"#, number * 30);
            let mut event = event(cluster, "a.b", &data)
                .about(subject)
                .priority(priority);
            if number % 2 == 0 {
                event.metadata.insert("tenant".to_owned(), "x".to_owned());
            }
            events.push(event);
        }
    }
    events
}

/// F02 SHOULD: each dialect of filters passes the events that it describes, and the engine agrees with the evaluator.
pub async fn each_dialect_passes_what_it_describes(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let cases = [
        (r#"{"exact":{"subject":"S-1"}}"#, 2),
        (r#"{"prefix":{"subject":"run/"}}"#, 4),
        (r#"{"suffix":{"subject":"2"}}"#, 4),
        (
            r#"{"all":[{"prefix":{"subject":"run/"}},{"suffix":{"subject":"1"}}]}"#,
            2,
        ),
        (
            r#"{"any":[{"exact":{"subject":"S-1"}},{"exact":{"subject":"S-2"}}]}"#,
            4,
        ),
        (r#"{"not":{"prefix":{"subject":"S"}}}"#, 4),
        (r#"{"sql":"subject LIKE 'S-%' AND priority = 'high'"}"#, 2),
    ];
    let events = events(cluster);
    publish_all(&bus, events.clone()).await;
    for (number, (json, count)) in cases.into_iter().enumerate() {
        let filter = Filter::from_json(json.as_bytes()).unwrap();
        let name = format!("s{number}");
        let seen = Seen::new(cluster);
        seen.on(plain(cluster, &bus, &name).filter(filter.clone()), handled)
            .await;
        idle(&bus, &name).await;
        let mut got: Vec<_> = seen.all().iter().map(|it| it.event.id.clone()).collect();
        got.sort();
        let passes = |it: &&Event| filter.evaluate(it) == Outcome::Pass;
        let mut expected: Vec<_> = events
            .iter()
            .filter(passes)
            .map(|it| it.id.clone())
            .collect();
        expected.sort();
        assert_eq!(got, expected, "{json}");
        assert_eq!(got.len(), count, "{json}");
    }
}

/// F03 SHOULD: an attribute that an event lacks costs no attempt, and what becomes of the event is what was asked for.
pub async fn an_attribute_that_is_missing_means_what_was_asked_for(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish_all(&bus, events(cluster)).await;
    for (name, choice) in [
        ("skip", OnFilterError::Skip),
        ("deliver", OnFilterError::Deliver),
        ("letter", OnFilterError::DeadLetter),
    ] {
        let seen = Seen::new(cluster);
        let filter = Filter::sql("tenant = 'x'").unwrap();
        let builder = plain(cluster, &bus, name).filter(filter);
        seen.on(builder.on_filter_error(choice), handled).await;
        idle(&bus, name).await;
        let counts = counts(&bus, name);
        let got = (
            seen.len(),
            counts.filtered,
            counts.filter_errors,
            counts.dead,
        );
        let expected = match choice {
            OnFilterError::Skip => (4, 4, 4, 0),
            OnFilterError::Deliver => (8, 0, 0, 0),
            OnFilterError::DeadLetter => (4, 0, 0, 4),
        };
        assert_eq!(got, expected, "{name}");
        for letter in letters(&bus, name).await {
            let fault = (letter.attempts, letter.faults[0].kind.as_str());
            assert_eq!(fault, (0, "filter"));
        }
    }
}

/// F04 SHOULD: a filter looks into the payload by a pointer.
pub async fn a_filter_looks_into_the_payload(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    publish_all(&bus, events(cluster)).await;
    let seen = Seen::new(cluster);
    let filter = "DATA('/volume') >= 30 AND DATA('/lab/id') != 'b3'";
    let builder = plain(cluster, &bus, "s").filter(Filter::sql(filter).unwrap());
    seen.on(builder, handled).await;
    idle(&bus, "s").await;
    let mut keys: Vec<String> = seen.all().iter().map(|it| it.key()).collect();
    keys.sort();
    assert_eq!(keys, ["S-2", "S-2", "run/1", "run/1"]);
}

/// F06 SHOULD: another filter holds for events that were not looked at yet, and takes back nothing.
pub async fn another_filter_holds_from_where_the_subscription_stands(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let before = Seen::new(cluster);
    let old = Filter::sql("subject = 'old'").unwrap();
    let retry = Retry::times(5).delay(cluster.unit() * 10);
    let builder = plain(cluster, &bus, "s").filter(old).retry(retry.clone());
    let running = before.on(builder, failing).await;
    let two = |data: &str| {
        let old = event(cluster, "a.b", data).about("old");
        vec![old, event(cluster, "a.b", data).about("new")]
    };
    publish_all(&bus, two("1")).await;
    crate::conformance::bench::eventually("one is waiting", || {
        let counts = counts(&bus, "s");
        (counts.waiting, counts.filtered) == (1, 1)
    })
    .await;
    running.stop(cluster.unit()).await;
    let after = Seen::new(cluster);
    let new = Filter::sql("subject = 'new'").unwrap();
    let builder = plain(cluster, &bus, "s").filter(new).retry(retry);
    after.on(builder, handled).await;
    publish_all(&bus, two("2")).await;
    idle(&bus, "s").await;
    let mut got: Vec<String> = after.all().iter().map(|it| it.data() + &it.key()).collect();
    got.sort();
    assert_eq!(
        got,
        ["1old", "2new"],
        "the retry of the old one, and the new one"
    );
    assert_eq!(counts(&bus, "s").filtered, 2);
    assert!(view(&bus, "s").filter.contains("new"));
}

/// F07 MUST: an event that the filter passes over costs no attempt and is counted.
pub async fn what_is_filtered_costs_no_attempt_and_is_counted(cluster: &dyn Cluster) {
    let bus = bus(cluster).await;
    let seen = Seen::new(cluster);
    let filter = Filter::sql("priority = 'high'").unwrap();
    seen.on(plain(cluster, &bus, "s").filter(filter), handled)
        .await;
    publish_all(&bus, events(cluster)).await;
    idle(&bus, "s").await;
    let counts = counts(&bus, "s");
    assert_eq!((counts.matched, counts.acked, counts.filtered), (8, 4, 4));
    assert_eq!(bus.stats().attempts, 4);
    assert!(seen.all().iter().all(|it| it.attempt == 1));
}
