//! The stored form of events.

use super::*;
use crate::clock::{Clock, SystemClock};

/// An event with some of what may be left out, by the bits of a number.
fn event(with: u32) -> Event {
    let has = |bit: u32| with & (1 << bit) != 0;
    let long = "ö".repeat(60 + usize::from(has(9)) * 4000);
    let event_type = EventType::new("a.b").unwrap();
    let mut event = Event::raw(event_type, "lab", Bytes::from(long.clone()), &SystemClock);
    if has(0) {
        event.subject = Some("S-1".to_owned());
    }
    if has(1) {
        event.correlation_id = Some("x".repeat(255));
    }
    if has(2) {
        event.causation_id = Some(EventId::new("cause").unwrap());
    }
    if has(3) {
        let entries = (0..30).map(|it| (format!("key-{it}"), long.clone()));
        event.metadata = entries.collect();
    }
    if has(4) {
        event.priority = Priority::Urgent;
    }
    if has(5) {
        event.expires_at = Some(SystemClock.now());
    }
    if has(6) {
        event.idempotency_key = Some("k".repeat(24));
    }
    if has(7) {
        event.time = Timestamp::from_milliseconds(-62_135_596_800_000);
        event.version = "2.1".into();
    }
    if has(8) {
        event.id = EventId::new("an id that is no UUID").unwrap();
        event.data = Bytes::new();
    }
    event
}

#[test]
fn an_event_is_written_as_its_derived_form_and_read_back_whole() {
    for with in 0..1 << 10 {
        let event = event(with);
        let bytes = encode_event(&event);
        assert!(bytes == encode_derived(&event), "{with:b}");
        assert_eq!(decode_event(&bytes).unwrap(), event);
    }
}
