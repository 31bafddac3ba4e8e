//! Checks a trail from its first entry to its last: pure, fed with what a database or a bundle holds.

use std::collections::VecDeque;
use std::fmt;

use serde::Deserialize;

use crate::leaf;
use crate::merkle::{self, Frontier, Hash, Node, hex};
use crate::model::Verification;
use crate::note::State;

/// The action of the entries that say which entries were emptied, and the service that makes them.
pub(crate) const RETENTION: (&str, &str) = ("audit.retention_applied", "audit-service");
/// Places of an entry's columns.
const SERVICE: usize = 5;
const ACTION: usize = 6;
const DETAILS: usize = 24;

/// Something that cannot be so unless somebody tampered with the trail, or the disk did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The first entry that is no longer proven.
    pub(crate) sequence: u64,
    /// What is wrong.
    pub(crate) text: String,
}

impl Fault {
    pub(crate) fn new(sequence: u64, text: impl Into<String>) -> Self {
        Self {
            sequence,
            text: text.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A check under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checker {
    frontier: Frontier,
    /// Signed states that are still ahead, the smallest first.
    ahead: VecDeque<State>,
    /// How many were met, and up to which entry.
    met: (u64, u64),
    /// Entries without content, as ranges of sequences.
    emptied: Vec<(u64, u64)>,
    /// Entries of which an entry says that they were emptied.
    covered: Vec<(u64, u64)>,
    /// What was found beside the entries; it counts where the entries themselves fit.
    beside: Vec<Fault>,
}

/// Which entries were emptied, in the details of an entry that says so.
#[derive(Debug, Deserialize)]
struct Emptied {
    ranges: Vec<(u64, u64)>,
}

impl Checker {
    pub(crate) fn new(mut states: Vec<State>) -> Self {
        states.sort_by_key(|state| state.size);
        states.dedup();
        Self {
            ahead: states.into(),
            ..Self::default()
        }
    }

    /// Something is wrong beside the entries.
    pub(crate) fn beside(&mut self, fault: Fault) {
        self.beside.push(fault);
    }

    /// How many entries fit so far.
    pub(crate) fn count(&self) -> u64 {
        self.frontier.size()
    }

    /// Takes the next entry: its bytes, unless it was emptied, and its leaf.
    pub(crate) fn entry(
        &mut self,
        bytes: Option<&[u8]>,
        leaf: Hash,
        completed: impl FnMut(Node),
    ) -> Result<(), Fault> {
        if self.count() == 0 {
            self.meet()?;
        }
        let sequence = self.count() + 1;
        match bytes {
            Some(bytes) if merkle::leaf(bytes) != leaf => {
                let text = format!("entry {sequence} is not what its leaf says");
                return Err(Fault::new(sequence, text));
            }
            Some(bytes) => self.cover(sequence, bytes),
            None => extend(&mut self.emptied, sequence),
        }
        self.frontier.push(leaf, completed);
        self.meet()
    }

    /// Notes which entries this one says were emptied. It can speak only of those before it.
    fn cover(&mut self, sequence: u64, bytes: &[u8]) {
        let (action, service) = RETENTION;
        if leaf::column(bytes, ACTION) != Some(action.as_bytes())
            || leaf::column(bytes, SERVICE) != Some(service.as_bytes())
        {
            return;
        }
        let details = leaf::column(bytes, DETAILS).unwrap_or_default();
        if let Ok(emptied) = serde_json::from_slice::<Emptied>(details) {
            let before = emptied.ranges.into_iter();
            self.covered
                .extend(before.filter(|(_, last)| *last < sequence));
        }
    }

    /// Compares the root with the states that were signed of so many entries.
    fn meet(&mut self) -> Result<(), Fault> {
        let size = self.count();
        while let Some(state) = self.ahead.front().filter(|it| it.size == size) {
            let (count, up_to) = self.met;
            if state.root != self.frontier.root() {
                let first = (up_to + 1).min(size.max(1));
                let text = format!(
                    "the checkpoint of {size} entries was signed of others: one from {first} on was changed"
                );
                return Err(Fault::new(first, text));
            }
            self.ahead.pop_front();
            self.met = (count + 1, size);
        }
        Ok(())
    }

    /// All entries were taken, or the first that does not fit was met.
    pub(crate) fn finish(mut self, broken: Option<Fault>) -> Verification {
        let mut fault = broken;
        if fault.is_none() {
            fault = self.end();
        }
        Verification {
            ok: fault.is_none(),
            count: fault
                .as_ref()
                .map_or(self.count(), |it| it.sequence.saturating_sub(1)),
            root: hex(&self.frontier.root()),
            checkpoints: self.met.0,
            emptied: self.emptied.iter().map(|(from, to)| to - from + 1).sum(),
            first_bad_sequence: fault.as_ref().map(|it| it.sequence),
            fault: fault.map(|it| it.text),
        }
    }

    /// What is wrong once all entries fit: the first entry that was emptied without an entry that says so, the end, or what
    /// is beside the entries.
    fn end(&mut self) -> Option<Fault> {
        if self.count() == 0
            && let Err(fault) = self.meet()
        {
            return Some(fault);
        }
        let uncovered = first_outside(&self.emptied, &mut self.covered).map(|sequence| {
            let text = format!("entry {sequence} is gone, and no entry says that it was emptied");
            Fault::new(sequence, text)
        });
        let signed = self.ahead.front().map(|state| {
            let (count, size) = (self.count(), state.size);
            let text = format!(
                "the trail ends with entry {count}, and a checkpoint of {size} entries was signed"
            );
            Fault::new(count + 1, text)
        });
        let all = [uncovered, signed].into_iter().flatten();
        all.chain(self.beside.drain(..))
            .min_by_key(|it| it.sequence)
    }
}

fn extend(ranges: &mut Vec<(u64, u64)>, sequence: u64) {
    match ranges.last_mut() {
        Some((_, last)) if *last + 1 == sequence => *last = sequence,
        _ => ranges.push((sequence, sequence)),
    }
}

/// The first number in `ranges`, which are in order, that is in none of `within`.
fn first_outside(ranges: &[(u64, u64)], within: &mut [(u64, u64)]) -> Option<u64> {
    within.sort_unstable();
    let mut within = within.iter().peekable();
    for &(from, to) in ranges {
        let mut next = from;
        while next <= to {
            while within.peek().is_some_and(|(_, last)| *last < next) {
                within.next();
            }
            match within.peek() {
                Some((first, last)) if *first <= next => next = last + 1,
                _ => return Some(next),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
