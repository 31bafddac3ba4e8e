//! Looks at the events ahead of a subscription: which of them it wants.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Shared;
use super::cell::Cell;
use crate::error::Result;
use crate::event::{Event, EventType};
use crate::filter::{Filter, Outcome};
use crate::transport::OnFilterError;

/// Events read from the disk at once by a subscription that has fallen behind what is in memory.
const BACKLOG_EVENTS: usize = 512;
/// Events passed over by the filter after which that is written down.
const FILTERED_MAX: u64 = 4096;
/// Memory for events that were looked at and are not handed out yet, counted by their payloads (8 MiB).
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Allowance for what an event takes besides its payload.
const EVENT_BYTES: usize = 512;

/// Events read from the disk that were not looked at yet: all from `from` to `next`; and some that were.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    from: u64,
    events: VecDeque<(u64, Arc<Event>)>,
    next: u64,
}

/// Events that were looked at and are not handed out yet, as far as there is memory for them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    events: BTreeMap<u64, Arc<Event>>,
    bytes: usize,
}

impl Held {
    pub(crate) fn put(&mut self, position: u64, event: &Arc<Event>) {
        let bytes = EVENT_BYTES + event.data.len();
        if self.bytes + bytes <= HELD_BYTES_MAX
            && self.events.insert(position, Arc::clone(event)).is_none()
        {
            self.bytes += bytes;
        }
    }

    pub(crate) fn take(&mut self, position: u64) -> Option<Arc<Event>> {
        let event = self.events.remove(&position)?;
        self.bytes -= EVENT_BYTES + event.data.len();
        Some(event)
    }
}

/// A filter and what is done when it fails.
#[derive(Clone)]
pub(crate) struct Sieve {
    pub(crate) filter: Option<Filter>,
    pub(crate) on_error: OnFilterError,
}

/// An event that is to be delivered, or became a dead letter by the filter's fault.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) position: u64,
    pub(crate) event: Arc<Event>,
    pub(crate) filter_fault: Option<String>,
}

/// What was looked at.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) wanted: Vec<Wanted>,
    /// Passed over by the filter, and how many of these because it failed.
    pub(crate) filtered: u64,
    pub(crate) filter_errors: u64,
    /// Events that fit the patterns, and how many of them are special.
    pub(crate) all: u64,
    pub(crate) special: u64,
    /// Everything before it was looked at.
    pub(crate) cursor: u64,
}

/// Events that fit the patterns: all of them before `next`.
struct Found {
    events: Vec<(u64, Arc<Event>)>,
    next: u64,
}

impl Looked {
    fn from(cursor: u64) -> Self {
        Self {
            cursor,
            ..Self::default()
        }
    }

    fn look_at(&mut self, sieve: &Sieve, position: u64, event: Arc<Event>) {
        self.cursor = position + 1;
        self.all += 1;
        self.special += u64::from(event.is_special());
        let said = match &sieve.filter {
            None => Outcome::Pass,
            Some(filter) => filter.evaluate(&event),
        };
        let wanted = &mut self.wanted;
        let want = |filter_fault| {
            wanted.push(Wanted {
                position,
                event,
                filter_fault,
            });
        };
        match (said, sieve.on_error) {
            (Outcome::Pass, _) | (Outcome::Error(_), OnFilterError::Deliver) => want(None),
            (Outcome::Skip, _) => self.filtered += 1,
            (Outcome::Error(_), OnFilterError::Skip) => {
                self.filtered += 1;
                self.filter_errors += 1;
            }
            (Outcome::Error(text), OnFilterError::DeadLetter) => want(Some(text)),
        }
    }
}

/// Which events are to be looked at: from `cursor` on, those before `until`, at most so many that are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) cursor: u64,
    pub(crate) until: u64,
    pub(crate) max: usize,
}

/// Looks at events from `cursor` on until `max` are wanted or there are no more; the filter is a stranger's code, and no
/// lock but that of the backlog is held while it is asked.
pub(crate) async fn scan(
    shared: &Shared,
    cell: &Cell,
    sieve: &Sieve,
    backlog: &mut Backlog,
    Span { cursor, until, max }: Span,
) -> Result<Looked> {
    let mut looked = Looked::from(cursor);
    while looked.wanted.len() < max && looked.filtered < FILTERED_MAX {
        let Some(found) = in_memory(shared, cell, looked.cursor, max) else {
            break;
        };
        let is_last = found.events.is_empty();
        looked.wanted.reserve(found.events.len());
        for (position, event) in found.events {
            if looked.wanted.len() == max {
                return Ok(looked);
            }
            if position >= until {
                looked.cursor = until;
                return Ok(looked);
            }
            looked.look_at(sieve, position, event);
        }
        looked.cursor = looked.cursor.max(found.next).min(until);
        if is_last {
            return Ok(looked);
        }
    }
    if looked.cursor > cursor {
        return Ok(looked);
    }
    if backlog.from != cursor || backlog.events.is_empty() {
        let page = shared.read(cursor, BACKLOG_EVENTS).await?;
        *backlog = Backlog {
            from: cursor,
            events: page.events.into(),
            next: page.next,
        };
    }
    while looked.wanted.len() < max {
        let next = backlog.events.pop_front().filter(|it| it.0 < until);
        let Some((position, event)) = next else {
            looked.cursor = backlog.next.min(until);
            break;
        };
        looked.cursor = position + 1;
        if cell.wants(&event.event_type) {
            looked.look_at(sieve, position, event);
        }
    }
    backlog.from = looked.cursor;
    Ok(looked)
}

/// Up to `max` events that fit the patterns, from the latest ones; `None` when those begin after `cursor`.
fn in_memory(shared: &Shared, cell: &Cell, cursor: u64, max: usize) -> Option<Found> {
    shared.hub.read(|state| {
        let patterns = cell.patterns();
        let (from, head) = (state.tail.from(cursor)?, state.tail.head());
        let most = usize::try_from(head.saturating_sub(cursor)).unwrap_or(max);
        let mut found = Found {
            events: Vec::with_capacity(most.min(max)),
            next: cursor.max(head),
        };
        // Events that come together are often of one type: whether it is wanted is asked once.
        let mut asked: Option<(&EventType, bool)> = None;
        for (position, event) in from {
            let is_wanted = match asked {
                Some((event_type, is_wanted)) if event.event_type == *event_type => is_wanted,
                _ => patterns.iter().any(|it| it.matches(&event.event_type)),
            };
            asked = Some((&event.event_type, is_wanted));
            if !is_wanted {
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
