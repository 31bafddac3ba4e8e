//! Rules of the envelope.

use super::*;
use crate::clock::SystemClock;
use crate::error::ErrorKind;

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
            "duplicate field `type`",
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
