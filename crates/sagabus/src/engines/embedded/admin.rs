//! Looks into and repairs the deliveries of the engine's subscriptions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::Shared;
use super::hub::{Cell, encode};
use super::log::{Append, Durability, Entry};
use super::record;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Change, DeliveryState};
use crate::transport::{DeadLetter, DeadLetterQuery, LedgerAdmin, LedgerView};

impl Shared {
    fn known(&self, subscription: &str) -> Result<Arc<Cell>> {
        self.hub
            .cell(subscription)
            .ok_or_else(|| Error::not_found(format!("no subscription is named `{subscription}`")))
    }

    async fn change_dead(
        &self,
        subscription: &str,
        positions: &[u64],
        change: impl FnOnce(Vec<u64>) -> Change,
    ) -> Result<usize> {
        let cell = self.known(subscription)?;
        let (count, pending) = {
            let mut ledger = cell.ledger();
            if cell.is_removed.load(Ordering::Acquire) {
                return Ok(0);
            }
            let mut dead: Vec<u64> = positions
                .iter()
                .copied()
                .filter(|position| {
                    ledger
                        .get(*position)
                        .is_some_and(|it| matches!(it.state, DeliveryState::Dead(_)))
                })
                .collect();
            dead.sort_unstable();
            dead.dedup();
            if dead.is_empty() {
                return Ok(0);
            }
            let count = dead.len();
            let now = self.clock.now();
            let change = change(dead);
            let pending = cell.change(&mut ledger, &self.log, now, change, Durability::Synced);
            (count, pending)
        };
        pending.done().await?;
        cell.wake.notify_one();
        Ok(count)
    }
}

#[async_trait]
impl LedgerAdmin for Shared {
    fn list(&self) -> Vec<LedgerView> {
        self.hub
            .cells()
            .iter()
            .map(|cell| {
                let ledger = cell.ledger();
                LedgerView {
                    subscription: cell.name.clone(),
                    patterns: ledger.patterns.clone(),
                    is_joined: cell.is_joined.load(Ordering::Acquire),
                    ahead: cell.ahead(),
                    counts: ledger.counts(),
                }
            })
            .collect()
    }

    async fn dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        let cells = match &query.subscription {
            Some(name) => vec![self.known(name)?],
            None => self.hub.cells(),
        };
        let mut found = Vec::new();
        for cell in cells {
            let wanted: Vec<_> = {
                let ledger = cell.ledger();
                ledger
                    .dead_after(query.after)
                    .take(query.max.saturating_sub(found.len()))
                    .map(|(position, delivery)| (position, delivery.clone()))
                    .collect()
            };
            for (position, delivery) in wanted {
                let DeliveryState::Dead(dead_at) = delivery.state else {
                    continue;
                };
                found.push(DeadLetter {
                    subscription: cell.name.clone(),
                    position,
                    event: self.event(position).await?,
                    attempts: delivery.attempts,
                    faults: delivery.faults,
                    redrives: delivery.redrives,
                    dead_at,
                });
            }
        }
        Ok(found)
    }

    async fn redrive(&self, subscription: &str, positions: &[u64]) -> Result<usize> {
        self.change_dead(subscription, positions, |positions| Change::Redriven {
            positions,
        })
        .await
    }

    async fn discard(&self, subscription: &str, positions: &[u64], reason: &str) -> Result<usize> {
        self.change_dead(subscription, positions, |positions| Change::Discarded {
            positions,
            reason: reason.to_owned(),
        })
        .await
    }

    async fn remove(&self, subscription: &str) -> Result<bool> {
        let Some(cell) = self.hub.cell(subscription) else {
            return Ok(false);
        };
        // Taken for good, so that nobody joins meanwhile.
        if cell.is_joined.swap(true, Ordering::AcqRel) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("subscription `{subscription}` has a member; stop it first"),
            ));
        }
        let pending = {
            // All records of a ledger are enqueued under its lock: none of this one comes after its removal, and the
            // first of a new one of the same name, made after the next line but one, does.
            let _ledger = cell.ledger();
            cell.is_removed.store(true, Ordering::Release);
            self.log.enqueue(Append {
                entries: vec![Entry::record(
                    record::LEDGER,
                    encode(subscription, self.clock.now(), None),
                )],
                durability: Durability::Synced,
                refusable: false,
            })
        };
        self.hub.write(|state| state.cells.remove(subscription));
        cell.wake.notify_one();
        pending.done().await?;
        Ok(true)
    }
}
