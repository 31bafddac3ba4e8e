//! Keeps the log from growing without end: what is old and needed by nobody is dropped, a whole segment at a time.
//!
//! Before segments are dropped, what is needed of them is written into one file that stands for the log's beginning: the
//! state of each ledger, events that are still open in one, what is scheduled, and the sagas that have not ended. A
//! ledger whose subscription has not looked at an event yet keeps the whole segment, for as long as it takes.

mod compactor;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use self::compactor::Compactor;
use super::cell::{Cell, CellState};
use super::committer::salt;
use super::compacted::{self, Compacted, Source};
use super::disk::Disk;
use super::frame::Salt;
use super::log::{self, Admission, Append, Durability};
use super::planted::{self, Bug};
use super::segment::Segment;
use super::{Settings, Shared, record, reserve};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::EventType;
use crate::ledger::{Change, Wants};
use crate::transport::{Holding, Kept};

/// How often what became too old is looked for; what became too much is noticed at once.
const CHECK: Duration = Duration::from_mins(10);
/// Deliveries looked at before others may have the ledger.
const LOOKED_AT_MAX: usize = 4096;
/// Most dropped segments that wait to be written over; there is one spare at a time.
const RETIRED_MAX: usize = 2;

/// A segment, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    first: u64,
    bytes: u64,
    made_at: Timestamp,
}

/// The position before which all is due to be dropped: the beginning of one of these segments, which are in order. The
/// last one is being written and stays; so do events that are remembered.
fn due(pieces: &[Piece], now: Timestamp, remembered: u64, settings: &Settings) -> u64 {
    let mut bytes: u64 = pieces.iter().map(|it| it.bytes).sum();
    let mut due = pieces.first().map_or(1, |it| it.first);
    for (piece, next) in pieces.iter().zip(pieces.iter().skip(1)) {
        // All of a segment is older than the one after it.
        let is_old = now.since(next.made_at) >= settings.retention_time;
        let is_too_much = bytes > settings.retention_bytes;
        if next.first > remembered || !(is_old || is_too_much) {
            break;
        }
        bytes -= piece.bytes;
        due = next.first;
    }
    due
}

/// The last beginning of a segment at or before `position`, from which on everything stays.
fn whole(pieces: &[Piece], position: u64) -> u64 {
    let after = pieces.partition_point(|it| it.first <= position);
    let last = pieces.get(after.saturating_sub(1));
    last.map_or(1, |it| it.first)
}

/// Bytes of the segments that begin at `from` or later, and before `upto`.
fn bytes(pieces: &[Piece], from: u64, upto: u64) -> u64 {
    let within = pieces.iter().filter(|it| (from..upto).contains(&it.first));
    within.map(|it| it.bytes).sum()
}

/// What subscriptions need of the records before a position.
#[derive(Debug)]
struct Needs {
    upto: u64,
    /// Positions of open deliveries, in order.
    open: Vec<u64>,
}

/// A subscription that has to look at events which are due to be dropped, or so it seems.
struct Behind {
    cell: Arc<Cell>,
    cursor: u64,
    wants: Wants,
    /// It wants one of them.
    is_needing: bool,
}

/// What became of the last try.
#[derive(Debug, Default)]
pub(super) struct LastTry {
    holding: Vec<Holding>,
    /// Bytes that stay since their events are remembered.
    remembered: u64,
    fault: Option<String>,
}

