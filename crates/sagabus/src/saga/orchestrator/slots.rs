//! The slots of services, pure: who has one, who waits for one, and whose turn is next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::saga::id::SagaId;
use crate::saga::machine::{Direction, Wanted};
use crate::saga::service_limit::ServiceLimit;
use crate::saga::turn_waits::TurnWaits;

/// The time in which so many may begin.
const SECOND: Duration = Duration::from_secs(1);

/// An attempt of a step of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    pub(super) saga: SagaId,
    pub(super) wanted: Wanted,
}

/// When a saga came, in milliseconds, and of those of one millisecond the order in which they first asked.
pub(super) type Came = (i64, u64);

/// A place in the line: what is taken back goes first, then those whose sagas came first, then those who asked first.
type Turn = (Reverse<Direction>, Came, u64);

/// The slots of all services that have a limit. Who waits is bounded by the steps of the sagas that are under way.
#[derive(Default)]
pub(super) struct Slots {
    limited: Vec<Limited>,
    asked: u64,
    waits: TurnWaits,
}

struct Limited {
    limit: ServiceLimit,
    /// Slots that are in use or promised.
    busy: usize,
    /// When slots were given out in the last second, oldest first, where there is a limit of that; as many as that at most, and
    /// those that passed it.
    recent: VecDeque<Duration>,
    waiting: BTreeMap<Turn, (Claim, Duration)>,
    turns: HashMap<Claim, Turn>,
    /// Slots that are promised and not in use yet: how long each was waited for, and since when it is promised.
    promised: HashMap<Claim, (Duration, Duration)>,
}

/// Which limit holds for a service and an action.
#[derive(Default)]
pub(super) struct Limits(HashMap<String, OfService>);

#[derive(Default)]
struct OfService {
    all: Option<usize>,
    actions: HashMap<String, usize>,
}

impl Limits {
    pub(super) fn new(limits: &[ServiceLimit]) -> Self {
        let mut all: HashMap<String, OfService> = HashMap::new();
        for (at, limit) in limits.iter().enumerate() {
            let service = all.entry(limit.service.clone()).or_default();
            match &limit.action {
                Some(action) => drop(service.actions.insert(action.clone(), at)),
                None => service.all = Some(at),
            }
        }
        Self(all)
    }

    /// The one that holds, by its place among them: that of the action before that of the service.
    pub(super) fn of(&self, service: &str, action: &str) -> Option<usize> {
        let service = self.0.get(service)?;
        service.actions.get(action).copied().or(service.all)
    }
}

impl Slots {
    pub(super) fn new(limits: &[ServiceLimit]) -> Self {
        let limited = limits.iter().map(|limit| Limited {
            limit: limit.clone(),
            busy: 0,
            recent: VecDeque::new(),
            waiting: BTreeMap::new(),
            turns: HashMap::new(),
            promised: HashMap::new(),
        });
        Self {
            limited: limited.collect(),
            ..Self::default()
        }
    }

    /// The number of a saga that asks for the first time.
    pub(super) fn next_number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Comes into the line for a slot of the limit at `at`, unless it is there or has one. `came` is when its saga came.
    pub(super) fn enter(&mut self, at: usize, claim: &Claim, came: Came, now: Duration) {
        let Some(limited) = self.limited.get_mut(at) else {
            return;
        };
        if limited.promised.contains_key(claim) || limited.turns.contains_key(claim) {
            return;
        }
        self.asked += 1;
        let turn = (Reverse(claim.wanted.direction), came, self.asked);
        limited.turns.insert(claim.clone(), turn);
        limited.waiting.insert(turn, (claim.clone(), now));
    }

    /// Whether a slot is promised by now.
    pub(super) fn is_promised(&self, at: usize, claim: &Claim) -> bool {
        let limited = self.limited.get(at);
        limited.is_none_or(|it| it.promised.contains_key(claim))
    }

