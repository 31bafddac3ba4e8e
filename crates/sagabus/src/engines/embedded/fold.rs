//! What the records of the log add up to: the ledgers of all subscriptions, and what is scheduled.

use std::collections::BTreeMap;

use super::record;
use super::timers::Timers;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Change, Ledger, Record};

/// What records add up to.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    pub(crate) timers: Timers,
}

impl Fold {
    /// Takes the next record into account.
    pub(crate) fn take(&mut self, position: u64, kind: u8, content: &[u8]) -> Result<()> {
        match kind {
            record::LEDGER => self.take_ledger(content),
            record::SCHEDULE => {
                self.timers.apply(position, &record::decode(content)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_ledger(&mut self, content: &[u8]) -> Result<()> {
        let record: Record = record::decode(content)?;
        match &record.change {
            None => {
                self.ledgers.remove(&record.subscription);
            }
            Some(
                change @ (Change::Created { .. } | Change::Began { .. } | Change::Restated { .. }),
            ) => self
                .ledgers
                .entry(record.subscription)
                .or_default()
                .apply(record.at, change),
            Some(change) => {
                // A member that was still at work when its subscription was removed may have written after that.
                if let Some(ledger) = self.ledgers.get_mut(&record.subscription) {
                    ledger.apply(record.at, change);
                }
            }
        }
        Ok(())
    }

    /// All of it could be read.
    pub(crate) fn check(&self) -> Result<()> {
        match self.ledgers.iter().find(|(_, it)| it.is_unreadable()) {
            None => Ok(()),
            Some((name, _)) => Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the state of subscription `{name}` is whole but cannot be read; it may come from a newer version"
                ),
            )),
        }
    }
}
