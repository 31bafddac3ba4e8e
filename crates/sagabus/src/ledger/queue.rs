//! Which of the deliveries that could be handed out is next. Pure.
//!
//! Each level of priority has two lines: retries, then first attempts; who became ready first goes first, with a turn
//! for each group where a subscription is to be fair. Between levels the shares decide, and a bound on how often a
//! line's oldest may be passed over by those who came after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::{Priority, Sharing};
use crate::planted::{self, DeliveryBug};

/// Turns of each level in a round.
const WEIGHTS: [u32; 4] = [8, 4, 2, 1];
const LINES: usize = 2 * WEIGHTS.len();

/// What is known of a delivery that waits in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) priority: Priority,
    /// It was handed out before.
    pub(crate) is_retry: bool,
    /// Groups take turns.
    pub(crate) group: u64,
}

impl Entry {
    fn line(&self) -> usize {
        level(self.priority) * 2 + usize::from(!self.is_retry)
    }
}

fn level(priority: Priority) -> usize {
    match priority {
        Priority::Urgent => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}

/// Who is ready, in the order in which they became so.
#[derive(Clone, Debug, Default)]
struct Line {
    by_age: BTreeMap<u64, Entry>,
    groups: BTreeMap<u64, BTreeSet<u64>>,
    /// The group whose turn was last.
    turn: u64,
    /// Younger ones of more urgent levels that were handed out while the oldest of this line waited.
    passes: BTreeSet<u64>,
}

impl Line {
    fn insert(&mut self, age: u64, entry: Entry) {
        self.by_age.insert(age, entry);
        self.groups.entry(entry.group).or_default().insert(age);
    }

    fn remove(&mut self, age: u64) -> Option<Entry> {
        let entry = self.by_age.remove(&age)?;
        if let Some(group) = self.groups.get_mut(&entry.group) {
            group.remove(&age);
            if group.is_empty() {
                self.groups.remove(&entry.group);
            }
        }
        match self.by_age.first_key_value() {
            // What passed over the next one is what is younger than that one too.
            Some((oldest, _)) => self.passes = self.passes.split_off(oldest),
            None => self.passes.clear(),
        }
        Some(entry)
    }

    fn oldest(&self) -> Option<u64> {
        self.by_age.first_key_value().map(|(age, _)| *age)
    }

    /// The oldest of the group whose turn it is.
    fn next(&mut self) -> Option<u64> {
        let after = (Bound::Excluded(self.turn), Bound::Unbounded);
        let (group, ages) = self
            .groups
            .range(after)
            .next()
            .or_else(|| self.groups.first_key_value())?;
        self.turn = *group;
        ages.first().copied()
    }

    fn passed_by(&mut self, age: u64) {
        if self.oldest().is_some_and(|oldest| oldest < age) {
            self.passes.insert(age);
        }
    }
}

/// The deliveries that could be handed out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    sharing: Sharing,
    lines: [Line; LINES],
    places: HashMap<u64, (usize, u64)>,
    next_age: u64,
    /// Turns that each level has left in this round.
    turns: [u32; WEIGHTS.len()],
}

impl Queue {
    pub(crate) fn set_sharing(&mut self, sharing: Sharing) {
        self.sharing = sharing;
    }

    /// Forgets who waits.
    pub(crate) fn clear(&mut self) {
        for line in &mut self.lines {
            *line = Line::default();
        }
        self.places.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts a delivery behind all of its line; one that is there already keeps its place.
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.places.contains_key(&entry.position) {
            return;
        }
        let number = entry.line();
        self.next_age += 1;
        if let Some(line) = self.lines.get_mut(number) {
            line.insert(self.next_age, entry);
            self.places.insert(entry.position, (number, self.next_age));
        }
    }

    pub(crate) fn remove(&mut self, position: u64) {
        if let Some((number, age)) = self.places.remove(&position)
            && let Some(line) = self.lines.get_mut(number)
        {
            line.remove(age);
        }
    }

    /// Takes the next one.
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let (number, age) = self.too_long_passed().or_else(|| self.by_share())?;
        let entry = self.lines.get_mut(number)?.remove(age)?;
        self.places.remove(&entry.position);
        if let Sharing::Weighted { .. } = self.sharing {
            let lower = (number / 2 + 1) * 2;
            for line in self.lines.iter_mut().skip(lower) {
                line.passed_by(age);
            }
        }
        Some(entry.position)
    }

    /// The oldest of the line that was passed over as often as may be.
    fn too_long_passed(&self) -> Option<(usize, u64)> {
        let Sharing::Weighted { passes_max } = self.sharing else {
            return None;
        };
        if planted::has(DeliveryBug::PassedWithoutEnd) {
            return None;
        }
        self.lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.passes.len() as u64 >= u64::from(passes_max))
            .filter_map(|(number, line)| Some((number, line.oldest()?)))
            .min_by_key(|(_, age)| *age)
    }

    fn by_share(&mut self) -> Option<(usize, u64)> {
        let has_any = |lines: &[Line; LINES], level: usize| {
            lines
                .iter()
                .skip(2 * level)
                .take(2)
                .any(|line| !line.by_age.is_empty())
        };
        let levels = 0..WEIGHTS.len();
        let level = match self.sharing {
            Sharing::Strict => levels.into_iter().find(|it| has_any(&self.lines, *it))?,
            Sharing::Weighted { .. } => {
                let with_turn = |queue: &Self| {
                    (0..WEIGHTS.len()).find(|it| {
                        has_any(&queue.lines, *it) && queue.turns.get(*it).is_some_and(|it| *it > 0)
                    })
                };
                let level = with_turn(self).or_else(|| {
                    self.turns = WEIGHTS;
                    with_turn(self)
                })?;
                if let Some(turns) = self.turns.get_mut(level) {
                    *turns -= 1;
                }
                level
            }
        };
        (2 * level..2 * level + 2)
            .find_map(|number| Some((number, self.lines.get_mut(number)?.next()?)))
    }
}

#[cfg(test)]
mod tests;
