//! Who waits for a turn, in which order, and who holds which concurrency key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::saga::Saga;

/// A place in the line: when it counts as having come, in milliseconds of the monotone clock, then the order of coming.
pub(super) type Place = (i64, u64);

/// The sagas that wait. Those that wait for their key come into the line when it is free, at the place they came with.
#[derive(Default)]
pub(super) struct Line {
    ready: BTreeMap<Place, Arc<Saga>>,
    keys: HashMap<Arc<str>, Key>,
    behind_keys: usize,
}

/// Who has one key.
#[derive(Default)]
struct Key {
    /// In the order in which they took it.
    holders: Vec<Arc<Saga>>,
    waiting: BTreeMap<Place, Arc<Saga>>,
}

impl Line {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.behind_keys
    }

    /// Whether nobody waits for a slot alone.
    pub(super) fn is_open(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether a saga can have its key at once.
    pub(super) fn is_free(&self, saga: &Saga) -> bool {
        let Some(lock) = &saga.lock else {
            return true;
        };
        self.keys
            .get(&lock.key)
            .is_none_or(|key| key.waiting.is_empty() && key.holders.len() < lock.limit)
    }

    /// The saga that has had the key of `saga` for longest.
    pub(super) fn first_holder(&self, saga: &Saga) -> Option<Arc<Saga>> {
        let key = self.keys.get(&saga.lock.as_ref()?.key)?;
        key.holders.first().map(Arc::clone)
    }

    /// The saga that has had the key for longest which `saga` waits for, and how many others have it too. None where it waits for
    /// no key.
    pub(super) fn behind(&self, saga: &Saga) -> Option<(Arc<Saga>, usize)> {
        let key = self.keys.get(&saga.lock.as_ref()?.key)?;
        let is_waiting = key.waiting.contains_key(saga.place.get()?);
        let (first, others) = key.holders.split_first().filter(|_| is_waiting)?;
        Some((Arc::clone(first), others.len()))
    }

    /// The sagas that must be over before `saga` has its key, those that came first before others.
    pub(super) fn rivals(&self, saga: &Saga) -> Vec<Arc<Saga>> {
        let Some(key) = saga.lock.as_ref().and_then(|lock| self.keys.get(&lock.key)) else {
            return Vec::new();
        };
        let waiting = key.waiting.values();
        let ahead = waiting.take_while(|other| other.id != saga.id);
        key.holders.iter().chain(ahead).cloned().collect()
    }

    /// Gives a saga its key, beyond the limit if need be.
    pub(super) fn hold(&mut self, saga: &Arc<Saga>) {
        if let Some(lock) = &saga.lock {
            let key = self.keys.entry(Arc::clone(&lock.key)).or_default();
            if key.holders.iter().all(|holder| holder.id != saga.id) {
                key.holders.push(Arc::clone(saga));
            }
        }
    }

    /// Puts a saga into the line, or behind its key.
    pub(super) fn enter(&mut self, saga: Arc<Saga>, place: Place) {
        if saga.place.set(place).is_err() {
            debug_assert!(false, "a saga waits once");
            return;
        }
        if !self.holds(&saga) {
            if !self.is_free(&saga) {
                if let Some(lock) = &saga.lock {
                    let key = self.keys.entry(Arc::clone(&lock.key)).or_default();
                    key.waiting.insert(place, Arc::clone(&saga));
                    self.behind_keys += 1;
                }
                return;
            }
            self.hold(&saga);
        }
        self.ready.insert(place, saga);
    }

    fn holds(&self, saga: &Saga) -> bool {
        let key = saga.lock.as_ref().and_then(|lock| self.keys.get(&lock.key));
        key.is_some_and(|key| key.holders.iter().any(|holder| holder.id == saga.id))
    }

    /// The next one whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Arc<Saga>> {
        self.ready.pop_first().map(|(_, saga)| saga)
    }

    /// A saga is over, or never was: takes it out of the line, and its key from it. Those that waited for the key come into
    /// the line.
    pub(super) fn leave(&mut self, saga: &Saga) {
        if let Some(place) = saga.place.get() {
            self.ready.remove(place);
        }
        let Some(lock) = &saga.lock else {
            return;
        };
        let Some(key) = self.keys.get_mut(&lock.key) else {
            return;
        };
        key.holders.retain(|holder| holder.id != saga.id);
        if let Some(place) = saga.place.get()
            && key.waiting.remove(place).is_some()
        {
            self.behind_keys -= 1;
        }
        while let Some(next) = key.waiting.first_entry()
            && let Some(limit) = next.get().lock.as_ref().map(|lock| lock.limit)
            && key.holders.len() < limit
        {
            let (place, saga) = next.remove_entry();
            self.behind_keys -= 1;
            key.holders.push(Arc::clone(&saga));
            self.ready.insert(place, saga);
        }
        if key.holders.is_empty() && key.waiting.is_empty() {
            self.keys.remove(&lock.key);
        }
    }
}
