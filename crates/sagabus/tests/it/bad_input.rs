//! Bad input at the door of the library: an error that names field and limit, nothing stored, and the next good event is taken.

use std::sync::Arc;

use bytes::Bytes;
use sagabus::bus::Delivery;
use sagabus::engines::embedded::Embedded;
use sagabus::event::{attributes, envelope};
use sagabus::filter::{COST_MAX, Filter, Outcome};
use sagabus::saga::{self, Definition, Handlers, SagaId, Step, StepContext, StepError};
use sagabus::saga_store::SagaStore;
use sagabus::{
    Bus, Error, ErrorKind, Event, EventId, EventType, Pattern, Sagas, Start, SystemClock,
};

use crate::support::{clock, event, memory_bus};

/// Refused as `Invalid`, saying all of `words`, in one line of a bearable length.
#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, words: &[&str]) {
    let error = outcome.unwrap_err();
    let text = error.chain();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() < 2048, "{} bytes", text.len());
}

/// Nothing was stored, and a good event is the first one.
async fn nothing_stored(bus: &Bus) {
    let page = bus.read(1, 10).await.unwrap();
    assert!(page.events.is_empty(), "{:?}", page.events);
    let receipt = bus.publish(event(bus, "a.b", "{}")).await.unwrap();
    assert_eq!((receipt.position, receipt.duplicate), (1, false));
}

fn from_json(json: &str) -> Result<Event, Error> {
    envelope::from_json(json.as_bytes(), &SystemClock)
}

