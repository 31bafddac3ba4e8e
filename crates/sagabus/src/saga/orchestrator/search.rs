//! Finding sagas in memory by what they are: name, state, attributes and time, in pages.

use std::fmt;
use std::str::FromStr;

use super::Sagas;
use super::look::Look;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::saga::ATTRIBUTES_MAX;
use crate::saga::id::SagaId;
use crate::saga::machine::State;
use crate::saga::monitor::{SagaStatus, Status};

/// Most sagas in one page.
pub const PAGE_MAX: usize = 1_000;
/// A page ends when its sagas have more steps than this together: each is up to a few KiB, so that a page of a hundred long
/// sagas, which may have 1,000 steps each, would be tens of MiB.
const PAGE_STEPS_MAX: usize = 5_000;

/// Which sagas, of those that are in memory: all that are not over, and those that ended not long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// With this name of their definition.
    pub name: Option<String>,
    /// In one of these states; in any where there is none.
    pub status: Vec<Status>,
    /// With all of these attributes.
    pub attributes: Vec<(String, String)>,
    /// Over with something left to repair, or not so.
    pub inconsistent: Option<bool>,
    /// Started then or later.
    pub started_from: Option<Timestamp>,
    /// Started before.
    pub started_before: Option<Timestamp>,
    /// Those behind this place: [`Page::next`] of the page before.
    pub after: Option<Cursor>,
    /// How many at most, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            name: None,
            status: Vec::new(),
            attributes: Vec::new(),
            inconsistent: None,
            started_from: None,
            started_before: None,
            after: None,
            limit: 100,
        }
    }
}

/// Sagas that were found, those that were started last first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The sagas.
    pub sagas: Vec<SagaStatus>,
    /// Where the next page begins; none when this is the last one.
    pub next: Option<Cursor>,
}

/// A place in the order of sagas, which does not change: by the time of their start, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    started_at: Timestamp,
    id: SagaId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.started_at.milliseconds(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('_');
        let parts = parts.and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
        let (at, id) =
            parts.ok_or_else(|| Error::invalid("`after` must be `next` of the page before"))?;
        Ok(Self {
            started_at: Timestamp::from_milliseconds(at),
            id,
        })
    }
}

impl Query {
    fn check(&self) -> Result<()> {
        if !(1..=PAGE_MAX).contains(&self.limit) {
            let limit = self.limit;
            return Err(Error::invalid(format!(
                "`limit` is {limit}, and must be 1 to {PAGE_MAX}"
            )));
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            return Err(Error::invalid(format!(
                "`attribute` is there {} times, more than {ATTRIBUTES_MAX}",
                self.attributes.len()
            )));
        }
        Ok(())
    }

    fn fits(&self, state: &State) -> bool {
        let at = state.started_at();
        let of = state.attributes();
        let mut asked = self.attributes.iter();
        self.name
            .as_deref()
            .is_none_or(|name| name == state.definition().name())
            && self.started_from.is_none_or(|from| at >= from)
            && self.started_before.is_none_or(|before| at < before)
            && asked.all(|(key, value)| of.get(key) == Some(value))
            && (self.status.is_empty() || self.status.contains(&Status::of(state)))
            && (self.inconsistent).is_none_or(|wanted| wanted == state.is_inconsistent())
    }
}

impl Sagas {
    /// Finds sagas in memory. The order is that of their starts, the last one first, and stays as it is: a saga that is there
    /// from the first page to the last is in exactly one of them.
    ///
    /// # Errors
    /// `Invalid` when the limit is none, or too many attributes are asked for.
    pub fn search(&self, query: &Query) -> Result<Page> {
        query.check()?;
        let sagas = self.0.book().stored();
        let mut found = Vec::new();
        for saga in sagas {
            let started_at = {
                let state = saga.state();
                if !query.fits(&state) {
                    continue;
                }
                state.started_at()
            };
            let id = saga.id.clone();
            let place = Cursor { started_at, id };
            if query.after.as_ref().is_none_or(|after| place < *after) {
                found.push((place, saga));
            }
        }
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut look = Look::at(&self.0);
        let (mut sagas, mut steps, mut last) = (Vec::new(), 0, None);
        for (place, saga) in &found {
            let is_full = sagas.len() == query.limit || steps > PAGE_STEPS_MAX;
            if is_full {
                let next = last;
                return Ok(Page { sagas, next });
            }
            let status = look.status(saga);
            steps += status.steps.len();
            sagas.push(status);
            last = Some(place.clone());
        }
        Ok(Page { sagas, next: None })
    }
}
