//! The append-only log: one order for events, ledger records and saga records, made durable in groups.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::answer::{Answer, Reply};
use super::committer::{self, Committer};
use super::compacted::Compacted;
use super::frame::records;
use super::record;
use super::recovery::Recovered;
use super::room::Watch;
use super::segment::Segment;
use super::window::{Keys, Mark, Named, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::Delivery;
use crate::ledger::PART_BYTES;
use crate::sync::{self, mpsc};

/// Largest atomic append, in bytes of the file (4 MiB).
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Takes a record's position, kind and content; says whether to go on.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(u64, u8, &[u8]) -> Result<bool>;

/// As [`Visit`], and takes what the content lies in, so that it can be shared instead of copied.
pub(crate) type VisitShared<'a> = &'a mut dyn FnMut(u64, u8, &[u8], &Bytes) -> Result<bool>;

/// How sure the caller must be before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On the disk: survives a loss of power.
    Synced,
    /// In the operating system: survives the end of this process; synced with the next group.
    Written,
}

/// One record to append.
#[derive(Debug)]
pub(crate) struct Entry {
    kind: u8,
    bytes: Vec<u8>,
    memory: Memory,
    /// What is for subscriptions once it is durable.
    event: Option<Arc<Event>>,
}

/// What an entry does to what is remembered.
#[derive(Debug)]
enum Memory {
    Nothing,
    /// It is not stored a second time while it is remembered.
    Once(Mark),
    /// It is stored although it is remembered, from now on as what stands here.
    Again(Mark),
}

impl Entry {
    /// An event.
    pub(crate) fn event(event: Arc<Event>, keys: &Keys, at: Duration) -> Self {
        Self {
            kind: record::EVENT,
            bytes: record::encode_event(&event),
            memory: Memory::Once(keys.mark(&Named::of(&event), at)),
            event: Some(event),
        }
    }

    /// An event that was to wait until now: it is remembered anew, as one that is published.
    pub(crate) fn due(event: Arc<Event>, keys: &Keys, at: Duration) -> Self {
        Self {
            kind: record::EVENT,
            bytes: record::encode_event(&event),
            memory: Memory::Again(keys.mark(&Named::of(&event), at)),
            event: Some(event),
        }
    }

    /// A record that is remembered by this mark.
    pub(crate) fn marked(kind: u8, bytes: Vec<u8>, mark: Mark) -> Self {
        Self {
            memory: Memory::Once(mark),
            ..Self::record(kind, bytes)
        }
    }

    /// Any other record: its kind and content.
    pub(crate) fn record(kind: u8, bytes: Vec<u8>) -> Self {
        Self {
            kind,
            bytes,
            memory: Memory::Nothing,
            event: None,
        }
    }

    /// Kind and content.
    pub(crate) fn content(&self) -> (u8, &[u8]) {
        (self.kind, &self.bytes)
    }

    /// By what it is found that it was stored before, which it must not be.
    pub(crate) fn mark(&self) -> Option<&Mark> {
        match &self.memory {
            Memory::Once(mark) => Some(mark),
            Memory::Nothing | Memory::Again(_) => None,
        }
    }

    /// What is remembered besides, once it is stored at `position`.
    pub(crate) fn remember(&self, window: &mut Window, position: u64) {
        match &self.memory {
            Memory::Again(mark) => window.renew(mark, position),
            Memory::Nothing if self.kind == record::SCHEDULE => window.take_back(&self.bytes),
            Memory::Nothing | Memory::Once(_) => {}
        }
    }

    /// The event. It moves on; the content stays, and is freed with the append.
    pub(crate) fn take_event(&mut self) -> Option<Arc<Event>> {
        self.event.take()
    }
}

/// What is refused first as the disk gets full, so that what was accepted before can still be worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// An event from outside: only while there is more room than is kept free.
    New,
    /// A saga that nobody waits for: as a new event, but what it tells was decided before, and is told once.
    Start,
    /// What follows from what was accepted: not into the last part of the last segment.
    Following,
    /// What makes room, or says what was done: while there is any.
    Always,
}

impl Admission {
    pub(crate) fn is_new(self) -> bool {
        matches!(self, Self::New | Self::Start)
    }

    /// Whether it is refused when only the last part of the last segment is left.
    pub(crate) fn is_refusable(self) -> bool {
        self != Self::Always
    }

    /// Whether an event that differs from an earlier one of the same name is a mistake.
    pub(crate) fn has_new_events(self) -> bool {
        matches!(self, Self::New | Self::Following)
    }
}

/// Records that are stored together or not at all.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) entries: Vec<Entry>,
    pub(crate) durability: Durability,
    pub(crate) admission: Admission,
    /// What these records build on.
    pub(crate) link: Option<Link>,
}

