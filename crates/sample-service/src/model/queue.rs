//! The queue of samples to work on, read from the words of a query.

use nanopore::query::not_known;
use nanopore::sample::queue::{Reading, Turnaround};
use nanopore::sample::{FieldErrors, Stage, Status};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Filter, Page, Sample};

/// Which samples that are not completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Those that can be worked on: form and tube are there, and they are not on hold.
    #[default]
    Ready,
    /// Those on hold.
    Held,
    /// Those whose tube has not come.
    Expected,
}

/// Which part of the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// Which samples.
    pub show: Show,
    /// At this processing step.
    pub stage: Option<Stage>,
    /// In the hands of this person.
    pub assigned_to: Option<String>,
}

/// A sample in the queue.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// Its place, from 1.
    pub position: u64,
    /// Its clock.
    pub turnaround: Reading,
    /// The sample.
    #[serde(flatten)]
    pub sample: Sample,
}

impl QueueFilter {
    /// The parameters that there are.
    pub const NAMES: [&str; 5] = ["show", "stage", "assignedTo", "page", "limit"];

    /// Reads a filter and a page from the pairs of a query.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(pairs: Vec<(String, String)>) -> Result<(Self, Page), FieldErrors> {
        FieldErrors::check_once(&pairs, &[])?;
        let mut filter = Self::default();
        let mut rest = Vec::new();
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("show", "ready") => filter.show = Show::Ready,
                ("show", "held") => filter.show = Show::Held,
                ("show", "expected") => filter.show = Show::Expected,
                ("show", _) => {
                    return Err(FieldErrors::one(name, "must be ready, held or expected"));
                }
                ("stage", word) => {
                    let stage = Stage::from_word(word).ok_or_else(|| {
                        let text = format!("has no value `{}`", word.escape_debug());
                        FieldErrors::one("stage", text)
                    })?;
                    filter.stage = Some(stage);
                }
                ("assignedTo", _) => filter.assigned_to = Some(value),
                ("page" | "limit", _) => rest.push((name, value)),
                _ => return Err(FieldErrors::one(name, not_known(&Self::NAMES))),
            }
        }
        let (_, page) = Filter::read(&rest, 100, 1_000)?;
        Ok((filter, page))
    }
}

impl Sample {
    /// Its clock. What is archived without having been completed stood still since.
    #[must_use]
    pub fn turnaround(&self) -> Turnaround {
        let is_over = matches!(
            self.status,
            Status::Completed | Status::Distributed | Status::Archived
        );
        let ended = self.completed_at.or(self.archived_at);
        Turnaround {
            submitted_at: self.submitted_at,
            received_at: self.received_at,
            completed_at: is_over.then(|| ended.unwrap_or(self.updated_at)),
            held_at: self.hold.as_ref().map(|it| it.held_at),
            held_ms: self.held_ms,
        }
    }
}
