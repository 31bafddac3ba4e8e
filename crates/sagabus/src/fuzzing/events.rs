//! Events from outside: the envelope, and CloudEvents one at a time, as a batch, and as attributes beside a payload.

use super::{Still, refused};
use crate::error::Result;
use crate::event::{Event, attributes, envelope};

/// Either form of one event.
pub(super) fn envelope(bytes: &[u8]) {
    match envelope::from_json(bytes, &Still) {
        Ok(event) => comes_back(&event),
        Err(error) => refused(&error),
    }
}

/// The first byte says which form: structured, a batch, or binary with attributes as lines `name: value`.
pub(super) fn cloud_events(bytes: &[u8]) {
    let Some((form, bytes)) = bytes.split_first() else {
        return;
    };
    let events = match form % 3 {
        0 => envelope::from_structured(bytes, &Still).map(|it| vec![it]),
        1 => envelope::from_batch(bytes, &Still),
        _ => binary(bytes).map(|it| vec![it]),
    };
    match events {
        Ok(events) => events.iter().for_each(comes_back),
        Err(error) => refused(&error),
    }
}

fn binary(bytes: &[u8]) -> Result<Event> {
    let text = String::from_utf8_lossy(bytes);
    let (head, data) = text.split_once("\n\n").unwrap_or((&text, ""));
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    attributes::from_attributes(pairs, data.as_bytes(), &Still)
}

/// An event that was taken is within its limits, and every form of it is read as the same event.
fn comes_back(event: &Event) {
    event.check().expect("what is taken is within the limits");
    let json = envelope::to_json(event).expect("what is taken can be written");
    let again = envelope::from_json(&json, &Still).expect("what is written is taken");
    assert_eq!(again, *event, "envelope");
    let json = envelope::to_cloud_event(event).expect("what is taken can be written");
    let again = envelope::from_structured(&json, &Still).expect("what is written is taken");
    assert_eq!(again, *event, "structured");
    let pairs = attributes::to_attributes(event).expect("what is taken can be written");
    let again =
        attributes::from_attributes(pairs, &event.data, &Still).expect("what is written is taken");
    assert_eq!(again, *event, "binary");
    let serde_json::Value::Null = serde_json::from_slice(&event.data).unwrap_or_default() else {
        return;
    };
    // A payload of `null` is one; nothing at all is none.
    assert_eq!(event.data, "null");
}