impl Shared {
    /// Has retention looked after, from the first call that comes from within a runtime.
    pub(super) fn watch_log(self: &Arc<Self>) {
        let shared = Arc::downgrade(self);
        let log = self.log.reader();
        let stop = self.clockwork.stop();
        self.clockwork.spawn(async move {
            loop {
                let Some(engine) = shared.upgrade().filter(|it| it.log.stopped().is_none()) else {
                    return;
                };
                // What failed is told by `kept`, and tried again.
                let _outcome = engine.retain().await;
                drop(engine);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = log.moved_on.notified() => {}
                    () = tokio::time::sleep(CHECK) => {}
                }
            }
        });
    }

    fn pieces(&self, segments: &[Arc<Segment>]) -> Vec<Piece> {
        // One of a version that did not write it down is not younger than the next that did.
        let mut made_at = self.opened_at;
        let mut pieces: Vec<Piece> = segments
            .iter()
            .rev()
            .map(|segment| {
                made_at = segment.made_at().unwrap_or(made_at);
                Piece {
                    first: segment.first_position(),
                    bytes: segment.bytes(),
                    made_at,
                }
            })
            .collect();
        pieces.reverse();
        pieces
    }

    /// Drops what is old and needed by nobody. Does nothing when there is too little of it.
    pub(super) async fn retain(self: &Arc<Self>) -> Result<()> {
        let one_at_a_time = Arc::clone(&self.retaining).lock_owned().await;
        let mut found = LastTry::default();
        let outcome = self.try_retain(one_at_a_time, &mut found).await;
        let fault = outcome.as_ref().err().map(Error::chain);
        if let Some(fault) = fault
            .as_ref()
            .filter(|_| !self.clockwork.stop().is_cancelled())
        {
            tracing::warn!(error = fault, "cannot drop what is old; tried again later");
        }
        *self.last_try() = LastTry { fault, ..found };
        outcome
    }

    fn last_try(&self) -> std::sync::MutexGuard<'_, LastTry> {
        self.last_try.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn try_retain(
        self: &Arc<Self>,
        one_at_a_time: OwnedMutexGuard<()>,
        found: &mut LastTry,
    ) -> Result<()> {
        let log = self.log.reader();
        if log.files().segments.len() < 2 {
            // The one that is written to is never dropped.
            return Ok(());
        }
        self.keep_room().await?;
        // Forgets what is remembered for too long.
        self.sync().await?;
        let files = log.files();
        let (oldest, pieces) = (log.oldest(), self.pieces(&files.segments));
        let compacted = files.compacted.as_ref();
        let is_old = |it: &&Arc<Compacted>| {
            self.clock.now().since(it.made_at()) >= self.settings.retention_time
        };
        // It is written anew each time: what is dropped is to be worth that, unless what is in it may be too old.
        let worth = compacted
            .filter(|it| !is_old(it))
            .map_or(0, |it| it.bytes());
        // Held no longer, lest a segment that is dropped seems to be read.
        drop(files);
        let remembered = log.remembered.load(Ordering::Relaxed);
        let now = self.clock.now();
        let due_before = |remembered| due(&pieces, now, remembered, &self.settings);
        let due = due_before(remembered);
        found.remembered = bytes(&pieces, due, due_before(u64::MAX));
        if due <= oldest {
            return Ok(());
        }
        let needed_from = self.needed_from(due, &pieces, &mut found.holding).await?;
        let upto = whole(&pieces, needed_from.min(due));
        let dropped = pieces.iter().take_while(|it| it.first < upto);
        let dropped_bytes: u64 = dropped.map(|it| it.bytes).sum();
        if upto <= oldest || dropped_bytes < worth {
            return Ok(());
        }
        // From here on no subscription begins before it: those there are now are all to be asked.
        let cells = self.hub.write(|hub| {
            hub.floor = upto;
            hub.cells.values().cloned().collect::<Vec<_>>()
        });
        let outcome = match self.needs(&cells, upto).await {
            Ok(Some(needs)) => self.compact(needs, one_at_a_time).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        // A file whose name may be durable is what the next start begins with.
        let name = compacted::name_of(upto);
        let is_named = self.disk.list().map_or(true, |names| names.contains(&name));
        if !is_named {
            self.hub.write(|hub| hub.floor = log.oldest());
        }
        outcome
    }

    /// Keeps room for what stands for the log's beginning.
    async fn keep_room(self: &Arc<Self>) -> Result<()> {
        let (disk, log) = (Arc::clone(&self.disk), self.log.reader());
        let bytes = reserve::bytes(self.settings.segment_bytes);
        let keep = move || keep_room(disk.as_ref(), &log, bytes);
        if self.is_instant {
            keep();
            return Ok(());
        }
        tokio::task::spawn_blocking(keep).await.map_err(|error| {
            Error::closed("keeping room for what is left of old segments was cut short")
                .with_source(error)
        })
    }

    /// Waits until what was recorded before is durable.
    async fn sync(&self) -> Result<()> {
        let nothing = Append {
            entries: Vec::new(),
            durability: Durability::Synced,
            admission: Admission::Always,
            link: None,
        };
        self.log.enqueue(nothing).done().await.map(drop)
    }

    /// The first position before `due` that a subscription has to look at, as far as the log knows. One that wants none
    /// of the events that are due to be dropped has looked at them, although nobody has woken it for that.
    async fn needed_from(
        &self,
        due: u64,
        pieces: &[Piece],
        holding: &mut Vec<Holding>,
    ) -> Result<u64> {
        let behind = |cell: Arc<Cell>| {
            let state = cell.state();
            let (cursor, wants) = (state.ledger.cursor, state.ledger.wants.clone());
            drop(state);
            (cursor < due).then_some(Behind {
                cell,
                cursor,
                wants,
                is_needing: false,
            })
        };
        let mut behind: Vec<Behind> = self.hub.cells().into_iter().filter_map(behind).collect();
        if !behind.is_empty() {
            let log = self.log.reader();
            behind = if self.is_instant {
                look_for_needed(&log, behind, due)?
            } else {
                tokio::task::spawn_blocking(move || look_for_needed(&log, behind, due))
                    .await
                    .map_err(|error| {
                        Error::closed("reading the log was cut short").with_source(error)
                    })??
            };
        }
        for it in behind {
            if !it.is_needing {
                let mut state = it.cell.state();
                if state.ledger.wants == it.wants {
                    state.ledger.cursor = state.ledger.cursor.max(due);
                }
                continue;
            }
            let bytes = bytes(pieces, whole(pieces, it.cursor), due);
            if bytes > 0 {
                holding.push(Holding {
                    subscription: it.cell.name.to_string(),
                    bytes,
                });
            }
        }
        let cells = self.hub.cells();
        Ok(cells
            .iter()
            .map(|it| self.recorded_cursor(it))
            .min()
            .unwrap_or(u64::MAX))
    }

    /// How far a subscription has looked, as recorded; that is done here if it was not.
    fn recorded_cursor(&self, cell: &Cell) -> u64 {
        let mut state = cell.state();
        if state.ledger.cursor > state.recorded_cursor && !cell.is_removed() {
            let change = Change::Leased {
                cursor: state.ledger.cursor,
                leases: Vec::new(),
                filtered: 0,
                taken: Vec::new(),
                filter_errors: 0,
                epoch: state.ledger.epoch,
            };
            self.record(cell, &mut state, vec![change]);
        }
        state.recorded_cursor
    }

    /// Records changes that change nothing else. The sync that is waited for before anything is dropped takes them along.
    fn record(&self, cell: &Cell, state: &mut CellState, changes: Vec<Change>) {
        let now = self.clock.now();
        drop(cell.change(state, &self.log, now, changes, Durability::Written));
    }

    /// What is needed of the records before `upto` by what the disk knows; `None` when it does not know all, as there was
    /// no room for it, or when somebody has come who has to look at more.
    async fn needs(&self, cells: &[Arc<Cell>], upto: u64) -> Result<Option<Needs>> {
        let mut open = Vec::new();
        let mut links = Vec::with_capacity(cells.len());
        for cell in cells {
            links.push(self.whole_link(cell));
            if self.recorded_cursor(cell) < upto {
                return Ok(None);
            }
            // What is open now, or in a moment: nothing before the cursor becomes open again.
            let mut after = Some(0);
            while let Some(position) = after {
                let before = open.len();
                {
                    let state = cell.state();
                    let some = state.ledger.open_between(position, upto);
                    open.extend(some.take(LOOKED_AT_MAX));
                }
                let is_last = open.len() - before < LOOKED_AT_MAX;
                after = open.last().copied().filter(|_| !is_last);
                tokio::task::yield_now().await;
            }
        }
        open.sort_unstable();
        open.dedup();
        self.sync().await?;
        let is_known = cells
            .iter()
            .zip(links)
            .all(|(cell, link)| cell.link_number() == link);
        Ok(is_known.then_some(Needs { upto, open }))
    }

    /// The number of the cell's chain after the log was told all that it did not know for want of room.
    fn whole_link(&self, cell: &Cell) -> u64 {
        let mut state = cell.state();
        if !cell.is_whole(&state) && !cell.is_removed() {
            self.record(cell, &mut state, Vec::new());
        }
        state.link
    }

    async fn compact(
        self: &Arc<Self>,
        needs: Needs,
        one_at_a_time: OwnedMutexGuard<()>,
    ) -> Result<()> {
        let shared = Arc::clone(self);
        let now = self.clock.now();
        let salt = salt((self.clock.random(), self.clock.random()), needs.upto);
        // Whoever waits for it may go: the work has the engine, and so its directory, until it is done.
        let work = move || {
            let _one_at_a_time = one_at_a_time;
            let log = shared.log.reader();
            let compactor = Compactor::new(&log, needs, now, shared.clockwork.stop())?;
            let upto = compactor.needs.upto;
            replace_beginning(shared.disk.as_ref(), &log, (upto, salt, now), &|visit| {
                compactor.records(visit)
            })?;
            keep_room(
                shared.disk.as_ref(),
                &log,
                reserve::bytes(shared.settings.segment_bytes),
            );
            tracing::info!(upto, "dropped what is old and needed by nobody");
            Ok(())
        };
        if self.is_instant {
            return work();
        }
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            Error::closed("dropping what is old was cut short").with_source(error)
        })?
    }

    /// What is kept, and what was found at the last look.
    pub(super) fn kept(&self) -> Kept {
        let files = self.log.reader().files();
        let segments: u64 = files.segments.iter().map(|it| it.bytes()).sum();
        let last_try = self.last_try();
        let is_there = |it: &&Holding| self.hub.cell(&it.subscription).is_some();
        Kept {
            oldest: files.segments.first().map_or(1, |it| it.first_position()),
            bytes: segments + files.compacted.map_or(0, |it| it.bytes()),
            holding: last_try.holding.iter().filter(is_there).cloned().collect(),
            remembered: last_try.remembered,
            fault: last_try.fault.clone(),
        }
    }
}

