//! Whose turn it is, and how long a sample has taken: pure functions of what is stored.

use sagabus::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::priority::Priority;

/// A day, in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Before how many days of later samples a sample of this priority goes.
///
/// The queue takes samples by the time since when they wait, less this head start. So within a head start urgent goes before
/// high, high before normal, normal before low; and a sample with a low priority waits for no other one that came more than
/// 28 days after it, however many urgent ones come.
#[must_use]
pub const fn head_start_days(priority: Priority) -> i64 {
    match priority {
        Priority::Urgent => 28,
        Priority::High => 14,
        Priority::Normal => 7,
        Priority::Low => 0,
    }
}

/// The place in the queue of a sample that waits since then: the smaller goes first.
#[must_use]
pub fn place(priority: Priority, since: Timestamp) -> i64 {
    since.milliseconds().saturating_sub(head_start_ms(priority))
}

/// [`head_start_days`] in milliseconds.
#[must_use]
pub const fn head_start_ms(priority: Priority) -> i64 {
    head_start_days(priority) * DAY_MS
}

/// What the clock of a sample is made of. It runs from when both its form and its tube are there to its completion, and
/// stands still while it is on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turnaround {
    /// When the sample was announced.
    pub submitted_at: Timestamp,
    /// When the tube came.
    pub received_at: Option<Timestamp>,
    /// When all was done.
    pub completed_at: Option<Timestamp>,
    /// Since when it is on hold.
    pub held_at: Option<Timestamp>,
    /// How long it was on hold before that, while the clock ran, in milliseconds.
    pub held_ms: u64,
}

/// What a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Since when it runs; nothing while the tube is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long it ran, in milliseconds.
    pub elapsed_ms: u64,
    /// How long it stood still, in milliseconds.
    pub held_ms: u64,
    /// Whether it runs now.
    pub is_running: bool,
    /// When the sample is to be done, as it stands now: a hold moves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Whether it took, or takes, longer than it should.
    pub is_overdue: bool,
}

impl Turnaround {
    /// Since when the clock runs.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        self.received_at.map(|it| it.max(self.submitted_at))
    }

    /// How much of the present hold the clock stood still, in milliseconds.
    #[must_use]
    pub fn hold_ms(&self, now: Timestamp) -> u64 {
        match (self.started_at(), self.held_at) {
            (Some(started), Some(held)) => between(held.max(started), self.end(now)),
            _ => 0,
        }
    }

    /// What the clock shows when the sample is to be done in so many days.
    #[must_use]
    pub fn read(&self, target_days: Option<u32>, now: Timestamp) -> Reading {
        let Some(started_at) = self.started_at() else {
            return Reading {
                started_at: None,
                elapsed_ms: 0,
                held_ms: 0,
                is_running: false,
                due_at: None,
                is_overdue: false,
            };
        };
        let held_ms = self.held_ms.saturating_add(self.hold_ms(now));
        let elapsed_ms = between(started_at, self.end(now)).saturating_sub(held_ms);
        let due_ms = target_days.map(|days| {
            i64::from(days)
                .saturating_mul(DAY_MS)
                .saturating_add(started_at.milliseconds())
                .saturating_add(i64::try_from(held_ms).unwrap_or(i64::MAX))
        });
        Reading {
            started_at: Some(started_at),
            elapsed_ms,
            held_ms,
            is_running: self.completed_at.is_none() && self.held_at.is_none(),
            due_at: due_ms.map(Timestamp::from_milliseconds),
            is_overdue: due_ms.is_some_and(|due| due < self.end(now).milliseconds()),
        }
    }

    fn end(&self, now: Timestamp) -> Timestamp {
        self.completed_at.map_or(now, |it| it.min(now))
    }
}

fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.milliseconds().saturating_sub(from.milliseconds())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
