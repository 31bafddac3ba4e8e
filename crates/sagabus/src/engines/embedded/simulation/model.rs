//! What the log must hold: a list, and the appends of which nobody knows yet.

use std::collections::HashMap;

use crate::engines::embedded::log::{Durability, Placed};

/// A record of the log: kind and content.
pub(super) type Record = (u8, Vec<u8>);

/// An append that was handed to the log since it was opened.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Each record, and the number of the event that it is.
    pub(super) entries: Vec<(Record, Option<usize>)>,
    pub(super) durability: Durability,
    pub(super) answer: Option<Answered>,
}

/// What an append was answered with.
#[derive(Debug)]
pub(super) enum Answered {
    Stored(Placed),
    /// Certainly not stored.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What the log must hold.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What it held when it was opened; none of it may go.
    base: Vec<Record>,
    /// Positions of the events in it.
    events: HashMap<usize, u64>,
    pub(super) attempts: Vec<Attempt>,
    /// Since it was opened the cache of the operating system was lost, or may have been.
    pub(super) has_lost_cache: bool,
}

/// Where the records of an append go, in the order of its entries: position, and whether it is there already.
type Places = Vec<(u64, bool)>;

impl Model {
    pub(super) fn len(&self) -> usize {
        self.base.len()
    }

    /// The appends that were not refused, in order, and where their records go if all of them are stored.
    fn places(&self) -> Vec<(&Attempt, Places)> {
        let mut events = self.events.clone();
        let mut next = self.base.len() as u64 + 1;
        let kept = self
            .attempts
            .iter()
            .filter(|it| !matches!(it.answer, Some(Answered::Refused)));
        kept.map(|attempt| {
            let place = |(_, event): &(Record, Option<usize>)| {
                if let Some(earlier) = event.and_then(|it| events.get(&it)) {
                    return (*earlier, true);
                }
                if let Some(event) = event {
                    events.insert(*event, next);
                }
                next += 1;
                (next - 1, false)
            };
            (attempt, attempt.entries.iter().map(place).collect())
        })
        .collect()
    }

    /// Appends that were answered were told the right positions.
    pub(super) fn check_answers(&self) -> Result<(), String> {
        for (attempt, places) in self.places() {
            if let Some(Answered::Stored(placed)) = &attempt.answer {
                let told: Places = placed.positions().take(places.len()).collect();
                if told != places {
                    return Err(format!("an append was told {told:?}, not {places:?}"));
                }
            }
        }
        Ok(())
    }

    /// What the open log shows is what was appended, in order, and at least what was acknowledged as synced.
    pub(super) fn check_shown(&self, shown: &[Record]) -> Result<(), String> {
        let mut expected: Vec<&Record> = self.base.iter().collect();
        let mut least = expected.len();
        for (attempt, places) in self.places() {
            for ((record, _), (_, is_there)) in attempt.entries.iter().zip(&places) {
                if !is_there {
                    expected.push(record);
                }
            }
            if attempt.is_stored(Durability::Synced) {
                least = expected.len();
            }
        }
        if shown.len() < least {
            return Err(format!(
                "{} records are shown, {least} are acknowledged",
                shown.len()
            ));
        }
        let is_other = shown
            .iter()
            .enumerate()
            .find(|(at, record)| expected.get(*at) != Some(record));
        match is_other {
            Some((at, _)) => Err(format!("record {} is shown as another", at + 1)),
            None => Ok(()),
        }
    }

    /// Takes the log as found after a restart as the truth, if it may be.
    pub(super) fn recover(&mut self, found: Vec<Record>) -> Result<(), String> {
        if found.get(..self.base.len()) != Some(&self.base) {
            return Err(format!(
                "of {} records that were there at the last start, not all are among the {} found",
                self.base.len(),
                found.len()
            ));
        }
        let places = self.places();
        let has_lost_cache = self.has_lost_cache;
        let needed = places.iter().rposition(|(attempt, _)| {
            attempt.is_stored(Durability::Synced)
                || (!has_lost_cache && attempt.is_stored(Durability::Written))
        });
        let mut events = self.events.clone();
        let mut rest = found.get(self.base.len()..).unwrap_or_default();
        for (number, (attempt, places)) in places.iter().enumerate() {
            let fresh: Vec<_> = attempt
                .entries
                .iter()
                .zip(places)
                .filter(|(_, (_, is_there))| !is_there)
                .collect();
            let is_whole = fresh.len() <= rest.len()
                && fresh
                    .iter()
                    .zip(rest)
                    .all(|(((it, _), _), found)| it == found);
            if is_whole {
                rest = rest.get(fresh.len()..).unwrap_or_default();
                for ((_, event), (position, _)) in fresh {
                    if let Some(event) = event {
                        events.insert(*event, *position);
                    }
                }
            } else if needed.is_some_and(|it| number <= it) {
                return Err(format!(
                    "append {number} is lost or changed, and append {needed:?} was acknowledged as {:?}",
                    attempt.durability
                ));
            } else {
                break;
            }
        }
        if !rest.is_empty() {
            return Err(format!(
                "{} records are found that are half an append, out of order, or nobody's",
                rest.len()
            ));
        }
        self.events = events;
        self.base = found;
        self.attempts.clear();
        self.has_lost_cache = false;
        Ok(())
    }

    /// Exactly what was there at the last start is found.
    pub(super) fn is_as_opened(&self, found: &[Record]) -> bool {
        self.base == found
    }
}

impl Attempt {
    fn is_stored(&self, durability: Durability) -> bool {
        self.durability == durability && matches!(self.answer, Some(Answered::Stored(_)))
    }
}
