//! Hands a subscription's events out and settles them.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::Shared;
use super::cell::{Cell, CellState};
use super::log::{self, Durability, Entry, Pending};
use super::scan::{Looked, Sieve, Span, scan};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::filter::Outcome;
use crate::ledger::{Change, DeliveryState, Fault, Key, Settled, Taken};
use crate::planted::{self, DeliveryBug};
use crate::transport::{LeaseToken, Leased, Member, Settle, SubscriptionSpec, Verdict};

/// Most deliveries that are ready and not handed out: so far ahead a subscription looks for urgent events, for other
/// keys and for other groups. About 20 MiB when it is used up.
const READY_MAX: u64 = 131_072;
/// Events looked at before something is handed out, where urgent ones may be among them.
const LOOK_AHEAD: usize = 4096;
/// The same where others may take the place of those whose key is busy.
const LOOK_BEYOND: usize = 512;
/// Positions without a wanted event after which the cursor is written down.
const UNRECORDED_MAX: u64 = 65_536;
/// Longest wait for a due time before the clock is asked again: a wall clock may jump.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// Tries of an ack with events that is refused for another one: as many others as handlers can be at work in a member.
const TRIES_MAX: u32 = 1024;

/// A member of a subscription.
pub(crate) struct EmbeddedMember {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cell: Arc<Cell>,
    pub(crate) epoch: u64,
    pub(crate) spec: SubscriptionSpec,
}

impl std::fmt::Debug for EmbeddedMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedMember")
            .field("subscription", &self.cell.name)
            .field("member", &self.spec.member)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// What to do next.
enum Next {
    /// These are handed out, once their record is stored.
    HandOut(Handed),
    /// Look at what is ahead.
    Scan,
    /// Nothing to do for so long, or until woken.
    Wait(Option<Duration>),
}

/// Leases on their way.
struct Handed {
    leases: Vec<(u64, u32)>,
    /// Their events, as far as they are at hand.
    events: Vec<(u64, Arc<Event>)>,
    /// Nothing happened to them before.
    are_new: bool,
    pending: Pending,
}

#[async_trait]
impl Member for EmbeddedMember {
    async fn lease(&self, max: usize) -> Result<Vec<Leased>> {
        let max = max.max(1);
        loop {
            self.shared.running()?;
            let next = match self.next(max)? {
                Next::Scan => {
                    // While another member looks, this one waits: it would find the same.
                    let mut backlog = self.cell.backlog.lock().await;
                    let span = self.to_scan(max)?;
                    let sieve = Sieve {
                        filter: self.spec.filter.clone(),
                        on_error: self.spec.on_filter_error,
                    };
                    let looked = scan(&self.shared, &self.cell, &sieve, &mut backlog, span).await?;
                    self.take(looked, max)?
                }
                next => next,
            };
            match next {
                Next::HandOut(handed) => {
                    let leased = self.hand_out(handed).await?;
                    if !leased.is_empty() {
                        return Ok(leased);
                    }
                }
                Next::Scan => {}
                Next::Wait(rest) => self.wait(rest).await,
            }
        }
    }

    async fn settle(&self, settles: Vec<Settle>) -> Result<Vec<bool>> {
        let is_emitting = |it: &Settle| !it.events.is_empty();
        if settles
            .iter()
            .any(|it| is_emitting(it) && it.verdict != Verdict::Ack)
        {
            return Err(Error::invalid("events are published with an ack only"));
        }
        if !settles.iter().any(is_emitting) {
            return self.settle_plain(settles).await;
        }
        let are_emitting: Vec<bool> = settles.iter().map(is_emitting).collect();
        let (emitting, plain): (Vec<_>, Vec<_>) = settles.into_iter().partition(is_emitting);
        let mut plain = self.settle_plain(plain).await?.into_iter();
        let mut emitting = emitting.into_iter();
        let mut counted = Vec::with_capacity(are_emitting.len());
        for is_emitting in are_emitting {
            counted.extend(if is_emitting {
                match emitting.next() {
                    Some(settle) => Some(self.ack_with(settle.token, settle.events).await?),
                    None => None,
                }
            } else {
                plain.next()
            });
        }
        Ok(counted)
    }

    fn renew(&self) -> Result<()> {
        self.joined().map(drop)
    }

