//! What all subscriptions of the engine share: the latest events, and who is to be woken by them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::cell::Cell;
use super::log::Observer;
use super::tail::Tail;
use crate::event::{Event, EventType};
use crate::pattern::{Pattern, PatternSet};

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
    /// Who wants an event, by the place of the subscription in `seats`.
    wanted: PatternSet<usize>,
    seats: Vec<Option<Seat>>,
    /// The type of the latest event, and who wants it: events that follow each other are often of one type.
    asked: Option<EventType>,
    wanting: Vec<usize>,
    /// No subscription begins before this position: what is there may be dropped.
    pub(crate) floor: u64,
}

/// A subscription, and the events of a group that it wants.
#[derive(Debug)]
struct Seat {
    cell: Arc<Cell>,
    all: u64,
    special: u64,
}

impl State {
    /// Takes a subscription in; false when there is one of that name.
    pub(crate) fn insert(&mut self, cell: &Arc<Cell>) -> bool {
        if self.cells.contains_key(&*cell.name) {
            return false;
        }
        self.asked = None;
        self.cells.insert(cell.name.to_string(), Arc::clone(cell));
        let seat = Some(Seat {
            cell: Arc::clone(cell),
            all: 0,
            special: 0,
        });
        let free = self.seats.iter().position(Option::is_none);
        let number = free.unwrap_or(self.seats.len());
        match self.seats.get_mut(number) {
            Some(free) => *free = seat,
            None => self.seats.push(seat),
        }
        if !cell.is_window {
            for pattern in cell.patterns().iter() {
                self.wanted.insert(pattern, number);
            }
        }
        true
    }

    fn seat_of(&self, cell: &Cell) -> Option<usize> {
        let is_of = |seat: &Option<Seat>| {
            let name = seat.as_ref().map(|seat| &seat.cell.name);
            name.is_some_and(|name| *name == cell.name)
        };
        self.seats.iter().position(is_of)
    }

    /// Takes a subscription out.
    pub(crate) fn remove(&mut self, cell: &Cell) {
        self.asked = None;
        self.cells.remove(&*cell.name);
        if let Some(number) = self.seat_of(cell) {
            for pattern in cell.patterns().iter() {
                self.wanted.remove(pattern, &number);
            }
            if let Some(seat) = self.seats.get_mut(number) {
                *seat = None;
            }
        }
    }

    /// Has a subscription want other patterns.
    pub(crate) fn want(&mut self, cell: &Cell, patterns: Vec<Pattern>) {
        self.asked = None;
        if let Some(number) = self.seat_of(cell) {
            for pattern in cell.patterns().iter() {
                self.wanted.remove(pattern, &number);
            }
            for pattern in &patterns {
                self.wanted.insert(pattern, number);
            }
        }
        cell.set_patterns(patterns);
    }

    /// Tells each subscription how many of these events it wants.
    fn count(&mut self, events: &[(u64, Arc<Event>)]) {
        if self.wanted.is_empty() {
            return;
        }
        let seats = &mut self.seats;
        for (_, event) in events {
            if self.asked.as_ref() != Some(&event.event_type) {
                let wanting = &mut self.wanting;
                wanting.clear();
                self.wanted
                    .matches(&event.event_type, |number| wanting.push(*number));
                self.asked = Some(event.event_type.clone());
            }
            let special = u64::from(event.is_special());
            for number in &self.wanting {
                if let Some(Some(seat)) = seats.get_mut(*number) {
                    seat.all += 1;
                    seat.special += special;
                }
            }
        }
        for seat in seats.iter_mut().flatten().filter(|seat| seat.all > 0) {
            seat.cell.add_ahead(seat.all, seat.special);
            (seat.all, seat.special) = (0, 0);
        }
    }
}

impl Hub {
    pub(crate) fn new(head: u64, cells: impl Iterator<Item = Arc<Cell>>) -> Self {
        let mut state = State {
            tail: Tail::new(head),
            cells: BTreeMap::new(),
            wanted: PatternSet::default(),
            seats: Vec::new(),
            asked: None,
            wanting: Vec::new(),
            floor: 1,
        };
        for cell in cells {
            state.insert(&cell);
        }
        Self {
            state: RwLock::new(state),
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
            state.count(events);
            state.tail.push_all(events);
        });
    }
}
