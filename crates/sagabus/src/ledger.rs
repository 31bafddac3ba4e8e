//! What one subscription has received: a fold of its records. Pure: no clock, no chance, no input or output.
//!
//! ```text
//! (ahead of the cursor) ─ taken ─▶ Ready ─ leased ─▶ Leased(n) ─┬─ acked ─▶ gone
//!            │                       ▲        ▲                 ├─ retry at t ─▶ Waiting ─ due ─▶ leased as n+1
//!            │ filtered              │        │                 ├─ dead ─▶ Dead ─ redriven ─▶ Waiting, attempts from 0
//!            ▼                       │        └─ released ──────┤
//!           gone        behind a dead one of its key: parked    └─ member silent or gone ─▶ Waiting, due at once
//! ```
//! What is ready is handed out in the order that the subscription asked for: see [`Order`], [`Priority`], [`Sharing`].

mod budget;
mod counts;
mod delivery;
mod few;
mod form;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod lane;
mod open;
mod policy;
mod queue;
mod record;
mod repairs;
mod restate;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

pub use counts::Counts;
pub(crate) use delivery::{Delivery, FAULTS_MAX};
pub use delivery::{DeliveryState, Revision};
pub(crate) use policy::Key;
pub use policy::{Exhausted, Order, Priority, RetryBudget, Sharing};
pub use record::{By, FAULT_KINDS, Fault, Pause};
pub(crate) use record::{Change, REASON_BYTES_MAX, Record, Settled, Taken, Wants};
pub(crate) use record::{INTERRUPTED, UNAVAILABLE};
pub(crate) use repairs::Repairs;
pub use repairs::{REPAIRS_MAX, RepairAct, Repaired};

pub(crate) use self::restate::PART_BYTES;

use self::budget::Bucket;
use self::lane::Lanes;
use self::open::Open;
use self::queue::Queue;
use crate::clock::Timestamp;
use crate::planted::{self, DeliveryBug};

/// Most payloads that one delivery may have had.
pub(crate) const REVISIONS_MAX: usize = 16;
/// Dead letters of one subscription at which it pauses: they are kept in memory, and none is dropped.
pub(crate) const DEAD_MAX: u64 = 1_000_000;
/// Leases of others after which a delivery that is to be handed out alone gets its turn.
const SUSPECT_WAITS: u32 = 1000;

/// Difference between wall clock and monotone clock that is no jump: they are read one after the other.
const STEP_MS: u64 = 100;

/// How what is ready is handed out; not part of the state, each member brings it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tuning {
    pub(crate) sharing: Sharing,
    pub(crate) budget: RetryBudget,
}

/// What a member gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picked {
    /// (position, number of the attempt).
    pub(crate) leases: Vec<(u64, u32)>,
    /// Past their time.
    pub(crate) expired: Vec<u64>,
}

/// The delivery state of one subscription.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) wants: Wants,
    /// Position of the first event that was never looked at.
    pub(crate) cursor: u64,
    /// Epoch of the member that joined last; grows with each.
    pub(crate) epoch: u64,
    pub(crate) pause: Option<Pause>,
    open: Open,
    counts: Counts,
    repairs: Repairs,
    /// Parts of a state that is being said anew.
    parts: Vec<u8>,
    /// It was said anew in a form that is not known here.
    is_unreadable: bool,

    // What follows is made from the above and from the time.
    lanes: Lanes,
    queue: Queue,
    /// Waiting ones whose time has not come.
    due: BTreeSet<(Timestamp, u64)>,
    /// Waiting ones whose time has come.
    overdue: HashSet<u64>,
    /// Those to be handed out alone, and the one that is.
    suspects: BTreeSet<u64>,
    alone: Option<u64>,
    leased_since_suspect: u32,
    bucket: Bucket,
    /// Wall clock and monotone clock, as they were seen together.
    observed: Option<(Timestamp, Duration)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            wants: Wants::default(),
            cursor: 0,
            epoch: 0,
            pause: None,
            open: Open::default(),
            counts: Counts::default(),
            repairs: Repairs::default(),
            parts: Vec::new(),
            is_unreadable: false,
            lanes: Lanes::default(),
            queue: Queue::default(),
            due: BTreeSet::new(),
            overdue: HashSet::new(),
            suspects: BTreeSet::new(),
            alone: None,
            leased_since_suspect: 0,
            bucket: Bucket::new(RetryBudget::default()),
            observed: None,
        }
    }
}

