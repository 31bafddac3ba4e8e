//! Finds dead letters and puts together what is known of them, a bounded piece at a time.

use std::sync::Arc;

use super::cell::Cell;
use super::{Shared, log, record};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::{Delivery, DeliveryState, Key};
use crate::transport::{
    DEAD_LETTERS_MAX, DeadLetter, DeadLetterId, DeadLetterIds, DeadLetterPage, DeadLetterQuery,
    PAGE_BYTES_MAX, POSITIONS_MAX,
};

/// Deliveries looked at before others may have the ledger: about a millisecond.
const LOOKED_AT_MAX: usize = 4096;
/// Dead letters copied and events read at once.
const BATCH: usize = 256;
/// Records that are read over rather than sought past.
const GAP: u64 = 1024;

/// A dead letter that fits as far as the ledger knows.
#[derive(Clone, Copy, Debug)]
struct Hit {
    position: u64,
    /// Whether its event's subject decides.
    needs_subject: bool,
}

/// What one look at a ledger gave.
#[derive(Debug, Default)]
struct Looked {
    hits: Vec<Hit>,
    /// Where to look on.
    after: Option<u64>,
}

/// Whether a delivery fits, as far as the ledger knows: `Some` of whether its event's subject is to be asked.
fn fits(query: &DeadLetterQuery, delivery: &Delivery) -> Option<bool> {
    let DeliveryState::Dead(dead_at) = delivery.state else {
        return None;
    };
    let fault = delivery.faults.last();
    let is = |wanted: &Option<String>, found: Option<&String>| {
        wanted.is_none() || wanted.as_ref() == found
    };
    let says = |text: &String| fault.is_some_and(|it| it.error.contains(text));
    let is_wanted = query.dead_from.is_none_or(|from| dead_at >= from)
        && query.dead_before.is_none_or(|before| dead_at < before)
        && is(&query.kind, fault.map(|it| &it.kind))
        && is(&query.error_type, fault.map(|it| &it.error_type))
        && query.error.as_ref().is_none_or(says);
    match (&query.key, delivery.key) {
        _ if !is_wanted => None,
        (None, _) => Some(false),
        (Some(wanted), Some(key)) => (Key::of(wanted) == key).then_some(false),
        (Some(_), None) => Some(true),
    }
}

/// Looks at a bounded number of deliveries after a position, until there are `max` hits.
fn look(cell: &Cell, query: &DeadLetterQuery, after: u64, max: usize) -> Looked {
    let state = cell.state();
    let mut looked = Looked::default();
    let mut see = |position: u64, delivery: &Delivery| {
        if let Some(needs_subject) = fits(query, delivery) {
            looked.hits.push(Hit {
                position,
                needs_subject,
            });
        }
        looked.hits.len() == max
    };
    if query.positions.is_empty() {
        for (count, (position, delivery)) in state.ledger.open_after(after).enumerate() {
            if see(position, delivery) || count + 1 == LOOKED_AT_MAX {
                looked.after = Some(position);
                break;
            }
        }
        return looked;
    }
    let first = query.positions.partition_point(|it| *it <= after);
    let wanted = query.positions.get(first..).unwrap_or_default();
    for (count, position) in wanted.iter().enumerate() {
        let delivery = state.ledger.get(*position);
        if delivery.is_some_and(|it| see(*position, it)) || count + 1 == LOOKED_AT_MAX {
            looked.after = Some(*position);
            break;
        }
    }
    looked
}

