//! Looks into and repairs the deliveries of the engine's subscriptions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Shared;
use super::cell::{Cell, encode_removal};
use super::log::{Admission, Append, Durability, Entry};
use super::record;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::DATA_BYTES_MAX;
use crate::ledger::{
    By, Change, DEAD_MAX, Delivery, DeliveryState, FAULTS_MAX, Key, Pause, REASON_BYTES_MAX,
    REVISIONS_MAX, Repaired,
};
use crate::planted::{self, DeliveryBug};
use crate::transport::{
    DeadLetter, DeadLetterIds, DeadLetterPage, DeadLetterQuery, LedgerAdmin, LedgerView,
    PauseUntil, Repair, RepairQuery, check_positions,
};

/// Most attempts, redrives and revisions that a letter may tell of: more than one that a ledger had comes to.
const COUNT_MAX: u32 = 1_000_000;
/// Longest time from one redriven event to the next.
const SPACING_MAX: Duration = Duration::from_hours(1);
/// Longest time until the first redriven event.
const DELAY_MAX: Duration = Duration::from_hours(366 * 24);

impl Shared {
    /// The log has the letter's event where the letter says.
    async fn check_stored(&self, letter: &DeadLetter) -> Result<()> {
        let page = self.read(letter.position, 1).await?;
        let stored = page.events.first().filter(|(at, _)| *at == letter.position);
        if stored.is_none_or(|(_, event)| event.id != letter.event.id) {
            let (id, at) = (&letter.event.id, letter.position);
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("the log has no event `{id}` at position {at}; republish it instead"),
            ));
        }
        Ok(())
    }

    pub(super) fn known(&self, subscription: &str) -> Result<Arc<Cell>> {
        self.hub
            .cell(subscription)
            .ok_or_else(|| Error::not_found(format!("no subscription is named `{subscription}`")))
    }
}

fn check(repair: &Repair, positions: &[u64]) -> Result<()> {
    check_positions(positions)?;
    match repair {
        Repair::Redrive { delay, spacing, by } => {
            if *delay > DELAY_MAX {
                return Err(Error::invalid("`delay` is longer than 366 days"));
            }
            if *spacing > SPACING_MAX {
                return Err(Error::invalid("`spacing` is longer than 1 h"));
            }
            by.check()
        }
        Repair::Revise { data, by } => {
            if positions.len() > 1 {
                return Err(Error::invalid("a revision is of one position"));
            }
            if data.len() > DATA_BYTES_MAX {
                return Err(Error::invalid(format!(
                    "`data` has {} bytes, more than {DATA_BYTES_MAX}",
                    data.len()
                )));
            }
            serde_json::from_slice::<serde::de::IgnoredAny>(data)
                .map_err(|error| Error::invalid("`data` is not JSON").with_source(error))?;
            by.check()
        }
        Repair::Skip(by) | Repair::Discard(by) => by.check(),
        Repair::Restore { letter, by } => {
            if positions != [letter.position] {
                return Err(Error::invalid("a letter is restored at its own position"));
            }
            check_letter(letter)?;
            by.check()
        }
    }
}

