//! Whether data of one JSON Schema can be read by another. Pure.
//!
//! A reader is compatible with a writer when every value that the writer may write is valid for the reader. The check
//! is careful: what cannot be shown to fit is reported, so a clean answer can be relied on, and a report may ask for
//! more than is needed. A writer writes only the properties that its schema names, unless `additionalProperties` or
//! `patternProperties` says that it writes more; a reader leaves alone what it does not know, unless it refuses it.

mod accept;
mod bounds;
mod branch;
mod reader;
mod reason;

use serde_json::Value;

pub use reason::{Direction, Incompatibility, Mode, Reason};

use reader::Comparison;

/// What keeps two versions of a schema apart, in the order of their fields; nothing when they are compatible.
#[must_use]
pub fn check(old: &Value, new: &Value, mode: Mode) -> Vec<Incompatibility> {
    let directions: &[Direction] = match mode {
        Mode::Backward => &[Direction::Backward],
        Mode::Forward => &[Direction::Forward],
        Mode::Full => &[Direction::Backward, Direction::Forward],
    };
    let mut all = Vec::new();
    for direction in directions {
        let (writer, reader) = match direction {
            Direction::Backward => (old, new),
            Direction::Forward => (new, old),
        };
        let found = Comparison::new(writer, reader).run();
        all.extend(found.into_iter().map(|(path, reason)| Incompatibility {
            direction: *direction,
            path,
            reason,
        }));
    }
    all
}

#[cfg(test)]
mod tests;
