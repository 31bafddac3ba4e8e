//! What is counted of the log while it is read at the start, so that no event need be looked at a second time.
//!
//! Events are counted by type, in blocks of positions. What a subscription has before it is then a sum over blocks, and
//! the part of one block in which its cursor stands is read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::cell::Cell;
use super::record;
use super::{Special, count_ahead, log};
use crate::error::Result;
use crate::event::EventType;

/// Positions of a block: reading one again takes some milliseconds, and ten million events have some thousand of them.
const BLOCK: u64 = 8192;
/// Most types that are told apart; a log with more is read again as a whole.
const TYPES_MAX: usize = 1000;

/// The events of one block, by the number of their type.
#[derive(Debug, Default)]
struct Block {
    counts: Vec<(usize, Special)>,
}

impl Block {
    fn add(&mut self, number: usize, special: u64) {
        match self.counts.iter_mut().find(|(it, _)| *it == number) {
            Some((_, counts)) => {
                counts.0 += 1;
                counts.1 += special;
            }
            None => self.counts.push((number, (1, special))),
        }
    }

    fn events(&self) -> u64 {
        self.counts.iter().map(|(_, (all, _))| all).sum()
    }
}

/// The events of the whole log.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// No event before this position is remembered.
    pub(crate) first: u64,
    /// By position, counted in blocks.
    blocks: BTreeMap<u64, Block>,
    types: Vec<EventType>,
    numbers: HashMap<EventType, usize>,
    /// Number of the type of the latest event: those that follow each other are often of one type.
    latest: usize,
    has_too_many_types: bool,
}

impl Tally {
    /// Takes a record into account.
    pub(crate) fn note(&mut self, position: u64, kind: u8, content: &[u8]) -> Result<()> {
        if kind != record::EVENT {
            return Ok(());
        }
        let name = record::event_type(content)?;
        let latest = self.types.get(self.latest);
        if latest.is_none_or(|it| it.as_str() != name) {
            self.latest = self.number(name)?;
        }
        let special = u64::from(record::is_special(content)?);
        let block = self.blocks.entry(position / BLOCK).or_default();
        block.add(self.latest, special);
        Ok(())
    }

    fn number(&mut self, name: &str) -> Result<usize> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        if self.types.len() >= TYPES_MAX {
            self.has_too_many_types = true;
            return Ok(TYPES_MAX);
        }
        let event_type = EventType::new(name)?;
        self.types.push(event_type.clone());
        self.numbers.insert(event_type, self.types.len() - 1);
        Ok(self.types.len() - 1)
    }

    /// A position from which on there are at least so many events that may be remembered, if there are so many at all.
    pub(crate) fn position_of_latest(&self, events: usize) -> u64 {
        let mut left = events as u64;
        for (number, block) in self.blocks.iter().rev() {
            left = left.saturating_sub(block.events());
            if left == 0 {
                return self.first.max(number * BLOCK);
            }
        }
        self.first
    }

    /// How many events each of these subscriptions has before it.
    pub(crate) fn ahead(&self, log: &log::Shared, cells: &[Arc<Cell>]) -> Result<Vec<Special>> {
        if self.has_too_many_types {
            return count_ahead(log, cells, u64::MAX);
        }
        let mut counts = vec![(0, 0); cells.len()];
        // Those whose cursors stand in one block have it read once.
        let mut by_block: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (number, cell) in cells.iter().enumerate() {
            let cursor = cell.state().ledger.cursor;
            by_block.entry(cursor / BLOCK).or_default().push(number);
        }
        for (block, numbers) in by_block {
            let near: Vec<_> = numbers
                .iter()
                .filter_map(|it| cells.get(*it))
                .cloned()
                .collect();
            let parts = count_ahead(log, &near, (block + 1).saturating_mul(BLOCK))?;
            for ((number, cell), part) in numbers.iter().zip(&near).zip(parts) {
                if let Some(count) = counts.get_mut(*number) {
                    *count = self.after(block, cell);
                    count.0 += part.0;
                    count.1 += part.1;
                }
            }
        }
        Ok(counts)
    }

    /// Events that the subscription wants, in the blocks after this one.
    fn after(&self, block: u64, cell: &Cell) -> Special {
        let wanted: Vec<bool> = self.types.iter().map(|it| cell.wants(it)).collect();
        let blocks = self.blocks.range(block + 1..).map(|(_, block)| block);
        let counts = blocks.flat_map(|block| &block.counts);
        counts
            .filter(|(number, _)| wanted.get(*number).is_some_and(|it| *it))
            .fold((0, 0), |sum, (_, count)| (sum.0 + count.0, sum.1 + count.1))
    }
}
