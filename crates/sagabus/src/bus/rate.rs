//! How many events a subscription hands to its handlers in a time. Time is an argument.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// At most so many events in each span of time, evenly; a burst of up to `burst` after a time with fewer. All members of
/// the subscription on this bus share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Events in each span (at least 1).
    pub events: u32,
    /// The span (1 ms – 24 h).
    pub per: Duration,
    /// Most events at once (at least 1).
    pub burst: u32,
}

impl Rate {
    /// So many a second, at most a tenth of that at once.
    #[must_use]
    pub fn per_second(events: u32) -> Self {
        Self {
            events,
            per: Duration::from_secs(1),
            burst: (events / 10).max(1),
        }
    }

    /// So many a minute, at most a sixtieth of that at once.
    #[must_use]
    pub fn per_minute(events: u32) -> Self {
        Self {
            events,
            per: Duration::from_mins(1),
            burst: (events / 60).max(1),
        }
    }

    /// Time from one event to the next.
    fn step(&self) -> Duration {
        self.per / self.events.max(1)
    }
}

/// Events that may go now, counted in time: the "generic cell rate algorithm" of ATM networks.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// When the bucket would be full again.
    full_at: Duration,
}

impl Bucket {
    /// How many of `wanted` events may go at `now`, or how long to wait for the first.
    pub(crate) fn ask(&self, rate: &Rate, now: Duration, wanted: usize) -> Result<usize, Duration> {
        let step = rate.step();
        let room = step * rate.burst.max(1);
        let used = self.full_at.saturating_sub(now);
        let free = room.saturating_sub(used);
        if free < step {
            return Err(step - free);
        }
        let count = free.as_nanos() / step.as_nanos().max(1);
        Ok(usize::try_from(count).unwrap_or(usize::MAX).min(wanted))
    }

    /// So many went at `now`.
    pub(crate) fn took(&mut self, rate: &Rate, now: Duration, events: usize) {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.full_at = self.full_at.max(now) + rate.step() * events;
    }
}

/// The buckets of the subscriptions that run, by their names.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    by_name: Mutex<BTreeMap<String, Weak<Mutex<Bucket>>>>,
}

impl Buckets {
    /// The bucket that all members of this subscription share.
    pub(crate) fn of(&self, name: &str) -> Arc<Mutex<Bucket>> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.retain(|_, bucket| bucket.strong_count() > 0);
        let shared = by_name.get(name).and_then(Weak::upgrade);
        shared.unwrap_or_else(|| {
            let bucket = Arc::<Mutex<Bucket>>::default();
            by_name.insert(name.to_owned(), Arc::downgrade(&bucket));
            bucket
        })
    }
}

#[cfg(test)]
mod tests;