/// Ties together appends that build on each other: when one is refused, so are those behind it that were made before
/// this was known.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    number: AtomicU64,
    /// Deliveries whose ack was refused together with what was to be published with it.
    unacked: Mutex<Vec<(u64, Delivery)>>,
}

/// A place on a chain.
#[derive(Debug)]
pub(crate) struct Link {
    chain: Arc<Chain>,
    number: u64,
    /// What is to be as it was if this is refused.
    acked: Option<(u64, Delivery)>,
}

impl Chain {
    /// Grows each time when the chain breaks.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// What was refused since the last time: to be taken after [`Chain::number`] has changed.
    pub(crate) fn take_unacked(&self) -> Vec<(u64, Delivery)> {
        let mut unacked = self.unacked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut unacked)
    }

    /// A place behind all that was said while the number was this.
    pub(crate) fn link(self: &Arc<Self>, number: u64) -> Link {
        Link {
            chain: Arc::clone(self),
            number,
            acked: None,
        }
    }
}

impl Link {
    pub(crate) fn is_broken(&self) -> bool {
        self.chain.number() != self.number
    }

    /// The same for an ack that is taken back if this is refused.
    pub(crate) fn acking(mut self, acked: Option<(u64, Delivery)>) -> Self {
        self.acked = acked;
        self
    }

    pub(crate) fn break_chain(&self) {
        if let Some(acked) = self.acked.clone() {
            let unacked = &self.chain.unacked;
            let mut unacked = unacked.lock().unwrap_or_else(PoisonError::into_inner);
            unacked.push(acked);
        }
        self.chain.number.fetch_add(1, Ordering::AcqRel);
    }

    /// As [`Link::break_chain`], for one that is refused since the chain is broken: nothing new is unknown but an ack.
    pub(crate) fn refuse(&self) {
        if self.acked.is_some() {
            self.break_chain();
        }
    }
}

/// It was refused only since it builds on what was refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it builds on what was refused")]
pub(crate) struct BehindRefused;

/// Whether an append was refused for nothing of its own.
pub(crate) fn is_behind_refused(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|it| it.is::<BehindRefused>())
}

/// Where an append's records went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Placed {
    /// Position of the first record that was stored.
    pub(crate) first: u64,
    /// Entries that were stored before: (index in the append, position of the first time).
    pub(crate) duplicates: Vec<(usize, u64)>,
}

impl Placed {
    /// Position of each of the append's entries, without end, and whether it was stored before.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (u64, bool)> {
        let mut next = self.first;
        (0..).map(move |entry| {
            if let Some((_, position)) = self.duplicates.iter().find(|(it, _)| *it == entry) {
                return (*position, true);
            }
            next += 1;
            (next - 1, false)
        })
    }
}

/// Is told about events once they are durable, in order.
pub(crate) trait Observer: std::fmt::Debug + Send + Sync {
    /// Takes the events, and leaves in their place what it no longer needs: that is freed after the publishers were
    /// answered.
    fn durable(&self, events: &mut Vec<(u64, Arc<Event>)>);
}

/// A request on its way to the committer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) append: Append,
    pub(crate) reply: Reply,
}

/// What the committer and the readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    files: RwLock<Files>,
    /// Segments that are not part of the log any more and may be written over, by their names.
    pub(crate) retired: Mutex<Vec<String>>,
    /// Somebody waits until the log goes on in another segment.
    pub(crate) moved_on: Notify,
    /// No event before this position is remembered.
    pub(crate) remembered: AtomicU64,
    /// Every record before this position is durable.
    pub(crate) durable: AtomicU64,
    /// Set once, after a failed write or sync: nothing is accepted any more.
    pub(crate) stopped: RwLock<Option<Arc<std::io::Error>>>,
    /// The last append was refused for want of room.
    pub(crate) full: AtomicBool,
    /// What is left free for what was accepted.
    pub(crate) room: Watch,
}

/// The files that a log consists of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// Stands for the records before the first segment.
    pub(crate) compacted: Option<Arc<Compacted>>,
    /// Oldest first; the last one is written.
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl Shared {
    pub(crate) fn new(recovered: &Recovered, room: Watch) -> Self {
        Self {
            files: RwLock::new(Files {
                compacted: recovered.compacted.clone(),
                segments: recovered.segments.clone(),
            }),
            retired: Mutex::default(),
            moved_on: Notify::new(),
            remembered: AtomicU64::new(0),
            durable: AtomicU64::new(recovered.next_position),
            stopped: RwLock::new(None),
            full: AtomicBool::new(false),
            room,
        }
    }
}

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    shared: Arc<Shared>,
    keys: Keys,
    part_bytes: usize,
    driver: Driver,
}

/// The committer of a disk that is instant, and what waits for it.
#[derive(Debug)]
struct Inline {
    waiting: sync::Mutex<Vec<Request>>,
    committer: sync::Mutex<Option<Committer>>,
}

