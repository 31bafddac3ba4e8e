//! What one subscription has received: a fold of its records. Pure: no clock, no chance, no input or output.
//!
//! ```text
//! (ahead of the cursor) ─ leased ─▶ Leased(n) ─┬─ acked ─▶ gone
//!                                     ▲        ├─ retry at t ─▶ Waiting ─ due ─▶ leased again as n+1
//!                                     │        ├─ dead ─▶ Dead ─ redriven ─▶ Waiting, attempts from 0
//!                                     └────────┴─ interrupted (its process ended) ─▶ Waiting, due at once
//! ```

mod record;

use std::collections::{BTreeMap, BTreeSet};

pub use record::Fault;
pub(crate) use record::{Change, Record, Settled};

use crate::clock::Timestamp;

/// Most faults kept of one delivery: the first one and the latest ones.
pub(crate) const FAULTS_MAX: usize = 32;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// A handler has it.
    Leased,
    /// It is handed out again at this time.
    Waiting(Timestamp),
    /// Given up since this time, kept until somebody redrives or discards it.
    Dead(Timestamp),
}

/// A delivery that was handed out and is not settled for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) state: DeliveryState,
    /// Attempts so far, the running one included.
    pub(crate) attempts: u32,
    /// One per failed attempt since the last redrive: the first and the latest, at most [`FAULTS_MAX`].
    pub(crate) faults: Vec<Fault>,
    /// How often it was redriven.
    pub(crate) redrives: u32,
}

impl Delivery {
    fn note(&mut self, fault: &Fault) {
        if self.faults.len() >= FAULTS_MAX {
            self.faults.remove(1);
        }
        self.faults.push(fault.clone());
    }
}

/// How many deliveries are where. `matched = acked + skipped + discarded + leased + waiting + dead` always holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events handed out or skipped so far.
    pub matched: u64,
    /// Handled.
    pub acked: u64,
    /// Passed over by the filter, or given up without a dead letter as the subscription asked.
    pub skipped: u64,
    /// Dead letters that somebody threw away.
    pub discarded: u64,
    /// With a handler now.
    pub leased: u64,
    /// Waiting for another attempt.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
}

impl Counts {
    /// Whether nothing was lost and nothing appeared from nowhere.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.matched
            == self.acked + self.skipped + self.discarded + self.leased + self.waiting + self.dead
    }
}

/// The delivery state of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Patterns as written.
    pub(crate) patterns: Vec<String>,
    /// Position of the first event that was never looked at.
    pub(crate) cursor: u64,
    /// Grows with each member that joins; a settle with another one is stale.
    pub(crate) epoch: u64,
    open: BTreeMap<u64, Delivery>,
    due: BTreeSet<(Timestamp, u64)>,
    counts: Counts,
}

impl Ledger {
    /// Takes a record into account. Records that do not fit the state change nothing, so a fold cannot fail.
    pub(crate) fn apply(&mut self, at: Timestamp, change: &Change) {
        match change {
            Change::Created { patterns, start } => {
                self.patterns.clone_from(patterns);
                self.cursor = *start;
            }
            Change::Patterned { patterns } => self.patterns.clone_from(patterns),
            Change::Joined { epoch } => {
                self.epoch = *epoch;
                let interrupted: Vec<u64> = self
                    .open
                    .iter()
                    .filter(|(_, it)| it.state == DeliveryState::Leased)
                    .map(|(position, _)| *position)
                    .collect();
                for position in interrupted {
                    self.set(position, DeliveryState::Waiting(at));
                }
            }
            Change::Leased {
                cursor,
                leases,
                skipped,
            } => {
                for (position, attempts) in leases {
                    self.lease(*position, *attempts);
                }
                self.cursor = self.cursor.max(*cursor);
                self.counts.matched += skipped;
                self.counts.skipped += skipped;
            }
            Change::Settled { settles } => {
                for settle in settles {
                    self.settle(at, settle);
                }
            }
            Change::Redriven { positions } => {
                for position in positions {
                    if let Some(delivery) = self.dead_mut(*position) {
                        delivery.attempts = 0;
                        delivery.faults.clear();
                        delivery.redrives += 1;
                        self.set(*position, DeliveryState::Waiting(at));
                    }
                }
            }
            Change::Discarded { positions, .. } => {
                for position in positions {
                    if self.dead_mut(*position).is_some() {
                        self.remove(*position);
                        self.counts.discarded += 1;
                    }
                }
            }
        }
    }

