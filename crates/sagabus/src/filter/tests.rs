//! Filters on events: attributes, payloads, dialects, closures, and the one text of a filter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};

use super::*;
use crate::clock::SystemClock;
use crate::event::{EventId, EventType, METADATA_ENTRIES_MAX};
use crate::ledger::Priority;

mod guide;

fn event(data: &'static str) -> Event {
    let mut event = Event::raw(
        EventType::new("sample.created").unwrap(),
        "lab",
        data.into(),
        &SystemClock,
    );
    event.id = EventId::new("e-1").unwrap();
    event.time = "2026-03-01T12:00:00Z".parse().unwrap();
    event.metadata = [
        ("traceParent", "00-ab"),
        ("operator-name", "Ana"),
        ("retry_count", "3"),
        ("Ähre", "x"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    event
        .about("S-1")
        .correlated("c-1")
        .priority(Priority::Urgent)
        .expires_at("2026-04-01T00:00:00Z".parse().unwrap())
        .idempotency_key("k-1")
}

const DATA: &str = r#"{"id":"S-1","volume":80,"ratio":3.0,"part":0.50,"big":4294967296,"vast":1e300,"rush":true,
    "none":null,"tags":["a","b"],"a/b":{"m~n":"deep"},"":"empty","minus":-0.0,"small":-7}"#;

fn outcome(filter: &str) -> Outcome {
    let filter = if filter.starts_with(['{', '[']) {
        Filter::from_json(filter.as_bytes())
    } else {
        Filter::sql(filter)
    };
    filter.unwrap().evaluate(&event(DATA))
}

fn check(filter: &str, expected: &Outcome) {
    assert_eq!(outcome(filter), *expected, "{filter}");
}

fn check_error(filter: &str, expected: &str) {
    match outcome(filter) {
        Outcome::Error(text) => assert!(text.contains(expected), "{filter}: {text}"),
        other => panic!("{filter}: {other:?}"),
    }
}

fn check_refused(filter: &str, expected: &str) {
    let error = Filter::from_json(filter.as_bytes()).expect_err(filter);
    assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{filter}");
    let text = error.chain();
    assert!(text.contains(expected), "{filter}: {text}");
    let other: Result<Filter, _> = serde_json::from_str(filter);
    assert!(other.is_err(), "{filter}");
}

#[test]
fn a_filter_sees_the_envelope_and_the_metadata_by_name() {
    for filter in [
        "id = 'e-1'",
        "source = 'lab'",
        "type = 'sample.created'",
        "subject = 'S-1'",
        "time = '2026-03-01T12:00:00.000Z'",
        "specversion = '1.0'",
        "datacontenttype = 'application/json'",
        "schemaversion = '1.0' AND version = '1.0'",
        "timestamp = time",
        "correlationid = 'c-1' AND correlationId = 'c-1'",
        "priority = 'urgent'",
        "expirytime LIKE '2026-04%' AND expiresAt = expirytime",
        "idempotencykey = 'k-1' AND idempotencyKey = 'k-1'",
        "NOT EXISTS causationid",
        "traceparent = '00-ab' AND traceParent = '00-ab'",
        "operatorname = 'Ana'",
        "retrycount > 2",
        "NOT EXISTS nothing",
        r#"{"exact":{"operator-name":"Ana","Ähre":"x","correlation_id":"c-1","TYPE":"sample.created"}}"#,
        r#"{"exact":{"operatorname":"Ana"}}"#,
        r#"{"not":{"exact":{"ähre":"x"}}}"#,
    ] {
        check(filter, &Outcome::Pass);
    }
}

#[test]
fn the_exact_key_wins_and_else_the_first_that_is_written_otherwise() {
    let mut event = event("{}");
    event.metadata = [
        ("region", "1"),
        ("reg-ion", "2"),
        ("a.B", "3"),
        ("a_b", "4"),
        ("id", "5"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    event.metadata.insert("k".repeat(70), "6".to_owned());
    let view = View::new(&event);
    for (name, expected) in [
        ("region", Some("1")),
        ("reg-ion", Some("2")),
        ("REGION", Some("2")),
        ("ab", Some("3")),
        ("A_B", Some("3")),
        ("a_b", Some("4")),
        ("id", Some("e-1")),
        ("-_.", None),
        ("regio", None),
        (&*"k".repeat(70), Some("6")),
        (&*"K".repeat(70), None),
    ] {
        assert_eq!(view.text(&Name::new(name)).as_deref(), expected, "{name}");
    }
    assert!(event.metadata.len() < METADATA_ENTRIES_MAX);
}

#[test]
fn data_reads_the_payload_by_pointer_and_type() {
    for filter in [
        "DATA('/id') = subject",
        "DATA('/volume') >= 80 AND DATA('/volume') = '80'",
        "DATA('/ratio') = 3",
        "DATA('/part') = '0.5'",
        "DATA('/big') = '4294967296'",
        "DATA('/rush')",
        "DATA('/rush') = TRUE",
        "DATA('/tags/1') = 'b'",
        "DATA('/a~1b/m~0n') = 'deep'",
        "DATA('/') = 'empty'",
        "DATA('/minus') = 0",
        "DATA('/small') < 0",
        "EXISTS DATA('/tags') AND EXISTS DATA('/vast') AND EXISTS DATA('')",
        "NOT EXISTS DATA('/none') AND NOT EXISTS DATA('/tags/2') AND NOT EXISTS DATA('/tags/01')",
        "EXISTS DATA('/gone') AND DATA('/gone') = 1 OR TRUE",
    ] {
        check(filter, &Outcome::Pass);
    }
    check("DATA('/volume') < 80", &Outcome::Skip);
    check_error(
        "DATA('/none') = 1",
        "the payload has no value there: `DATA('/none')`",
    );
    check_error("DATA('/gone') = 1", "the payload has no value there");
    check_error("DATA('/tags') = 'a'", "a list or an object");
    check_error("DATA('/vast') = 1", "too large to be compared exactly");
    check_error("DATA('/big') > 1", "a value cannot be read as integer");
    check_error("DATA('/id')", "the value of `DATA('/id')` is text");
    let broken = Filter::sql("DATA('/a') = 1 OR EXISTS DATA('/a')").unwrap();
    let error = broken.evaluate(&event("{\"a\":"));
    assert_eq!(
        error,
        Outcome::Error("the payload is not JSON: `DATA('/a')`".to_owned())
    );
}

#[test]
fn a_payload_is_read_once_for_all_filters_and_only_when_asked_for() {
    let wrong = event("no JSON");
    let view = View::new(&wrong);
    assert_eq!(
        Filter::sql("subject = 'S-1'").unwrap().evaluate_in(&view),
        Outcome::Pass
    );
    assert!(
        !format!("{view:?}").contains("payload: OnceCell(None)"),
        "{view:?}"
    );
    let data = Filter::sql("DATA('/id') = 'S-1'").unwrap();
    let event = event(DATA);
    let view = View::new(&event);
    let first: &dyn Scope = &view;
    let read = |scope: &dyn Scope| match scope.data("/id") {
        Ok(Value::Text(std::borrow::Cow::Borrowed(text))) => text.as_ptr(),
        other => panic!("{other:?}"),
    };
    let place = read(first);
    assert_eq!(data.evaluate_in(&view), Outcome::Pass);
    assert_eq!(read(first), place, "the payload was read anew");
}

#[test]
fn a_filter_says_whether_it_reads_payloads() {
    let any = r#"{"any":[{"exact":{"type":"a"}},{"not":{"sql":"EXISTS DATA('/a')"}}]}"#;
    assert!(Filter::from_json(any.as_bytes()).unwrap().reads_data());
    assert!(
        Filter::sql("LENGTH(CONCAT('a', DATA('/a'))) IN (1)")
            .unwrap()
            .reads_data()
    );
    assert!(!Filter::sql("data = 'x'").unwrap().reads_data());
    assert!(!Filter::closure("c", |_| true).reads_data());
}

#[test]
fn dialects_compare_attributes_as_the_standard_says() {
    for (filter, expected) in [
        (r#"{"exact":{"type":"sample.created"}}"#, true),
        (r#"{"exact":{"type":"Sample.created"}}"#, false),
        (
            r#"{"exact":{"type":"sample.created","subject":"S-2"}}"#,
            false,
        ),
        (
            r#"{"exact":{"type":"sample.created","subject":"S-1"}}"#,
            true,
        ),
        (r#"{"exact":{"gone":"x"}}"#, false),
        (r#"{"prefix":{"type":"sample."}}"#, true),
        (r#"{"prefix":{"type":"created"}}"#, false),
        (r#"{"suffix":{"type":".created"}}"#, true),
        (r#"{"suffix":{"type":"sample"}}"#, false),
        (
            r#"{"all":[{"prefix":{"type":"s"}},{"suffix":{"type":"d"}}]}"#,
            true,
        ),
        (
            r#"{"all":[{"prefix":{"type":"s"}},{"suffix":{"type":"x"}}]}"#,
            false,
        ),
        (
            r#"{"any":[{"prefix":{"type":"x"}},{"suffix":{"type":"d"}}]}"#,
            true,
        ),
        (
            r#"{"any":[{"prefix":{"type":"x"}},{"suffix":{"type":"x"}}]}"#,
            false,
        ),
        (r#"{"not":{"exact":{"gone":"x"}}}"#, true),
        (r#"{"sql":"source LIKE '%a%'"}"#, true),
        ("[]", true),
        (
            r#"[{"prefix":{"type":"s"}},{"exact":{"subject":"S-1"}}]"#,
            true,
        ),
        (
            r#"[{"prefix":{"type":"s"}},{"exact":{"subject":"S-2"}}]"#,
            false,
        ),
    ] {
        let expected = if expected {
            Outcome::Pass
        } else {
            Outcome::Skip
        };
        check(filter, &expected);
    }
}

#[test]
fn an_error_in_a_part_decides_nothing_in_any_order() {
    let (wrong, yes, no) = (
        r#"{"sql":"gone = 1"}"#,
        r#"{"sql":"TRUE"}"#,
        r#"{"sql":"FALSE"}"#,
    );
    for (all, any, parts) in [
        (None, Some(true), [wrong, yes]),
        (Some(false), None, [wrong, no]),
        (Some(false), Some(true), [yes, no]),
    ] {
        for [first, second] in [parts, [parts[1], parts[0]]] {
            for (dialect, expected) in [("all", all), ("any", any)] {
                let filter = format!(r#"{{"{dialect}":[{first},{second}]}}"#);
                match expected {
                    Some(true) => check(&filter, &Outcome::Pass),
                    Some(false) => check(&filter, &Outcome::Skip),
                    None => check_error(&filter, "no such attribute: `gone`"),
                }
            }
        }
    }
    check_error(&format!(r#"{{"not":{wrong}}}"#), "no such attribute");
}

#[test]
fn a_wrong_filter_is_refused_with_the_field_named() {
    for (filter, expected) in [
        ("", "EOF"),
        ("5", "`filter` is a number, not an object"),
        ("null", "`filter` is null, not an object"),
        ("{}", "`filter` has 0 dialects"),
        (
            r#"{"exact":{"type":"a"},"prefix":{"type":"a"}}"#,
            "`filter` has 2 dialects",
        ),
        (
            r#"{"regex":{"type":"a"}}"#,
            "`filter.regex` is no dialect; those are `exact`",
        ),
        (r#"{"exact":{}}"#, "`filter.exact` is empty"),
        (r#"{"exact":{"type":""}}"#, "`filter.exact.type` is empty"),
        (r#"{"exact":{"":"a"}}"#, "is empty"),
        (
            r#"{"exact":{"type":5}}"#,
            "`filter.exact.type` is a number, not text",
        ),
        (
            r#"{"prefix":["type"]}"#,
            "`filter.prefix` is a list, not an object",
        ),
        (
            r#"{"exact":{"type":"a","type":"b"}}"#,
            "`filter.exact.type` is there twice",
        ),
        (r#"{"all":[]}"#, "`filter.all` is empty"),
        (
            r#"{"all":{"exact":{"type":"a"}}}"#,
            "`filter.all` is an object, not a list of filters",
        ),
        (
            r#"{"any":[{"exact":{"type":"a"}},{"suffix":{"subject":true}}]}"#,
            "`filter.any[1].suffix.subject` is a boolean",
        ),
        (
            r#"{"not":[{"exact":{"type":"a"}}]}"#,
            "`filter.not` is a list, not an object",
        ),
        (r#"[{"exact":{"type":"a"}},7]"#, "`filter[1]` is a number"),
        (r#"{"sql":7}"#, "`filter.sql` is a number, not text"),
        (
            r#"{"sql":"a ="}"#,
            "`filter.sql` is no CESQL expression: at byte 3 a value",
        ),
        (
            r#"{"not":{"sql":"LENGTH(id)"}}"#,
            "`filter.not.sql` has integer as its value",
        ),
        (r#"{"sql":"subject"}"#, "`filter.sql` has text as its value"),
        (r#"{"sql":"ISBIG(id) = 1"}"#, "`filter.sql` calls `ISBIG`"),
        (r#"{"sql":"LEFT(id) = 'a'"}"#, "`filter.sql` calls `LEFT`"),
        ("{\"x\\u0007\":1}", "`filter.x\\u{7}` is no dialect"),
    ] {
        check_refused(filter, expected);
    }
    let error = Filter::sql("a = = b").unwrap_err();
    assert!(error.chain().contains("at byte 4"), "{}", error.chain());
}

#[test]
fn a_filter_ends_at_its_limits() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"not":"#.repeat(depth - 1), "}".repeat(depth - 1));
        format!(r#"{open}{{"exact":{{"id":"a"}}}}{close}"#)
    };
    assert!(Filter::from_json(nested(FILTER_DEPTH_MAX).as_bytes()).is_ok());
    check_refused(&nested(FILTER_DEPTH_MAX + 1), "is nested deeper than 16");
    check_refused(&nested(60), "nested deeper than 16");
    check_refused(&"[".repeat(60_000), "nested deeper than 16");
    let long = |bytes: usize| format!(r#"{{"exact":{{"id":"{}"}}}}"#, "a".repeat(bytes - 19));
    assert!(Filter::from_json(long(FILTER_BYTES_MAX).as_bytes()).is_ok());
    let too_long = long(FILTER_BYTES_MAX + 1);
    check_refused(&too_long, "has 65537 bytes, more than 65536");
    let half = Filter::from_json(long(FILTER_BYTES_MAX / 2).as_bytes()).unwrap();
    assert!(Filter::any([half.clone(), half]).is_err());
    let wide = |parts: usize| {
        let part = r#"{"sql":"TRUE"}"#;
        format!(r#"{{"any":[{}]}}"#, vec![part; parts - 1].join(","))
    };
    assert!(Filter::from_json(wide(FILTER_PARTS_MAX).as_bytes()).is_ok());
    check_refused(&wide(FILTER_PARTS_MAX + 1), "has more than 256 parts");
    let mut filter = Filter::sql("FALSE").unwrap();
    for _ in 1..FILTER_DEPTH_MAX {
        filter = filter.inverted().unwrap();
    }
    assert!(filter.clone().inverted().is_err());
    assert!(Filter::any([filter]).is_err());
    assert!(Filter::all([]).is_err());
    let many = vec![Filter::everything(); FILTER_PARTS_MAX];
    assert!(Filter::all(many).is_err());
}

#[test]
fn all_parts_of_a_filter_share_one_cost() {
    let mut event = event("{}");
    event.metadata.insert("long".to_owned(), "ab".repeat(2_000));
    // Each costs less than half of the whole, and a hundred of them much more.
    let part = format!(r#"{{"sql":"long LIKE '%{}x%'"}}"#, "_".repeat(90));
    let filter = format!(r#"{{"any":[{}]}}"#, vec![part.as_str(); 100].join(","));
    assert_eq!(
        Filter::from_json(part.as_bytes()).unwrap().evaluate(&event),
        Outcome::Skip
    );
    match Filter::from_json(filter.as_bytes())
        .unwrap()
        .evaluate(&event)
    {
        Outcome::Error(text) => assert!(text.contains("costs more than 1000000"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_closure_is_called_and_its_panic_is_an_error() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let filter = Filter::closure("lab only", move |event| {
        counted.fetch_add(1, Ordering::Relaxed);
        event.source == "lab"
    });
    assert_eq!(filter.evaluate(&event(DATA)), Outcome::Pass);
    assert_eq!(
        filter.inverted().unwrap().evaluate(&event(DATA)),
        Outcome::Skip
    );
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let broken = Filter::closure("broken", |event| event.metadata["gone"] == "x");
    let Outcome::Error(text) = broken.evaluate(&event(DATA)) else {
        panic!("no error");
    };
    assert!(
        text.starts_with("the closure `broken` panicked: "),
        "{text}"
    );
    let formatted = Filter::closure("f", |event| panic!("no {}", event.id));
    let outcome = formatted.evaluate(&event(DATA));
    assert_eq!(
        outcome,
        Outcome::Error("the closure `f` panicked: no e-1".to_owned())
    );
}

#[test]
fn a_filter_is_described_in_one_line() {
    let lines = [
        (
            r#"{"exact":{"type":"a","subject":"it's \"x\"\n"}}"#,
            r#"subject is "it's \"x\"\n" and type is "a""#,
        ),
        (
            r#"{"any":[{"prefix":{"type":"a"}},{"not":{"suffix":{"type":"b"}}}]}"#,
            r#"(type begins with "a") or (not (type ends with "b"))"#,
        ),
        (
            r#"[{"sql":"exists subject"},{"sql":"true"}]"#,
            "(EXISTS subject) and (TRUE)",
        ),
        ("[]", "TRUE"),
    ];
    for (json, line) in lines {
        let filter = Filter::from_json(json.as_bytes()).unwrap();
        assert_eq!(filter.describe(), line);
        assert_eq!(format!("{filter:?}"), format!("Filter({line})"));
    }
    let closure = Filter::closure("lab only", |_| true);
    assert_eq!(
        format!("{closure:?}"),
        "Filter(closure `lab only` (opaque))"
    );
}

#[test]
fn filters_are_equal_when_their_text_is() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Filter::everything());
    let text = |json: &str| Filter::from_json(json.as_bytes()).unwrap();
    let one = text(
        r#" { "all" : [ {"exact":{"type":"a","subject":"b"}}, {"sql":"exists  SUBJECT"} ] } "#,
    );
    let two = text(r#"{"all":[{"exact":{"subject":"b","type":"a"}},{"sql":"(EXISTS subject)"}]}"#);
    assert_eq!(one, two);
    assert_eq!(one.text(), two.text());
    assert_eq!(
        one.text().unwrap(),
        r#"{"all":[{"exact":{"subject":"b","type":"a"}},{"sql":"EXISTS subject"}]}"#
    );
    assert_ne!(
        one,
        text(r#"{"any":[{"exact":{"subject":"b","type":"a"}},{"sql":"(EXISTS subject)"}]}"#)
    );
    assert_ne!(
        text(r#"{"exact":{"type":"a"}}"#),
        text(r#"{"prefix":{"type":"a"}}"#)
    );
    assert_eq!(Filter::everything(), text("[]"));
    assert_eq!(
        Filter::everything()
            .text()
            .unwrap()
            .parse::<Filter>()
            .unwrap(),
        Filter::everything()
    );
    assert_eq!(
        Filter::closure("a", |_| true),
        Filter::closure("a", |_| false)
    );
    assert_ne!(
        Filter::closure("a", |_| true),
        Filter::closure("b", |_| true)
    );
    let closed = Filter::all([one, Filter::closure("a", |_| true)]).unwrap();
    assert_eq!(closed.text(), None);
    let error = serde_json::to_string(&closed).unwrap_err().to_string();
    assert!(error.contains("closure `a`"), "{error}");
}

/// JSON of filters, in which little is out of place.
fn filters() -> impl Strategy<Value = String> {
    let name = || proptest::sample::select(vec!["type", "subject", "operator-name", "x\\\"y"]);
    let pairs = vec((name(), "[a-z.]{0,3}"), 0..3).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| format!(r#""{k}":"{v}""#))
            .collect();
        format!("{{{}}}", pairs.join(","))
    });
    let compare = proptest::sample::select(vec!["exact", "prefix", "suffix", "all", "x"]);
    let leaf = prop_oneof![
        6 => (compare, pairs).prop_map(|(dialect, pairs)| format!(r#"{{"{dialect}":{pairs}}}"#)),
        3 => proptest::sample::select(vec!["subject = 'S-1'", "gone = 1", "DATA('/rush')", "1 +", "id"])
            .prop_map(|it| format!(r#"{{"sql":"{it}"}}"#)),
        1 => Just("5".to_owned()),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            (
                proptest::sample::select(vec!["all", "any"]),
                vec(inner.clone(), 0..4)
            )
                .prop_map(|(dialect, parts)| format!(r#"{{"{dialect}":[{}]}}"#, parts.join(","))),
            inner.prop_map(|it| format!(r#"{{"not":{it}}}"#)),
        ]
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_filter_comes_back_as_it_was_written(json in filters()) {
        if let Ok(filter) = Filter::from_json(json.as_bytes()) {
            let text = filter.text().unwrap();
            let again: Filter = text.parse().unwrap();
            proptest::prop_assert_eq!(&again, &filter, "{}", text);
            proptest::prop_assert_eq!(again.text().unwrap(), text);
            let read: Filter = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(&read, &filter);
            let event = event(DATA);
            proptest::prop_assert_eq!(again.evaluate(&event), filter.evaluate(&event));
        }
    }

    #[test]
    fn no_bytes_break_the_reader_of_filters(bytes in vec(proptest::num::u8::ANY, 0..100)) {
        let _ = Filter::from_json(&bytes).map(|filter| filter.evaluate(&event(DATA)));
    }
}

/// Prints what an evaluation costs: `RUN_SLOW=1 cargo test --release -p sagabus --lib dearest -- --nocapture`. What is
/// asserted is the outcome; the figures are for reading.
#[test]
fn usual_filters_and_the_dearest_one_have_an_outcome_and_say_what_they_cost() {
    let slow = std::env::var_os("RUN_SLOW").is_some();
    let mut event = event(DATA);
    event.metadata.insert("long".to_owned(), "a".repeat(4_000));
    let dearest = format!(
        r#"{{"any":[{}]}}"#,
        vec![format!(r#"{{"sql":"long LIKE '%{}b%'"}}"#, "a".repeat(2_000)); 20].join(",")
    );
    let filters = [
        (
            "exact",
            r#"{"exact":{"type":"sample.created"}}"#,
            Some(Outcome::Pass),
        ),
        (
            "attributes",
            "type LIKE 'sample.%' AND subject = 'S-1'",
            Some(Outcome::Pass),
        ),
        (
            "metadata, other spelling",
            "operatorname = 'Ana'",
            Some(Outcome::Pass),
        ),
        (
            "payload",
            "DATA('/volume') >= 50 AND DATA('/rush')",
            Some(Outcome::Pass),
        ),
        ("missing attribute", "gone = 'x'", None),
        ("dearest", &dearest, None),
    ];
    for (name, filter, expected) in filters {
        let filter = if filter.starts_with('{') {
            Filter::from_json(filter.as_bytes())
        } else {
            Filter::sql(filter)
        };
        let filter = filter.unwrap();
        let rounds = if slow && name != "dearest" {
            100_000
        } else {
            10
        };
        let start = crate::clock::Clock::elapsed(&SystemClock);
        for _ in 0..rounds {
            let outcome = filter.evaluate(&event);
            match &expected {
                Some(expected) => assert_eq!(outcome, *expected, "{name}"),
                None => assert!(matches!(outcome, Outcome::Error(_)), "{name}: {outcome:?}"),
            }
        }
        let took = crate::clock::Clock::elapsed(&SystemClock) - start;
        println!("{name}: {:?} an evaluation", took / rounds);
    }
}