/// Whether a letter is one that a ledger may have had.
fn check_letter(letter: &DeadLetter) -> Result<()> {
    if letter.faults.is_empty()
        || letter.faults.len() > FAULTS_MAX
        || letter.revisions.len() > REVISIONS_MAX
    {
        return Err(Error::invalid(format!(
            "a letter has 1 to {FAULTS_MAX} faults and at most {REVISIONS_MAX} revisions"
        )));
    }
    let counts = [
        ("attempts", Some(letter.attempts)),
        ("redrives", Some(letter.redrives)),
        (
            "attempt` of `faults",
            letter.faults.iter().map(|it| it.attempt).max(),
        ),
        (
            "redrives` of `faults",
            letter.faults.iter().map(|it| it.redrives).max(),
        ),
        (
            "number` of `revisions",
            letter.revisions.iter().map(|it| it.number).max(),
        ),
    ];
    for (field, count) in counts {
        if let Some(count) = count.filter(|it| *it > COUNT_MAX) {
            return Err(Error::invalid(format!(
                "`{field}` is {count}, more than {COUNT_MAX}"
            )));
        }
    }
    let mut numbers = letter.revisions.iter().map(|it| it.number);
    if !numbers.clone().is_sorted_by(|one, next| one < next) || numbers.next() == Some(0) {
        return Err(Error::invalid("`revisions` are not numbered from 1 on"));
    }
    let texts = letter
        .faults
        .iter()
        .flat_map(|it| [&it.kind, &it.error_type, &it.member]);
    if texts.map(String::len).max() > Some(REASON_BYTES_MAX) {
        return Err(Error::invalid(format!(
            "a text of a fault has more than {REASON_BYTES_MAX} bytes"
        )));
    }
    for revision in &letter.revisions {
        let repair = Repair::Revise {
            data: revision.data.clone(),
            by: revision.by.clone(),
        };
        check(&repair, &[letter.position])?;
    }
    Ok(())
}

/// Whether the repair can be made to a delivery.
fn applies(repair: &Repair, delivery: &Delivery) -> bool {
    let is_held = delivery.state == DeliveryState::Leased;
    match repair {
        Repair::Redrive { .. } if planted::has(DeliveryBug::RedriveReachesAny) => true,
        Repair::Redrive { .. } | Repair::Discard(_) => delivery.is_dead(),
        Repair::Revise { .. } => !is_held && delivery.revisions.len() < REVISIONS_MAX,
        Repair::Skip(_) => !is_held,
        Repair::Restore { .. } => false,
    }
}

/// The delivery of a letter that is restored.
fn restored(letter: DeadLetter) -> Delivery {
    let mut delivery = Delivery {
        state: DeliveryState::Dead(letter.dead_at),
        key: letter.key.map(Key),
        priority: letter.event.priority,
        attempts: letter.attempts,
        faults: letter.faults.into(),
        redrives: letter.redrives,
        revisions: letter.revisions.into(),
        since: letter.dead_at,
        ..Delivery::new()
    };
    delivery.shorten();
    delivery
}

fn changes(repair: Repair, positions: Vec<u64>) -> Vec<Change> {
    match repair {
        Repair::Redrive { delay, spacing, by } => vec![Change::Redriven {
            positions,
            spacing_ms: u64::try_from(spacing.as_millis()).unwrap_or(u64::MAX),
            by,
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        }],
        Repair::Revise { data, by } => positions
            .into_iter()
            .map(|position| Change::Revised {
                position,
                by: by.clone(),
                data: data.clone(),
            })
            .collect(),
        Repair::Skip(by) => vec![Change::SkippedBy { positions, by }],
        Repair::Discard(by) => vec![Change::Discarded {
            positions,
            reason: by.reason,
            author: by.author,
        }],
        Repair::Restore { letter, by } => vec![Change::Restored {
            position: letter.position,
            delivery: restored(*letter),
            by,
        }],
    }
}

fn view(cell: &Cell, now: Timestamp) -> LedgerView {
    let state = cell.state();
    let counts = state.ledger.counts();
    let wants = &state.ledger.wants;
    LedgerView {
        subscription: cell.name.to_string(),
        patterns: wants.patterns.clone(),
        filter: wants.filter.clone(),
        order: wants.order,
        exhausted: wants.exhausted,
        members: state.members.values().map(|it| it.name.clone()).collect(),
        pause: state
            .ledger
            .pause
            .clone()
            .filter(|_| state.ledger.is_paused(now)),
        is_stalled: state
            .members
            .values()
            .any(|it| counts.parked >= it.parked_max),
        ahead: cell.ahead(),
        counts,
    }
}

#[async_trait]
impl LedgerAdmin for Shared {
    fn list(&self) -> Vec<LedgerView> {
        let now = self.sure_now();
        let cells = self.hub.cells();
        cells.iter().map(|cell| view(cell, now)).collect()
    }

