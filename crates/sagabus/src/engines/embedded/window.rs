//! Remembers the ids of the latest events, so that publishing one again stores nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::planted::{self, Bug};
use super::record;
use crate::error::Result;
use crate::event::EventId;

/// How many of the latest event ids are remembered. A repeat of an older id is stored as a new event.
pub const DEDUPLICATION_EVENTS: usize = 262_144;

/// Bytes of a UUID as text, in the form with hyphens.
const UUID_BYTES: usize = 36;

/// The ids of the latest events and their positions. An id is kept as 128 bits.
#[derive(Debug)]
pub(crate) struct Window {
    keys: Keys,
    positions: HashMap<u128, u64, BuildHasherDefault<Hashed>>,
    order: VecDeque<u128>,
    capacity: usize,
}

impl Window {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            keys: Keys::new(),
            positions: HashMap::default(),
            order: VecDeque::new(),
            capacity,
        }
    }

    /// What turns ids into keys of this window.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Remembers an event; if it is remembered already, returns the position that goes with it.
    pub(crate) fn insert(&mut self, key: u128, position: u64) -> Option<u64> {
        match self.positions.entry(key) {
            Entry::Occupied(earlier) => Some(*earlier.get()),
            Entry::Vacant(place) => {
                place.insert(position);
                self.order.push_back(key);
                None
            }
        }
    }

    /// Remembers a record that was read back from the log, if it is an event.
    pub(crate) fn restore(&mut self, position: u64, kind: u8, content: &[u8]) -> Result<()> {
        if kind == record::EVENT && !planted::has(Bug::IdsForgotten) {
            let key = self.keys.of(record::event_id(content)?);
            self.insert(key, position);
            self.trim();
        }
        Ok(())
    }

    /// Forgets the oldest events when there are too many. To be called when nobody waits for it.
    pub(crate) fn trim(&mut self) {
        while self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.positions.remove(&oldest);
        }
    }

    /// Forgets an event whose append failed.
    pub(crate) fn forget(&mut self, id: &EventId) {
        let key = self.keys.of(id.as_str());
        if self.positions.remove(&key).is_some() {
            self.order.retain(|it| *it != key);
        }
    }
}

/// Turns event ids into the keys of one window.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    halves: (RandomState, RandomState),
    secret: u128,
}

impl Keys {
    fn new() -> Self {
        let halves = (RandomState::new(), RandomState::new());
        let half = |state: &RandomState| u128::from(state.hash_one("secret"));
        Self {
            secret: half(&halves.0) << 64 | half(&halves.1),
            halves,
        }
    }

    /// A UUID is its own key; other ids are hashed, under a secret that nobody can aim at.
    pub(crate) fn of(&self, id: &str) -> u128 {
        // Ids that differ only in case are different ids, which a parsed UUID would not show.
        let is_plain = id.len() == UUID_BYTES && !id.bytes().any(|it| it.is_ascii_uppercase());
        match uuid::Uuid::try_parse_ascii(id.as_bytes()) {
            Ok(uuid) if is_plain => uuid.as_u128() ^ self.secret,
            _ => {
                u128::from(self.halves.0.hash_one(id)) << 64
                    | u128::from(self.halves.1.hash_one(id))
            }
        }
    }
}

/// The keys are secret to whoever chooses ids: mixing them is enough.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        let [a, b, c, d, e, f, g, h, high @ ..] = hash.to_le_bytes();
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        self.0 = crate::clock::mix(low ^ crate::clock::mix(u64::from_le_bytes(high)));
    }
}
