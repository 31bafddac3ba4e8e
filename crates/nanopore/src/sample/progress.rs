//! How far a submission is: what follows from where its samples are.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// How many samples of a submission are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// All of them.
    pub samples: u32,
    /// Those that nothing was done with.
    pub submitted: u32,
    /// Those that are completed or handed over.
    pub completed: u32,
    /// Those that are closed without that.
    pub archived: u32,
    /// Those that are on hold or whose step failed, and are not closed.
    pub in_question: u32,
}

/// How far a submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has no samples yet.
    Empty,
    /// Nothing was done with any sample.
    Waiting,
    /// Some are being worked on.
    InProgress,
    /// Some need a decision.
    NeedsAttention,
    /// All that were not closed are completed.
    Completed,
    /// All were closed without having been completed.
    Archived,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Waiting => "waiting",
            Self::InProgress => "in_progress",
            Self::NeedsAttention => "needs_attention",
            Self::Completed => "completed",
            Self::Archived => "archived",
        })
    }
}

impl Progress {
    /// How far the submission is.
    #[must_use]
    pub fn state(self) -> State {
        let open = self.samples.saturating_sub(self.completed + self.archived);
        match self {
            Self { samples: 0, .. } => State::Empty,
            Self { in_question, .. } if in_question > 0 => State::NeedsAttention,
            Self { completed: 0, .. } if open == 0 => State::Archived,
            _ if open == 0 => State::Completed,
            Self { completed: 0, .. } if self.submitted == open => State::Waiting,
            _ => State::InProgress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_submission_follows_from_its_samples() {
        let state = |samples, submitted, completed, archived, in_question| {
            let progress = Progress {
                samples,
                submitted,
                completed,
                archived,
                in_question,
            };
            progress.state()
        };
        assert_eq!(state(0, 0, 0, 0, 0), State::Empty);
        assert_eq!(state(3, 3, 0, 0, 0), State::Waiting);
        assert_eq!(state(3, 2, 0, 1, 0), State::Waiting);
        assert_eq!(state(3, 2, 0, 0, 0), State::InProgress);
        assert_eq!(state(3, 2, 1, 0, 0), State::InProgress);
        assert_eq!(state(3, 3, 0, 0, 1), State::NeedsAttention);
        assert_eq!(state(3, 0, 2, 0, 1), State::NeedsAttention);
        assert_eq!(state(3, 0, 3, 0, 0), State::Completed);
        assert_eq!(state(3, 0, 1, 2, 0), State::Completed);
        assert_eq!(state(3, 0, 0, 3, 0), State::Archived);
    }
}