impl PartialEq for Ledger {
    /// Equal in what was recorded.
    fn eq(&self, other: &Self) -> bool {
        self.wants == other.wants
            && self.cursor == other.cursor
            && self.epoch == other.epoch
            && self.pause == other.pause
            && self.open == other.open
            && self.counts == other.counts
            && self.repairs == other.repairs
    }
}

impl Ledger {
    /// Takes a record into account. Records that do not fit the state change nothing, so a fold cannot fail.
    pub(crate) fn apply(&mut self, at: Timestamp, change: &Change) {
        if !matches!(change, Change::Restated { .. }) {
            // What was being said anew was cut short.
            self.parts.clear();
        }
        match change {
            Change::Created { patterns, start } => {
                self.want(Wants {
                    patterns: patterns.clone(),
                    ..Wants::default()
                });
                self.cursor = *start;
            }
            Change::Patterned { patterns } => self.want(Wants {
                patterns: patterns.clone(),
                ..self.wants.clone()
            }),
            Change::Began { wants, start } => {
                self.want(wants.clone());
                self.cursor = *start;
            }
            Change::Wanted { wants } => self.want(wants.clone()),
            Change::Joined { epoch, floor } => {
                let floor = floor.unwrap_or(*epoch);
                self.epoch = self.epoch.max(*epoch);
                self.interrupt(at, |held_by| held_by < floor);
            }
            Change::Left { epoch } => self.interrupt(at, |held_by| held_by == *epoch),
            Change::Leased {
                cursor,
                leases,
                filtered,
                taken,
                filter_errors,
                epoch,
            } => {
                for taken in taken {
                    self.take(at, taken);
                }
                let epoch = if *epoch == 0 { self.epoch } else { *epoch };
                for (position, attempts) in leases {
                    self.lease(at, *position, *attempts, epoch);
                }
                self.cursor = self.cursor.max(*cursor);
                self.counts.matched += filtered;
                self.counts.filtered += filtered;
                self.counts.filter_errors += filter_errors;
            }
            Change::Settled { settles } => {
                for settle in settles {
                    self.settle(at, settle);
                }
            }
            Change::Redriven {
                positions,
                spacing_ms,
                delay_ms,
                by,
            } => {
                self.note(at, RepairAct::Redriven, by, positions, Delivery::is_dead);
                let first = at.after(Duration::from_millis(*delay_ms));
                self.redrive(at, positions, first, Duration::from_millis(*spacing_ms));
            }
            Change::Discarded {
                positions,
                reason,
                author,
            } => {
                let by = By::new(author, reason);
                self.note(at, RepairAct::Discarded, &by, positions, Delivery::is_dead);
                for position in positions {
                    if self.open.get(*position).is_some_and(Delivery::is_dead) {
                        self.remove(*position);
                        self.counts.discarded += 1;
                    }
                }
            }
            Change::SkippedBy { positions, by } => {
                let is_free = |it: &Delivery| it.state != DeliveryState::Leased;
                self.note(at, RepairAct::Skipped, by, positions, is_free);
                for position in positions {
                    if self.open.get(*position).is_some_and(is_free) {
                        self.remove(*position);
                        self.counts.skipped += 1;
                    }
                }
            }
            Change::Paused { pause } => self.pause = Some(pause.clone()),
            Change::Resumed { .. } => self.pause = None,
            Change::Revised { position, by, data } => {
                let is_free = |it: &Delivery| {
                    it.state != DeliveryState::Leased && it.revisions.len() < REVISIONS_MAX
                };
                self.note(at, RepairAct::Revised, by, &[*position], is_free);
                if let Some(delivery) = self.open.get_mut(*position).filter(|it| is_free(it)) {
                    let number = delivery
                        .revisions
                        .last()
                        .map_or(1, |last| last.number.saturating_add(1));
                    delivery.revisions.list().push(Revision {
                        number,
                        at,
                        by: by.clone(),
                        data: data.clone(),
                    });
                }
            }
            Change::Restored {
                position,
                delivery,
                by,
            } => {
                if delivery.is_dead() && self.is_over(*position) {
                    let positions = vec![*position];
                    self.repairs.note(at, RepairAct::Restored, by, positions);
                    self.insert(*position, delivery.clone());
                }
            }
            Change::Restated { part, parts, state } => self.restate(*part, *parts, state),
        }
    }

