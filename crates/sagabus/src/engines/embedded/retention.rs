//! Keeps the log from growing without end: what is old and needed by nobody is dropped, a whole segment at a time.
//!
//! Before segments are dropped, what is needed of them is written into one file that stands for the log's beginning: the
//! state of each ledger, events that are still open in one, what is scheduled, and the sagas that have not ended. A
//! ledger whose subscription has not looked at an event yet keeps the whole segment, for as long as it takes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cell::{Cell, CellState, encode};
use super::committer::salt;
use super::compacted::{Compacted, Source};
use super::disk::Disk;
use super::fold::Fold;
use super::frame::Salt;
use super::log::{self, Append, Durability, Visit};
use super::planted::{self, Bug};
use super::record::{self, Schedule, StoredSagaRecord};
use super::{Settings, Shared};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ledger::Change;
use crate::transport::{Holding, Kept};

/// How often what became too old is looked for; what became too much is noticed at once.
pub(super) const CHECK: Duration = Duration::from_mins(10);
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

/// The position up to which the settings say that nothing is to be kept: the beginning of one of these segments, which
/// are in order. The last one is being written and stays.
fn wanted(pieces: &[Piece], now: Timestamp, remembered: u64, settings: &Settings) -> u64 {
    let mut bytes: u64 = pieces.iter().map(|it| it.bytes).sum();
    let mut wanted = pieces.first().map_or(1, |it| it.first);
    for (piece, next) in pieces.iter().zip(pieces.iter().skip(1)) {
        // All of a segment is older than the one after it.
        let is_old = now.since(next.made_at) >= settings.retention_time;
        let is_too_much = bytes > settings.retention_bytes && next.first <= remembered;
        if !is_old && !is_too_much {
            break;
        }
        bytes -= piece.bytes;
        wanted = next.first;
    }
    wanted
}

/// The last beginning of a segment at or before `position`, from which on everything stays.
fn whole(pieces: &[Piece], position: u64) -> u64 {
    let after = pieces.partition_point(|it| it.first <= position);
    let last = pieces.get(after.saturating_sub(1));
    last.map_or(1, |it| it.first)
}

/// What subscriptions need of the records before a position.
#[derive(Debug)]
struct Needs {
    upto: u64,
    /// Positions of open deliveries, in order.
    open: Vec<u64>,
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
                if let Err(error) = engine.retain().await
                    && !stop.is_cancelled()
                {
                    tracing::warn!(error = %error.chain(), "cannot drop what is old; tried again later");
                }
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

    fn pieces(&self, files: &log::Files) -> Vec<Piece> {
        let piece = |it: &Arc<super::segment::Segment>| Piece {
            first: it.first_position(),
            bytes: it.bytes(),
            // One of a version that did not write it down counts as new when the log is opened.
            made_at: it.made_at().unwrap_or(self.opened_at),
        };
        files.segments.iter().map(piece).collect()
    }

    /// Drops what is old and needed by nobody. Does nothing when there is too little of it.
    pub(crate) async fn retain(&self) -> Result<()> {
        let _one_at_a_time = self.retaining.lock().await;
        let files = self.log.reader().files();
        let pieces = self.pieces(&files);
        let remembered = self.log.reader().remembered.load(Ordering::Relaxed);
        let wanted = wanted(&pieces, self.clock.now(), remembered, &self.settings);
        let oldest = self.log.reader().oldest();
        if wanted <= oldest {
            return Ok(());
        }
        // From here on no subscription begins before it, so that those there are now are all to be asked.
        self.hub.write(|state| state.floor = wanted);
        let cells = self.hub.cells();
        let upto = whole(&pieces, self.needed_from(&cells).min(wanted));
        self.hub.write(|state| state.floor = upto);
        let dropped = pieces.iter().take_while(|it| it.first < upto);
        let dropped_bytes: u64 = dropped.map(|it| it.bytes).sum();
        // The file that stands for them is written anew each time: what is dropped is to be worth that.
        let worth = files.compacted.as_ref().map_or(0, |it| it.bytes());
        if upto <= oldest || dropped_bytes < worth {
            return Ok(());
        }
        let Some(needs) = self.needs(&cells, upto).await? else {
            return Ok(());
        };
        self.compact(needs).await
    }

