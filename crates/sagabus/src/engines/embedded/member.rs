//! Hands a subscription's events out and settles them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Shared;
use super::hub::Cell;
use super::log::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::{Change, DeliveryState, Ledger, Settled};
use crate::transport::{Filter, LeaseToken, Leased, Member, Settle, Verdict};

/// Events read from the disk at once by a subscription that has fallen behind what is in memory.
const BACKLOG_EVENTS: usize = 512;
/// Events passed over by the filter after which that is written down.
const SKIPS_MAX: u64 = 4096;
/// Longest wait for a due time before the clock is asked again: a wall clock may jump.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// The one member of a subscription.
pub(crate) struct EmbeddedMember {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cell: Arc<Cell>,
    pub(crate) epoch: u64,
    pub(crate) filter: Option<Filter>,
    pub(crate) backlog: Mutex<Backlog>,
    pub(crate) has_left: AtomicBool,
}

/// Events read from the disk that were not looked at yet: all from `from` to `next`.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    from: u64,
    events: VecDeque<(u64, Arc<Event>)>,
    next: u64,
}

impl std::fmt::Debug for EmbeddedMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedMember")
            .field("subscription", &self.cell.name)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Events that were never handed out.
#[derive(Default)]
struct Fresh {
    wanted: Vec<(u64, Arc<Event>, Option<String>)>,
    skipped: u64,
    cursor: u64,
}

/// Events that fit the patterns: all of them before `next`.
struct Found {
    events: Vec<(u64, Arc<Event>)>,
    next: u64,
}

#[async_trait]
impl Member for EmbeddedMember {
    async fn lease(&self, max: usize) -> Result<Vec<Leased>> {
        let max = max.max(1);
        loop {
            if let Some(error) = self.shared.log.stopped() {
                return Err(error);
            }
            let now = self.shared.clock.now();
            let (cursor, due, next_due) = {
                let ledger = self.held()?;
                (ledger.cursor, ledger.due(now, max), ledger.next_due())
            };
            let fresh = self.fresh(cursor, max - due.len()).await?;
            if due.is_empty() && fresh.wanted.is_empty() && fresh.skipped == 0 {
                if fresh.cursor > cursor {
                    // Nothing of it is wanted, so nothing need be remembered.
                    self.held()?.cursor = fresh.cursor;
                    continue;
                }
                self.wait(next_due.map(|due| due.since(now))).await;
                continue;
            }
            let leased = self.hand_out(due, fresh).await?;
            if !leased.is_empty() {
                return Ok(leased);
            }
        }
    }

    async fn settle(&self, settles: Vec<Settle>) -> Result<Vec<bool>> {
        let mut counted = Vec::with_capacity(settles.len());
        let pending = {
            let Ok(mut ledger) = self.held() else {
                return Ok(vec![false; settles.len()]);
            };
            let mut kept = Vec::with_capacity(settles.len());
            for settle in settles {
                let token = settle.token;
                let holds = ledger.epoch == token.epoch
                    && ledger.get(token.position).is_some_and(|it| {
                        it.state == DeliveryState::Leased && it.attempts == token.attempt
                    });
                counted.push(holds);
                if holds {
                    kept.push(settled(settle));
                }
            }
            if kept.is_empty() {
                return Ok(counted);
            }
            let change = Change::Settled { settles: kept };
            let now = self.shared.clock.now();
            self.cell.change(
                &mut ledger,
                &self.shared.log,
                now,
                change,
                Durability::Written,
            )
        };
        pending.done().await?;
        // A retry may be due before the time that the member sleeps until.
        self.cell.wake.notify_one();
        Ok(counted)
    }

    fn leave(&self) {
        // Once: the name may be another member's by now.
        if !self.has_left.swap(true, Ordering::AcqRel) {
            self.cell.is_joined.store(false, Ordering::Release);
        }
    }
}

impl Drop for EmbeddedMember {
    fn drop(&mut self) {
        self.leave();
    }
}

fn settled(settle: Settle) -> Settled {
    let position = settle.token.position;
    match settle.verdict {
        Verdict::Ack => Settled::Acked { position },
        Verdict::RetryAt(due, fault) => Settled::RetryAt {
            position,
            due,
            fault,
        },
        Verdict::Dead(fault) => Settled::Dead { position, fault },
        Verdict::Skip => Settled::Skipped { position },
        Verdict::Release => Settled::Released { position },
    }
}