    fn leave(&self) {
        let mut state = self.cell.state();
        if state.members.remove(&self.epoch).is_none() {
            return;
        }
        let now = self.shared.look(&mut state.ledger);
        let mut changes = self.unrecorded(&state);
        if state.ledger.holds(self.epoch) {
            changes.push(Change::Left { epoch: self.epoch });
        }
        if !changes.is_empty() && !self.cell.is_removed() {
            drop(self.cell.change(
                &mut state,
                &self.shared.log,
                now,
                changes,
                Durability::Written,
            ));
        }
        drop(state);
        self.cell.wake.notify_one();
    }
}

impl Drop for EmbeddedMember {
    fn drop(&mut self) {
        self.leave();
    }
}

fn settled(settle: Settle, member: &str) -> Settled {
    let position = settle.token.position;
    let by = |mut fault: Box<Fault>| {
        member.clone_into(&mut fault.member);
        fault
    };
    match settle.verdict {
        Verdict::Ack => Settled::Acked { position },
        Verdict::RetryAt(due, fault) => Settled::RetryAt {
            position,
            due,
            fault: by(fault),
        },
        Verdict::Dead(fault) => Settled::Dead {
            position,
            fault: by(fault),
        },
        Verdict::Skip => Settled::Skipped { position },
        Verdict::Release => Settled::Released { position },
    }
}

/// Whether the lease still counts.
fn holds(state: &CellState, token: LeaseToken) -> bool {
    state.ledger.get(token.position).is_some_and(|it| {
        it.state == DeliveryState::Leased && it.epoch == token.epoch && it.attempts == token.attempt
    })
}

impl EmbeddedMember {
    /// Settles leases from which nothing follows, with one record.
    async fn settle_plain(&self, settles: Vec<Settle>) -> Result<Vec<bool>> {
        let mut counted = Vec::with_capacity(settles.len());
        let pending = {
            let Ok(mut state) = self.joined() else {
                return Ok(vec![false; settles.len()]);
            };
            let mut kept = Vec::with_capacity(settles.len());
            for settle in settles {
                let holds = (settle.token.epoch == self.epoch && holds(&state, settle.token))
                    || (planted::has(DeliveryBug::FencedSettleCounts)
                        && state.ledger.get(settle.token.position).is_some());
                counted.push(holds);
                if holds {
                    kept.push(match settle.verdict {
                        // Nearly all are; nothing else of them is moved.
                        Verdict::Ack => Settled::Acked {
                            position: settle.token.position,
                        },
                        _ => settled(settle, &self.spec.member),
                    });
                }
            }
            if kept.is_empty() {
                return Ok(counted);
            }
            let change = Change::Settled { settles: kept };
            let now = self.shared.clock.now();
            self.cell.change(
                &mut state,
                &self.shared.log,
                now,
                vec![change],
                Durability::Written,
            )
        };
        let stored = pending.done().await;
        // A retry may be due before the time that a member sleeps until, and an event behind this one may go on.
        self.cell.wake.notify_one();
        stored?;
        Ok(counted)
    }