    /// The first position that a subscription has to look at: one that wants none of what is ahead of it has looked at
    /// all, although nobody has woken it for that.
    fn cursor(&self, cell: &Cell, state: &CellState) -> u64 {
        let head = self
            .hub
            .read(|hub| cell.has_none_ahead().then(|| hub.tail.head()));
        head.unwrap_or_default().max(state.ledger.cursor)
    }

    /// The first position that a subscription has to look at, as far as the log knows.
    fn needed_from(&self, cells: &[Arc<Cell>]) -> u64 {
        let cursor = |cell: &Arc<Cell>| {
            let mut state = cell.state();
            state.ledger.cursor = self.cursor(cell, &state);
            if state.ledger.cursor > state.recorded_cursor && !cell.is_removed() {
                let change = Change::Leased {
                    cursor: state.ledger.cursor,
                    leases: Vec::new(),
                    filtered: 0,
                    taken: Vec::new(),
                    filter_errors: 0,
                    epoch: state.ledger.epoch,
                };
                // The sync that is waited for before anything is dropped takes this along.
                drop(cell.change(
                    &mut state,
                    &self.log,
                    self.clock.now(),
                    vec![change],
                    Durability::Written,
                ));
            }
            state.recorded_cursor
        };
        cells.iter().map(cursor).min().unwrap_or(u64::MAX)
    }

    /// What is needed of the records before `upto` by what the disk knows; `None` when it does not know all, as there was
    /// no room for it.
    async fn needs(&self, cells: &[Arc<Cell>], upto: u64) -> Result<Option<Needs>> {
        let mut open = Vec::new();
        let mut links = Vec::with_capacity(cells.len());
        for cell in cells {
            links.push(self.whole_link(cell));
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
        let barrier = self.log.enqueue(Append {
            entries: Vec::new(),
            durability: Durability::Synced,
            refusable: false,
            link: None,
        });
        barrier.done().await?;
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
            let now = self.clock.now();
            drop(cell.record(&mut state, &self.log, now, Vec::new(), Durability::Written));
        }
        state.link
    }

    async fn compact(&self, needs: Needs) -> Result<()> {
        let log = self.log.reader();
        let disk = Arc::clone(&self.disk);
        let stop = self.clockwork.stop();
        let now = self.clock.now();
        let salt = salt((self.clock.random(), self.clock.random()), needs.upto);
        let work = move || {
            let compactor = Compactor::new(&log, needs, now, stop)?;
            let upto = compactor.needs.upto;
            replace_beginning(disk.as_ref(), &log, (upto, salt, now), &|visit| {
                compactor.records(visit)
            })?;
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

    /// What is kept, and which subscriptions keep more of it than the settings ask for.
    pub(super) fn kept(&self) -> Kept {
        let files = self.log.reader().files();
        let pieces = self.pieces(&files);
        let remembered = self.log.reader().remembered.load(Ordering::Relaxed);
        let wanted = wanted(&pieces, self.clock.now(), remembered, &self.settings);
        let compacted = files.compacted.as_ref().map_or(0, |it| it.bytes());
        let holding = self.hub.cells().into_iter().filter_map(|cell| {
            let cursor = self.cursor(&cell, &cell.state());
            let from = whole(&pieces, cursor);
            let held = pieces
                .iter()
                .filter(|it| it.first >= from && it.first < wanted);
            let bytes: u64 = held.map(|it| it.bytes).sum();
            (bytes > 0).then(|| Holding {
                subscription: cell.name.to_string(),
                bytes,
            })
        });
        Kept {
            oldest: pieces.first().map_or(1, |it| it.first),
            bytes: compacted + pieces.iter().map(|it| it.bytes).sum::<u64>(),
            holding: holding.collect(),
        }
    }
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
    drop_files(disk, log, log.begin_with(compacted));
    Ok(())
}

/// Deletes files that are not part of the log any more, or has them written over. What is left of them after a crash is
/// deleted at the next start.
fn drop_files(disk: &dyn Disk, log: &log::Shared, files: log::Files) {
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
        let mut retired = log
            .retired
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if is_read || retired.len() >= RETIRED_MAX {
            drop(retired);
            remove(&name);
        } else {
            retired.push(name);
        }
    }
}

/// Puts together what stands for the records before a position.
struct Compactor<'a> {
    log: &'a log::Shared,
    needs: Needs,
    fold: Fold,
    /// Scheduled events that were given another time.
    moved: BTreeSet<u64>,
    /// Sagas, and whether their last record is there.
    sagas: HashMap<String, bool>,
    now: Timestamp,
    stop: CancellationToken,
}