impl EmbeddedMember {
    /// The ledger, while this member is the one to change it.
    fn held(&self) -> Result<MutexGuard<'_, Ledger>> {
        let fenced = |why| {
            let name = &self.cell.name;
            Error::new(ErrorKind::Fenced, format!("subscription `{name}` {why}"))
        };
        let ledger = self.cell.ledger();
        if self.cell.is_removed.load(Ordering::Acquire) {
            return Err(fenced("was removed"));
        }
        if ledger.epoch != self.epoch {
            return Err(fenced("has another member"));
        }
        Ok(ledger)
    }

    async fn wait(&self, until_due: Option<Duration>) {
        let woken = self.cell.wake.notified();
        match until_due {
            None => woken.await,
            Some(duration) => {
                // Late by less than a millisecond rather than early.
                let sleep = duration.min(CLOCK_CHECK).max(Duration::from_millis(1));
                let _either = tokio::time::timeout(sleep, woken).await;
            }
        }
    }

    /// Looks at events from `cursor` on until `max` are wanted or there are no more.
    async fn fresh(&self, cursor: u64, max: usize) -> Result<Fresh> {
        let mut fresh = Fresh {
            cursor,
            ..Fresh::default()
        };
        if max == 0 {
            return Ok(fresh);
        }
        while fresh.wanted.len() < max && fresh.skipped < SKIPS_MAX {
            let Some(found) = self.in_memory(fresh.cursor, max) else {
                break;
            };
            let is_last = found.events.is_empty();
            for (position, event) in &found.events {
                if fresh.wanted.len() == max {
                    return Ok(fresh);
                }
                self.look_at(&mut fresh, *position, event);
            }
            fresh.cursor = fresh.cursor.max(found.next);
            if is_last {
                return Ok(fresh);
            }
        }
        if fresh.cursor > cursor {
            return Ok(fresh);
        }
        let mut backlog = self.take_backlog();
        if backlog.from != cursor || backlog.events.is_empty() {
            let page = self.shared.read(cursor, BACKLOG_EVENTS).await?;
            backlog = Backlog {
                from: cursor,
                events: page.events.into(),
                next: page.next,
            };
        }
        while fresh.wanted.len() < max {
            let Some((position, event)) = backlog.events.pop_front() else {
                fresh.cursor = backlog.next;
                break;
            };
            self.look_at(&mut fresh, position, &event);
        }
        backlog.from = fresh.cursor;
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner) = backlog;
        Ok(fresh)
    }

    /// Up to `max` events that fit the patterns, from the latest ones; `None` when those begin after `cursor`. The
    /// filter is a stranger's code, and is asked after this, when no lock is held.
    fn in_memory(&self, cursor: u64, max: usize) -> Option<Found> {
        self.shared.hub.read(|state| {
            let mut found = Found {
                events: Vec::new(),
                next: cursor.max(state.tail.head()),
            };
            for (position, event) in state.tail.from(cursor)? {
                if !self.cell.wants(&event.event_type) {
                    continue;
                }
                if found.events.len() == max {
                    found.next = *position;
                    break;
                }
                found.events.push((*position, Arc::clone(event)));
            }
            Some(found)
        })
    }

    fn take_backlog(&self) -> Backlog {
        std::mem::take(&mut *self.backlog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look_at(&self, fresh: &mut Fresh, position: u64, event: &Arc<Event>) {
        fresh.cursor = position + 1;
        if !self.cell.wants(&event.event_type) {
            return;
        }
        let passes = match &self.filter {
            None => Ok(true),
            Some(filter) => catch_unwind(AssertUnwindSafe(|| filter(event))),
        };
        match passes {
            Ok(true) => fresh.wanted.push((position, Arc::clone(event), None)),
            Ok(false) => fresh.skipped += 1,
            Err(panic) => {
                let text = crate::bus::panic_text(panic.as_ref());
                fresh.wanted.push((position, Arc::clone(event), Some(text)));
            }
        }
    }

    /// Counts the attempts, durably enough to survive this process, then returns the leases.
    async fn hand_out(&self, due: Vec<(u64, u32)>, fresh: Fresh) -> Result<Vec<Leased>> {
        let mut leased = Vec::with_capacity(due.len() + fresh.wanted.len());
        for (position, attempts) in due {
            let event = self.shared.event(position).await?;
            leased.push(self.leased(position, attempts + 1, event, None));
        }
        let due = leased.len();
        let skipped = fresh.skipped;
        let taken = fresh.wanted.len() as u64 + skipped;
        for (position, event, filter_fault) in fresh.wanted {
            leased.push(self.leased(position, 1, event, filter_fault));
        }
        let change = Change::Leased {
            cursor: fresh.cursor,
            leases: leased
                .iter()
                .map(|it| (it.token.position, it.token.attempt))
                .collect(),
            skipped: fresh.skipped,
        };
        let mut guard = Guard {
            member: self,
            leased,
        };
        let before;
        let pending = {
            let mut ledger = self.held()?;
            before = ledger.cursor;
            let now = self.shared.clock.now();
            self.cell.change(
                &mut ledger,
                &self.shared.log,
                now,
                change,
                Durability::Written,
            )
        };
        self.cell.take_ahead(taken);
        if let Err(error) = pending.done().await {
            // Not stored: what the log knows nothing of is looked at again, or a later record would pass over it.
            if let Ok(mut ledger) = self.held() {
                let fresh = guard.leased.split_off(due);
                let positions = fresh.iter().map(|it| it.token.position);
                ledger.unlease(before, positions, skipped);
                self.cell.add_ahead(taken);
            }
            return Err(error);
        }
        Ok(std::mem::take(&mut guard.leased))
    }

    fn leased(
        &self,
        position: u64,
        attempt: u32,
        event: Arc<Event>,
        filter_fault: Option<String>,
    ) -> Leased {
        let token = LeaseToken {
            position,
            epoch: self.epoch,
            attempt,
        };
        Leased {
            token,
            event,
            filter_fault,
        }
    }
}

/// Hands leases back if the call that took them is dropped before it could return them.
struct Guard<'a> {
    member: &'a EmbeddedMember,
    leased: Vec<Leased>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        let settles = self
            .leased
            .iter()
            .map(|it| Settled::Released {
                position: it.token.position,
            })
            .collect();
        let Ok(mut ledger) = self.member.held() else {
            return;
        };
        let shared = &self.member.shared;
        drop(self.member.cell.change(
            &mut ledger,
            &shared.log,
            shared.clock.now(),
            Change::Settled { settles },
            Durability::Written,
        ));
        self.member.cell.wake.notify_one();
    }
}