impl Inline {
    /// Commits what waits, unless another thread is at it: that one then takes this along, and nobody waits for a lock.
    fn work_off(&self) {
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting().is_empty() {
            let mut committer = match self.committer.try_lock() {
                Ok(committer) => committer,
                Err(TryLockError::Poisoned(committer)) => committer.into_inner(),
                // It looks again after it has given the lock back.
                Err(TryLockError::WouldBlock) => return,
            };
            let group = std::mem::take(&mut *waiting());
            if let Some(committer) = committer.as_mut() {
                committer.commit_all(group.into_iter());
                committer.answer_all();
            }
        }
    }
}

/// What a ledger's state is cut into, for segments of this size.
fn part_bytes(segment_bytes: u64) -> usize {
    let quarter = usize::try_from(segment_bytes / 4).unwrap_or(PART_BYTES);
    quarter.min(PART_BYTES)
}

#[derive(Debug)]
enum Driver {
    /// Disks that are instant: the caller's thread commits.
    Inline(Box<Inline>),
    /// A thread that commits in groups.
    Thread(RwLock<Option<(mpsc::Sender<Request>, JoinHandle<()>)>>),
    /// Simulations say when a group is complete: see [`Log::commit`].
    #[cfg(feature = "simulation")]
    Manual(Box<Mutex<(Option<Committer>, Vec<Request>)>>),
}

impl Log {
    /// Takes up a recovered log, or makes the first segment, and starts the committer.
    pub(crate) fn start(parts: committer::Parts) -> Result<Self> {
        let shared = Arc::clone(&parts.shared);
        let instant = parts.disk.is_instant();
        let part_bytes = part_bytes(parts.segment_bytes);
        let keys = parts.window.keys().clone();
        let committer = Committer::new(parts)?;
        let driver = if instant {
            Driver::Inline(Box::new(Inline {
                waiting: sync::Mutex::default(),
                committer: sync::Mutex::new(Some(committer)),
            }))
        } else {
            let (sender, receiver) = mpsc::channel();
            let thread = std::thread::Builder::new()
                .name("sagabus-log".to_owned())
                .spawn(move || committer.run(&receiver))
                .map_err(|error| {
                    Error::new(ErrorKind::Transient, "cannot start the log's thread")
                        .with_source(error)
                })?;
            Driver::Thread(RwLock::new(Some((sender, thread))))
        };
        Ok(Self {
            shared,
            keys,
            part_bytes,
            driver,
        })
    }

    /// As [`Log::start`], but appends wait until [`Log::commit`].
    #[cfg(feature = "simulation")]
    pub(crate) fn start_manual(parts: committer::Parts) -> Result<Self> {
        Ok(Self {
            shared: Arc::clone(&parts.shared),
            keys: parts.window.keys().clone(),
            part_bytes: part_bytes(parts.segment_bytes),
            driver: Driver::Manual(Box::new(Mutex::new((
                Some(Committer::new(parts)?),
                Vec::new(),
            )))),
        })
    }

    /// Commits all that wait as one group; with none it is as if nothing had come for a while.
    #[cfg(feature = "simulation")]
    pub(crate) fn commit(&self) {
        if let Driver::Manual(manual) = &self.driver {
            let mut manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
            let (committer, waiting) = &mut *manual;
            match committer {
                Some(committer) if waiting.is_empty() => committer.rest(),
                Some(committer) => committer.commit_all(waiting.drain(..)),
                None => waiting.clear(),
            }
        }
    }

    /// Hands an append to the committer and returns at once; appends take effect in the order of these calls.
    pub(crate) fn enqueue(&self, append: Append) -> Pending {
        let (reply, receiver) = oneshot::channel();
        let request = Request { append, reply };
        match &self.driver {
            Driver::Inline(inline) => {
                let waiting = inline.waiting.lock();
                waiting
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(request);
                inline.work_off();
            }
            #[cfg(feature = "simulation")]
            Driver::Manual(manual) => {
                let mut manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
                manual.1.push(request);
            }
            Driver::Thread(driver) => {
                let driver = driver.read().unwrap_or_else(PoisonError::into_inner);
                if let Some((sender, _)) = driver.as_ref() {
                    // A committer that has ended drops the request, and so the reply: the caller sees `Closed`.
                    let _sent = sender.send(request);
                }
            }
        }
        Pending {
            receiver,
            shared: Arc::clone(&self.shared),
        }
    }

    /// Most bytes that a part of something large may have, so that a segment takes it.
    pub(crate) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// What an event's key is made with.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Why the log stopped itself, if it did.
    pub(crate) fn stopped(&self) -> Option<Error> {
        self.shared.stopped_error()
    }

