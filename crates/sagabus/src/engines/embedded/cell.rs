//! One subscription in the engine: its ledger with those who may change it, and how many events are ahead of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::log::{Admission, Append, Chain, Durability, Entry, Log, Pending};
use super::record;
use super::scan::{Backlog, Held};
use crate::clock::Timestamp;
use crate::event::EventType;
use crate::ledger::{By, Change, Delivery, Ledger, Record, Settled};
use crate::pattern::Pattern;

/// One subscription.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: Arc<str>,
    state: Mutex<CellState>,
    patterns: RwLock<Vec<Pattern>>,
    ahead: Ahead,
    /// One member at a time looks at what is ahead.
    pub(crate) backlog: tokio::sync::Mutex<Backlog>,
    held: Mutex<Held>,
    /// Events before this position are still to be counted as ahead.
    pub(crate) uncounted: Mutex<Option<u64>>,
    chain: Arc<Chain>,
    pub(crate) wake: Notify,
    /// It ends somewhere, so that new events are nothing to it.
    pub(crate) is_window: bool,
    is_removed: AtomicBool,
}

/// Events that fit and are not behind the cursor; for people, and to know when it is worth while to look ahead. An event
/// may be looked at before it is counted: the number is then below zero for a moment, and right again after it.
#[derive(Debug, Default)]
struct Ahead {
    all: AtomicI64,
    /// Of these, the ones with a priority or an end of their time.
    special: AtomicI64,
}

/// Events that are published with an ack, and the delivery as it was before that.
type With = (Vec<Entry>, Option<(u64, Delivery)>);

/// What is guarded together: the order of changes is the order of their records in the log.
#[derive(Debug)]
pub(crate) struct CellState {
    pub(crate) ledger: Ledger,
    /// Members by their epoch.
    pub(crate) members: BTreeMap<u64, Joined>,
    /// Epoch of the first member in this process.
    pub(crate) floor: Option<u64>,
    /// Cursor as recorded last; the ledger's own may be ahead by events that are not wanted.
    pub(crate) recorded_cursor: u64,
    /// Number of the chain when the last record was made.
    pub(crate) link: u64,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) name: String,
    pub(crate) lease: Duration,
    /// Silent from then on, its leases are void; time since some fixed point.
    pub(crate) until: Duration,
    /// Most events behind dead letters of their key before it looks at no more.
    pub(crate) parked_max: u64,
}

impl CellState {
    /// The member is alive.
    pub(crate) fn hear(&mut self, epoch: u64, elapsed: Duration) -> bool {
        let Some(joined) = self.members.get_mut(&epoch) else {
            return false;
        };
        joined.until = elapsed + joined.lease;
        true
    }

    /// Takes out the members that were silent for too long.
    pub(crate) fn silent(&mut self, elapsed: Duration) -> Vec<u64> {
        let silent = self.members.iter().filter(|(_, it)| it.until <= elapsed);
        let silent: Vec<u64> = silent.map(|(epoch, _)| *epoch).collect();
        for epoch in &silent {
            self.members.remove(epoch);
        }
        silent
    }
}

