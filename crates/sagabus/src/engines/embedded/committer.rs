//! The one writer of the log: takes what is waiting, writes it with one call, syncs once, then answers all.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::disk::{Disk, DiskFile};
use super::frame::{
    ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES,
    SegmentHeader, batch_bytes, push_batch, push_record,
};
use super::log::{Append, BATCH_BYTES_MAX, Durability, Entry, Observer, Placed, Request, Shared};
use super::record;
use super::recovery::Recovered;
use super::segment::{Segment, name_of};
use super::spare::{SPARE_NAME, Spare};
use super::window::Window;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;

/// Most bytes written before a sync.
const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// Written but unsynced records are synced when nothing came for this long.
const IDLE: Duration = Duration::from_millis(200);
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
}

/// The one writer of the log.
#[derive(Debug)]
pub(crate) struct Committer {
    disk: Arc<dyn Disk>,
    /// Length of the segments to come.
    segment_bytes: u64,
    salt_seed: (u64, u64),
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    window: Window,
    spare: Spare,
    segment: Arc<Segment>,
    /// Where `buffer` goes in the segment.
    offset: u64,
    /// Position of the next record.
    next: u64,
    /// Batches not yet written.
    buffer: Vec<u8>,
    body: Vec<u8>,
    /// Events not yet durable.
    events: Vec<(u64, Arc<Event>)>,
    written: Vec<(oneshot::Sender<Result<Placed>>, Placed)>,
    synced: Vec<(oneshot::Sender<Result<Placed>>, Placed)>,
    /// Something was written since the last sync.
    dirty: bool,
    /// The last batch in the file says that everything before it is durable.
    marked: bool,
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
        let spare = Spare::start(Arc::clone(&parts.disk), parts.segment_bytes).map_err(cannot)?;
        let is_new = parts.recovered.segments.is_empty();
        let (segment, offset) = match parts.recovered.segments.last() {
            Some(segment) => (Arc::clone(segment), parts.recovered.end),
            None => {
                let salt = salt(parts.salt_seed, parts.recovered.next_position);
                let position = parts.recovered.next_position;
                let segment = spare
                    .take()
                    .and_then(|file| activate(parts.disk.as_ref(), file, position, salt))
                    .map_err(cannot)?;
                parts
                    .shared
                    .segments
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Arc::clone(&segment));
                (segment, SEGMENT_HEADER_BYTES as u64)
            }
        };
        spare.prepare();
        Ok(Self {
            disk: parts.disk,
            segment_bytes: parts.segment_bytes,
            salt_seed: parts.salt_seed,
            shared: parts.shared,
            observer: parts.observer,
            window: parts.window,
            spare,
            segment,
            offset,
            next: parts.recovered.next_position,
            buffer: Vec::new(),
            body: Vec::new(),
            events: Vec::new(),
            written: Vec::new(),
            synced: Vec::new(),
            dirty: false,
            marked: is_new,
        })
    }

    /// Commits groups until every sender is gone.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let first = match requests.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.rest();
                    // Nothing to sync or mark: sleep until there is work.
                    match requests.recv() {
                        Ok(first) => first,
                        Err(_) => return self.rest(),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.rest(),
            };
            let mut bytes = bytes_of(&first.append);
            let mut group = vec![first];
            while bytes < GROUP_BYTES_MAX
                && let Ok(request) = requests.try_recv()
            {
                bytes += bytes_of(&request.append);
                group.push(request);
            }
            self.commit(group);
        }
    }

    /// Commits a group and answers each of its requests.
    pub(crate) fn commit(&mut self, group: Vec<Request>) {
        for request in group {
            self.take(request);
        }
        if let Err(error) = self.flush() {
            self.stop(error);
        }
    }

    /// Puts one append into the buffer, or answers it at once.
    fn take(&mut self, request: Request) {
        if let Some(error) = self.shared.stopped_error() {
            return answer(request.reply, Err(error));
        }
        let Request { append, reply } = request;
        let mut placed = Placed {
            first: self.next,
            duplicates: Vec::new(),
        };
        self.body.clear();
        let mut records = 0_u32;
        let before = self.events.len();
        for (number, entry) in append.entries.iter().enumerate() {
            match entry {
                Entry::Event(event, bytes) => {
                    if let Some(position) = self.window.position(&event.id) {
                        placed.duplicates.push((number, position));
                        continue;
                    }
                    let position = self.next + u64::from(records);
                    self.window.insert(event.id.as_str(), position);
                    self.events.push((position, Arc::clone(event)));
                    push_record(&mut self.body, record::EVENT, bytes);
                }
                Entry::Record(kind, bytes) => push_record(&mut self.body, *kind, bytes),
            }
            records += 1;
        }
        if records > 0 {
            let bytes = batch_bytes(self.body.len());
            if self.offset + (self.buffer.len() + bytes) as u64 > self.roomy_upto() {
                // Moving on to another segment makes what came before durable; these are not part of it yet.
                let mut fresh = self.events.split_off(before);
                if let Err(error) = self.make_room(bytes, append.refusable) {
                    for (_, event) in &fresh {
                        self.window.forget(&event.id);
                    }
                    return answer(reply, Err(error));
                }
                self.events.append(&mut fresh);
            }
            self.push_batch(records);
        }
        match append.durability {
            Durability::Synced => self.synced.push((reply, placed)),
            Durability::Written => self.written.push((reply, placed)),
        }
    }

    fn push_batch(&mut self, records: u32) {
        self.segment
            .index(self.next, self.offset + self.buffer.len() as u64);
        let header = BatchHeader {
            first_position: self.next,
            durable_upto: self.shared.durable.load(Ordering::Relaxed),
            records,
            bytes: 0,
        };
        push_batch(&mut self.buffer, self.segment.salt(), &header, &self.body);
        self.next += u64::from(records);
        self.marked = false;
    }

    /// Up to here in the segment there is nothing to think about before writing.
    fn roomy_upto(&self) -> u64 {
        self.segment.bytes() - self.segment.bytes() / RESERVE_PARTS
    }

    /// Makes sure that a batch of `bytes` fits behind the buffer, moving on to the next segment if it must.
    fn make_room(&mut self, bytes: usize, refusable: bool) -> Result<()> {
        // Room for a last mark is kept, without which damage to the last batch would pass for a torn tail.
        let mark_bytes = batch_bytes(0) as u64;
        let bytes_max = (self.segment_bytes - SEGMENT_HEADER_BYTES as u64 - mark_bytes)
            .min(BATCH_BYTES_MAX as u64);
        if bytes as u64 > bytes_max {
            return Err(Error::invalid(format!(
                "what is to be stored together has {bytes} bytes, more than {bytes_max}"
            )));
        }
        let end = self.offset + (self.buffer.len() + bytes) as u64;
        if refusable && end > self.roomy_upto() && self.spare.has_failed() {
            self.spare.prepare();
            self.shared.full.store(true, Ordering::Relaxed);
            return Err(no_room());
        }
        if end + mark_bytes <= self.segment.bytes() {
            return Ok(());
        }
        // Everything in this segment is durable before the next one exists, so that recovery can rely on it.
        if let Err(error) = self.flush().and_then(|()| self.sync()) {
            self.stop(error);
            return Err(self.stopped());
        }
        let file = self.spare.take().map_err(|error| {
            self.shared.full.store(true, Ordering::Relaxed);
            no_room().with_source(error)
        })?;
        let salt = salt(self.salt_seed, self.next);
        match activate(self.disk.as_ref(), file, self.next, salt) {
            Ok(segment) => {
                self.shared
                    .segments
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Arc::clone(&segment));
                self.segment = segment;
                self.offset = SEGMENT_HEADER_BYTES as u64;
                self.shared.full.store(false, Ordering::Relaxed);
                self.spare.prepare();
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
        if !self.buffer.is_empty() {
            self.segment.file().write_at(self.offset, &self.buffer)?;
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            self.dirty = true;
        }
        for (reply, placed) in self.written.drain(..) {
            answer(reply, Ok(placed));
        }
        if !self.synced.is_empty() {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.segment.file().sync()?;
            self.dirty = false;
        }
        self.shared.durable.store(self.next, Ordering::Release);
        if !self.events.is_empty() {
            self.observer.durable(&mut self.events);
        }
        if !self.synced.is_empty() && !self.spare.has_failed() {
            self.shared.full.store(false, Ordering::Relaxed);
        }
        for (reply, placed) in self.synced.drain(..) {
            answer(reply, Ok(placed));
        }
        self.events.clear();
        Ok(())
    }

    /// Syncs what was only written, then leaves a mark that says so: damage to acknowledged records that were the
    /// last before a stop is then told from a torn tail.
    fn rest(&mut self) {
        if self.shared.stopped_error().is_some() {
            return;
        }
        let mark_bytes = batch_bytes(0) as u64;
        let result = self.sync().and_then(|()| {
            if self.marked || self.offset + mark_bytes > self.segment.bytes() {
                return Ok(());
            }
            self.body.clear();
            self.push_batch(0);
            self.flush()?;
            self.marked = true;
            self.sync()
        });
        if let Err(error) = result {
            self.stop(error);
        }
    }

    /// Fail-stop: after a failed write or sync nobody knows what is on the disk, so nothing is acknowledged any more.
    fn stop(&mut self, error: io::Error) {
        tracing::error!(%error, "the log stopped itself after a failed write");
        *self
            .shared
            .stopped
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
        self.buffer.clear();
        self.events.clear();
        let waiting: Vec<_> = self
            .written
            .drain(..)
            .chain(self.synced.drain(..))
            .collect();
        for (reply, _) in waiting {
            answer(reply, Err(self.stopped()));
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
        self.rest();
    }
}

/// Turns the spare into the segment that begins at `position`.
fn activate(
    disk: &dyn Disk,
    file: Arc<dyn DiskFile>,
    position: u64,
    salt: [u8; 16],
) -> io::Result<Arc<Segment>> {
    let header = SegmentHeader {
        first_position: position,
        salt,
        bytes: file.len()?,
    };
    let name = name_of(position);
    file.write_at(0, &header.encode())?;
    file.sync()?;
    disk.rename(SPARE_NAME, &name)?;
    Ok(Arc::new(Segment::new(&name, &header, file)))
}

fn salt(seed: (u64, u64), position: u64) -> [u8; 16] {
    let high = crate::clock::mix(seed.0 ^ position);
    let low = crate::clock::mix(seed.1.wrapping_add(position));
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

fn bytes_of(append: &Append) -> usize {
    let content: usize = append
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Event(_, bytes) | Entry::Record(_, bytes) => RECORD_HEADER_BYTES + bytes.len(),
        })
        .sum();
    content + BATCH_HEADER_BYTES + ALIGNMENT
}

fn no_room() -> Error {
    Error::new(
        ErrorKind::Full,
        "the disk has no room for the log; nothing was stored, free some space and repeat",
    )
}

fn answer(reply: oneshot::Sender<Result<Placed>>, result: Result<Placed>) {
    // The caller may have stopped waiting; what was stored stays stored.
    let _received = reply.send(result);
}