    async fn find(&self, query: &DeadLetterQuery) -> Result<DeadLetterIds> {
        self.find_letters(query).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage> {
        self.letters(query).await
    }

    async fn repair(&self, subscription: &str, positions: &[u64], repair: Repair) -> Result<usize> {
        check(&repair, positions)?;
        let cell = self.known(subscription)?;
        if let Repair::Restore { letter, .. } = &repair {
            self.check_stored(letter).await?;
        }
        let (count, pending) = {
            let mut state = cell.state();
            if cell.is_removed() {
                return Ok(0);
            }
            let now = self.look(&mut state.ledger);
            if matches!(repair, Repair::Restore { .. }) && state.ledger.counts().dead >= DEAD_MAX {
                return Err(Error::new(
                    ErrorKind::Full,
                    format!("subscription `{subscription}` has {DEAD_MAX} dead letters, the most"),
                ));
            }
            let mut positions: Vec<u64> = positions.to_vec();
            positions.sort_unstable();
            positions.dedup();
            positions.retain(|position| match &repair {
                Repair::Restore { .. } => state.ledger.is_over(*position),
                repair => {
                    let delivery = state.ledger.get(*position);
                    delivery.is_some_and(|it| applies(repair, it))
                }
            });
            if positions.is_empty() {
                return Ok(0);
            }
            let count = positions.len();
            state.ledger.observe(self.clock.now(), self.clock.elapsed());
            let pending = cell.change(
                &mut state,
                &self.log,
                now,
                changes(repair, positions),
                Durability::Synced,
            );
            (count, pending)
        };
        pending.done().await?;
        cell.wake.notify_one();
        Ok(count)
    }

    fn repairs(&self, subscription: &str, query: &RepairQuery) -> Result<Vec<Repaired>> {
        let cell = self.known(subscription)?;
        let state = cell.state();
        let found = state.ledger.repairs().before(query.before, query.position);
        Ok(found.take(query.max).cloned().collect())
    }

    async fn set_pause(&self, subscription: &str, until: Option<PauseUntil>, by: By) -> Result<()> {
        by.check()?;
        let cell = self.known(subscription)?;
        let pending = {
            let mut state = cell.state();
            if cell.is_removed() {
                return Ok(());
            }
            let at = self.clock.now();
            let change = match until {
                None => Change::Resumed { by },
                Some(until) => Change::Paused {
                    pause: Pause {
                        at,
                        by,
                        until: match until {
                            PauseUntil::Resumed => None,
                            PauseUntil::Time(time) => Some(time),
                        },
                    },
                },
            };
            cell.change(&mut state, &self.log, at, vec![change], Durability::Synced)
        };
        pending.done().await?;
        cell.wake.notify_one();
        Ok(())
    }

    async fn remove(&self, subscription: &str, by: By) -> Result<bool> {
        by.check()?;
        let Some(cell) = self.hub.cell(subscription) else {
            return Ok(false);
        };
        let pending = {
            // All records of a ledger are enqueued under its lock: none of this one comes after its removal, and the
            // first of a new one of the same name, made after this one has left the hub, does.
            let state = cell.state();
            if !state.members.is_empty() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("subscription `{subscription}` has a member; stop it first"),
                ));
            }
            if cell.is_removed() {
                return Ok(false);
            }
            cell.set_removed(true);
            self.log.enqueue(Append {
                entries: vec![Entry::record(
                    record::LEDGER,
                    encode_removal(subscription, self.clock.now(), by),
                )],
                durability: Durability::Synced,
                admission: Admission::Always,
                link: None,
            })
        };
        cell.wake.notify_one();
        // Until its end is durable, what it needs is kept. Whoever asked for it may be gone by then.
        let hub = Arc::clone(&self.hub);
        let gone = self.clockwork.spawn(async move {
            match pending.done().await {
                Ok(_) => {
                    hub.write(|state| state.remove(&cell));
                    Ok(true)
                }
                Err(error) => {
                    cell.set_removed(false);
                    Err(error)
                }
            }
        });
        gone.await
            .map_err(|error| Error::closed("the removal was cut short").with_source(error))?
    }
}
