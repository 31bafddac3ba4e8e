//! What must hold for any bytes that a parser is given: the targets of coverage-guided fuzzing. For tests only.
//!
//! A target takes any bytes. More is asked of it than that it does not panic: what is taken reads back the same, what is
//! refused is refused with a kind and a text that an operator can read, and what matches is what a plain reference says.
//! `cargo xtask fuzz` runs them; the inputs that it kept are run by the tests of this crate as well.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a target is a test: what does not hold panics"
)]

mod definitions;
mod events;
mod filters;
mod names;
mod patterns;

use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind};

/// A parser with what must hold of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Names it, and the folder of its inputs.
    pub name: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 10] = [
    target("frames", crate::engines::embedded::fuzzing::frames),
    target("records", crate::engines::embedded::fuzzing::records),
    target("ledger", crate::ledger::fuzzing::ledger),
    target("envelope", events::envelope),
    target("cloud_events", events::cloud_events),
    target("patterns", patterns::patterns),
    target("cesql", filters::cesql),
    target("filters", filters::filters),
    target("definitions", definitions::definitions),
    target("names", names::names),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// A clock that stands still, so that one input has one outcome.
#[derive(Clone, Copy, Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_milliseconds(1_764_000_000_000)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        4
    }
}

/// What is refused at the door is `Invalid`, names a field or a value in backticks unless the whole is no JSON, and is
/// one readable line.
fn refused(error: &Error) {
    let text = error.chain();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    let names = text.contains('`') || text.contains("JSON");
    assert!(names, "names nothing: {text:?}");
    readable(&text);
}

/// A text for operators has no control characters, which would break a line of a log in two.
fn readable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    // What was given may be cited, but not the whole of a large input.
    assert!(text.len() <= 64 * 1024, "{} bytes", text.len());
}

/// The parts of an input between bytes that no text has, those that are texts.
fn texts(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let parts = bytes.split(|it| *it == 0xff);
    parts.filter_map(|it| std::str::from_utf8(it).ok())
}
