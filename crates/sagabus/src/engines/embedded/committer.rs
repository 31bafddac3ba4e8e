//! The one writer of the log: takes what is waiting, writes it with one call, syncs once, then answers all.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::answer::{Answer, Crowd, Reply, Waiting};
use super::disk::{Disk, DiskFile};
use super::frame::{
    ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES,
    SegmentHeader, batch_bytes, pad, push_head, push_record, seal,
};
use super::log::{
    Admission, Append, BATCH_BYTES_MAX, BehindRefused, Durability, Entry, Observer, Placed,
    Request, Shared,
};
use super::planted::{self, Bug};
use super::record;
use super::recovery::Recovered;
use super::segment::{INDEX_STEP_BYTES, Segment, name_of};
use super::spare::{SPARE_NAME, Spare};
use super::window::{Known, Mark, Window};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::sync::mpsc::{Receiver, RecvTimeoutError};

/// Most bytes written before a sync.
const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// Written but unsynced records are synced when nothing came for this long.
const IDLE: Duration = Duration::from_millis(200);
/// How often a full log looks for room by itself: a person who made some sees it at once, and a disk that has none is
/// not kept busy with writing and deleting half a segment.
const ROOM_CHECK: Duration = Duration::from_secs(1);
/// The room is looked at again after so many bytes: what handles them may write as many.
const LOOK_BYTES: usize = 1024 * 1024;
/// Answers that were left to another task are given by the committer itself when they wait for this long.
const LATE: Duration = Duration::from_millis(1);
/// What a disk loses as a whole: see [`Committer::leave`].
const SECTOR_BYTES: u64 = 512;
/// Room for the marks that a stop leaves.
const MARKS_BYTES: u64 = SECTOR_BYTES + MARK_BYTES;
/// Bytes of a batch without records.
const MARK_BYTES: u64 = BATCH_HEADER_BYTES as u64;
/// The last part of a segment is kept for records that work off what was accepted, while no spare can be made.
const RESERVE_PARTS: u64 = 8;

/// What a committer is made of.
pub(crate) struct Parts {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segment_bytes: u64,
    pub(crate) salt_seed: (u64, u64),
    pub(crate) shared: Arc<Shared>,
    pub(crate) recovered: Recovered,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) window: Window,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The one writer of the log.
#[derive(Debug)]
pub(crate) struct Committer {
    disk: Arc<dyn Disk>,
    /// Length of the segments to come.
    segment_bytes: u64,
    salt_seed: (u64, u64),
    /// When it is looked for the room again, since the log was opened; or after so many bytes.
    look_at: Duration,
    bytes_to_look: usize,
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    window: Window,
    clock: Arc<dyn Clock>,
    /// When the log was opened, since the clock's fixed point.
    opened: Duration,
    spare: Spare,
    segment: Arc<Segment>,
    /// Where `buffer` goes in the segment.
    offset: u64,
    /// The next batch from here on in the segment is noted in its index.
    index_from: u64,
    /// Position of the next record.
    next: u64,
    /// Batches not yet written.
    buffer: Vec<u8>,
    /// Events not yet durable.
    events: Vec<(u64, Arc<Event>)>,
    /// What is remembered by the append that is being taken.
    fresh: Vec<Mark>,
    written: Waiting,
    synced: Waiting,
    crowd: Crowd,
    /// Something was written since the last sync.
    dirty: bool,
    /// After a failed write or sync.
    has_stopped: bool,
    /// The last batch in the file says that everything before it is durable.
    marked: bool,
    /// Where the last batch with records ends.
    records_end: u64,
}