impl<'a> Compactor<'a> {
    fn new(
        log: &'a log::Shared,
        needs: Needs,
        now: Timestamp,
        stop: CancellationToken,
    ) -> Result<Self> {
        let mut it = Self {
            log,
            needs,
            fold: Fold::default(),
            moved: BTreeSet::new(),
            sagas: HashMap::new(),
            now,
            stop,
        };
        let upto = it.needs.upto;
        log.read(0, &mut |position, kind, content| {
            if position >= upto {
                return Ok(false);
            }
            it.go_on()?;
            it.fold.take(position, kind, content)?;
            match kind {
                record::SAGA => {
                    let stored: StoredSagaRecord<'_> = record::decode(content)?;
                    let is_last = stored.is_last == Some(true);
                    match it.sagas.get_mut(stored.saga) {
                        Some(known) => *known = is_last,
                        None => drop(it.sagas.insert(stored.saga.to_owned(), is_last)),
                    }
                }
                record::SCHEDULE => {
                    if let Schedule::Moved { position, .. } = record::decode(content)? {
                        it.moved.insert(position);
                    }
                }
                _ => {}
            }
            Ok(true)
        })?;
        it.fold.check()?;
        Ok(it)
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::closed("the log is being closed"));
        }
        Ok(())
    }

    /// The records that stand for all before the position.
    fn records(&self, visit: Visit<'_>) -> Result<()> {
        self.log.read(0, &mut |position, kind, content| {
            if position >= self.needs.upto {
                return Ok(false);
            }
            self.go_on()?;
            if self.is_needed(position, kind, content)? {
                visit(position, kind, content)?;
            }
            Ok(true)
        })?;
        let upto = self.needs.upto;
        for position in &self.moved {
            if let Some((due, _)) = self.fold.timers.key_of(*position) {
                let moved = Schedule::Moved {
                    position: *position,
                    due,
                };
                visit(upto, record::SCHEDULE, &record::encode(&moved))?;
            }
        }
        for (name, ledger) in &self.fold.ledgers {
            for change in ledger.restated() {
                self.go_on()?;
                visit(upto, record::LEDGER, &encode(name, self.now, change))?;
            }
        }
        Ok(())
    }

    fn is_needed(&self, position: u64, kind: u8, content: &[u8]) -> Result<bool> {
        if planted::has(Bug::NeededDropped) {
            return Ok(false);
        }
        Ok(match kind {
            record::EVENT => self.needs.open.binary_search(&position).is_ok(),
            record::SAGA => {
                let stored: StoredSagaRecord<'_> = record::decode(content)?;
                self.sagas.get(stored.saga) != Some(&true)
            }
            record::SCHEDULE => {
                self.fold.timers.contains(position)
                    && matches!(record::decode(content)?, Schedule::Set { .. })
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests;