    fn lease(&mut self, position: u64, attempts: u32) {
        if let Some(delivery) = self.open.get_mut(&position) {
            delivery.attempts = attempts;
            self.set(position, DeliveryState::Leased);
        } else {
            self.counts.matched += 1;
            self.counts.leased += 1;
            self.open.insert(
                position,
                Delivery {
                    state: DeliveryState::Leased,
                    attempts,
                    faults: Vec::new(),
                    redrives: 0,
                },
            );
        }
    }

    /// Takes back events leased for the first time, and those skipped with them, whose record was not stored.
    pub(crate) fn unlease(
        &mut self,
        cursor: u64,
        positions: impl Iterator<Item = u64>,
        skipped: u64,
    ) {
        for position in positions {
            self.remove(position);
            self.counts.matched -= 1;
        }
        self.counts.matched -= skipped;
        self.counts.skipped -= skipped;
        self.cursor = cursor;
    }

    fn settle(&mut self, at: Timestamp, settle: &Settled) {
        let position = settle.position();
        let Some(delivery) = self.open.get_mut(&position) else {
            return;
        };
        if delivery.state != DeliveryState::Leased {
            return;
        }
        match settle {
            Settled::Acked { .. } => {
                self.remove(position);
                self.counts.acked += 1;
            }
            Settled::Skipped { .. } => {
                self.remove(position);
                self.counts.skipped += 1;
            }
            Settled::RetryAt { due, fault, .. } => {
                delivery.note(fault);
                self.set(position, DeliveryState::Waiting(*due));
            }
            Settled::Dead { fault, .. } => {
                delivery.note(fault);
                self.set(position, DeliveryState::Dead(at));
            }
            Settled::Released { .. } => {
                delivery.attempts = delivery.attempts.saturating_sub(1);
                self.set(position, DeliveryState::Waiting(at));
            }
        }
    }

    /// Up to `max` deliveries that are due at `now`, oldest due time first, as (position, attempts so far).
    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<(u64, u32)> {
        self.due
            .iter()
            .take_while(|(due, _)| *due <= now)
            .take(max)
            .filter_map(|(_, position)| Some((*position, self.open.get(position)?.attempts)))
            .collect()
    }

    /// When the next waiting delivery is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The delivery of the event at `position`, unless it is settled for good or was never handed out.
    pub(crate) fn get(&self, position: u64) -> Option<&Delivery> {
        self.open.get(&position)
    }

    /// Dead letters after `position`, in order.
    pub(crate) fn dead_after(&self, position: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        self.open
            .range(position.saturating_add(1)..)
            .filter(|(_, it)| matches!(it.state, DeliveryState::Dead(_)))
            .map(|(position, it)| (*position, it))
    }

    /// How many deliveries are where.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn dead_mut(&mut self, position: u64) -> Option<&mut Delivery> {
        self.open
            .get_mut(&position)
            .filter(|it| matches!(it.state, DeliveryState::Dead(_)))
    }

    fn set(&mut self, position: u64, state: DeliveryState) {
        let Some(delivery) = self.open.get_mut(&position) else {
            return;
        };
        let old = std::mem::replace(&mut delivery.state, state);
        *self.count(old) -= 1;
        *self.count(state) += 1;
        if let DeliveryState::Waiting(due) = old {
            self.due.remove(&(due, position));
        }
        if let DeliveryState::Waiting(due) = state {
            self.due.insert((due, position));
        }
    }

    fn remove(&mut self, position: u64) {
        if let Some(delivery) = self.open.remove(&position) {
            *self.count(delivery.state) -= 1;
            if let DeliveryState::Waiting(due) = delivery.state {
                self.due.remove(&(due, position));
            }
        }
    }

    fn count(&mut self, state: DeliveryState) -> &mut u64 {
        match state {
            DeliveryState::Leased => &mut self.counts.leased,
            DeliveryState::Waiting(_) => &mut self.counts.waiting,
            DeliveryState::Dead(_) => &mut self.counts.dead,
        }
    }
}

#[cfg(test)]
mod tests;
