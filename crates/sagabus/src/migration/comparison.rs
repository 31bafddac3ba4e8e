//! What the old way did to each event beside what a new handler would have done.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::phase::Way;
use crate::event::EventId;

/// Events that are remembered until both outcomes are there, and after that to know a repeat; the oldest goes first.
const EVENTS_MAX: usize = 10_000;
/// Mismatches that are kept to be looked at; all are counted.
const MISMATCHES_MAX: usize = 100;
/// Bytes of an outcome that are kept to be looked at; all are compared.
const TEXT_BYTES_MAX: usize = 1024;

/// Outcomes, one from each way, compared as they come. Clones are handles to the same. In memory only: it is a measure of
/// the new handler and says nothing that anybody relies on.
#[derive(Clone, Debug, Default)]
pub struct Comparison(Arc<Mutex<Book>>);

/// How the outcomes compare since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Both did the same, or both failed.
    pub same: u64,
    /// They did something else, or one of them failed.
    pub different: u64,
    /// No outcome of the bus came while 10,000 other events did.
    pub old_only: u64,
    /// No outcome of the old way came while 10,000 other events did.
    pub bus_only: u64,
    /// Wait for the other outcome.
    pub waiting: u64,
}

/// An event on which the ways differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The event.
    pub id: EventId,
    /// What the old way did, or its error; 1 KiB of it.
    pub old: Result<String, String>,
    /// What the new handler would have done, or its error; 1 KiB of it.
    pub bus: Result<String, String>,
}

#[derive(Debug, Default)]
struct Book {
    events: HashMap<EventId, State>,
    /// In the order in which they came.
    order: VecDeque<EventId>,
    tally: Tally,
    mismatches: VecDeque<Mismatch>,
}

#[derive(Debug)]
enum State {
    Waiting(Way, Result<String, String>),
    Compared,
}

impl Comparison {
    /// Notes what was done to an event on one of the ways, in words that are equal where the effect is; an error is one,
    /// whatever its text. Outcomes of an event that was compared before, or came this way before, are passed over.
    pub fn note(&self, way: Way, event: &EventId, outcome: Result<String, String>) {
        self.book().note(way, event, outcome);
    }

    /// The counts.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.book().tally
    }

    /// The latest mismatches, at most 100, oldest first.
    #[must_use]
    pub fn mismatches(&self) -> Vec<Mismatch> {
        self.book().mismatches.iter().cloned().collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn note(&mut self, way: Way, event: &EventId, outcome: Result<String, String>) {
        let Some(state) = self.events.get_mut(event) else {
            self.make_room();
            self.order.push_back(event.clone());
            self.events
                .insert(event.clone(), State::Waiting(way, outcome));
            self.tally.waiting += 1;
            return;
        };
        match state {
            State::Compared => {}
            State::Waiting(of, _) if *of == way => {}
            State::Waiting(..) => {
                let State::Waiting(_, first) = std::mem::replace(state, State::Compared) else {
                    return;
                };
                let (old, bus) = match way {
                    Way::Old => (outcome, first),
                    Way::Bus => (first, outcome),
                };
                self.compare(event, old, bus);
            }
        }
    }

    fn compare(
        &mut self,
        event: &EventId,
        old: Result<String, String>,
        bus: Result<String, String>,
    ) {
        self.tally.waiting -= 1;
        if old.as_ref().ok() == bus.as_ref().ok() {
            self.tally.same += 1;
            return;
        }
        self.tally.different += 1;
        tracing::warn!(event_id = %event, "the old way and the new handler differ");
        if self.mismatches.len() >= MISMATCHES_MAX {
            self.mismatches.pop_front();
        }
        self.mismatches.push_back(Mismatch {
            id: event.clone(),
            old: short(old),
            bus: short(bus),
        });
    }

    fn make_room(&mut self) {
        if self.events.len() < EVENTS_MAX {
            return;
        }
        let oldest = self
            .order
            .pop_front()
            .and_then(|id| self.events.remove(&id));
        if let Some(State::Waiting(way, _)) = oldest {
            self.tally.waiting -= 1;
            match way {
                Way::Old => self.tally.old_only += 1,
                Way::Bus => self.tally.bus_only += 1,
            }
        }
    }
}

fn short(outcome: Result<String, String>) -> Result<String, String> {
    let cut = |mut text: String| {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    };
    outcome.map(cut).map_err(cut)
}

#[cfg(test)]
mod tests;