impl Cell {
    pub(crate) fn new(name: &str, ledger: Ledger) -> Self {
        let patterns = parse(&ledger.wants.patterns);
        let is_window = ledger.cursor == u64::MAX;
        Self {
            name: name.into(),
            state: Mutex::new(CellState {
                recorded_cursor: ledger.cursor,
                ledger,
                members: BTreeMap::new(),
                floor: None,
                link: 0,
            }),
            patterns: RwLock::new(patterns),
            ahead: Ahead::default(),
            backlog: tokio::sync::Mutex::default(),
            held: Mutex::default(),
            uncounted: Mutex::default(),
            chain: Arc::default(),
            wake: Notify::new(),
            is_window,
            is_removed: AtomicBool::new(false),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that were looked at and are not handed out yet.
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies changes and hands their records to the log, in one go: the log's order is the order of the changes, and
    /// all are stored or none.
    pub(crate) fn change(
        &self,
        state: &mut CellState,
        log: &Log,
        at: Timestamp,
        changes: Vec<Change>,
        durability: Durability,
    ) -> Pending {
        for change in &changes {
            state.ledger.apply(at, change);
        }
        self.record(state, log, at, changes, durability)
    }

    /// Hands the records of changes that were applied to the log. Where the log refused some before, it does not know
    /// all of the state that these build on, and is told the whole.
    pub(crate) fn record(
        &self,
        state: &mut CellState,
        log: &Log,
        at: Timestamp,
        changes: Vec<Change>,
        durability: Durability,
    ) -> Pending {
        self.append(state, log, at, changes, (durability, None))
    }

    /// Acks a delivery, and publishes these events with that: all is stored or nothing. Where it is refused, the delivery
    /// is as it was from [`Cell::restore`] on.
    pub(crate) fn ack_with(
        &self,
        state: &mut CellState,
        log: &Log,
        at: Timestamp,
        (position, events): (u64, Vec<Entry>),
    ) -> Pending {
        let before = state.ledger.get(position).cloned();
        let acked = before.map(|delivery| (position, delivery));
        let change = Change::Settled {
            settles: vec![Settled::Acked { position }],
        };
        state.ledger.apply(at, &change);
        let with = Some((events, acked));
        self.append(state, log, at, vec![change], (Durability::Synced, with))
    }

    /// Takes back acks that were refused.
    pub(crate) fn restore(&self, state: &mut CellState, at: Timestamp) {
        for (position, delivery) in self.chain.take_unacked() {
            let epoch = delivery.epoch;
            state.ledger.unack(position, delivery);
            if !state.members.contains_key(&epoch) {
                state.ledger.apply(at, &Change::Left { epoch });
            }
        }
    }

    fn append(
        &self,
        state: &mut CellState,
        log: &Log,
        at: Timestamp,
        changes: Vec<Change>,
        (durability, with): (Durability, Option<With>),
    ) -> Pending {
        let number = self.chain.number();
        let is_whole = self.is_whole(state);
        state.link = number;
        state.recorded_cursor = state.ledger.cursor;
        let append = |changes: Vec<Change>, with: Option<With>| {
            let records = changes.into_iter().map(|change| {
                let bytes = encode(&self.name, at, change);
                Entry::record(record::LEDGER, bytes)
            });
            let admission = match &with {
                Some(_) => Admission::Following,
                None => Admission::Always,
            };
            let (events, acked) = with.unwrap_or_default();
            log.enqueue(Append {
                entries: events.into_iter().chain(records).collect(),
                durability,
                admission,
                link: Some(self.chain.link(number).acking(acked)),
            })
        };
        if is_whole {
            return append(changes, with);
        }
        self.restore(state, at);
        let mut parts = state.ledger.restated(log.part_bytes());
        let last = parts.pop();
        for part in parts {
            // If one is refused, so are those after it, and the last one says so.
            drop(append(vec![part], None));
        }
        append(last.into_iter().collect(), with)
    }

    /// Whether the log was told all that this state builds on.
    pub(crate) fn is_whole(&self, state: &CellState) -> bool {
        self.chain.number() == state.link
    }

    /// Grows each time when the log refuses to be told something.
    pub(crate) fn link_number(&self) -> u64 {
        self.chain.number()
    }

    /// Nothing more is recorded of it, from the record on that is made under the same lock.
    pub(crate) fn set_removed(&self, is_removed: bool) {
        self.is_removed.store(is_removed, Ordering::Release);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    pub(crate) fn wants(&self, event_type: &EventType) -> bool {
        self.patterns()
            .iter()
            .any(|pattern| pattern.matches(event_type))
    }

    pub(crate) fn patterns(&self) -> RwLockReadGuard<'_, Vec<Pattern>> {
        self.patterns.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_patterns(&self, patterns: Vec<Pattern>) {
        *self
            .patterns
            .write()
            .unwrap_or_else(PoisonError::into_inner) = patterns;
    }

    pub(crate) fn ahead(&self) -> u64 {
        u64::try_from(self.ahead.all.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether some of the events ahead are to be handed out before others, or not at all.
    pub(crate) fn has_special_ahead(&self) -> bool {
        self.ahead.special.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn clear_ahead(&self) {
        self.ahead.all.store(0, Ordering::Relaxed);
        self.ahead.special.store(0, Ordering::Relaxed);
    }

    /// There are so many events more, so many of them special.
    pub(crate) fn add_ahead(&self, all: u64, special: u64) {
        if all > 0 {
            self.ahead
                .special
                .fetch_add(signed(special), Ordering::Relaxed);
            self.ahead.all.fetch_add(signed(all), Ordering::Relaxed);
            self.wake.notify_one();
        }
    }

    /// So many, of which so many special ones, were looked at.
    pub(crate) fn take_ahead(&self, all: u64, special: u64) {
        self.ahead
            .special
            .fetch_sub(signed(special), Ordering::Relaxed);
        self.ahead.all.fetch_sub(signed(all), Ordering::Relaxed);
    }
}

fn signed(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

/// Writes a change of a ledger.
pub(crate) fn encode(subscription: &str, at: Timestamp, change: Change) -> Vec<u8> {
    record::encode(&Record {
        subscription: subscription.to_owned(),
        at,
        change: Some(change),
        by: None,
    })
}

/// Writes that a subscription is removed.
pub(crate) fn encode_removal(subscription: &str, at: Timestamp, by: By) -> Vec<u8> {
    record::encode(&Record {
        subscription: subscription.to_owned(),
        at,
        change: None,
        by: Some(by),
    })
}

/// Patterns as stored; they were checked before they were.
fn parse(patterns: &[String]) -> Vec<Pattern> {
    patterns
        .iter()
        .filter_map(|pattern| Pattern::new(pattern).ok())
        .collect()
}
