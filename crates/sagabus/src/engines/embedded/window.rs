//! Remembers the latest events, so that publishing one again stores nothing.
//!
//! Times are since the log was opened: what is found in it then is remembered for the whole time anew, and no clock that
//! is set shortens it.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::planted::{self, Bug};
use super::record;
use crate::clock::mix;
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

/// An event that is remembered.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    mark: Mark,
    position: u64,
}

/// The latest events and their positions. A name is kept as 128 bits.
///
/// What is remembered stands in the order in which it came, and a table finds it by its number there: so each event that
/// comes and each that goes touches one place of the table and the ends of the order, however many are remembered.
#[derive(Debug)]
pub(crate) struct Window {
    keys: Keys,
    /// One that came again after its time is there twice.
    order: VecDeque<Remembered>,
    /// Number of the first in the order, since the start.
    first: u64,
    numbers: HashTable<u64>,
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
            order: VecDeque::new(),
            first: 0,
            numbers: HashTable::new(),
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
        let new = self.first + self.order.len() as u64;
        let (order, first) = (&self.order, self.first);
        let at = |number: &u64| numbered(order, first, *number);
        let is_it = |number: &u64| at(number).is_some_and(|it| it.mark.key == mark.key);
        let hash_again = |number: &u64| at(number).map_or(0, |it| hash_of(it.mark.key));
        match self.numbers.entry(hash_of(mark.key), is_it, hash_again) {
            Entry::Occupied(mut earlier) => {
                if let Some(known) = at(earlier.get())
                    && self.now.saturating_sub(known.mark.at) <= self.limits.time
                {
                    return if known.mark.content == mark.content {
                        Known::Same(known.position)
                    } else {
                        Known::Other(known.position)
                    };
                }
                *earlier.get_mut() = new;
            }
            Entry::Vacant(place) => {
                place.insert(new);
            }
        }
        let mark = *mark;
        self.order.push_back(Remembered { mark, position });
        Known::No
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
                record::Schedule::Cancelled { position } => {
                    self.release(position);
                    return Ok(());
                }
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        let mark = self.keys.mark(&named, Duration::ZERO);
        // What is there again was published when it was due, or after a time for which it was not remembered.
        if let Known::Same(_) = self.insert(&mark, position)
            && kind == record::EVENT
        {
            self.renew(&mark, position);
        }
        self.trim(Duration::ZERO);
        Ok(())
    }

    /// Remembers an event from now on as what stands at `position`, unless another one has its name.
    pub(crate) fn renew(&mut self, mark: &Mark, position: u64) {
        let known = self
            .numbers
            .find(hash_of(mark.key), |number| {
                numbered(&self.order, self.first, *number).is_some_and(|it| it.mark.key == mark.key)
            })
            .copied();
        if let Some(number) = known {
            let earlier = numbered(&self.order, self.first, number);
            if earlier.is_some_and(|it| it.mark.content != mark.content) {
                return;
            }
            self.remove(mark.key, number);
        }
        self.insert(mark, position);
    }

    /// Forgets an event that is not to be published after all, if this record says so: its id is free again.
    pub(crate) fn take_back(&mut self, schedule: &[u8]) {
        if let Ok(record::Schedule::Cancelled { position }) = record::decode(schedule) {
            self.release(position);
        }
    }

    /// Forgets what stands at `position`.
    fn release(&mut self, position: u64) {
        if let Ok(place) = self.order.binary_search_by_key(&position, |it| it.position)
            && let Some(known) = self.order.get(place)
        {
            self.remove(known.mark.key, self.first + place as u64);
        }
    }

    /// Whether as much is remembered as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.order.len() >= self.limits.events || planted::has(Bug::IdsForgotten)
    }

    /// Forgets the oldest events when there are too many or they are too old at `now`, since the log was opened. To be
    /// called when nobody waits for it.
    pub(crate) fn trim(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some(front) = self.order.front()
            && (self.order.len() > self.limits.events
                || self.now.saturating_sub(front.mark.at) > self.limits.time)
        {
            let Remembered { mark, position } = *front;
            self.order.pop_front();
            // It may have come again since, or been released.
            self.remove(mark.key, self.first);
            self.oldest = self.oldest.max(position + 1);
            self.first += 1;
        }
    }

    /// Takes a number out of the table, if it is there.
    fn remove(&mut self, key: u128, number: u64) {
        if let Ok(found) = self.numbers.find_entry(hash_of(key), |it| *it == number) {
            found.remove();
        }
    }

    /// No event before this position is remembered; no end when none is.
    pub(crate) fn oldest(&self) -> u64 {
        if self.order.is_empty() {
            return u64::MAX;
        }
        self.oldest
    }

    /// Forgets the event that came last, whose append failed.
    pub(crate) fn forget(&mut self, mark: &Mark) {
        if self.order.back().is_some_and(|it| it.mark == *mark) {
            self.order.pop_back();
            self.remove(mark.key, self.first + self.order.len() as u64);
        }
    }
}

/// The one of this number in the order that begins with the number `first`.
fn numbered(order: &VecDeque<Remembered>, first: u64, number: u64) -> Option<&Remembered> {
    order.get(usize::try_from(number.checked_sub(first)?).ok()?)
}

/// Keys are secret to whoever chooses ids: mixing them is enough.
fn hash_of(key: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, high @ ..] = key.to_le_bytes();
    let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    mix(low ^ mix(u64::from_le_bytes(high)))
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
        let uuid = is_plain.then(|| uuid::Uuid::try_parse_ascii(id.as_bytes()));
        match uuid {
            Some(Ok(uuid)) => uuid.as_u128() ^ self.secret,
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
        .fold(mix(head), |so_far, next| mix(so_far ^ next))
}

#[cfg(test)]
mod tests;
