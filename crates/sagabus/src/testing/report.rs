//! What a test prints when it does not find what it expects.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::bus::Stats;
use crate::event::Event;
use crate::transport::DeadLetter;

/// Most events and dead letters in one report: more are not read.
const LINES_MAX: usize = 100;

/// Type and subject.
pub(super) fn name(event: &Event) -> String {
    match &event.subject {
        Some(subject) => format!("{} {subject}", event.event_type),
        None => event.event_type.to_string(),
    }
}

/// Subscription, type, and kind of the last fault.
pub(super) fn letter_name(letter: &DeadLetter) -> String {
    let kind = letter.faults.last().map_or("", |it| it.kind.as_str());
    let text = format!("{} {} {kind}", letter.subscription, letter.event.event_type);
    text.trim_end().to_owned()
}

/// Line by line: what is on one side only is marked.
pub(super) fn difference(found: &[String], expected: &[&str]) -> String {
    let mut text = String::new();
    for index in 0..found.len().max(expected.len()).min(LINES_MAX) {
        let (found, expected) = (found.get(index), expected.get(index));
        let lines = match (found, expected) {
            (Some(found), Some(expected)) if found == expected => format!("    {found}\n"),
            (found, expected) => {
                let expected = expected.map(|it| format!("  - {it}   (expected)\n"));
                let found = found.map(|it| format!("  + {it}   (found)\n"));
                expected.unwrap_or_default() + &found.unwrap_or_default()
            }
        };
        text += &lines;
    }
    text
}

/// Everything.
pub(super) fn all(events: &[Arc<Event>], stats: &Stats, letters: &[DeadLetter]) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _done = write_all(&mut text, events, stats, letters);
    text
}

fn write_all(
    text: &mut String,
    events: &[Arc<Event>],
    stats: &Stats,
    letters: &[DeadLetter],
) -> std::fmt::Result {
    writeln!(text, "events: {}", events.len())?;
    for event in events.iter().take(LINES_MAX) {
        write!(text, "  {}  {}", event.id, name(event))?;
        if let Some(cause) = &event.causation_id {
            write!(text, "  caused by {cause}")?;
        }
        writeln!(text)?;
    }
    writeln!(text, "subscriptions: {}", stats.subscriptions.len())?;
    for it in &stats.subscriptions {
        let counts = it.counts;
        writeln!(
            text,
            "  {}  not looked at {}, ready {}, running {}, to be tried again {}, acked {}, filtered {}, dead {}",
            it.name,
            it.ahead,
            counts.ready,
            counts.leased,
            counts.waiting,
            counts.acked,
            counts.filtered,
            counts.dead
        )?;
    }
    writeln!(text, "dead letters: {}", letters.len())?;
    for letter in letters.iter().take(LINES_MAX) {
        writeln!(text, "  {}  {}", letter.subscription, name(&letter.event))?;
        for fault in &letter.faults {
            writeln!(
                text,
                "    attempt {}: {}: {}",
                fault.attempt, fault.kind, fault.error
            )?;
        }
    }
    Ok(())
}
