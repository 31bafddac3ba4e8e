//! What all subscriptions of the engine share: the latest events, and who is to be woken by them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::cell::Cell;
use super::log::Observer;
use super::tail::Tail;
use crate::event::Event;

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
                let (mut all, mut special) = (0, 0);
                for (_, event) in events.iter() {
                    if cell.wants(&event.event_type) {
                        all += 1;
                        special += u64::from(event.is_special());
                    }
                }
                cell.add_ahead(all, special);
            }
            state.tail.push_all(events);
        });
    }
}
