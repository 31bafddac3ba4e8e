//! Rules of the envelope.

use super::*;
use crate::clock::SystemClock;
use crate::error::ErrorKind;
use crate::text::is_hidden;

fn read(json: &str) -> Result<Event> {
    envelope::from_json(json.as_bytes(), &SystemClock)
}

#[test]
fn payload_bytes_are_kept_as_received() {
    let event = read(
        r#"{"type":"a.b","source":"s","data": {"n": 1.0,  "big":123456789012345678901234567890}}"#,
    )
    .unwrap();
    assert_eq!(
        &event.data[..],
        br#"{"n": 1.0,  "big":123456789012345678901234567890}"#
    );
    let again = read(std::str::from_utf8(&envelope::to_json(&event).unwrap()).unwrap()).unwrap();
    assert_eq!(again, event);
}

#[test]
fn a_cloud_event_comes_back_as_it_went_out() {
    let mut event = read(r#"{"type":"a.b","source":"s","subject":"x","correlationId":"c","causationId":"e","version":"2.1","data":[]}"#).unwrap();
    event.metadata.insert("tenant".to_owned(), "7".to_owned());
    let cloud = envelope::to_cloud_event(&event).unwrap();
    assert_eq!(envelope::from_json(&cloud, &SystemClock).unwrap(), event);
    let own = envelope::to_json(&event).unwrap();
    assert_eq!(envelope::from_json(&own, &SystemClock).unwrap(), event);
    let own: serde_json::Value = serde_json::from_slice(&own).unwrap();
    let names: Vec<&String> = own.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "causationId",
            "correlationId",
            "data",
            "id",
            "metadata",
            "source",
            "subject",
            "timestamp",
            "type",
            "version"
        ]
    );
}

