//! Who redrove, revised, skipped, discarded or restored deliveries, when and why: the latest of it. Pure.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};

use super::record::By;
use crate::clock::Timestamp;

/// Repairs of one subscription that are remembered: about 2 MiB with the longest reasons.
pub const REPAIRS_MAX: usize = 1000;
/// Positions that they may name together; the oldest repairs are forgotten first.
const POSITIONS_MAX: usize = 100_000;
/// Positions of one repair that others are put together in: those who ask for it get it whole.
const TOGETHER_MAX: usize = 1000;

/// What somebody did to deliveries of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Repaired {
    /// From 1, in the order in which they were made.
    #[n(0)]
    pub number: u64,
    /// When.
    #[n(1)]
    pub at: Timestamp,
    /// What.
    #[n(2)]
    pub act: RepairAct,
    /// Who and why.
    #[n(3)]
    pub by: By,
    /// Of which events.
    #[n(4)]
    pub positions: Vec<u64>,
}

/// What is done to deliveries by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RepairAct {
    /// Handed out again.
    #[n(0)]
    Redriven,
    /// Given another payload.
    #[n(1)]
    Revised,
    /// Taken as not wanted.
    #[n(2)]
    Skipped,
    /// Thrown away.
    #[n(3)]
    Discarded,
    /// Made dead letters again, as they had been written out.
    #[n(4)]
    Restored,
}

impl RepairAct {
    /// The act in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Revised => "revised",
            Self::Skipped => "skipped",
            Self::Discarded => "discarded",
            Self::Restored => "restored",
        }
    }
}

/// The latest repairs, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Repairs {
    #[n(0)]
    list: VecDeque<Repaired>,
    /// How many there ever were.
    #[n(1)]
    count: u64,
    /// Positions in the list.
    #[n(2)]
    positions: u64,
}

impl Repairs {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn note(&mut self, at: Timestamp, act: RepairAct, by: &By, positions: Vec<u64>) {
        self.positions += positions.len() as u64;
        // One at a time they would have all others forgotten.
        if act == RepairAct::Restored
            && let Some(last) = self.list.back_mut()
            && (last.act, &last.by) == (act, by)
            && last.positions.len() < TOGETHER_MAX
        {
            last.positions.extend(positions);
            return;
        }
        self.count += 1;
        self.list.push_back(Repaired {
            number: self.count,
            at,
            act,
            by: by.clone(),
            positions,
        });
        while self.list.len() > 1
            && (self.list.len() > REPAIRS_MAX || self.positions > POSITIONS_MAX as u64)
            && let Some(oldest) = self.list.pop_front()
        {
            self.positions -= oldest.positions.len() as u64;
        }
    }

    /// Those before the one with this number, of this position where one is named, the latest first.
    pub(crate) fn before(
        &self,
        number: Option<u64>,
        position: Option<u64>,
    ) -> impl Iterator<Item = &Repaired> {
        self.list
            .iter()
            .rev()
            .filter(move |it| number.is_none_or(|number| it.number < number))
            .filter(move |it| position.is_none_or(|position| it.positions.contains(&position)))
    }
}
