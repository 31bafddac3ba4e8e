//! The deliveries of each key, of which one at a time is handed out.

use std::collections::{BTreeMap, BTreeSet};

use super::DeliveryState;
use super::policy::Key;

/// The deliveries of one key that hold up those behind them.
#[derive(Clone, Debug, Default)]
struct Lane {
    open: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    leased: usize,
}

impl Lane {
    fn head(&self) -> Option<u64> {
        self.open.first().copied()
    }

    /// Deliveries behind a dead one.
    fn parked(&self) -> u64 {
        if self.head().is_some_and(|head| self.dead.contains(&head)) {
            (self.open.len() - self.dead.len()) as u64
        } else {
            0
        }
    }
}

/// The deliveries of all keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<Key, Lane>,
    parked: u64,
}

impl Lanes {
    pub(crate) fn parked(&self) -> u64 {
        self.parked
    }

    pub(crate) fn parked_in(&self, key: Key) -> u64 {
        self.lanes.get(&key).map_or(0, Lane::parked)
    }

    pub(crate) fn head(&self, key: Key) -> Option<u64> {
        self.lanes.get(&key)?.head()
    }

    /// Whether the delivery is the one of its key to be handed out.
    pub(crate) fn is_next(&self, key: Key, position: u64) -> bool {
        self.lanes
            .get(&key)
            .is_none_or(|lane| lane.leased == 0 && lane.head() == Some(position))
    }

    pub(crate) fn enter(&mut self, key: Key, position: u64, state: DeliveryState) {
        let lane = self.lanes.entry(key).or_default();
        self.parked -= lane.parked();
        lane.open.insert(position);
        match state {
            DeliveryState::Leased => lane.leased += 1,
            DeliveryState::Dead(_) => {
                lane.dead.insert(position);
            }
            DeliveryState::Ready | DeliveryState::Waiting(_) => {}
        }
        self.parked += lane.parked();
    }

    pub(crate) fn leave(&mut self, key: Key, position: u64, state: DeliveryState) {
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        self.parked -= lane.parked();
        if lane.open.remove(&position) {
            lane.dead.remove(&position);
            if state == DeliveryState::Leased {
                lane.leased -= 1;
            }
        }
        self.parked += lane.parked();
        if lane.open.is_empty() {
            self.lanes.remove(&key);
        }
    }
}