impl Committer {
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let cannot = |error: io::Error| {
            let kind = if error.kind() == io::ErrorKind::StorageFull {
                ErrorKind::Full
            } else {
                ErrorKind::Transient
            };
            Error::new(kind, "cannot make the first file of the log").with_source(error)
        };
        let spare = Spare::start(
            Arc::clone(&parts.disk),
            parts.segment_bytes,
            Arc::clone(&parts.shared),
        )
        .map_err(cannot)?;
        let (segment, offset) = match parts.recovered.segments.last() {
            Some(segment) => (Arc::clone(segment), parts.recovered.end),
            None => {
                let salt = salt(parts.salt_seed, parts.recovered.next_position);
                let position = parts.recovered.next_position;
                let now = parts.clock.now();
                let segment = spare
                    .take()
                    .and_then(|file| activate(parts.disk.as_ref(), file, position, salt, now))
                    .map_err(cannot)?;
                parts.shared.go_on_in(Arc::clone(&segment));
                (segment, SEGMENT_HEADER_BYTES as u64)
            }
        };
        // One of the process before may be what fills the disk, and others have files to open.
        let _none_or_removed = parts.disk.remove(SPARE_NAME);
        spare.prepare_ahead();
        let remembered = parts.window.oldest();
        parts.shared.remembered.store(remembered, Ordering::Relaxed);
        Ok(Self {
            disk: parts.disk,
            segment_bytes: parts.segment_bytes,
            salt_seed: parts.salt_seed,
            look_at: Duration::ZERO,
            bytes_to_look: 0,
            shared: parts.shared,
            observer: parts.observer,
            window: parts.window,
            opened: parts.clock.elapsed(),
            clock: parts.clock,
            spare,
            segment,
            offset,
            index_from: 0,
            next: parts.recovered.next_position,
            buffer: Vec::new(),
            events: Vec::new(),
            fresh: Vec::new(),
            written: Vec::new(),
            synced: Vec::new(),
            crowd: Crowd::default(),
            dirty: false,
            has_stopped: false,
            marked: parts.recovered.is_marked,
            records_end: parts.recovered.records_end,
        })
    }

    /// Commits groups until every sender is gone.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let wait = if self.crowd.is_waiting() { LATE } else { IDLE };
            let first = match requests.recv_timeout(wait) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) if wait == LATE => {
                    self.crowd.disperse();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.rest();
                    match self.sleep(requests) {
                        Some(first) => first,
                        None => return,
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = bytes_of(&first.append);
            let mut group = vec![first];
            while bytes < GROUP_BYTES_MAX
                && let Ok(request) = requests.try_recv()
            {
                bytes += bytes_of(&request.append);
                group.push(request);
            }
            self.commit_all(group.into_iter());
        }
    }

    /// Waits for work with nothing to sync or mark; `None` when every sender is gone. While there is no room it looks for
    /// some meanwhile, so that the log is known to be well again although nobody dares to append, and none is refused
    /// for want of room that was there again long before.
    fn sleep(&self, requests: &Receiver<Request>) -> Option<Request> {
        while self.lacks_room() || !self.spare.is_ready() {
            match requests.recv_timeout(ROOM_CHECK) {
                Ok(first) => return Some(first),
                Err(RecvTimeoutError::Timeout) => self.look_for_room(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        requests.recv().ok()
    }

    fn lacks_room(&self) -> bool {
        self.is_full() || self.shared.room.is_low()
    }

    fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Makes a spare as soon as there is room for one: what is full needs it, else it is to leave what is kept.
    fn look_for_room(&self) {
        let _told = self.shared.room.look();
        match (self.is_full(), self.spare.is_ready()) {
            (true, true) => self.shared.full.store(false, Ordering::Relaxed),
            (true, false) => self.spare.prepare(),
            (false, true) => {}
            (false, false) => self.spare.prepare_ahead(),
        }
    }

    /// Looks for room now and then: others write to the disk too.
    fn look_again(&mut self, age: Duration) {
        if age >= self.look_at || self.bytes_to_look == 0 {
            self.bytes_to_look = LOOK_BYTES;
            self.look_at = age.saturating_add(ROOM_CHECK);
            let _told = self.shared.room.look();
        }
    }

    /// Commits a group of appends and answers them.
    pub(crate) fn commit_all(&mut self, group: impl Iterator<Item = Request>) {
        for request in group {
            self.take(request);
        }
        if let Err(error) = self.flush() {
            self.stop(error);
        }
    }

    /// Answers those who were left to the first of them.
    pub(crate) fn answer_all(&self) {
        self.crowd.disperse();
    }

    /// Puts one append into the buffer, or answers it at once.
    fn take(&mut self, request: Request) {
        if self.has_stopped {
            return refuse(request.reply, self.stopped());
        }
        let Request { mut append, reply } = request;
        if let Some(link) = append.link.as_ref().filter(|it| it.is_broken()) {
            link.refuse();
            return refuse(reply, no_room().with_source(BehindRefused));
        }
        let mut placed = Placed {
            first: self.next,
            duplicates: Vec::new(),
        };
        self.fresh.clear();
        let mut records = 0_u32;
        let mut body_bytes = 0;
        for (number, entry) in append.entries.iter().enumerate() {
            let position = self.next + u64::from(records);
            if let Some(mark) = entry.mark() {
                match self.window.insert(mark, position) {
                    Known::No => self.fresh.push(*mark),
                    // What a saga tells was decided before, and is told once.
                    Known::Other(earlier) if append.admission.has_new_events() => {
                        self.forget();
                        if let Some(link) = &append.link {
                            link.break_chain();
                        }
                        let earlier = (earlier < self.next).then_some(earlier);
                        return refuse(reply, conflict(entry.content(), earlier));
                    }
                    Known::Same(earlier) | Known::Other(earlier) => {
                        placed.duplicates.push((number, earlier));
                        continue;
                    }
                }
            }
            body_bytes += RECORD_HEADER_BYTES + entry.content().1.len();
            records += 1;
        }
        if records > 0 {
            let bytes = batch_bytes(body_bytes);
            if let Err(error) = self.find_room(bytes, append.admission) {
                self.forget();
                if let Some(link) = &append.link {
                    link.break_chain();
                }
                return refuse(reply, error);
            }
            self.push(&mut append.entries, &placed, (records, body_bytes));
        }
        let at_once = planted::has(Bug::AckDuplicateAtOnce) && records == 0;
        let answer = Answer::new(placed, append.entries);
        match append.durability {
            _ if at_once => self.crowd.answer(&mut vec![(reply, answer)]),
            Durability::Synced => self.synced.push((reply, answer)),
            Durability::Written => self.written.push((reply, answer)),
        }
    }

    /// Forgets what is not stored after all.
    fn forget(&mut self) {
        if planted::has(Bug::RefusedRemembered) {
            return;
        }
        for mark in self.fresh.iter().rev() {
            self.window.forget(mark);
        }
    }

    /// Puts those that were not stored before into the buffer, as one batch: so many records, of so many bytes.
    fn push(&mut self, entries: &mut [Entry], placed: &Placed, (records, bytes): (u32, usize)) {
        let is_one = !planted::has(Bug::HalfBatch);
        let mut start = self.buffer.len();
        let mut position = self.next;
        if is_one {
            self.push_head(records, bytes);
        }
        let mut duplicates = placed.duplicates.iter().map(|(it, _)| *it).peekable();
        for (number, entry) in entries.iter_mut().enumerate() {
            if duplicates.next_if_eq(&number).is_some() {
                continue;
            }
            if !is_one {
                start = self.buffer.len();
                self.push_head(1, RECORD_HEADER_BYTES + entry.content().1.len());
            }
            let (kind, content) = entry.content();
            push_record(&mut self.buffer, kind, content);
            if !is_one {
                pad(&mut self.buffer, start);
            }
            entry.remember(&mut self.window, position);
            if let Some(event) = entry.take_event() {
                self.events.push((position, event));
            }
            position += 1;
        }
        pad(&mut self.buffer, start);
        self.records_end = self.offset + self.buffer.len() as u64;
    }

    fn push_head(&mut self, records: u32, body_bytes: usize) {
        let at = self.offset + self.buffer.len() as u64;
        if at >= self.index_from {
            self.segment.index(self.next, at);
            self.index_from = at + INDEX_STEP_BYTES;
        }
        let header = BatchHeader {
            first_position: self.next,
            durable_upto: self.shared.durable.load(Ordering::Relaxed),
            records,
            bytes: 0,
        };
        push_head(&mut self.buffer, &header, body_bytes);
        self.next += u64::from(records);
        self.marked = records == 0;
    }

    /// Up to here in the segment there is nothing to think about before writing.
    fn roomy_upto(&self) -> u64 {
        self.segment.bytes() - self.segment.bytes() / RESERVE_PARTS
    }

    /// Whether something may be stored. What is stored already is found also where there is no room for anything new.
    fn find_room(&mut self, bytes: usize, admission: Admission) -> Result<()> {
        if admission.is_new() && self.shared.room.is_low() {
            self.shared.room.look()?;
        }
        if self.offset + (self.buffer.len() + bytes) as u64 > self.roomy_upto() {
            self.make_room(bytes, admission.is_refusable())?;
        }
        Ok(())
    }

    /// Makes sure that a batch of `bytes` fits behind the buffer, moving on to the next segment if it must.
    fn make_room(&mut self, bytes: usize, refusable: bool) -> Result<()> {
        // Room for the last marks is kept, without which damage to the last batch would pass for a torn tail.
        let bytes_max = (self.segment_bytes - SEGMENT_HEADER_BYTES as u64 - MARKS_BYTES)
            .min(BATCH_BYTES_MAX as u64);
        if bytes as u64 > bytes_max {
            return Err(Error::invalid(format!(
                "what is to be stored together has {bytes} bytes, more than {bytes_max}"
            )));
        }
        let end = self.offset + (self.buffer.len() + bytes) as u64;
        if end > self.roomy_upto() {
            // With little room none was made ahead.
            let has_failed = self.spare.has_failed();
            self.spare.prepare();
            if refusable && has_failed {
                self.shared.full.store(true, Ordering::Relaxed);
                return Err(no_room());
            }
        }
        if end + MARKS_BYTES <= self.segment.bytes() {
            return Ok(());
        }
        // Everything in this segment is durable before the next one exists, so that recovery can rely on it.
        let durable = self.flush().and_then(|()| {
            if planted::has(Bug::SwitchBeforeSync) {
                return Ok(());
            }
            self.sync()
        });
        if let Err(error) = durable {
            self.stop(error);
            return Err(self.stopped());
        }
        let file = self.spare.take().map_err(|error| {
            self.shared.full.store(true, Ordering::Relaxed);
            no_room().with_source(error)
        })?;
        let salt = salt(self.salt_seed, self.next);
        match activate(self.disk.as_ref(), file, self.next, salt, self.clock.now()) {
            Ok(segment) => {
                self.shared.go_on_in(Arc::clone(&segment));
                self.segment = segment;
                self.offset = SEGMENT_HEADER_BYTES as u64;
                self.records_end = 0;
                self.index_from = 0;
                self.shared.full.store(false, Ordering::Relaxed);
                self.spare.prepare_ahead();
                Ok(())
            }
            Err(error) => {
                // Perhaps the new file has its name already: nothing may be added to the one before it any more.
                self.stop(error);
                Err(self.stopped())
            }
        }
    }

    /// Writes the buffer; syncs when somebody waits for that; answers.
    fn flush(&mut self) -> io::Result<()> {
        if planted::has(Bug::AckBeforeWrite) && self.synced.is_empty() {
            self.crowd.answer(&mut self.written);
            return Ok(());
        }
        if !self.buffer.is_empty() {
            seal(&mut self.buffer, self.segment.salt());
            self.segment.file().write_at(self.offset, &self.buffer)?;
            self.offset += self.buffer.len() as u64;
            self.bytes_to_look = self.bytes_to_look.saturating_sub(self.buffer.len());
            self.buffer.clear();
            self.dirty = true;
        }
        self.crowd.answer(&mut self.written);
        if planted::has(Bug::AckBeforeSync) {
            self.crowd.answer(&mut self.synced);
            return self.sync();
        }
        if !self.synced.is_empty() {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            let synced = if planted::has(Bug::NoSync) {
                Ok(())
            } else {
                self.segment.file().sync()
            };
            if !planted::has(Bug::AckAfterFailedSync) {
                synced?;
            }
            self.dirty = false;
        }
        // First counted for the subscriptions, then readable from the disk: one that catches up there would otherwise take
        // an event before it is counted, and the count would stay off for good.
        if !self.events.is_empty() {
            self.observer.durable(&mut self.events);
        }
        self.shared.durable.store(self.next, Ordering::Release);
        if !self.synced.is_empty() && !self.spare.has_failed() {
            self.shared.full.store(false, Ordering::Relaxed);
        }
        for ((_, answer), (_, event)) in self.synced.iter_mut().zip(self.events.drain(..)) {
            answer.take_along(event);
        }
        self.crowd.answer(&mut self.synced);
        let age = self.clock.elapsed().saturating_sub(self.opened);
        self.look_again(age);
        self.window.trim(age);
        let remembered = self.window.oldest();
        self.shared.remembered.store(remembered, Ordering::Relaxed);
        Ok(())
    }

    /// Syncs what was only written, then leaves a mark that says so: damage to acknowledged records that were the
    /// last before a stop is then told from a torn tail.
    pub(crate) fn rest(&mut self) {
        self.mark(0);
    }

    /// As [`Committer::rest`], before the end: the last mark begins in another sector than the records end in, so that
    /// no single sector takes both along.
    fn leave(&mut self) {
        let sector = if planted::has(Bug::OneMark) {
            0
        } else {
            self.records_end.next_multiple_of(SECTOR_BYTES)
        };
        self.mark(sector);
    }

    /// Leaves marks, the last of which begins at `from` or later.
    fn mark(&mut self, from: u64) {
        if self.has_stopped || planted::has(Bug::NoMark) {
            return;
        }
        let result = self.sync().and_then(|()| {
            let mut end = self.offset;
            while (!self.marked || end < from + MARK_BYTES)
                && end + MARK_BYTES <= self.segment.bytes()
            {
                // A head is as long as a multiple of what batches are aligned to.
                self.push_head(0, 0);
                end = self.offset + self.buffer.len() as u64;
            }
            self.flush()?;
            self.sync()
        });
        if let Err(error) = result {
            self.stop(error);
        }
    }

    /// Fail-stop: after a failed write or sync nobody knows what is on the disk, so nothing is acknowledged any more.
    fn stop(&mut self, error: io::Error) {
        tracing::error!(%error, "the log stopped itself after a failed write");
        self.has_stopped = !planted::has(Bug::SyncTriedAgain);
        *self
            .shared
            .stopped
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
        self.buffer.clear();
        self.events.clear();
        self.crowd.disperse();
        let waiting: Vec<_> = self
            .written
            .drain(..)
            .chain(self.synced.drain(..))
            .collect();
        for (reply, _) in waiting {
            refuse(reply, self.stopped());
        }
    }

    fn stopped(&self) -> Error {
        self.shared
            .stopped_error()
            .unwrap_or_else(|| Error::closed("the log is closed"))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Turns the spare into the segment that begins at `position`.
fn activate(
    disk: &dyn Disk,
    file: Arc<dyn DiskFile>,
    position: u64,
    salt: [u8; 16],
    now: Timestamp,
) -> io::Result<Arc<Segment>> {
    let header = SegmentHeader {
        first_position: position,
        salt,
        bytes: file.len()?,
        made_at: Some(now),
        is_compacted: false,
    };
    let name = name_of(position);
    file.write_at(0, &header.encode())?;
    if !planted::has(Bug::NameBeforeHeader) {
        file.sync()?;
    }
    disk.rename(SPARE_NAME, &name)?;
    Ok(Arc::new(Segment::new(&name, &header, file)))
}

pub(crate) fn salt(seed: (u64, u64), position: u64) -> [u8; 16] {
    let high = crate::clock::mix(seed.0 ^ position);
    let low = crate::clock::mix(seed.1.wrapping_add(position));
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

fn bytes_of(append: &Append) -> usize {
    let content: usize = append
        .entries
        .iter()
        .map(|entry| RECORD_HEADER_BYTES + entry.content().1.len())
        .sum();
    content + BATCH_HEADER_BYTES + ALIGNMENT
}

fn no_room() -> Error {
    Error::new(
        ErrorKind::Full,
        "the disk has no room for the log; nothing was stored, free some space and repeat",
    )
}

/// Another event has this one's name: at a position, or else in the same batch.
fn conflict((_, content): (u8, &[u8]), earlier: Option<u64>) -> Error {
    let name = record::named(content).map_or_else(
        |_| "the same name".to_owned(),
        |named| match named.idempotency_key {
            Some(key) => format!("idempotency key `{}`", key.escape_debug()),
            None => format!("id `{}`", named.id.escape_debug()),
        },
    );
    let told = match earlier {
        Some(position) => {
            format!("another event was published under {name}, at position {position}")
        }
        None => format!("two different events of the batch have {name}"),
    };
    Error::new(ErrorKind::Conflict, format!("{told}; nothing was stored"))
}

fn refuse(reply: Reply, error: Error) {
    // The caller may have stopped waiting.
    let _received = reply.send(Err(error));
}
