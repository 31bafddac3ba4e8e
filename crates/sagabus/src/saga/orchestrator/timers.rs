//! What the worker of one saga keeps the time for: one time for each timer, the next one at hand.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::saga::machine::Timer;

/// Times of the monotone clock.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Duration, Timer)>,
    times: HashMap<Timer, Duration>,
}

impl Timers {
    /// Sets a timer, and no longer for the time that was set before.
    pub(super) fn set(&mut self, timer: Timer, at: Duration) {
        if let Some(before) = self.times.insert(timer, at) {
            self.order.remove(&(before, timer));
        }
        self.order.insert((at, timer));
    }

    /// The timer that is due first, and when.
    pub(super) fn next(&self) -> Option<(Duration, Timer)> {
        self.order.first().copied()
    }

    /// A timer has been looked at.
    pub(super) fn remove(&mut self, timer: Timer) {
        if let Some(at) = self.times.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }
}

#[cfg(test)]
mod tests;
