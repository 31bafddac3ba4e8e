//! Deliveries by position, in a line.
//!
//! Almost all come at its end and go near its front, so that neither costs a search in a tree nor memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeBounds};

use super::{Delivery, DeliveryState};

/// Places without a delivery that a line may have, however short it is.
const GAPS_MAX: usize = 64;

/// So far back from where a position would be without gaps it is looked for, before it is sought.
const NEAR: usize = 4;

/// Where a delivery is, or was: then it is a gap.
type Place = (u64, Option<Delivery>);

/// Deliveries that are not settled for good, by position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    /// Ascending. Neither the first nor the last is a gap, and less than half of many are.
    places: VecDeque<Place>,
    gaps: usize,
}

impl Open {
    pub(crate) fn get(&self, position: u64) -> Option<&Delivery> {
        let at = self.find(position).ok()?;
        self.places.get(at)?.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, position: u64) -> Option<&mut Delivery> {
        let at = self.find(position).ok()?;
        self.places.get_mut(at)?.1.as_mut()
    }

    /// Puts a delivery in its place. Cheap at the end, where almost all belong.
    pub(crate) fn insert(&mut self, position: u64, delivery: Delivery) {
        if self.is_behind(position) {
            self.places.push_back((position, Some(delivery)));
            return;
        }
        match self.find(position) {
            Ok(at) => {
                if let Some((_, place)) = self.places.get_mut(at)
                    && place.replace(delivery).is_none()
                {
                    self.gaps -= 1;
                }
            }
            Err(at) => self.places.insert(at, (position, Some(delivery))),
        }
    }

    /// Whether the position is behind all that are here, so that it is new.
    pub(crate) fn is_behind(&self, position: u64) -> bool {
        self.places.back().is_none_or(|(last, _)| *last < position)
    }

    /// Takes a delivery out; says how it stood.
    pub(crate) fn remove(&mut self, position: u64) -> Option<DeliveryState> {
        let at = self.find(position).ok()?;
        let place = &mut self.places.get_mut(at)?.1;
        let state = place.as_ref()?.state;
        // In its place: it is larger than what is read of it here.
        *place = None;
        self.gaps += 1;
        while self.places.front().is_some_and(|(_, it)| it.is_none()) {
            self.places.pop_front();
            self.gaps -= 1;
        }
        while self.places.back().is_some_and(|(_, it)| it.is_none()) {
            self.places.pop_back();
            self.gaps -= 1;
        }
        if self.gaps > GAPS_MAX.max(self.places.len() / 2) {
            self.places.retain(|(_, it)| it.is_some());
            self.gaps = 0;
        }
        Some(state)
    }

    /// Those within a range of positions, in order.
    pub(crate) fn range(
        &self,
        range: impl RangeBounds<u64>,
    ) -> impl Iterator<Item = (u64, &Delivery)> {
        let before = |bound: Bound<&u64>, or: usize| match bound {
            Bound::Included(position) => self.places.partition_point(|(it, _)| it < position),
            Bound::Excluded(position) => self.places.partition_point(|(it, _)| it <= position),
            Bound::Unbounded => or,
        };
        let start = before(range.start_bound(), 0);
        let end = match range.end_bound() {
            Bound::Included(position) => before(Bound::Excluded(position), 0),
            Bound::Excluded(position) => before(Bound::Included(position), 0),
            Bound::Unbounded => self.places.len(),
        };
        self.places
            .range(start..end.max(start))
            .filter_map(|(position, it)| Some((*position, it.as_ref()?)))
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Delivery)> {
        self.range(..)
    }

    /// All, to change.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.places.iter_mut().filter_map(|(_, it)| it.as_mut())
    }

    /// The place of a position, or where it would be.
    fn find(&self, position: u64) -> Result<usize, usize> {
        let Some((first, _)) = self.places.front() else {
            return Err(0);
        };
        // Where one after the other is settled.
        if position == *first {
            return Ok(0);
        }
        if self.is_behind(position) {
            return Err(self.places.len());
        }
        // As far as all positions between are there, it is as far from the first place as its position is from the first;
        // otherwise it is nearer, and not by much where only some records of the log are between.
        if let Some(distance) = position.checked_sub(*first)
            && let Ok(distance) = usize::try_from(distance)
        {
            if self
                .places
                .get(distance)
                .is_some_and(|(it, _)| *it == position)
            {
                return Ok(distance);
            }
            let furthest = distance.min(self.places.len() - 1);
            for at in (furthest.saturating_sub(NEAR)..=furthest).rev() {
                if self.places.get(at).is_some_and(|(it, _)| *it == position) {
                    return Ok(at);
                }
            }
        }
        self.places.binary_search_by_key(&position, |(it, _)| *it)
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl From<BTreeMap<u64, Delivery>> for Open {
    fn from(deliveries: BTreeMap<u64, Delivery>) -> Self {
        let places = deliveries.into_iter();
        Self {
            places: places.map(|(position, it)| (position, Some(it))).collect(),
            gaps: 0,
        }
    }
}

#[cfg(test)]
mod tests;
