//! Reads the records before a position back, and says which of them stand for all.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio_util::sync::CancellationToken;

use super::Needs;
use crate::clock::Timestamp;
use crate::engines::embedded::cell::encode;
use crate::engines::embedded::fold::Fold;
use crate::engines::embedded::log::{self, Visit};
use crate::engines::embedded::planted::{self, Bug};
use crate::engines::embedded::record::{self, KeptKey, Schedule, StoredSagaRecord};
use crate::error::{Error, Result};
use crate::ledger::PART_BYTES;
use crate::saga_store::KEYS_KEPT_MAX;

/// Puts together what stands for the records before a position.
pub(super) struct Compactor<'a> {
    log: &'a log::Shared,
    pub(super) needs: Needs,
    fold: Fold,
    /// Scheduled events that were given another time.
    moved: BTreeSet<u64>,
    /// Sagas, and whether their last record is there.
    sagas: HashMap<String, bool>,
    /// Where the keys of sagas are that are over and have one to be kept, as many as may be.
    keys: Newest,
    now: Timestamp,
    stop: CancellationToken,
}

impl<'a> Compactor<'a> {
    pub(super) fn new(
        log: &'a log::Shared,
        needs: Needs,
        now: Timestamp,
        stop: CancellationToken,
    ) -> Result<Self> {
        let mut it = Self {
            log,
            needs,
            fold: Fold::default(),
            moved: BTreeSet::new(),
            sagas: HashMap::new(),
            keys: Newest::new(KEYS_KEPT_MAX),
            now,
            stop,
        };
        let upto = it.needs.upto;
        log.read(0, &mut |position, kind, content| {
            if position >= upto {
                return Ok(false);
            }
            it.go_on()?;
            it.fold.take(position, kind, content)?;
            match kind {
                record::SAGA => {
                    let stored: StoredSagaRecord<'_> = record::decode(content)?;
                    let is_last = stored.is_last == Some(true);
                    it.count_key(position, stored.kept.as_ref());
                    match it.sagas.get_mut(stored.saga) {
                        // What follows the last record does not bring the saga back.
                        Some(known) => *known |= is_last,
                        None => drop(it.sagas.insert(stored.saga.to_owned(), is_last)),
                    }
                }
                record::SAGA_KEY => {
                    let kept: KeptKey<'_> = record::decode(content)?;
                    it.count_key(position, Some(&kept));
                }
                record::SCHEDULE => {
                    if let Schedule::Moved { position, .. } = record::decode(content)? {
                        it.moved.insert(position);
                    }
                }
                _ => {}
            }
            Ok(true)
        })?;
        it.fold.check()?;
        Ok(it)
    }

    fn count_key(&mut self, position: u64, kept: Option<&KeptKey<'_>>) {
        if kept.is_some_and(|kept| kept.is_due(self.now)) {
            self.keys.add(position);
        }
    }

    /// Whether the key that is at `position` outlives its saga.
    fn is_kept(&self, position: u64) -> bool {
        self.keys.has(position)
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::closed("the log is being closed"));
        }
        Ok(())
    }

    /// The records that stand for all before the position.
    pub(super) fn records(&self, visit: Visit<'_>) -> Result<()> {
        self.log.read(0, &mut |position, kind, content| {
            if position >= self.needs.upto {
                return Ok(false);
            }
            self.go_on()?;
            if self.is_needed(position, kind, content)? {
                visit(position, kind, content)?;
            } else if kind == record::SAGA && self.is_kept(position) {
                let stored: StoredSagaRecord<'_> = record::decode(content)?;
                if let Some(kept) = stored.kept {
                    visit(position, record::SAGA_KEY, &record::encode(&kept))?;
                }
            }
            Ok(true)
        })?;
        // What stands for the rest has the last position, so that nothing is at one that is not dropped.
        let last = self.needs.upto.saturating_sub(1);
        for position in &self.moved {
            if let Some((due, _)) = self.fold.timers.key_of(*position) {
                let moved = Schedule::Moved {
                    position: *position,
                    due,
                };
                visit(last, record::SCHEDULE, &record::encode(&moved))?;
            }
        }
        for (name, ledger) in &self.fold.ledgers {
            for change in ledger.restated(PART_BYTES) {
                self.go_on()?;
                visit(last, record::LEDGER, &encode(name, self.now, change))?;
            }
        }
        Ok(())
    }

    fn is_needed(&self, position: u64, kind: u8, content: &[u8]) -> Result<bool> {
        if planted::has(Bug::NeededDropped) {
            return Ok(false);
        }
        Ok(match kind {
            record::EVENT => self.needs.open.binary_search(&position).is_ok(),
            record::SAGA => {
                let stored: StoredSagaRecord<'_> = record::decode(content)?;
                self.sagas.get(stored.saga) != Some(&true)
            }
            record::SAGA_KEY => self.is_kept(position),
            record::SCHEDULE => {
                self.fold.timers.contains(position)
                    && matches!(record::decode(content)?, Schedule::Set { .. })
            }
            _ => false,
        })
    }
}

/// The newest of positions that come in their order, and no more than so many.
struct Newest {
    positions: VecDeque<u64>,
    max: usize,
}

impl Newest {
    const fn new(max: usize) -> Self {
        let positions = VecDeque::new();
        Self { positions, max }
    }

    fn add(&mut self, position: u64) {
        self.positions.push_back(position);
        if self.positions.len() > self.max {
            self.positions.pop_front();
        }
    }

    fn has(&self, position: u64) -> bool {
        self.positions.binary_search(&position).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_keys_of_sagas_that_are_over_the_newest_are_kept_and_no_more_than_may_be() {
        for max in [1, 2, 7, KEYS_KEPT_MAX] {
            let max_position = max as u64;
            let mut newest = Newest::new(max);
            for position in 1..=max_position {
                newest.add(position * 3);
            }
            assert!(newest.has(3), "as many as may be are kept");
            newest.add(max_position * 3 + 1);
            assert!(!newest.has(3), "the oldest goes first");
            assert!(max == 1 || newest.has(6));
            assert!(newest.has(max_position * 3 + 1));
            assert!(!newest.has(2));
            assert_eq!(newest.positions.len(), max);
        }
    }
}