/// Finds out who wants an event before `due` that they have not looked at: in one pass, up to the first of each.
fn look_for_needed(log: &log::Shared, mut behind: Vec<Behind>, due: u64) -> Result<Vec<Behind>> {
    behind.sort_by_key(|it| it.cursor);
    let mut next = behind.first().map(|it| it.cursor);
    while let Some(from) = next {
        next = None;
        log.read(from, &mut |position, kind, content| {
            if position >= due {
                return Ok(false);
            }
            if kind != record::EVENT {
                return Ok(true);
            }
            let event_type = EventType::new(record::event_type(content)?)?;
            let mut undecided = behind.iter_mut().filter(|it| !it.is_needing);
            let mut is_asked = false;
            for it in undecided.by_ref() {
                if it.cursor > position {
                    // Nobody before this one is left: go on from there.
                    next = (!is_asked).then_some(it.cursor);
                    break;
                }
                it.is_needing = it.cell.wants(&event_type);
                is_asked |= !it.is_needing;
            }
            Ok(is_asked && next.is_none())
        })?;
    }
    Ok(behind)
}

/// Has what `source` hands out stand for all records before a position, which is the beginning of a segment.
pub(crate) fn replace_beginning(
    disk: &dyn Disk,
    log: &log::Shared,
    (upto, salt, now): (u64, Salt, Timestamp),
    source: Source<'_>,
) -> Result<()> {
    if planted::has(Bug::DroppedEarly) {
        for segment in log.files().segments {
            if segment.first_position() < upto {
                let _removed = disk.remove(segment.name());
            }
        }
    }
    let compacted = Compacted::write(disk, upto, salt, now, source)?;
    // A disk that is full has room again first of all.
    let retired_max = if compacted.took_reserve() {
        0
    } else {
        RETIRED_MAX
    };
    drop_files(disk, log, log.begin_with(compacted), retired_max);
    Ok(())
}