    /// An attempt begins: with the slot that is promised to it, or beyond the limit.
    pub(super) fn begin(&mut self, at: usize, claim: &Claim, now: Duration) {
        let Some(limited) = self.limited.get_mut(at) else {
            return;
        };
        limited.forget(claim);
        match limited.promised.remove(claim) {
            Some((waited, _)) => self.waits.add(waited),
            None => limited.give(now),
        }
    }

    /// An attempt is over. Says who has a slot now.
    pub(super) fn end(&mut self, at: usize, now: Duration) -> Vec<Claim> {
        let Some(limited) = self.limited.get_mut(at) else {
            return Vec::new();
        };
        limited.busy = limited.busy.saturating_sub(1);
        limited.fill(now)
    }

    /// An attempt waits no more, and does not use what was promised to it. Says who has a slot now.
    pub(super) fn leave(&mut self, at: usize, claim: &Claim, now: Duration) -> Vec<Claim> {
        let Some(limited) = self.limited.get_mut(at) else {
            return Vec::new();
        };
        limited.forget(claim);
        if let Some((_, since)) = limited.promised.remove(claim) {
            limited.busy = limited.busy.saturating_sub(1);
            // Nothing began.
            if let Some(place) = limited.recent.iter().rposition(|&it| it == since) {
                limited.recent.remove(place);
            }
        }
        limited.fill(now)
    }

    /// Gives out the slots of the limit at `at`, as far as there is room. Says who has one now.
    pub(super) fn fill_at(&mut self, at: usize, now: Duration) -> Vec<Claim> {
        let limited = self.limited.get_mut(at);
        limited.map_or_else(Vec::new, |limited| limited.fill(now))
    }

    /// Gives out all that there is room for by now. Says who has a slot now.
    pub(super) fn fill(&mut self, now: Duration) -> Vec<Claim> {
        let all = self.limited.iter_mut();
        all.flat_map(|limited| limited.fill(now)).collect()
    }

    /// When somebody who waits for the next second alone can have a slot.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let all = self.limited.iter();
        all.filter_map(Limited::next_due).min()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.limited
            .iter()
            .map(|limited| limited.waiting.len())
            .sum()
    }

    /// How long those waited that have begun.
    pub(super) fn waits(&self) -> TurnWaits {
        self.waits
    }
}

impl Limited {
    fn has_slot(&self) -> bool {
        let at_once = self.limit.at_once;
        at_once.is_none_or(|most| self.busy < count(most.get()))
    }

    fn has_room(&mut self, now: Duration) -> bool {
        let Some(most) = self.limit.per_second else {
            return self.has_slot();
        };
        while let Some(&first) = self.recent.front()
            && now.saturating_sub(first) >= SECOND
        {
            self.recent.pop_front();
        }
        self.has_slot() && self.recent.len() < count(most.get())
    }

    fn give(&mut self, now: Duration) {
        self.busy += 1;
        if self.limit.per_second.is_some() {
            self.recent.push_back(now);
        }
    }

    fn promise_next(&mut self, now: Duration) -> Option<Claim> {
        let (_, (claim, since)) = self.waiting.pop_first()?;
        self.turns.remove(&claim);
        self.give(now);
        let waited = now.saturating_sub(since);
        self.promised.insert(claim.clone(), (waited, now));
        Some(claim)
    }

    fn fill(&mut self, now: Duration) -> Vec<Claim> {
        let mut given = Vec::new();
        while self.has_room(now)
            && let Some(claim) = self.promise_next(now)
        {
            given.push(claim);
        }
        given
    }

    fn forget(&mut self, claim: &Claim) {
        if let Some(turn) = self.turns.remove(claim) {
            self.waiting.remove(&turn);
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let most = count(self.limit.per_second?.get());
        if self.waiting.is_empty() || !self.has_slot() {
            return None;
        }
        // Those that passed the limit count too.
        let behind = self.recent.len().checked_sub(most)?;
        self.recent.get(behind).map(|at| at.saturating_add(SECOND))
    }
}

fn count(most: u32) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