impl Shared {
    pub(super) async fn find_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterIds> {
        query.check()?;
        let mut query = query.clone();
        query.positions.sort_unstable();
        query.positions.dedup();
        let cells = match &query.subscription {
            Some(name) => vec![self.known(name)?],
            None => self.hub.cells(),
        };
        // One more than wanted, to know whether there is more.
        let max = query.max.min(POSITIONS_MAX);
        let mut found = DeadLetterIds::default();
        for cell in cells {
            let mut after = match &query.after {
                Some(id) if id.subscription.as_str() > &*cell.name => continue,
                Some(id) if id.subscription.as_str() == &*cell.name => Some(id.position),
                _ => Some(0),
            };
            while let Some(position) = after {
                let room = (max + 1 - found.ids.len()).min(BATCH);
                let looked = look(&cell, &query, position, room);
                after = looked.after;
                let positions = self.wanted(&query, &looked.hits).await?;
                let ids = positions.into_iter();
                found
                    .ids
                    .extend(ids.map(|position| DeadLetterId::new(&cell.name, position)));
                if found.ids.len() > max {
                    found.ids.truncate(max);
                    found.next = found.ids.last().cloned();
                    return Ok(found);
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(found)
    }

    /// Those of the hits whose events fit; reads events only where they decide.
    async fn wanted(&self, query: &DeadLetterQuery, hits: &[Hit]) -> Result<Vec<u64>> {
        let needs_event = |hit: &Hit| query.pattern.is_some() || hit.needs_subject;
        let (asked, mut positions): (Vec<Hit>, Vec<Hit>) =
            hits.iter().copied().partition(needs_event);
        let mut rest = asked.as_slice();
        while !rest.is_empty() {
            let wanted: Vec<u64> = rest.iter().map(|it| it.position).collect();
            let events = self.events(&wanted).await?;
            for (hit, event) in rest.iter().zip(&events) {
                let pattern = query.pattern.as_ref();
                let is_of_type = pattern.is_none_or(|it| it.matches(&event.event_type));
                let is_of_key = !hit.needs_subject || query.key == event.subject;
                if is_of_type && is_of_key {
                    positions.push(*hit);
                }
            }
            rest = rest.get(events.len()..).unwrap_or_default();
        }
        let mut positions: Vec<u64> = positions.iter().map(|it| it.position).collect();
        positions.sort_unstable();
        Ok(positions)
    }

    pub(super) async fn letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage> {
        let query = DeadLetterQuery {
            max: query.max.min(DEAD_LETTERS_MAX),
            ..query.clone()
        };
        let found = self.find_letters(&query).await?;
        let mut page = DeadLetterPage {
            letters: Vec::new(),
            next: found.next,
        };
        let mut bytes = 0;
        for ids in found
            .ids
            .chunk_by(|one, other| one.subscription == other.subscription)
            .flat_map(|ids| ids.chunks(BATCH))
        {
            let copies = self.copy(ids);
            let positions: Vec<u64> = copies.iter().map(|(it, ..)| *it).collect();
            // Where there are fewer events than that, those there are fill the page.
            let events = self.events(&positions).await?;
            for ((position, delivery, parked), event) in copies.into_iter().zip(events) {
                let Some(letter) = letter(ids, position, delivery, parked, event) else {
                    continue;
                };
                bytes += letter.bytes();
                page.letters.push(letter);
                if bytes >= PAGE_BYTES_MAX {
                    let last = page.letters.last().map(DeadLetter::id);
                    if last != found.ids.last().cloned() {
                        page.next = last;
                    }
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// What the ledger has of dead letters of one subscription, as far as they are there still.
    fn copy(&self, ids: &[DeadLetterId]) -> Vec<(u64, Delivery, u64)> {
        let name = ids.first().map(|it| it.subscription.as_str());
        let Some(cell) = name.and_then(|name| self.hub.cell(name)) else {
            return Vec::new();
        };
        let state = cell.state();
        ids.iter()
            .filter_map(|id| Some((id.position, state.ledger.get(id.position)?)))
            .filter(|(_, delivery)| delivery.is_dead())
            .map(|(at, delivery)| (at, delivery.clone(), state.ledger.parked_by(at)))
            .collect()
    }

    /// The events at the first of these positions, which are in order: one at least, and more until they are large.
    /// From memory, or with one hop to a thread that reads.
    pub(crate) async fn events(&self, positions: &[u64]) -> Result<Vec<Arc<Event>>> {
        let kept: Vec<Arc<Event>> = self.hub.read(|state| {
            let events = positions.iter().map_while(|it| state.tail.get(*it));
            events.collect()
        });
        if !kept.is_empty() || positions.is_empty() {
            return Ok(kept);
        }
        let positions = positions.to_vec();
        self.at_disk(move |log| read_events(log, &positions)).await
    }
}

fn letter(
    ids: &[DeadLetterId],
    position: u64,
    delivery: Delivery,
    parked: u64,
    event: Arc<Event>,
) -> Option<DeadLetter> {
    let DeliveryState::Dead(dead_at) = delivery.state else {
        return None;
    };
    Some(DeadLetter {
        subscription: ids.first()?.subscription.clone(),
        position,
        event,
        attempts: delivery.attempts,
        faults: delivery.faults.into(),
        redrives: delivery.redrives,
        parked,
        revisions: delivery.revisions.into(),
        dead_at,
        key: delivery.key.map(|key| key.0),
    })
}

/// Events at positions in order, as long as they are not large together; those near each other in one pass.
fn read_events(log: &log::Shared, positions: &[u64]) -> Result<Vec<Arc<Event>>> {
    let mut events = Vec::new();
    let mut bytes = 0;
    while bytes < PAGE_BYTES_MAX
        && let Some(first) = positions.get(events.len()).copied()
    {
        let before = events.len();
        log.read(first, &mut |at, kind, content| {
            let Some(wanted) = positions.get(events.len()).copied() else {
                return Ok(false);
            };
            if bytes >= PAGE_BYTES_MAX || wanted > at + GAP || wanted < at {
                return Ok(false);
            }
            if wanted == at && kind == record::EVENT {
                let event = record::decode_event(content)?;
                bytes += event.data.len();
                events.push(Arc::new(event));
            }
            Ok(true)
        })?;
        if events.len() == before {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the log has no event at position {first}"),
            ));
        }
    }
    Ok(events)
}