/// What can be dropped from a full disk is bounded by this; where there is no room for it now, it is tried again. It takes
/// nothing of what is left free for what was accepted.
fn keep_room(disk: &dyn Disk, log: &log::Shared, bytes: u64) {
    if !log.room.is_enough_for(bytes) {
        return;
    }
    if let Err(error) = reserve::keep(disk, bytes) {
        tracing::debug!(%error, "cannot keep room for what is left of old segments");
    }
}

/// Deletes files that are not part of the log any more, or has them written over. What is left of them after a crash is
/// deleted at the next start.
fn drop_files(disk: &dyn Disk, log: &log::Shared, files: log::Files, retired_max: usize) {
    let remove = |name: &str| {
        if let Err(error) = disk.remove(name) {
            tracing::warn!(name, %error, "cannot delete a file that is not needed any more");
        }
    };
    if let Some(compacted) = files.compacted {
        remove(compacted.name());
    }
    for segment in files.segments {
        let name = segment.name().to_owned();
        // Somebody who reads it must not see it written over.
        let is_read = Arc::into_inner(segment).is_none();
        let mut retired = log.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if is_read || retired.len() >= retired_max {
            drop(retired);
            remove(&name);
        } else {
            retired.push(name);
        }
    }
}

#[cfg(test)]
mod tests;