    /// Acks a delivery and publishes these events, in one append; says whether the lease still counted. One that is
    /// refused since another one was is tried again: none fails for the events of another.
    async fn ack_with(&self, token: LeaseToken, events: Vec<Arc<Event>>) -> Result<bool> {
        let mut tries = 0;
        loop {
            let pending = {
                let Ok(mut state) = self.joined() else {
                    return Ok(false);
                };
                if token.epoch != self.epoch || !holds(&state, token) {
                    return Ok(false);
                }
                let (keys, age) = (self.shared.log.keys(), self.shared.age());
                let entries = events.iter().map(Arc::clone);
                let entries = entries
                    .map(|event| Entry::event(event, keys, age))
                    .collect();
                let now = self.shared.clock.now();
                let acking = (token.position, entries);
                self.cell
                    .ack_with(&mut state, &self.shared.log, now, acking)
            };
            let placed = pending.done().await;
            if placed.is_err() {
                let mut state = self.cell.state();
                let now = self.shared.look(&mut state.ledger);
                self.cell.restore(&mut state, now);
            }
            self.cell.wake.notify_one();
            tries += 1;
            match placed {
                Ok(placed) => {
                    let new = events.iter().zip(placed.positions());
                    let new = new.filter(|(_, (_, is_duplicate))| !is_duplicate);
                    let new = new.map(|(event, _)| event.as_ref());
                    self.shared.published.add(new);
                    return Ok(true);
                }
                Err(error) if !log::is_behind_refused(&error) || tries >= TRIES_MAX => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// The state, while this is one of the members that may change it; they are heard by this.
    fn joined(&self) -> Result<MutexGuard<'_, CellState>> {
        let fenced = |why| {
            let name = &self.cell.name;
            Error::new(ErrorKind::Fenced, format!("subscription `{name}` {why}"))
        };
        let mut state = self.cell.state();
        if self.cell.is_removed() {
            return Err(fenced("was removed"));
        }
        let elapsed = self.shared.clock.elapsed();
        if !state.hear(self.epoch, elapsed) {
            return Err(fenced(
                "goes on without this member, which was silent or replaced",
            ));
        }
        state.ledger.observe(self.shared.clock.now(), elapsed);
        self.part(&mut state, elapsed);
        Ok(state)
    }

    /// Lets go of the members that were silent for too long.
    fn part(&self, state: &mut CellState, elapsed: Duration) {
        let silent = state.silent(elapsed);
        if silent.is_empty() || planted::has(DeliveryBug::SilentMemberKeeps) {
            return;
        }
        tracing::warn!(subscription = %self.cell.name, ?silent, "members were silent for longer than their lease");
        let changes = silent.into_iter().map(|epoch| Change::Left { epoch });
        drop(self.cell.change(
            state,
            &self.shared.log,
            self.shared.clock.now(),
            changes.collect(),
            Durability::Written,
        ));
    }

    /// Whether events are looked at before there is anybody to hand them to.
    fn looks_ahead(&self) -> bool {
        self.spec.fair_by.is_some() || self.cell.has_special_ahead()
    }

    /// Position of the first event that is not wanted any more.
    fn until(&self) -> u64 {
        self.spec.until.unwrap_or(u64::MAX)
    }

    fn has_room(&self, state: &CellState) -> bool {
        let counts = state.ledger.counts();
        counts.ready < READY_MAX && counts.parked < self.spec.parked_max
    }

    fn next(&self, max: usize) -> Result<Next> {
        let mut state = self.joined()?;
        let now = self.shared.clock.now();
        state.ledger.advance(now, self.shared.clock.elapsed());
        let sure = self.shared.sure_now();
        if state.ledger.is_paused(sure) {
            let until = state.ledger.pause.as_ref().and_then(|pause| pause.until);
            return Ok(Next::Wait(until.map(|until| until.since(sure))));
        }
        let head = self.shared.hub.read(|it| it.tail.head());
        let is_behind = state.ledger.cursor < head.min(self.until());
        if state.ledger.cursor >= self.until() && state.ledger.counts().pending() == 0 {
            return Err(Error::not_found(format!(
                "subscription `{}` is at the end of its window",
                self.cell.name
            )));
        }
        let is_short = state.ledger.ready() < max || self.looks_ahead();
        if is_behind && is_short && self.has_room(&state) {
            return Ok(Next::Scan);
        }
        Ok(self.pick(&mut state, max))
    }

    /// From where on to look at events, and how many.
    fn to_scan(&self, max: usize) -> Result<Span> {
        let state = self.joined()?;
        let count = if self.looks_ahead() {
            LOOK_AHEAD
        } else if state.ledger.is_plain() {
            max
        } else {
            LOOK_BEYOND.max(max)
        };
        Ok(Span {
            cursor: state.ledger.cursor,
            until: self.until(),
            max: count,
        })
    }

    /// Takes what was looked at, and hands out what there is now.
    fn take(&self, looked: Looked, max: usize) -> Result<Next> {
        let mut state = self.joined()?;
        self.cell.take_ahead(looked.all, looked.special);
        let mut looked = looked;
        if looked.cursor >= self.until() {
            // It looks at nothing any more, and nothing is kept for it.
            looked.cursor = u64::MAX;
        }
        let now = self.shared.clock.now();
        let is_plain = state.ledger.is_plain()
            && !state.ledger.is_paused(self.shared.sure_now())
            && looked.special == 0
            && looked.wanted.len() <= max
            && looked.wanted.iter().all(|it| it.filter_fault.is_none());
        let mut taken = Vec::new();
        let mut refused = Vec::new();
        let mut leases = Vec::new();
        let mut held = self.cell.held();
        if is_plain {
            leases.extend(looked.wanted.iter().map(|it| (it.position, 1)));
        }
        for wanted in looked.wanted.iter().filter(|_| !is_plain) {
            held.put(wanted.position, &wanted.event);
            taken.push(self.taken(wanted.position, &wanted.event));
            if let Some(text) = &wanted.filter_fault {
                refused.push(Settled::Refused {
                    position: wanted.position,
                    fault: Box::new(Fault::new(0, now, 0, "filter", text)),
                });
            }
        }
        drop(held);
        if taken.is_empty() && leases.is_empty() && looked.filtered == 0 {
            // Nothing of it is wanted, so nothing need be remembered for now.
            state.ledger.cursor = state.ledger.cursor.max(looked.cursor);
            let unrecorded = self.unrecorded(&state);
            if !unrecorded.is_empty()
                && state.ledger.cursor >= state.recorded_cursor + UNRECORDED_MAX
            {
                drop(self.cell.change(
                    &mut state,
                    &self.shared.log,
                    now,
                    unrecorded,
                    Durability::Written,
                ));
            }
            return Ok(self.pick(&mut state, max));
        }
        let change = Change::Leased {
            cursor: looked.cursor,
            leases,
            filtered: looked.filtered,
            taken,
            filter_errors: looked.filter_errors,
            epoch: self.epoch,
        };
        state.ledger.apply(now, &change);
        let mut changes = vec![change];
        if !refused.is_empty() {
            let refused = Change::Settled { settles: refused };
            state.ledger.apply(now, &refused);
            changes.push(refused);
        }
        let mut events = Vec::new();
        if is_plain {
            let wanted = looked.wanted.into_iter();
            events = wanted.map(|it| (it.position, it.event)).collect();
        } else {
            changes.extend(self.picked(&mut state, max));
        }
        Ok(self.record(&mut state, changes, events))
    }

    fn taken(&self, position: u64, event: &Event) -> Taken {
        let hash = |text| Key::of(text);
        Taken {
            position,
            key: match self.spec.order {
                crate::ledger::Order::PerKey => self.spec.key.of(event).map(hash),
                crate::ledger::Order::Unordered | crate::ledger::Order::Strict => None,
            },
            priority: event.priority,
            expires_at: event.expires_at,
            group: self.spec.fair_by.as_ref().map_or(0, |attribute| {
                attribute.of(event).map_or(0, |text| Key::of(text).0)
            }),
        }
    }

    /// The cursor, if it is ahead of what is recorded.
    fn unrecorded(&self, state: &CellState) -> Vec<Change> {
        if state.ledger.cursor <= state.recorded_cursor {
            return Vec::new();
        }
        vec![Change::Leased {
            cursor: state.ledger.cursor,
            leases: Vec::new(),
            filtered: 0,
            taken: Vec::new(),
            filter_errors: 0,
            epoch: self.epoch,
        }]
    }

    fn pick(&self, state: &mut CellState, max: usize) -> Next {
        let changes = self.picked(state, max);
        if changes.is_empty() {
            let rest = state.ledger.rest(self.shared.clock.now());
            let others = state.members.iter().filter(|(it, _)| **it != self.epoch);
            let elapsed = self.shared.clock.elapsed();
            let silence = others.map(|(_, it)| it.until.saturating_sub(elapsed)).min();
            return Next::Wait(rest.into_iter().chain(silence).min());
        }
        self.record(state, changes, Vec::new())
    }

    /// Chooses what is handed out now; applied, to be recorded.
    fn picked(&self, state: &mut CellState, max: usize) -> Vec<Change> {
        let now = self.shared.clock.now();
        let picked = state.ledger.pick(self.shared.sure_now(), max);
        let mut changes = Vec::new();
        if !picked.leases.is_empty() {
            changes.push(Change::Leased {
                cursor: state.ledger.cursor,
                leases: picked.leases,
                filtered: 0,
                taken: Vec::new(),
                filter_errors: 0,
                epoch: self.epoch,
            });
        }
        if !picked.expired.is_empty() {
            let settles = picked.expired.into_iter().map(|position| {
                if self.spec.keeps_expired {
                    let fault = Box::new(Fault::new(0, now, 0, "expired", "its time was over"));
                    Settled::Refused { position, fault }
                } else {
                    Settled::Expired { position }
                }
            });
            changes.push(Change::Settled {
                settles: settles.collect(),
            });
        }
        for change in &changes {
            state.ledger.apply(now, change);
        }
        changes
    }

    fn record(
        &self,
        state: &mut CellState,
        changes: Vec<Change>,
        events: Vec<(u64, Arc<Event>)>,
    ) -> Next {
        let mut all = Vec::new();
        for change in &changes {
            if let Change::Leased { leases, .. } = change {
                all.extend_from_slice(leases);
            }
        }
        let pending = self.cell.record(
            state,
            &self.shared.log,
            self.shared.clock.now(),
            changes,
            Durability::Written,
        );
        Next::HandOut(Handed {
            leases: all,
            // Only those that were just looked at come with their events.
            are_new: !events.is_empty(),
            events,
            pending,
        })
    }

    /// Waits until the attempts are counted, durably enough to survive this process, then returns the leases.
    async fn hand_out(&self, handed: Handed) -> Result<Vec<Leased>> {
        let mut guard = Guard {
            member: self,
            leases: handed.leases,
        };
        handed.pending.done().await?;
        let mut leased = Vec::with_capacity(guard.leases.len());
        let mut events = handed.events.into_iter().peekable();
        for (position, attempt) in guard.leases.iter().copied() {
            let at_hand = events.next_if(|(it, _)| *it == position);
            let at_hand = at_hand.map(|(_, event)| event);
            let event = match at_hand.or_else(|| self.cell.held().take(position)) {
                Some(event) => event,
                None => self.shared.event(position).await?,
            };
            leased.push(Leased {
                token: LeaseToken {
                    position,
                    epoch: self.epoch,
                    attempt,
                },
                event,
                silent: 0,
                uncounted: 0,
                revision: 0,
                redrives: 0,
            });
        }
        if handed.are_new {
            self.wake_others(&self.cell.state());
        } else {
            self.tell_past(&mut leased);
        }
        guard.leases.clear();
        if planted::has(DeliveryBug::FilterAskedAgain) {
            self.ask_again(&mut leased).await?;
        }
        Ok(leased)
    }

    /// There may be more for the others.
    fn wake_others(&self, state: &CellState) {
        if state.members.len() > 1 {
            self.cell.wake.notify_one();
        }
    }

    /// See [`DeliveryBug::FilterAskedAgain`].
    async fn ask_again(&self, leased: &mut Vec<Leased>) -> Result<()> {
        let Some(filter) = &self.spec.filter else {
            return Ok(());
        };
        let is_unwanted =
            |it: &mut Leased| it.token.attempt > 1 && filter.evaluate(&it.event) == Outcome::Skip;
        let unwanted = leased
            .extract_if(.., is_unwanted)
            .map(|it| Settle::new(it.token, Verdict::Skip));
        let unwanted = unwanted.collect();
        self.settle(unwanted).await.map(drop)
    }

    /// Says of each what happened to it before.
    fn tell_past(&self, leased: &mut [Leased]) {
        let state = self.cell.state();
        for leased in leased {
            let Some(delivery) = state.ledger.get(leased.token.position) else {
                continue;
            };
            leased.silent = delivery.silent;
            leased.uncounted = delivery.uncounted;
            leased.redrives = delivery.redrives;
            if let Some(revision) = delivery.revisions.last() {
                leased.revision = revision.number;
                leased.event = Arc::new(Event {
                    data: revision.data.clone(),
                    ..Event::clone(&leased.event)
                });
            }
        }
        self.wake_others(&state);
    }

    async fn wait(&self, rest: Option<Duration>) {
        let woken = async {
            tokio::select! {
                biased;
                () = self.cell.wake.notified() => {}
                () = self.shared.closing.cancelled() => {}
            }
        };
        match rest {
            None => woken.await,
            Some(duration) => {
                // Late by less than a millisecond rather than early.
                let sleep = duration.min(CLOCK_CHECK).max(Duration::from_millis(1));
                let _either = tokio::time::timeout(sleep, woken).await;
            }
        }
    }
}

/// Hands leases back if the call that took them is cut short before it could return them.
struct Guard<'a> {
    member: &'a EmbeddedMember,
    leases: Vec<(u64, u32)>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let member = self.member;
        let mut state = member.cell.state();
        let now = member.shared.look(&mut state.ledger);
        if member.cell.is_removed() {
            // Nothing is said of it after its removal.
            return;
        }
        let change = Change::Settled {
            settles: std::mem::take(&mut self.leases)
                .into_iter()
                .map(|(position, _)| position)
                .filter(|position| {
                    state.ledger.get(*position).is_some_and(|it| {
                        it.state == DeliveryState::Leased && it.epoch == member.epoch
                    })
                })
                .map(|position| Settled::Released { position })
                .collect(),
        };
        drop(member.cell.change(
            &mut state,
            &member.shared.log,
            now,
            vec![change],
            Durability::Written,
        ));
        drop(state);
        member.cell.wake.notify_one();
    }
}