    /// Whether the last append was refused for want of room.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Whether there is room for new work.
    ///
    /// # Errors
    /// `Full`; new work is refused from then on.
    pub(crate) fn look_for_room(&self) -> Result<()> {
        self.shared.room.look()
    }

    /// A handle that only reads.
    pub(crate) fn reader(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Commits what is enqueued, marks the end as durable, and ends. Later appends are refused. Fine twice.
    pub(crate) fn close(&self) {
        match &self.driver {
            Driver::Inline(inline) => {
                inline.work_off();
                let committer = inline.committer.lock();
                *committer.unwrap_or_else(PoisonError::into_inner) = None;
                // What came in between is told so.
                inline.work_off();
            }
            Driver::Thread(driver) => {
                let taken = driver
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some((sender, thread)) = taken {
                    drop(sender);
                    let _ended = thread.join();
                }
            }
            #[cfg(feature = "simulation")]
            Driver::Manual(manual) => {
                let mut manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
                *manual = (None, Vec::new());
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// The answer to an append that is on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    receiver: oneshot::Receiver<Result<Answer>>,
    shared: Arc<Shared>,
}

impl Pending {
    /// Waits until the append is as durable as it asked to be.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the append.
    pub(crate) async fn done(self) -> Result<Placed> {
        match self.receiver.await {
            Ok(answer) => answer.map(Answer::open),
            Err(_) => Err(self
                .shared
                .stopped_error()
                .unwrap_or_else(|| Error::closed("the log is closed"))),
        }
    }

    /// The answer if it is there.
    #[cfg(feature = "simulation")]
    pub(crate) fn try_done(&mut self) -> Option<Result<Placed>> {
        match self.receiver.try_recv() {
            Ok(answer) => Some(answer.map(Answer::open)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(Err(Error::closed("the log is closed")))
            }
        }
    }
}

impl Shared {
    /// The files as they are now.
    pub(crate) fn files(&self) -> Files {
        self.files
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The log goes on in this segment.
    pub(crate) fn go_on_in(&self, segment: Arc<Segment>) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.segments.push(segment);
        self.moved_on.notify_one();
    }

    /// This stands for the log's beginning from now on. Returns the files that are not part of it any more.
    pub(crate) fn begin_with(&self, compacted: Compacted) -> Files {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let upto = compacted.upto();
        let kept = files
            .segments
            .partition_point(|it| it.first_position() < upto);
        let segments = files.segments.split_off(kept);
        let before = std::mem::replace(&mut files.segments, segments);
        Files {
            compacted: files.compacted.replace(Arc::new(compacted)),
            segments: before,
        }
    }

    /// Position of the first record that nobody has dropped.
    pub(crate) fn oldest(&self) -> u64 {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.segments.first().map_or(1, |it| it.first_position())
    }

    /// Hands durable records from `position` on to `visit`, in order, until it returns `false`.
    pub(crate) fn read(&self, position: u64, visit: Visit<'_>) -> Result<()> {
        self.read_shared(position, &mut |at, kind, content, _| {
            visit(at, kind, content)
        })
    }

    /// As [`Shared::read`].
    pub(crate) fn read_shared(&self, position: u64, visit: VisitShared<'_>) -> Result<()> {
        let upto = self.durable.load(Ordering::Acquire);
        let Files {
            compacted,
            segments,
        } = self.files();
        if let Some(compacted) = compacted.filter(|it| position < it.upto())
            && !compacted.read(position, visit)?
        {
            return Ok(());
        }
        let after = segments.partition_point(|segment| segment.first_position() <= position);
        let mut wanted = segments
            .iter()
            .skip(after.saturating_sub(1))
            .take_while(|segment| segment.first_position() < upto)
            .peekable();
        while let Some(segment) = wanted.next() {
            let end = wanted.peek().map_or(upto, |next| next.first_position());
            let mut go_on = true;
            let reached = segment.read(position, upto, &mut |first, body, chunk| {
                for (at, (kind, content)) in (first..).zip(records(body)) {
                    if at >= upto {
                        return Ok(false);
                    }
                    if at >= position && !visit(at, kind, content, chunk)? {
                        go_on = false;
                        return Ok(false);
                    }
                }
                Ok(true)
            })?;
            if !go_on {
                return Ok(());
            }
            if let Some(reached) = reached.filter(|it| *it < end) {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "log file `{}` is damaged: record {reached} cannot be read",
                        segment.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn stopped_error(&self) -> Option<Error> {
        let stopped = self.stopped.read().unwrap_or_else(PoisonError::into_inner);
        stopped.as_ref().map(|cause| {
            Error::closed(
                "the log stopped itself after a failed write; nothing is acknowledged any more, \
                 restart the process when the disk is well",
            )
            .with_source(Arc::clone(cause))
        })
    }
}

#[cfg(test)]
mod tests;
