//! Remembers the latest events, so that publishing one again stores nothing.
//!
//! Times are since the log was opened: what is found in it then is remembered for the whole time anew, and no clock that
//! is set shortens it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::time::Duration;

use super::planted::{self, Bug};
use super::record;
use crate::error::Result;
use crate::event::{Event, UUID_BYTES};

/// How many of the latest events are remembered. A repeat of an older one is stored as a new event.
pub const DEDUPLICATION_EVENTS: usize = 262_144;
/// How long an event is remembered (24 h).
pub const DEDUPLICATION_TIME: Duration = Duration::from_hours(24);

/// How much is remembered: what passes either limit is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) time: Duration,
}

/// What names an event, and what it says: its content by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    key: u128,
    content: u64,
    at: Duration,
}

/// What is known of an event that is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing; it is remembered from now on.
    No,
    /// It is stored at this position.
    Same(u64),
    /// Another event of the same name is stored at this position.
    Other(u64),
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    position: u64,
    content: u64,
    at: Duration,
}

/// The latest events and their positions. A name is kept as 128 bits.
#[derive(Debug)]
pub(crate) struct Window {
    keys: Keys,
    positions: HashMap<u128, Remembered, BuildHasherDefault<Hashed>>,
    /// In the order in which they came; one that came again after its time is there twice.
    order: VecDeque<(u128, Duration)>,
    limits: Limits,
    /// The latest time at which an event came.
    now: Duration,
    /// No event before this position is remembered.
    oldest: u64,
}

impl Window {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            keys: Keys::new(),
            positions: HashMap::default(),
            order: VecDeque::new(),
            limits,
            now: Duration::ZERO,
            oldest: 0,
        }
    }

    /// What turns events into marks of this window.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Remembers an event that is to be stored at `position`, unless it is remembered already.
    pub(crate) fn insert(&mut self, mark: &Mark, position: u64) -> Known {
        self.now = self.now.max(mark.at);
        let new = Remembered {
            position,
            content: mark.content,
            at: mark.at,
        };
        match self.positions.entry(mark.key) {
            Entry::Occupied(mut earlier) => {
                let known = *earlier.get();
                if self.now.saturating_sub(known.at) > self.limits.time {
                    earlier.insert(new);
                    self.order.push_back((mark.key, mark.at));
                    return Known::No;
                }
                if known.content == mark.content {
                    Known::Same(known.position)
                } else {
                    Known::Other(known.position)
                }
            }
            Entry::Vacant(place) => {
                place.insert(new);
                self.order.push_back((mark.key, mark.at));
                Known::No
            }
        }
    }

    /// Remembers a record that was read back from the log, if it is an event or one to come.
    pub(crate) fn restore(&mut self, position: u64, kind: u8, content: &[u8]) -> Result<()> {
        if planted::has(Bug::IdsForgotten) {
            return Ok(());
        }
        let scheduled;
        let named = match kind {
            record::EVENT => record::named(content)?,
            record::SCHEDULE => match record::decode(content)? {
                record::Schedule::Set { event, .. } => {
                    scheduled = event;
                    record::named(&scheduled)?
                }
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        let mark = self.keys.mark(&named, Duration::ZERO);
        self.insert(&mark, position);
        self.trim(Duration::ZERO);
        Ok(())
    }

    /// Whether as much is remembered as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.order.len() >= self.limits.events || planted::has(Bug::IdsForgotten)
    }

    /// Forgets the oldest events when there are too many or they are too old at `now`, since the log was opened. To be
    /// called when nobody waits for it.
    pub(crate) fn trim(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some((key, at)) = self.order.front().copied()
            && (self.order.len() > self.limits.events
                || self.now.saturating_sub(at) > self.limits.time)
        {
            self.order.pop_front();
            if let Entry::Occupied(known) = self.positions.entry(key)
                && known.get().at == at
            {
                self.oldest = self.oldest.max(known.remove().position + 1);
            }
        }
    }

    /// No event before this position is remembered; no end when none is.
    pub(crate) fn oldest(&self) -> u64 {
        if self.order.is_empty() {
            return u64::MAX;
        }
        self.oldest
    }

    /// Forgets an event whose append failed.
    pub(crate) fn forget(&mut self, mark: &Mark) {
        if self.positions.remove(&mark.key).is_some() {
            self.order.retain(|(key, _)| *key != mark.key);
        }
    }
}

/// What names an event: its idempotency key within its source, or its id; and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'e> {
    pub(crate) id: &'e str,
    pub(crate) source: &'e str,
    pub(crate) idempotency_key: Option<&'e str>,
    pub(crate) event_type: &'e str,
    pub(crate) subject: Option<&'e str>,
    pub(crate) data: &'e [u8],
}

impl<'e> Named<'e> {
    pub(crate) fn of(event: &'e Event) -> Self {
        Self {
            id: event.id.as_str(),
            source: &event.source,
            idempotency_key: event.idempotency_key.as_deref(),
            event_type: event.event_type.as_str(),
            subject: event.subject.as_deref(),
            data: &event.data,
        }
    }
}

/// Turns events into marks of one window.
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

    /// The mark of an event that comes at this time.
    pub(crate) fn mark(&self, named: &Named<'_>, at: Duration) -> Mark {
        Mark {
            key: match named.idempotency_key {
                None => self.of_id(named.id),
                // A tuple of texts hashes unlike any single text.
                Some(key) => self.hash(&(named.source, key)),
            },
            content: content(named),
            at,
        }
    }

    /// A UUID is its own key; other ids are hashed, under a secret that nobody can aim at.
    fn of_id(&self, id: &str) -> u128 {
        // Ids that differ only in case are different ids, which a parsed UUID would not show.
        let is_plain = id.len() == UUID_BYTES && !id.bytes().any(|it| it.is_ascii_uppercase());
        match uuid::Uuid::try_parse_ascii(id.as_bytes()) {
            Ok(uuid) if is_plain => uuid.as_u128() ^ self.secret,
            _ => self.hash(&id),
        }
    }

    fn hash(&self, what: &impl std::hash::Hash) -> u128 {
        u128::from(self.halves.0.hash_one(what)) << 64 | u128::from(self.halves.1.hash_one(what))
    }
}

/// What an event says, in short. Who makes two events alike in this tells only himself that they are.
fn content(named: &Named<'_>) -> u64 {
    let sum = |bytes: &[u8]| u64::from(crc32c::crc32c(bytes));
    let subject = named
        .subject
        .map_or(0, |it| sum(it.as_bytes()) << 32 | (it.len() as u64 + 1));
    let head = sum(named.event_type.as_bytes()) << 32 | sum(named.data);
    [subject, named.data.len() as u64]
        .iter()
        .fold(crate::clock::mix(head), |so_far, next| {
            crate::clock::mix(so_far ^ next)
        })
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

#[cfg(test)]
mod tests;