#[test]
fn a_timestamp_read_from_json_is_a_timestamp() {
    let event =
        read(r#"{"type":"a.b","source":"s","timestamp":"2026-03-01T13:00:00+01:00","data":null}"#)
            .unwrap();
    assert_eq!(event.time.to_string(), "2026-03-01T12:00:00.000Z");
}

#[test]
fn bad_envelopes_are_refused_with_the_field_named() {
    for (json, text) in [
        ("nonsense", "not a JSON envelope"),
        (r#"{"type":"a.b","source":"s"}"#, "data"),
        (r#"{"type":"*","source":"s","data":1}"#, "`type`"),
        (r#"{"type":"a..b","source":"s","data":1}"#, "`type`"),
        (r#"{"type":"a.b","source":"","data":1}"#, "`source`"),
        (
            r#"{"type":"a.b","type":"a.c","source":"s","data":1}"#,
            "field `type` is there twice",
        ),
        (
            r#"{"type":"a.b","source":"s","timestamp":"yesterday","data":1}"#,
            "at `timestamp`: time is not RFC 3339",
        ),
        (
            r#"{"type":"a.b","source":"s","correlationID":"w","data":1}"#,
            "unknown field `correlationID`",
        ),
        (r#"{"id":"","type":"a.b","source":"s","data":1}"#, "`id`"),
        (
            r#"{"specversion":"0.3","id":"1","type":"a.b","source":"s","data":1}"#,
            "`specversion`",
        ),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.chain().contains(text), "{json}: {}", error.chain());
    }
    let large = format!(
        r#"{{"type":"a.b","source":"s","data":"{}"}}"#,
        "x".repeat(DATA_BYTES_MAX)
    );
    assert!(read(&large).unwrap_err().to_string().contains("262144"));
}

#[test]
fn a_payload_that_readers_would_understand_differently_is_refused() {
    let nested = |depth: usize| {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        read(&format!(r#"{{"type":"a.b","source":"s","data":{data}}}"#))
    };
    nested(64).unwrap();
    for depth in [65, 100_000] {
        let error = nested(depth).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.chain().contains("64") || depth > 65,
            "{}",
            error.chain()
        );
    }
    let twice = r#"{"type":"a.b","source":"s","data":{"x":[{"a":1,"\u0061":2}]}}"#;
    let error = read(twice).unwrap_err().chain();
    assert!(error.contains("`a` is there twice"), "{error}");
    let cloud = r#"{"specversion":"1.0","id":"1","type":"a.b","source":"s","data":{"a":1,"a":1}}"#;
    read(cloud).unwrap_err();
    read(r#"{"type":"a.b","source":"s","data":[{"a":1.5e3,"b":null},{"a":true,"b":"\ud83d\ude00"}]}"#).unwrap();
}

#[test]
fn a_generated_id_is_a_uuid_of_version_7_with_its_time() {
    let first = EventId::generate(&SystemClock);
    let uuid = uuid::Uuid::parse_str(first.as_str()).unwrap();
    assert_eq!(uuid.get_version_num(), 7);
    let (seconds, _) = uuid.get_timestamp().unwrap().to_unix();
    let now = u64::try_from(SystemClock.now().milliseconds() / 1000).unwrap();
    assert!(now.abs_diff(seconds) <= 2, "{now} {seconds}");
    let many: std::collections::BTreeSet<_> = (0..10_000)
        .map(|_| EventId::generate(&SystemClock))
        .collect();
    assert_eq!(many.len(), 10_000);
}

fn full() -> Event {
    let mut event = read(
        r#"{"id":"e-1","type":"a.b","source":"s","timestamp":"2026-03-01T12:00:00Z","version":"2.1","subject":"x y \u00b5\u00e9%22\"","correlationId":"c","causationId":"e","data":{"n":1.0}}"#,
    )
    .unwrap();
    for (key, value) in [
        ("tenant", "7"),
        ("traceparent", "00-ab"),
        // Names that a CloudEvent has for something else, or could not have.
        ("id", "mine"),
        ("data", "mine"),
        ("Tenant", "other"),
        ("with space", "\u{0} \n"),
        ("", "nameless"),
    ] {
        event.metadata.insert(key.to_owned(), value.to_owned());
    }
    event
}

#[test]
fn metadata_of_any_name_goes_through_a_cloud_event_in_both_modes() {
    let event = full();
    let structured = envelope::to_cloud_event(&event).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&structured).unwrap();
    assert_eq!(
        (&value["id"], &value["tenant"]),
        (&"e-1".into(), &"7".into())
    );
    assert_eq!(
        envelope::from_structured(&structured, &SystemClock).unwrap(),
        event
    );
    let attributes = attributes::to_attributes(&event).unwrap();
    for (name, _) in &attributes {
        let is_name = name
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        assert!(is_name, "{name}");
    }
    let again = attributes::from_attributes(attributes, &event.data, &SystemClock).unwrap();
    assert_eq!(again, event);
    let batch = [b"[", &structured[..], b",", &structured[..], b"]"].concat();
    let again = envelope::from_batch(&batch, &SystemClock).unwrap();
    assert_eq!(again, [event.clone(), event]);
}

#[test]
fn a_payload_of_null_is_a_payload_in_every_form() {
    let event = read(r#"{"id":"e-1","type":"a.b","source":"s","data":null}"#).unwrap();
    let structured = envelope::to_cloud_event(&event).unwrap();
    let again = envelope::from_structured(&structured, &SystemClock).unwrap();
    assert_eq!((&again, &*again.data), (&event, &b"null"[..]));
    let all = attributes::to_attributes(&event).unwrap();
    let again = attributes::from_attributes(all, b"null", &SystemClock).unwrap();
    assert_eq!(again, event);
    let none = br#"{"specversion":"1.0","id":"1","type":"a.b","source":"s"}"#;
    let error = envelope::from_structured(none, &SystemClock).unwrap_err();
    assert!(error.to_string().contains("`data` is missing"), "{error}");
}

#[test]
fn the_forms_of_an_event_stay_as_they_are() {
    let event = full();
    let forms = serde_json::json!({
        "envelope": serde_json::from_slice::<serde_json::Value>(&envelope::to_json(&event).unwrap()).unwrap(),
        "structured": serde_json::from_slice::<serde_json::Value>(&envelope::to_cloud_event(&event).unwrap()).unwrap(),
        "binary": attributes::to_attributes(&event).unwrap(),
    });
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/event-forms.json")).unwrap();
    assert_eq!(forms, golden, "{forms:#}");
}

#[test]
fn wrong_attributes_are_refused_and_named() {
    let check = |changes: &[(&str, &str)], data: &str, words: &str| {
        let mut attributes: Vec<(String, String)> = [
            ("specversion", "1.0"),
            ("id", "e-1"),
            ("source", "s"),
            ("type", "a.b"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        for (name, value) in changes {
            if value.is_empty() {
                attributes.retain(|(known, _)| known != name);
            } else {
                attributes.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let result = attributes::from_attributes(attributes, data.as_bytes(), &SystemClock);
        match (result, words) {
            (Ok(event), "") => assert_eq!(event.id.as_str(), "e-1"),
            (Ok(event), _) => panic!("{changes:?}: {event:?}"),
            (Err(error), _) => {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(
                    !words.is_empty() && error.chain().contains(words),
                    "{}",
                    error.chain()
                );
            }
        }
    };
    check(&[], "1", "");
    check(
        &[("datacontenttype", "application/json; charset=UTF-8")],
        "1",
        "",
    );
    for name in ["specversion", "id", "source", "type"] {
        check(&[(name, "")], "1", &format!("`{name}` is missing"));
    }
    check(&[("id", "e-2")], "1", "`id` is there twice");
    check(&[("data", "1")], "1", "`data`");
    check(&[("foo-bar", "1")], "1", "`foo-bar`");
    check(&[("time", "yesterday")], "1", "`time`");
    for kind in [
        "text/plain",
        "application/jsonp",
        "application/json; charset=latin1",
    ] {
        check(&[("datacontenttype", kind)], "1", "`datacontenttype`");
    }
    check(&[("sagabusmetadata", "[1]")], "1", "`sagabusmetadata`");
    for data in ["", "{", "1 2", r#"{"a":1,"a":1}"#] {
        check(&[], data, "`data`");
    }
}

#[test]
fn what_is_wrong_with_attributes_is_told_as_they_are_called_where_they_come_from() {
    let check = |name: &str, value: &str, words: &str| {
        let all = [
            ("specversion", "1.0"),
            ("id", "e-1"),
            ("source", "s"),
            ("type", "a.b"),
            (name, value),
        ];
        let all: std::collections::BTreeMap<_, _> = all.into_iter().collect();
        let all = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let error = attributes::from_prefixed("ce-", all, b"1", &SystemClock).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.chain(), words, "{name}");
    };
    let inside = format!(r#"{{"a b":"{}"}}"#, "x".repeat(5_000));
    for (name, value, words) in [
        (
            "time",
            "soon",
            "`ce-time` is `soon`: time is not RFC 3339, such as `2026-03-01T12:00:00Z`",
        ),
        (
            "expirytime",
            "9999-12-31T00:00:00Z",
            "`ce-expirytime` is `9999-12-31T00:00:00Z`: time is after `9999-12-30T22:00:00.000Z`, the latest that is taken",
        ),
        (
            "priority",
            "now",
            "`ce-priority` is `now`, and must be one of `urgent`, `high`, `normal`, `low`",
        ),
        ("specversion", "2", "`ce-specversion` must be `1.0`"),
        (
            "causationid",
            "",
            "event `ce-causationid` must have 1 to 128 bytes and no control characters",
        ),
        ("source", "", "`ce-source` is empty"),
        ("idempotencykey", "", "`ce-idempotencykey` is empty"),
        (
            "sagabusmetadata",
            &inside,
            "`a b` in `ce-sagabusmetadata` has 5000 bytes, more than 4096",
        ),
        (
            "sagabusmetadata",
            r#"{"a b":null}"#,
            "`ce-sagabusmetadata` is wrong at `a b`: is nothing, and must be a text",
        ),
        (
            "sagabusmetadata",
            "5",
            "`ce-sagabusmetadata` is wrong: is the number `5`, and must be an object",
        ),
        (
            "sagabusmetadata",
            r#"{"a\u200bb":"v"}"#,
            "`ce-sagabusmetadata` has the character U+200B, which is not to be seen; names have none such",
        ),
    ] {
        check(name, value, words);
    }
}

#[test]
fn what_is_null_in_a_cloud_event_is_as_if_it_were_left_out() {
    let bare = r#"{"specversion":"1.0","id":"1","type":"a.b","source":"s","data":1,"time":"2026-03-01T12:00:00Z""#;
    let event = read(&format!("{bare}}}")).unwrap();
    for name in [
        "subject",
        "datacontenttype",
        "schemaversion",
        "correlationid",
        "causationid",
        "priority",
        "expirytime",
        "idempotencykey",
        "data_base64",
        "sagabusmetadata",
        "tenant",
    ] {
        let json = format!(r#"{bare},"{name}":null}}"#);
        assert_eq!(read(&json).unwrap(), event, "{name}");
        let batch = format!("[{json}]");
        let batch = envelope::from_batch(batch.as_bytes(), &SystemClock).unwrap();
        assert_eq!(batch, std::slice::from_ref(&event), "{name}");
    }
    // A name that no attribute may have is none with `null` either.
    read(&format!(r#"{bare},"Tenant":null}}"#)).unwrap_err();
}

#[test]
fn an_extension_has_a_name_that_cloud_events_allows() {
    let with = |name: &str| {
        let mut event = serde_json::json!({"specversion": "1.0", "id": "1", "type": "a.b", "source": "s", "data": 1});
        event[name] = "v".into();
        event.to_string()
    };
    for name in [
        "Tenant",
        "foo-bar",
        "foo_bar",
        "",
        "with space",
        "grün",
        "a.b",
    ] {
        let json = with(name);
        let batch = format!("[{json}]");
        for error in [
            read(&json).unwrap_err(),
            envelope::from_structured(json.as_bytes(), &SystemClock).unwrap_err(),
            envelope::from_batch(batch.as_bytes(), &SystemClock).unwrap_err(),
            attributes::from_attributes([(name.to_owned(), "v".to_owned())], b"1", &SystemClock)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let words = format!("`{name}` is no name of a CloudEvents attribute");
            assert!(error.chain().contains(&words), "{}", error.chain());
        }
    }
    // Longer than 20 is only advised against.
    let long = "a1".repeat(20);
    assert_eq!(read(&with(&long)).unwrap().metadata[&long], "v");
    // In the envelope they are names of metadata, which may be any, and came in before.
    let own = r#"{"type":"a.b","source":"s","metadata":{"Foo-Bar":"v"},"data":1}"#;
    assert_eq!(read(own).unwrap().metadata["Foo-Bar"], "v");
}

#[test]
fn data_twice_is_refused_and_both_are_named() {
    for (fields, words) in [
        (
            r#""data":1,"data_base64":"MQ==""#,
            "`data` and `data_base64` are there together; `data` is taken",
        ),
        (
            r#""data_base64":"MQ==""#,
            "`data` is missing; `data_base64` is not taken",
        ),
    ] {
        let json =
            format!(r#"{{"specversion":"1.0","id":"1","type":"a.b","source":"s",{fields}}}"#);
        let error = envelope::from_structured(json.as_bytes(), &SystemClock).unwrap_err();
        assert!(error.chain().contains(words), "{}", error.chain());
    }
}

#[test]
fn a_batch_names_the_event_that_is_wrong() {
    let good = r#"{"specversion":"1.0","id":"1","type":"a.b","source":"s","data":1}"#;
    let check = |batch: String, words: &str| {
        let error = envelope::from_batch(batch.as_bytes(), &SystemClock).unwrap_err();
        assert!(error.chain().contains(words), "{}", error.chain());
    };
    check(good.to_owned(), "array");
    check(format!("[{good},1]"), "event 1 of the batch");
    let envelope = r#"{"id":"1","type":"a.b","source":"s","data":1}"#;
    check(format!("[{envelope},{good}]"), "event 0 of the batch");
    assert_eq!(envelope::from_batch(b"[]", &SystemClock).unwrap(), []);
}

proptest::proptest! {
    #[test]
    fn whatever_an_envelope_holds_goes_through_both_modes(
        metadata in proptest::collection::btree_map(".{0,12}|[a-z0-9]{1,6}|id|type|data", ".{0,20}", 0..6),
        texts in proptest::array::uniform4(".{0,20}"),
    ) {
        let shown = |text: &str| -> String { text.chars().filter(|it| !is_hidden(*it)).collect() };
        let metadata = metadata.into_iter().map(|(key, value)| (shown(&key), value)).collect();
        let texts = texts.map(|it| shown(&it));
        let mut event = read(r#"{"id":"e-1","type":"a.b","source":"s","data":{"n":1.0}}"#).unwrap();
        event.metadata = metadata;
        let [source, version, subject, correlation_id] = texts;
        event.source = format!("s{source}").into();
        event.version = version.into();
        event.subject = Some(subject);
        event.correlation_id = Some(correlation_id);
        let structured = envelope::to_cloud_event(&event).unwrap();
        let again = envelope::from_structured(&structured, &SystemClock).unwrap();
        proptest::prop_assert_eq!(&again, &event);
        let all = attributes::to_attributes(&event).unwrap();
        let again = attributes::from_attributes(all, &event.data, &SystemClock).unwrap();
        proptest::prop_assert_eq!(&again, &event);
    }
}