    /// Remembers who does something to those of these deliveries that it can be done to.
    fn note(
        &mut self,
        at: Timestamp,
        act: RepairAct,
        by: &By,
        positions: &[u64],
        applies: impl Fn(&Delivery) -> bool,
    ) {
        let fits = |position: &&u64| self.open.get(**position).is_some_and(&applies);
        let positions: Vec<u64> = positions.iter().filter(fits).copied().collect();
        if !positions.is_empty() {
            self.repairs.note(at, act, by, positions);
        }
    }

    /// What it wants from its cursor on.
    fn want(&mut self, wants: Wants) {
        let has_other_order =
            (wants.order, wants.exhausted) != (self.wants.order, self.wants.exhausted);
        self.wants = wants;
        if has_other_order {
            self.index();
        }
    }

    /// How what is ready is handed out from now on.
    pub(crate) fn tune(&mut self, tuning: Tuning) {
        self.queue.set_sharing(tuning.sharing);
        self.bucket.set(tuning.budget);
    }

    /// Hears what the clocks show, before each change: `elapsed` is the time since some fixed point. When the wall clock
    /// was set meanwhile, delays that have begun take as long as they were to.
    pub(crate) fn observe(&mut self, now: Timestamp, elapsed: Duration) {
        if let Some((wall, since)) = self.observed {
            let expected = wall.after(elapsed.saturating_sub(since));
            let set_ms = now.milliseconds() - expected.milliseconds();
            if set_ms.unsigned_abs() <= STEP_MS {
                return;
            }
            let waiting = std::mem::take(&mut self.due);
            for (due, position) in waiting {
                let due = due.shifted(set_ms);
                if let Some(delivery) = self.open.get_mut(position) {
                    delivery.state = DeliveryState::Waiting(due);
                    delivery.since = delivery.since.shifted(set_ms);
                }
                self.due.insert((due, position));
            }
        }
        self.observed = Some((now, elapsed));
    }

    /// After a time in which nobody looked at the clock, and it may have been set: no delay is longer than it was.
    pub(crate) fn wake(&mut self, now: Timestamp) {
        for delivery in self.open.values_mut() {
            if let DeliveryState::Waiting(due) = &mut delivery.state {
                *due = (*due).min(now.after(due.since(delivery.since)));
            }
        }
        if planted::has(DeliveryBug::PauseForgotten) {
            self.pause = None;
        }
        self.index();
    }

    fn take(&mut self, at: Timestamp, taken: &Taken) {
        if self.open.get(taken.position).is_some() {
            return;
        }
        self.insert(
            taken.position,
            Delivery {
                key: taken.key,
                priority: taken.priority,
                expires_at: taken.expires_at,
                group: taken.group,
                since: at,
                ..Delivery::new()
            },
        );
    }

