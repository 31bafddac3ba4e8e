//! What all subscriptions of the engine share: the latest events, and who is to be woken by them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use super::log::{Append, Durability, Entry, Log, Observer, Pending};
use super::record;
use super::tail::Tail;
use crate::clock::Timestamp;
use crate::event::{Event, EventType};
use crate::ledger::{Change, Ledger, Record};
use crate::pattern::Pattern;

/// One subscription.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    ledger: Mutex<Ledger>,
    patterns: RwLock<Vec<Pattern>>,
    /// Events that fit and are not behind the cursor.
    ahead: AtomicU64,
    pub(crate) wake: Notify,
    pub(crate) is_joined: AtomicBool,
    pub(crate) is_removed: AtomicBool,
}

impl Cell {
    pub(crate) fn new(name: &str, ledger: Ledger) -> Self {
        let patterns = parse(&ledger.patterns);
        Self {
            name: name.to_owned(),
            ledger: Mutex::new(ledger),
            patterns: RwLock::new(patterns),
            ahead: AtomicU64::new(0),
            wake: Notify::new(),
            is_joined: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change and hands its record to the log, in one go: the log's order is the order of the changes.
    pub(crate) fn change(
        &self,
        ledger: &mut Ledger,
        log: &Log,
        at: Timestamp,
        change: Change,
        durability: Durability,
    ) -> Pending {
        ledger.apply(at, &change);
        log.enqueue(Append {
            entries: vec![Entry::record(
                record::LEDGER,
                encode(&self.name, at, Some(change)),
            )],
            durability,
            refusable: false,
        })
    }

    pub(crate) fn wants(&self, event_type: &EventType) -> bool {
        self.patterns
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|pattern| pattern.matches(event_type))
    }

    pub(crate) fn set_patterns(&self, patterns: Vec<Pattern>) {
        *self
            .patterns
            .write()
            .unwrap_or_else(PoisonError::into_inner) = patterns;
    }

    pub(crate) fn ahead(&self) -> u64 {
        self.ahead.load(Ordering::Relaxed)
    }

    pub(crate) fn set_ahead(&self, events: u64) {
        self.ahead.store(events, Ordering::Relaxed);
    }

    pub(crate) fn add_ahead(&self, events: u64) {
        self.ahead.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn take_ahead(&self, events: u64) {
        // The count is for people; saturate rather than wrap if it is ever behind.
        let _before = self
            .ahead
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| {
                Some(it.saturating_sub(events))
            });
    }
}

/// Writes a ledger record; `None` says that the subscription is removed.
pub(crate) fn encode(subscription: &str, at: Timestamp, change: Option<Change>) -> Vec<u8> {
    record::encode(&Record {
        subscription: subscription.to_owned(),
        at,
        change,
    })
}

/// Patterns as stored; they were checked before they were.
pub(crate) fn parse(patterns: &[String]) -> Vec<Pattern> {
    patterns
        .iter()
        .filter_map(|pattern| Pattern::new(pattern).ok())
        .collect()
}

/// The latest events and all subscriptions.
#[derive(Debug)]
pub(crate) struct Hub {
    state: RwLock<State>,
}

/// Guarded together, so that an event is counted for a new subscription exactly once.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tail: Tail,
    pub(crate) cells: BTreeMap<String, Arc<Cell>>,
}

impl Hub {
    pub(crate) fn new(head: u64, cells: BTreeMap<String, Arc<Cell>>) -> Self {
        Self {
            state: RwLock::new(State {
                tail: Tail::new(head),
                cells,
            }),
        }
    }

    pub(crate) fn read<R>(&self, act: impl FnOnce(&State) -> R) -> R {
        act(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn cells(&self) -> Vec<Arc<Cell>> {
        self.read(|state| state.cells.values().cloned().collect())
    }

    pub(crate) fn cell(&self, name: &str) -> Option<Arc<Cell>> {
        self.read(|state| state.cells.get(name).cloned())
    }
}

impl Observer for Hub {
    fn durable(&self, events: &mut Vec<(u64, Arc<Event>)>) {
        self.write(|state| {
            for cell in state.cells.values() {
                let wanted = events
                    .iter()
                    .filter(|(_, event)| cell.wants(&event.event_type))
                    .count() as u64;
                if wanted > 0 {
                    cell.add_ahead(wanted);
                    cell.wake.notify_one();
                }
            }
            state.tail.push_all(events);
        });
    }
}
