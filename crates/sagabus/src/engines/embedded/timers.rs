//! Which events are to be published when. Pure: a fold of schedule records.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::record::Schedule;
use crate::clock::Timestamp;

#[derive(Clone, Debug)]
struct Timer {
    due: Timestamp,
    cancel_key: Option<Arc<str>>,
}

/// When something is due, and its cancel key.
pub(crate) type Timed = (Timestamp, Option<Arc<str>>);

/// What is scheduled, by the position of its record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    timers: HashMap<u64, Timer>,
    due: BTreeSet<(Timestamp, u64)>,
    keys: HashMap<Arc<str>, u64>,
}

impl Timers {
    /// Takes a record into account, which stands at `position`.
    pub(crate) fn apply(&mut self, position: u64, schedule: &Schedule) {
        match schedule {
            Schedule::Set {
                due, cancel_key, ..
            } => self.set(position, *due, cancel_key.as_deref()),
            Schedule::Fired { positions } => {
                for position in positions {
                    self.remove(*position);
                }
            }
            Schedule::Cancelled { position } => {
                self.remove(*position);
            }
            Schedule::Moved { position, due } => {
                self.move_to(*position, *due);
            }
        }
    }

    pub(crate) fn set(&mut self, position: u64, due: Timestamp, cancel_key: Option<&str>) {
        let cancel_key: Option<Arc<str>> = cancel_key.map(Arc::from);
        if let Some(key) = &cancel_key {
            self.keys.insert(Arc::clone(key), position);
        }
        self.due.insert((due, position));
        self.timers.insert(position, Timer { due, cancel_key });
    }

    /// Takes one out; false when it is not there any more.
    pub(crate) fn remove(&mut self, position: u64) -> bool {
        let Some(timer) = self.timers.remove(&position) else {
            return false;
        };
        self.due.remove(&(timer.due, position));
        if let Some(key) = timer.cancel_key
            && self.keys.get(&key) == Some(&position)
        {
            self.keys.remove(&key);
        }
        true
    }

    /// Gives one another time; what it was, or `None` when it is not there any more.
    pub(crate) fn move_to(&mut self, position: u64, due: Timestamp) -> Option<Timestamp> {
        let timer = self.timers.get_mut(&position)?;
        let before = std::mem::replace(&mut timer.due, due);
        self.due.remove(&(before, position));
        self.due.insert((due, position));
        Some(before)
    }

    /// Which one has this key.
    pub(crate) fn find(&self, cancel_key: &str) -> Option<u64> {
        self.keys.get(cancel_key).copied()
    }

    /// The key of one.
    pub(crate) fn key_of(&self, position: u64) -> Option<Timed> {
        let timer = self.timers.get(&position)?;
        Some((timer.due, timer.cancel_key.clone()))
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        self.timers.contains_key(&position)
    }

    /// Up to `max` whose time has come, the earliest first.
    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<u64> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        due.take(max).map(|(_, position)| *position).collect()
    }

    /// Up to `max` after this one, in the order in which they are due.
    pub(crate) fn after(&self, after: Option<(Timestamp, u64)>, max: usize) -> Vec<(u64, Timed)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = self.due.range((from, Bound::Unbounded)).take(max);
        listed
            .filter_map(|(_, position)| Some((*position, self.key_of(*position)?)))
            .collect()
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }
}