    fn lease(&mut self, at: Timestamp, position: u64, attempts: u32, epoch: u64) {
        let known = match self.open.is_behind(position) {
            true => None,
            false => self.open.get_mut(position),
        };
        if let Some(delivery) = known {
            delivery.attempts = attempts;
            delivery.epoch = epoch;
            self.set(at, position, DeliveryState::Leased);
        } else {
            self.insert(
                position,
                Delivery {
                    state: DeliveryState::Leased,
                    attempts,
                    epoch,
                    since: at,
                    ..Delivery::new()
                },
            );
        }
    }

    /// Leases of these members end without an outcome.
    fn interrupt(&mut self, at: Timestamp, is_void: impl Fn(u64) -> bool) {
        let void: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, it)| it.state == DeliveryState::Leased && is_void(it.epoch))
            .map(|(position, _)| position)
            .collect();
        for position in void {
            if let Some(delivery) = self.open.get_mut(position) {
                delivery.silent += 1;
                if planted::has(DeliveryBug::AttemptCountedAtItsEnd) {
                    delivery.attempts -= 1;
                }
            }
            self.set(at, position, DeliveryState::Waiting(at));
        }
    }

    fn settle(&mut self, at: Timestamp, settle: &Settled) {
        let position = settle.position();
        let Some(delivery) = self.open.get_mut(position) else {
            return;
        };
        if let Settled::Expired { .. } | Settled::Refused { .. } = settle {
            if delivery.state == DeliveryState::Leased || delivery.is_dead() {
                return;
            }
        } else if delivery.state != DeliveryState::Leased {
            return;
        }
        match settle {
            Settled::Acked { .. } => {
                self.bucket.succeeded(delivery.attempts > 1);
                let is_quiet = self.wants.is_quiet(delivery);
                self.remove_known(position, is_quiet);
                if !planted::has(DeliveryBug::AckNotCounted) {
                    self.counts.acked += 1;
                }
                if planted::has(DeliveryBug::AckTakesEarlier) {
                    self.take_earlier(position);
                }
            }
            Settled::Skipped { .. } => {
                self.remove(position);
                self.counts.skipped += 1;
            }
            Settled::Expired { .. } => {
                self.remove(position);
                self.counts.expired += 1;
            }
            Settled::RetryAt { due, fault, .. } => {
                delivery.note(fault);
                delivery.silent = 0;
                if !fault.is_counted() {
                    delivery.uncounted = delivery.uncounted.saturating_add(1);
                }
                self.set(at, position, DeliveryState::Waiting(*due));
            }
            Settled::Dead { fault, .. } | Settled::Refused { fault, .. } => {
                delivery.note(fault);
                delivery.silent = 0;
                self.set(at, position, DeliveryState::Dead(at));
                let reason = if self.wants.exhausted == Exhausted::Pause {
                    format!("the event at position {position} was given up")
                } else if self.counts.dead >= DEAD_MAX {
                    format!(
                        "it has {DEAD_MAX} dead letters, the most that are kept; redrive, skip or discard some"
                    )
                } else {
                    return;
                };
                self.pause = Some(Pause {
                    at,
                    by: By::new("sagabus", &reason),
                    until: None,
                });
            }
            Settled::Released { .. } => {
                if !planted::has(DeliveryBug::ReleaseCosts) {
                    delivery.attempts = delivery.attempts.saturating_sub(1);
                }
                let state = if delivery.attempts == 0 {
                    DeliveryState::Ready
                } else {
                    DeliveryState::Waiting(at)
                };
                self.set(at, position, state);
            }
        }
    }

    /// Takes an ack back that was not stored: the delivery is as it was before.
    pub(crate) fn unack(&mut self, position: u64, delivery: Delivery) {
        if self.open.get(position).is_some() {
            return;
        }
        self.counts.acked = self.counts.acked.saturating_sub(1);
        *self.count(delivery.state) += 1;
        self.open.insert(position, delivery);
        self.enter(position);
    }

    /// See [`DeliveryBug::AckTakesEarlier`].
    fn take_earlier(&mut self, position: u64) {
        let is_open = |it: &Delivery| it.state != DeliveryState::Leased && !it.is_dead();
        let earlier = self.open.range(..position).filter(|(_, it)| is_open(it));
        let earlier: Vec<u64> = earlier.map(|(position, _)| position).collect();
        for position in earlier {
            self.remove(position);
            self.counts.acked += 1;
        }
    }

    fn redrive(&mut self, at: Timestamp, positions: &[u64], mut due: Timestamp, spacing: Duration) {
        for position in positions {
            let is_dead =
                |it: &Delivery| it.is_dead() || planted::has(DeliveryBug::RedriveReachesAny);
            if let Some(delivery) = self.open.get_mut(*position).filter(|it| is_dead(it)) {
                delivery.attempts = 0;
                delivery.uncounted = 0;
                delivery.silent = 0;
                delivery.redrives = delivery.redrives.saturating_add(1);
                self.set(at, *position, DeliveryState::Waiting(due));
                due = due.after(spacing);
            }
        }
    }

    /// Lets those whose time has come be handed out, as far as there are tokens for retries. `elapsed` is the time since
    /// some fixed point.
    pub(crate) fn advance(&mut self, now: Timestamp, elapsed: Duration) {
        self.observe(now, elapsed);
        let now = if planted::has(DeliveryBug::RetryTooEarly) {
            now.after(Duration::from_secs(2))
        } else {
            now
        };
        while let Some((due, position)) = self.due.first().copied()
            && due <= now
        {
            let is_retry = self.open.get(position).is_some_and(|it| it.attempts > 0);
            if is_retry && !self.bucket.take(elapsed) {
                return;
            }
            self.due.remove(&(due, position));
            self.overdue.insert(position);
            self.place(position);
        }
    }

    /// How long nothing changes by itself: until the next one is due, or the next token comes.
    pub(crate) fn rest(&self, now: Timestamp) -> Option<Duration> {
        let (due, _) = self.due.first()?;
        Some(match due.since(now) {
            Duration::ZERO => self.bucket.next_after(),
            rest => rest,
        })
    }

    /// Chooses up to `max` deliveries to hand out. They are to be recorded as leased, or as expired, at once.
    pub(crate) fn pick(&mut self, now: Timestamp, max: usize) -> Picked {
        let mut picked = Picked::default();
        if self.is_paused(now) || self.alone.is_some() {
            return picked;
        }
        let is_suspects_turn =
            !self.suspects.is_empty() && self.leased_since_suspect >= SUSPECT_WAITS;
        while !is_suspects_turn
            && picked.leases.len() < max
            && let Some(position) = self.queue.pop()
        {
            let Some(delivery) = self.open.get(position) else {
                continue;
            };
            if delivery.expires_at.is_some_and(|it| it <= now) {
                picked.expired.push(position);
            } else {
                picked.leases.push((position, delivery.attempts + 1));
                self.leased_since_suspect = self.leased_since_suspect.saturating_add(1);
            }
        }
        if max > 0 && picked.leases.is_empty() && self.counts.leased == 0 {
            let suspect = self.suspects.pop_first();
            if let Some((position, delivery)) =
                suspect.and_then(|it| Some((it, self.open.get(it)?)))
            {
                self.leased_since_suspect = 0;
                picked.leases.push((position, delivery.attempts + 1));
            }
        }
        picked
    }

    /// Whether nothing is to be handed out.
    pub(crate) fn is_paused(&self, now: Timestamp) -> bool {
        self.pause
            .as_ref()
            .is_some_and(|pause| pause.until.is_none_or(|until| until > now))
    }

    /// Whether a new event may be handed out without taking a place among those that are ready.
    pub(crate) fn is_plain(&self) -> bool {
        self.wants.order == Order::Unordered
            && self.queue.is_empty()
            && self.suspects.is_empty()
            && self.alone.is_none()
    }

    /// Whether its state was said anew in a form that is not known here, so that what it holds is not the truth.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// Whether the member has any lease.
    pub(crate) fn holds(&self, epoch: u64) -> bool {
        let is_held = |it: &Delivery| it.state == DeliveryState::Leased && it.epoch == epoch;
        self.counts.leased > 0 && self.open.iter().any(|(_, it)| is_held(it))
    }

    /// How many could be handed out.
    pub(crate) fn ready(&self) -> usize {
        self.queue.len()
    }

    /// The delivery of the event at `position`, unless it is settled for good or was never taken.
    pub(crate) fn get(&self, position: u64) -> Option<&Delivery> {
        self.open.get(position)
    }

    /// What was done to deliveries by hand.
    pub(crate) fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// Whether the event at `position` was looked at, and nothing is to come of it any more.
    pub(crate) fn is_over(&self, position: u64) -> bool {
        position < self.cursor && self.open.get(position).is_none()
    }

    /// Deliveries after `position`, in order.
    pub(crate) fn open_after(&self, position: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        self.open.range(position.saturating_add(1)..)
    }

    /// Positions of deliveries after one position and before another, in order.
    pub(crate) fn open_between(&self, after: u64, before: u64) -> impl Iterator<Item = u64> {
        let between = self.open.range(after.saturating_add(1)..before);
        between.map(|(position, _)| position)
    }

    /// It was said where it begins.
    pub(crate) fn has_begun(&self) -> bool {
        self.cursor > 0
    }

    /// Dead letters after `position`, in order.
    #[cfg(test)]
    pub(crate) fn dead_after(&self, position: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        self.open_after(position).filter(|(_, it)| it.is_dead())
    }

    /// Whether the delivery stands behind a dead letter of its key.
    #[cfg(test)]
    pub(crate) fn is_parked(&self, position: u64) -> bool {
        let Some(delivery) = self.open.get(position).filter(|it| !it.is_dead()) else {
            return false;
        };
        self.lane_of(delivery)
            .and_then(|key| self.lanes.head(key))
            .and_then(|head| self.open.get(head))
            .is_some_and(Delivery::is_dead)
    }

    /// Deliveries that wait behind this one, if it is dead and they are parked.
    pub(crate) fn parked_by(&self, position: u64) -> u64 {
        let Some(delivery) = self.open.get(position) else {
            return 0;
        };
        self.lane_of(delivery)
            .filter(|key| self.lanes.head(*key) == Some(position))
            .map_or(0, |key| self.lanes.parked_in(key))
    }

    /// How many deliveries are where.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            parked: self.lanes.parked(),
            ..self.counts
        }
    }

    /// Whether each delivery is counted in its one state, and what came is where it went.
    pub(crate) fn is_sound(&self) -> bool {
        let mut found = Counts::default();
        for (_, delivery) in self.open.iter() {
            match delivery.state {
                DeliveryState::Ready => found.ready += 1,
                DeliveryState::Leased => found.leased += 1,
                DeliveryState::Waiting(_) => found.waiting += 1,
                DeliveryState::Dead(_) => found.dead += 1,
            }
        }
        let of = |it: &Counts| (it.ready, it.leased, it.waiting, it.dead);
        of(&found) == of(&self.counts) && self.counts.is_conserved()
    }

    /// The key by which a delivery is in order.
    fn lane_of(&self, delivery: &Delivery) -> Option<Key> {
        match self.wants.order {
            Order::Unordered => None,
            Order::PerKey => delivery.key,
            Order::Strict => Some(Key::ONE),
        }
    }

    fn insert(&mut self, position: u64, delivery: Delivery) {
        let state = delivery.state;
        let is_quiet = self.wants.is_quiet(&delivery);
        self.counts.matched += 1;
        *self.count(state) += 1;
        self.open.insert(position, delivery);
        if !is_quiet {
            self.enter(position);
        }
    }

    fn set(&mut self, at: Timestamp, position: u64, state: DeliveryState) {
        self.leave(position);
        let Some(delivery) = self.open.get_mut(position) else {
            return;
        };
        let old = std::mem::replace(&mut delivery.state, state);
        delivery.since = at;
        *self.count(old) -= 1;
        *self.count(state) += 1;
        self.enter(position);
    }

    fn remove(&mut self, position: u64) {
        let delivery = self.open.get(position);
        let is_quiet = delivery.is_some_and(|it| self.wants.is_quiet(it));
        self.remove_known(position, is_quiet);
    }

    fn remove_known(&mut self, position: u64, is_quiet: bool) {
        if !is_quiet {
            self.leave(position);
        }
        if let Some(state) = self.open.remove(position) {
            *self.count(state) -= 1;
        }
    }

    fn count(&mut self, state: DeliveryState) -> &mut u64 {
        match state {
            DeliveryState::Ready => &mut self.counts.ready,
            DeliveryState::Leased => &mut self.counts.leased,
            DeliveryState::Waiting(_) => &mut self.counts.waiting,
            DeliveryState::Dead(_) => &mut self.counts.dead,
        }
    }

    /// Makes everything that follows from the state anew.
    fn index(&mut self) {
        self.lanes = Lanes::default();
        self.queue.clear();
        self.due.clear();
        self.overdue.clear();
        self.suspects.clear();
        self.alone = None;
        let positions: Vec<u64> = self.open.iter().map(|(it, _)| it).collect();
        for position in positions {
            self.enter(position);
        }
    }

    /// Takes a delivery into account in what follows from the state.
    fn enter(&mut self, position: u64) {
        let Some(delivery) = self.open.get(position) else {
            return;
        };
        match delivery.state {
            DeliveryState::Waiting(due) => {
                self.due.insert((due, position));
            }
            DeliveryState::Leased if delivery.is_suspect() => self.alone = Some(position),
            DeliveryState::Ready | DeliveryState::Leased | DeliveryState::Dead(_) => {}
        }
        let parks =
            self.wants.exhausted == Exhausted::ParkKey && !planted::has(DeliveryBug::FollowersGo);
        let blocks = !delivery.is_dead() || parks;
        if let Some(key) = self.lane_of(delivery).filter(|_| blocks) {
            let before = self.lanes.head(key);
            self.lanes.enter(key, position, delivery.state);
            if let Some(before) = before.filter(|it| *it > position) {
                self.queue.remove(before);
                self.suspects.remove(&before);
            }
        }
        self.place(position);
    }

    /// Undoes [`Ledger::enter`], while the delivery is as it was then; those that it held up may go on.
    fn leave(&mut self, position: u64) {
        let Some(delivery) = self.open.get(position) else {
            return;
        };
        if let DeliveryState::Waiting(due) = delivery.state {
            self.due.remove(&(due, position));
            self.overdue.remove(&position);
        }
        if self.alone == Some(position) {
            self.alone = None;
        }
        self.queue.remove(position);
        self.suspects.remove(&position);
        if let Some(key) = self.lane_of(delivery) {
            self.lanes.leave(key, position, delivery.state);
            if let Some(head) = self.lanes.head(key) {
                self.place(head);
            }
        }
    }

    /// Lets a delivery be handed out if nothing holds it up.
    fn place(&mut self, position: u64) {
        let Some(delivery) = self.open.get(position) else {
            return;
        };
        let is_due = match delivery.state {
            DeliveryState::Ready => true,
            DeliveryState::Waiting(_) => self.overdue.contains(&position),
            DeliveryState::Leased | DeliveryState::Dead(_) => false,
        };
        let is_free = self
            .lane_of(delivery)
            .is_none_or(|key| self.lanes.is_next(key, position));
        if !is_due || !is_free {
            return;
        }
        if delivery.is_suspect() {
            self.suspects.insert(position);
        } else {
            self.queue.push(queue::Entry {
                position,
                priority: delivery.priority,
                is_retry: delivery.epoch > 0,
                group: delivery.group,
            });
        }
    }
}

#[cfg(test)]
mod tests;
