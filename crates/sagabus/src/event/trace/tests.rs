//! What is a trace context and what is not.

use super::*;
use crate::clock::SystemClock;
use crate::event::EventType;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn check(text: &str, expected: Option<(u128, u64)>) {
    let read: Result<TraceContext, _> = text.parse();
    let read = read.ok().map(|it| (it.trace_id(), it.span_id()));
    assert_eq!(read, expected, "{text}");
}

#[test]
fn a_trace_context_is_read_as_the_standard_says() {
    let expected = Some((
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        0x00f0_67aa_0ba9_02b7,
    ));
    check(TRACE, expected);
    check(&TRACE.replacen("00-", "01-", 1), expected);
    check(
        &format!("{}-more", TRACE.replacen("00-", "01-", 1)),
        expected,
    );
    for wrong in [
        "",
        "00",
        "00-ab",
        &TRACE.replacen("00-", "ff-", 1),
        &format!("{TRACE}-more"),
        &TRACE.to_uppercase(),
        &TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        &TRACE.replace("00f067aa0ba902b7", &"0".repeat(16)),
        &TRACE.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"),
        &TRACE.replace('4', "é"),
    ] {
        check(wrong, None);
    }
    let read: TraceContext = TRACE.parse().unwrap();
    assert_eq!(read.to_string(), TRACE);
    assert_eq!(read.span(0).span_id(), 1);
}

#[test]
fn an_event_that_has_a_trace_or_no_room_is_left_as_it_is() {
    let context: TraceContext = TRACE.parse().unwrap();
    let mut event = Event::raw(
        EventType::new("a.b").unwrap(),
        "s",
        "1".into(),
        &SystemClock,
    );
    assert_eq!(TraceContext::of(&event), None);
    let mut full = event.clone();
    for number in 0..METADATA_ENTRIES_MAX {
        full.metadata.insert(number.to_string(), String::new());
    }
    context.mark(&mut full);
    assert_eq!(TraceContext::of(&full), None);
    context.mark(&mut event);
    context.span(7).mark(&mut event);
    assert_eq!(TraceContext::of(&event), Some(context));
}