/// `depth` lists in lists.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test(start_paused = true)]
async fn a_payload_over_the_limit_is_refused_with_its_size() {
    let bus = memory_bus();
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let large = event(&bus, "a.b", &text(256 * 1024 + 1));
    let words = ["`data` has 262145 bytes", "more than 262144"];
    refused(bus.publish(large.clone()).await, &words);
    // One bad event of a batch keeps the others out too.
    let batch = vec![event(&bus, "a.b", "{}"), large];
    refused(bus.publish_batch(batch).await, &words);
    nothing_stored(&bus).await;
    bus.publish(event(&bus, "a.b", &text(256 * 1024)))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_entries_of_metadata_are_refused_with_their_number() {
    let bus = memory_bus();
    let mut many = event(&bus, "a.b", "{}");
    many.metadata = (0..10_000)
        .map(|it| (format!("k{it}"), String::new()))
        .collect();
    refused(
        bus.publish(many).await,
        &["`metadata` has 10000 entries", "more than 64"],
    );
    let mut long = event(&bus, "a.b", "{}");
    long.metadata.insert("k".to_owned(), "v".repeat(4097));
    refused(
        bus.publish(long).await,
        &["`metadata` has 4097 bytes", "more than 4096"],
    );
    let headers = (0..10_000).map(|it| (format!("k{it}"), String::new()));
    let known = [
        ("specversion", "1.0"),
        ("id", "1"),
        ("source", "s"),
        ("type", "a"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    refused(
        attributes::from_attributes(known.into_iter().chain(headers), b"{}", &SystemClock),
        &["the event has 10000 extensions", "more than 64"],
    );
    nothing_stored(&bus).await;
}

#[tokio::test(start_paused = true)]
async fn attributes_over_their_limits_are_refused_by_name() {
    let bus = memory_bus();
    let long = "x".repeat(256);
    let mut events = Vec::new();
    let mut with = |field, set: &dyn Fn(&mut Event)| {
        let mut it = event(&bus, "a.b", "{}");
        set(&mut it);
        events.push((field, it));
    };
    with("`source`", &|it| it.source = long.clone().into());
    with("`version`", &|it| it.version = long.clone().into());
    with("`subject`", &|it| it.subject = Some(long.clone()));
    with("`correlationId`", &|it| {
        it.correlation_id = Some(long.clone())
    });
    with("`idempotencyKey`", &|it| {
        it.idempotency_key = Some(long.clone())
    });
    let mut empty = event(&bus, "a.b", "{}");
    empty.idempotency_key = Some(String::new());
    refused(bus.publish(empty).await, &["`idempotencyKey` is empty"]);
    for (field, bad) in events {
        refused(
            bus.publish(bad).await,
            &[field, "has 256 bytes", "more than 255"],
        );
    }
    refused(EventId::new("x".repeat(129)), &["`id`", "128 bytes"]);
    refused(
        EventType::new("x".repeat(256)),
        &["`type` has 256 bytes", "255"],
    );
    let words = vec!["a"; 17].join(".");
    refused(EventType::new(words), &["`type` has 17 words", "16"]);
    nothing_stored(&bus).await;
}

#[tokio::test(start_paused = true)]
async fn a_payload_nested_without_end_is_refused_at_its_depth() {
    let bus = memory_bus();
    for depth in [65, 10_000, 100_000] {
        let json = format!(r#"{{"type":"a","source":"s","data":{}}}"#, nested(depth));
        refused(from_json(&json), &["`data`"]);
    }
    let json = format!(r#"{{"type":"a","source":"s","data":{}}}"#, nested(64));
    from_json(&json).unwrap();
    // Also where code makes the event and nobody reads JSON.
    for depth in [65, 100_000] {
        let deep = event(&bus, "a.b", &nested(depth));
        refused(
            bus.publish(deep).await,
            &["`data` is nested deeper than 64"],
        );
    }
    // Brackets in a text, and those beside each other, are no nesting.
    let flat = format!(
        "[{},\"{}\\\"{}\"]",
        vec!["[]"; 100].join(","),
        "[".repeat(99),
        "{".repeat(99)
    );
    event(&bus, "a.b", &flat).check().unwrap();
    event(&bus, "a.b", &nested(64)).check().unwrap();
    nothing_stored(&bus).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_stands_twice_in_json_is_refused_by_name() {
    for json in [
        r#"{"type":"a","source":"s","data":{"twin":1,"twin":2}}"#,
        r#"{"type":"a","source":"s","data":[{"x":{"twin":1,"\u0074win":2}}]}"#,
        r#"{"type":"a","source":"s","metadata":{"twin":"1","twin":"2"},"data":1}"#,
        r#"{"specversion":"1.0","id":"1","source":"s","type":"a","twin":"1","twin":"2","data":1}"#,
        r#"{"specversion":"1.0","id":"1","source":"s","type":"a","sagabusmetadata":"{\"twin\":\"1\",\"twin\":\"2\"}","data":1}"#,
        r#"{"specversion":"1.0","id":"1","source":"s","type":"a","twin":"1","sagabusmetadata":"{\"twin\":\"2\"}","data":1}"#,
    ] {
        refused(from_json(json), &["`twin`"]);
    }
    let twice = r#"{"type":"a","type":"b","source":"s","data":1}"#;
    refused(from_json(twice), &["field `type` is there twice"]);
    let twice = r#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"a","data":1}"#;
    refused(from_json(twice), &["field `id` is there twice"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_seen_is_in_no_name() {
    let bus = memory_bus();
    for (hidden, shown) in [
        ('\0', "U+0000"),
        ('\n', "U+000A"),
        ('\u{85}', "U+0085"),
        ('\u{200b}', "U+200B"),
        ('\u{202e}', "U+202E"),
        ('\u{2066}', "U+2066"),
        ('\u{feff}', "U+FEFF"),
        ('\u{e0041}', "U+E0041"),
    ] {
        let name = format!("S-1{hidden}");
        let mut bad = Vec::new();
        let mut with = |field, set: &dyn Fn(&mut Event)| {
            let mut it = event(&bus, "a.b", "{}");
            set(&mut it);
            bad.push((field, it));
        };
        with("`source`", &|it| it.source = name.clone().into());
        with("`version`", &|it| it.version = name.clone().into());
        with("`subject`", &|it| it.subject = Some(name.clone()));
        with("`correlationId`", &|it| {
            it.correlation_id = Some(name.clone())
        });
        with("`idempotencyKey`", &|it| {
            it.idempotency_key = Some(name.clone())
        });
        with("`metadata`", &|it| {
            drop(it.metadata.insert(name.clone(), String::new()))
        });
        if let Ok(id) = EventId::new(name.clone()) {
            with("`id`", &|it| it.id = id.clone());
            with("`causationId`", &|it| it.causation_id = Some(id.clone()));
        } else {
            refused(EventId::new(name.clone()), &["`id`", "control"]);
        }
        for (field, event) in bad {
            refused(bus.publish(event).await, &[field, shown]);
        }
        let at = sagabus::Timestamp::from_milliseconds(9_000_000_000_000);
        let later = bus.publish_at(event(&bus, "a.b", "{}"), at, Some(&name));
        refused(later.await, &["`cancelKey`", shown]);
        refused(EventType::new(name.clone()), &["`type`", "letters, digits"]);
        refused(Pattern::new(&name), &["pattern", "letters, digits"]);
        refused(name.parse::<SagaId>(), &["`id`", "letters, digits"]);
        let definition = Definition::builder(name.clone())
            .step(Step::new("a"))
            .build();
        refused(
            definition.map_err(Error::from),
            &["`name`", "not to be seen"],
        );
        let definition = Definition::builder("x")
            .step(Step::new(name.clone()))
            .build();
        refused(
            definition.map_err(Error::from),
            &["`id`", "letters, digits"],
        );
        let builder = bus.subscription(&name).pattern("**").start(Start::Earliest);
        let handler = |_: Delivery| async { Ok(()) };
        refused(
            builder.handler(handler).await.map(drop),
            &["subscription name"],
        );
    }
    assert_eq!(bus.schedules().count(), 0);
    nothing_stored(&bus).await;
}

#[tokio::test(start_paused = true)]
async fn letters_that_look_alike_are_other_ids_and_in_no_type() {
    let bus = memory_bus();
    // The first letter is Cyrillic in one and Latin in the other: two ids, two events, none lost as a repeat.
    let mut receipts = Vec::new();
    for id in ["\u{430}-1", "a-1"] {
        let mut sent = event(&bus, "a.b", "{}");
        sent.id = EventId::new(id).unwrap();
        receipts.push(bus.publish(sent).await.unwrap());
    }
    assert!(receipts.iter().all(|it| !it.duplicate), "{receipts:?}");
    refused(
        EventType::new("s\u{430}mple.created"),
        &["`type`", "letters, digits"],
    );
    refused(
        Pattern::new("s\u{430}mple.*"),
        &["pattern", "letters, digits"],
    );
    refused("s\u{430}ga".parse::<SagaId>(), &["`id`"]);
}

#[test]
fn a_hostile_pattern_is_refused_with_its_limit() {
    let words = |count| vec!["*"; count].join(".");
    refused(
        Pattern::new(&"x".repeat(1 << 20)),
        &["`pattern` has 1048576 bytes", "255"],
    );
    refused(Pattern::new(&words(17)), &["16 words"]);
    for text in [
        "", ".", "a..b", "a.**.b", "a.>.b", "***", "a*", "(a+)+", "[a-z]", "a b", "a/b",
    ] {
        refused(Pattern::new(text), &["pattern"]);
    }
    // The dearest that is taken: stars in every place.
    let dear = Pattern::new(&words(16)).unwrap();
    assert!(dear.matches(&EventType::new(vec!["a"; 16].join(".")).unwrap()));
}

#[test]
fn a_hostile_filter_is_refused_with_its_limit_or_stops_at_its_cost() {
    let deep = |open: &str, close: &str, count| {
        format!("{}TRUE{}", open.repeat(count), close.repeat(count))
    };
    refused(
        Filter::sql(&"x".repeat(1 << 20)),
        &["`filter`", "bytes", "more than"],
    );
    refused(
        Filter::sql(&deep("(", ")", 1_000)),
        &["`filter`", "nested deeper than"],
    );
    refused(
        Filter::sql(&deep("NOT ", "", 1_000)),
        &["`filter`", "nested deeper than"],
    );
    refused(Filter::sql("(".repeat(4_000).as_str()), &["`filter`"]);
    let not = |count| {
        format!(
            "{}{{\"sql\":\"TRUE\"}}{}",
            "{\"not\":".repeat(count),
            "}".repeat(count)
        )
    };
    refused(
        Filter::from_json(not(17).as_bytes()),
        &["`filter", "nested deeper than 16"],
    );
    refused(
        Filter::from_json(not(5_000).as_bytes()),
        &["nested deeper than 16"],
    );
    refused(
        Filter::from_json(nested(10_000).as_bytes()),
        &["nested deeper than 16"],
    );
    let many = vec![r#"{"sql":"TRUE"}"#; 1_000].join(",");
    refused(
        Filter::from_json(format!("[{many}]").as_bytes()),
        &["`filter`", "more than 256 parts"],
    );
    refused(
        Filter::from_json(&vec![b' '; 1 << 20]),
        &["`filter` has 1048576 bytes", "more than 65536"],
    );
    refused(
        Filter::from_json(br#"{"exact":{"a":"1","a":"2"}}"#),
        &["`filter.exact.a`", "twice"],
    );
    refused(Filter::sql("SLEEP(1000) = 1"), &["`SLEEP`"]);

    // What would take for ever elsewhere ends here, and the work of one evaluation has a bound.
    let slow = format!("subject LIKE '{}b'", "%a".repeat(500));
    let filter = Filter::sql(&slow).unwrap();
    let mut event = Event::raw(
        EventType::new("a").unwrap(),
        "s",
        Bytes::from_static(b"1"),
        &SystemClock,
    );
    event.subject = Some("a".repeat(255));
    assert!(matches!(
        filter.evaluate(&event),
        Outcome::Skip | Outcome::Error(_)
    ));
    let doubled = |inner: String| format!("CONCAT({inner}, {inner})");
    let large = (0..7).fold("subject".to_owned(), |inner, _| doubled(inner));
    let filter = Filter::sql(&format!("LENGTH({large}) > 0"));
    assert!(filter.is_err() || !matches!(filter.unwrap().evaluate(&event), Outcome::Skip));
    assert_eq!(COST_MAX, 1_000_000);
}

#[test]
fn a_version_that_is_not_known_is_refused_by_name() {
    let event = |version: &str| {
        format!(r#"{{"specversion":{version},"id":"1","source":"s","type":"a","data":1}}"#)
    };
    for version in [r#""0.3""#, r#""2.0""#, r#""1""#, r#""""#] {
        refused(from_json(&event(version)), &["`specversion` must be `1.0`"]);
    }
    for version in ["1.0", "null", "[]"] {
        refused(from_json(&event(version)), &["specversion"]);
    }
    let other = r#"{"specversion":"1.0","id":"1","source":"s","type":"a","datacontenttype":"text/xml","data":1}"#;
    refused(from_json(other), &["`datacontenttype`"]);
    let unknown = r#"{"type":"a","source":"s","corelationId":"x","data":1}"#;
    refused(from_json(unknown), &["corelationId"]);
    refused(
        "1.x".parse::<sagabus::schema::Version>(),
        &["version `1.x`"],
    );
}

#[test]
fn a_hostile_definition_of_a_saga_is_refused_with_its_limit() {
    let json = |text: &str| Definition::from_json(text.as_bytes()).map_err(Error::from);
    let yaml = |text: &str| Definition::from_yaml(text).map_err(Error::from);
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    refused(json(&large), &["definition has", "more than 1048576"]);
    refused(yaml(&large), &["definition has", "more than 1048576"]);
    let steps: Vec<String> = (0..1_001)
        .map(|it| format!(r#"{{"id":"s{it}","action":"a"}}"#))
        .collect();
    let many = format!(r#"{{"name":"x","steps":[{}]}}"#, steps.join(","));
    refused(json(&many), &["1001 steps", "more than 1000"]);
    let twice = r#"{"name":"x","name":"y","steps":[]}"#;
    refused(json(twice), &["`name`"]);
    refused(yaml("name: x\nname: y\nsteps: []\n"), &["name"]);
    let deep = format!(
        r#"{{"name":"x","steps":[{{"id":"a","action":"a","data":{}}}]}}"#,
        nested(10_000)
    );
    refused(json(&deep), &["data"]);
    assert!(yaml(&deep).is_err());
    // Each name stands for ten of the one before: a thousand million of them.
    let levels = (1..9).map(|level| {
        let before = vec![format!("*l{}", level - 1); 10].join(",");
        format!("    l{level}: &l{level} [{before}]\n")
    });
    let first =
        "name: x\nsteps:\n- id: a\n  action: a\n  data:\n    l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n";
    let laughs = format!("{first}{}", levels.collect::<String>());
    assert!(yaml(&laughs).is_err());
    let unknown = r#"{"name":"x","steps":[{"id":"a","action":"a","retries":1}]}"#;
    refused(json(unknown), &["steps[0].retries"]);
    let long =
        r#"{"name":"x","steps":[{"id":"a","action":"a","timeout":"999999999999999999999h"}]}"#;
    refused(json(long), &["steps[0].timeout"]);
    let long = r#"{"name":"x","steps":[{"id":"a","action":"a","timeout":"200h"}]}"#;
    refused(json(long), &["`timeout` of step `a`", "7 days"]);
}

#[tokio::test(start_paused = true)]
async fn a_saga_with_bad_names_or_input_is_refused_and_nothing_is_stored() {
    let clock = clock();
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let bus = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock));
    let bus = bus.build().unwrap();
    let handlers =
        Handlers::new().handle("", "a", |_: StepContext| async { Ok::<(), StepError>(()) });
    let sagas = Sagas::builder(engine as Arc<dyn SagaStore>, clock);
    let sagas = sagas.handlers(handlers).open().await.unwrap();
    let definition = Definition::builder("x")
        .step(Step::new("a"))
        .build()
        .unwrap();
    let large = format!("\"{}\"", "x".repeat(256 * 1024));
    let plain = || saga::Start::new("{}");
    for (start, words) in [
        (
            saga::Start::new(large),
            &["`input` has 262146 bytes", "262144"][..],
        ),
        (
            saga::Start::new("{"),
            &["`input` is not taken", "ends too early"],
        ),
        (
            saga::Start::new(nested(100_000)),
            &["`input` is not taken", "nested deeper than 64"],
        ),
        (
            plain().correlated("W\u{202e}"),
            &["`correlationId`", "U+202E"],
        ),
        (
            plain().correlated("W".repeat(256)),
            &["`correlationId`", "255 bytes"],
        ),
        (plain().correlated(""), &["`correlationId`", "1 to 255"]),
        (plain().keyed("k\n"), &["`idempotencyKey`", "U+000A"]),
    ] {
        refused(sagas.start(&definition, start).await, words);
    }
    nothing_stored(&bus).await;
    sagas.start(&definition, plain()).await.unwrap();
}
