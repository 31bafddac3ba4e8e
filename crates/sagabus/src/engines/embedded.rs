//! The engine that needs nothing but a directory: one log on one disk, or in memory.
//!
//! Events, the ledgers of all subscriptions and the records of sagas are records of one log, so one sync of the disk
//! makes a whole step durable.

mod admin;
mod answer;
mod cell;
mod committer;
mod compacted;
pub mod disk;
mod fold;
mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod hub;
mod letters;
mod lock;
mod log;
mod member;
mod planted;
mod published;
mod record;
mod recovery;
mod repeated;
mod reserve;
mod retention;
mod room;
mod saga;
mod scan;
mod schedule;
mod segment;
#[cfg(feature = "simulation")]
pub mod simulation;
mod spare;
mod tail;
mod tally;
mod timers;
mod window;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::cell::{Cell, Joined};
use self::disk::{Disk, MemoryDisk, RealDisk};
use self::fold::Fold;
use self::hub::Hub;
use self::log::{Append, Entry, Log};
use self::member::EmbeddedMember;
use self::published::Counter;
use self::recovery::{Place, recover};
use self::retention::LastTry;
use self::room::Watch;
use self::schedule::Clockwork;
use self::tally::Tally;
use self::window::{Limits, Window};
use crate::clock::{Clock, Steady, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventType};
use crate::ledger::{Change, Exhausted, Ledger, Order, Tuning, Wants};
use crate::transport::{
    Capabilities, Durability, Kept, LedgerAdmin, Member, Page, Published, Receipt, Schedules,
    Start, SubscriptionSpec, Transport,
};

pub use lock::DirectoryLock;
pub use log::BATCH_BYTES_MAX;
pub(crate) use record::encode;
pub use window::{DEDUPLICATION_EVENTS, DEDUPLICATION_TIME};

/// Size of a file of the log unless said otherwise (16 MiB).
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Least size of a file of the log; the largest batch must fit into it, so small ones are for tests.
const SEGMENT_BYTES_MIN: u64 = 4096;
/// Largest size of a file of the log; it is read as a whole at the start.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Most events remembered: about 1.6 GiB.
const DEDUPLICATION_EVENTS_MAX: usize = 1 << 24;
/// Longest time for which they are.
const DEDUPLICATION_TIME_MAX: Duration = Duration::from_hours(366 * 24);
/// How long records are kept that nobody needs, unless said otherwise (30 days).
pub const RETENTION_TIME: Duration = Duration::from_hours(30 * 24);
/// Bytes of files of the log beyond which they are dropped before that, unless said otherwise (4 GiB).
pub const RETENTION_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of the disk that are kept for what was accepted, unless said otherwise (256 MiB).
pub const FREE_BYTES: u64 = 256 * 1024 * 1024;
/// Longest time for which they are kept: for as long as anybody cares.
const RETENTION_TIME_MAX: Duration = Duration::from_hours(36_600 * 24);
/// Appends that may wait for the disk at once; further publishers wait before they are taken.
const APPENDS_MAX: usize = 8192;
/// A page of so many events or more shares the memory that it was read into; of fewer, each would keep much for little.
const SHARED_EVENTS: usize = 64;
/// Most records that one read looks at.
const READ_RECORDS_MAX: usize = 16_384;

/// Settings of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of a file of the log, in bytes (4 KiB – 1 GiB; what is stored together must fit into one).
    pub segment_bytes: u64,
    /// How many of the latest events are remembered, so that publishing one of them again stores nothing
    /// (1 – 16,777,216; each takes about 100 bytes of memory).
    pub deduplication_events: usize,
    /// How long an event is remembered at most (1 s – 366 days), counted anew from each start.
    pub deduplication_time: Duration,
    /// How long records are kept that nobody needs (`deduplication_time` – 36,600 days).
    pub retention_time: Duration,
    /// Bytes of files of the log beyond which the oldest records that nobody needs are dropped before that time; not
    /// those that are remembered by `deduplication_events` and `deduplication_time` (any number).
    pub retention_bytes: u64,
    /// Bytes of the disk, or an eighth of it if that is less, that are kept for what was accepted: with less room new events,
    /// schedules and sagas are refused as `Full`, and all else goes on (any number; with 0 until the disk is full).
    pub free_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            deduplication_events: DEDUPLICATION_EVENTS,
            deduplication_time: DEDUPLICATION_TIME,
            retention_time: RETENTION_TIME,
            retention_bytes: RETENTION_BYTES,
            free_bytes: FREE_BYTES,
        }
    }
}

/// The engine.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    appends: Semaphore,
    durability: Durability,
}

/// What the engine and its members share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Log,
    disk: Arc<dyn Disk>,
    settings: Settings,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<dyn Clock>,
    is_instant: bool,
    /// Itself, for tasks that must not keep it alive.
    this: Weak<Self>,
    pub(crate) published: Counter,
    pub(crate) clockwork: Arc<Clockwork>,
    /// One at a time drops what is old.
    retaining: Arc<tokio::sync::Mutex<()>>,
    /// What became of that.
    last_try: Mutex<LastTry>,
    /// Cancelled when the engine is closed: nothing is handed out or taken any more.
    pub(crate) closing: CancellationToken,
    /// When the log was opened, since the clock's fixed point.
    opened: Duration,
    /// The same by the wall clock.
    opened_at: Timestamp,
    steady: Mutex<Steady>,
    /// Given back when the last member is gone too, and after the log is closed: fields go in this order.
    lock: Mutex<Option<DirectoryLock>>,
}

impl Embedded {
    /// Opens or makes the log in `directory`/log.
    ///
    /// # Errors
    /// `Conflict` when another process uses the directory; `Corrupt` when acknowledged data is damaged; `Full` when
    /// there is no room for a first file.
    pub fn open(directory: &Path, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let lock = DirectoryLock::take(directory)?;
        let disk = RealDisk::new(directory.join("log")).map_err(|error| {
            Error::new(
                ErrorKind::Transient,
                format!("cannot use data directory `{}`", directory.display()),
            )
            .with_source(error)
        })?;
        Self::start(Arc::new(disk), settings, clock, Some(lock))
    }

    /// An engine whose log is gone with the process.
    ///
    /// # Errors
    /// None that a caller can cause; memory does not fail.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self> {
        Self::on(Arc::new(MemoryDisk::default()), &Settings::default(), clock)
    }

    /// Opens or makes the log on any disk. The caller sees to it that nobody else does.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn on(disk: Arc<dyn Disk>, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::start(disk, settings, clock, None)
    }

    /// Drops now what is older or more than the settings ask for and needed by nobody, without waiting until that is
    /// looked for the next time. Does nothing where that would write more than it drops.
    ///
    /// # Errors
    /// `Full` when there is no room for what is left; `Transient` when the disk fails; `Corrupt` when the log is damaged;
    /// `Closed` when the engine is closed meanwhile. Nothing is dropped then.
    ///
    /// # Cancel safety
    /// What has begun goes on when the future is dropped.
    pub async fn retain(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let retained = self
            .shared
            .clockwork
            .spawn(async move { shared.retain().await });
        retained.await.map_err(|error| {
            Error::closed("dropping what is old was cut short").with_source(error)
        })?
    }

    fn start(
        disk: Arc<dyn Disk>,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        lock: Option<DirectoryLock>,
    ) -> Result<Self> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&settings.segment_bytes) {
            return Err(Error::invalid(format!(
                "`segment_bytes` must be {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
            )));
        }
        if !(1..=DEDUPLICATION_EVENTS_MAX).contains(&settings.deduplication_events) {
            return Err(Error::invalid(format!(
                "`deduplication_events` must be 1 to {DEDUPLICATION_EVENTS_MAX}"
            )));
        }
        if !(Duration::from_secs(1)..=DEDUPLICATION_TIME_MAX).contains(&settings.deduplication_time)
        {
            return Err(Error::invalid(
                "`deduplication_time` must be 1 s to 366 days",
            ));
        }
        if !(settings.deduplication_time..=RETENTION_TIME_MAX).contains(&settings.retention_time) {
            return Err(Error::invalid(
                "`retention_time` must be at least `deduplication_time`, and at most 36,600 days",
            ));
        }
        let is_instant = disk.is_instant();
        let opened = clock.elapsed();
        let opened_at = clock.now();
        let mut fold = Fold::default();
        let mut tally = Tally::default();
        let recovered = recover(disk.as_ref(), &mut |position, kind, content, place| {
            fold.take(position, kind, content)?;
            if place == Place::Compacted {
                // Nothing is dropped while its ids are remembered.
                tally.first = position + 1;
            }
            tally.note(position, kind, content)
        })?;
        if recovered.torn_bytes > 0 {
            tracing::warn!(
                bytes = recovered.torn_bytes,
                "cut a torn tail that was never acknowledged"
            );
        }
        fold.check()?;
        // Of one whose beginning was refused for want of room a part may be there.
        fold.ledgers.retain(|_, ledger| ledger.has_begun());
        let cells = fold.ledgers.into_iter().map(|(name, mut ledger)| {
            ledger.wake(clock.now());
            Arc::new(Cell::new(&name, ledger))
        });
        let hub = Arc::new(Hub::new(recovered.next_position, cells));
        let reader = Arc::new(log::Shared::new(
            &recovered,
            Watch::new(Arc::clone(&disk), settings.free_bytes),
        ));
        let limits = Limits {
            events: settings.deduplication_events,
            time: settings.deduplication_time,
        };
        let window = remember(&reader, &tally, limits)?;
        let log = Log::start(committer::Parts {
            disk: Arc::clone(&disk),
            segment_bytes: settings.segment_bytes,
            salt_seed: (clock.random(), clock.random()),
            shared: reader,
            recovered,
            observer: Arc::clone(&hub) as Arc<dyn log::Observer>,
            window,
            clock: Arc::clone(&clock),
        })?;
        hub.write(|state| state.floor = log.reader().oldest());
        let shared = Arc::new_cyclic(|this| Shared {
            log,
            disk,
            settings: settings.clone(),
            hub,
            clock,
            is_instant,
            this: Weak::clone(this),
            published: Counter::default(),
            clockwork: Arc::new(Clockwork::new(fold.timers)),
            retaining: Arc::default(),
            last_try: Mutex::default(),
            closing: CancellationToken::new(),
            opened,
            opened_at,
            steady: Mutex::default(),
            lock: Mutex::new(lock),
        });
        let cells = shared.hub.cells();
        let counts = tally.ahead(&shared.log.reader(), &cells)?;
        for (cell, (all, special)) in cells.iter().zip(counts) {
            cell.add_ahead(all, special);
        }
        Ok(Self {
            shared,
            appends: Semaphore::new(APPENDS_MAX),
            durability: if is_instant {
                Durability::Memory
            } else {
                Durability::Synced
            },
        })
    }
}

/// The latest events of the log, read again as far back as they are to be remembered.
fn remember(log: &log::Shared, tally: &Tally, limits: Limits) -> Result<Window> {
    let mut events = limits.events;
    loop {
        let from = tally.position_of_latest(events);
        let mut window = Window::new(limits);
        log.read(from, &mut |position, kind, content| {
            window.restore(position, kind, content)?;
            Ok(true)
        })?;
        // Events that were published again, after a time for which they were not remembered, count once.
        if window.is_full() || from == tally.first {
            return Ok(window);
        }
        events = events.saturating_mul(2);
    }
}

/// Events, and how many of them are special.
type Special = (u64, u64);

/// Counts, for each of these subscriptions, the events between its cursor and `head`.
fn count_ahead(log: &log::Shared, cells: &[Arc<Cell>], head: u64) -> Result<Vec<Special>> {
    let cursors: Vec<u64> = cells.iter().map(|it| it.state().ledger.cursor).collect();
    let mut counts = vec![(0, 0); cells.len()];
    let Some(first) = cursors.iter().min() else {
        return Ok(counts);
    };
    // Events that come together are often of one type: who wants it is asked once.
    let mut wanting: Vec<usize> = Vec::new();
    let mut asked: Option<EventType> = None;
    log.read(*first, &mut |position, kind, content| {
        if position >= head {
            return Ok(false);
        }
        if kind == record::EVENT {
            let name = record::event_type(content)?;
            if asked.as_ref().is_none_or(|it| it.as_str() != name) {
                let event_type = EventType::new(name)?;
                let wants = |(_, cell): &(usize, &Arc<Cell>)| cell.wants(&event_type);
                wanting.clear();
                wanting.extend(cells.iter().enumerate().filter(wants).map(|(it, _)| it));
                asked = Some(event_type);
            }
            let special = u64::from(record::is_special(content)?);
            for number in &wanting {
                if let (Some(cursor), Some(count)) = (cursors.get(*number), counts.get_mut(*number))
                    && position >= *cursor
                {
                    count.0 += 1;
                    count.1 += special;
                }
            }
        }
        Ok(true)
    })?;
    Ok(counts)
}

impl Shared {
    /// Whether it has neither stopped itself nor been closed.
    pub(crate) fn running(&self) -> Result<()> {
        if let Some(error) = self.log.stopped() {
            return Err(error);
        }
        if self.closing.is_cancelled() {
            return Err(Error::closed("the engine was closed"));
        }
        Ok(())
    }

    /// Time since the log was opened.
    pub(crate) fn age(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.opened)
    }

    /// The wall clock's time, which a ledger hears of before it is changed.
    pub(crate) fn look(&self, ledger: &mut Ledger) -> Timestamp {
        let now = self.clock.now();
        ledger.observe(now, self.clock.elapsed());
        now
    }

    /// The latest time of the wall clock that has surely come, if the clock was just set: for what is to happen at a time.
    pub(crate) fn sure_now(&self) -> Timestamp {
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        let before = steady.doubt(elapsed);
        let sure = steady.surely(now, elapsed);
        let doubt = steady.doubt(elapsed);
        drop(steady);
        if before.is_none()
            && let Some(doubt) = doubt
        {
            tracing::warn!(%now, %sure, ?doubt, "the machine's clock was set; a time ahead is believed when it stays");
        }
        sure
    }

    /// Counts the events that a subscription which nobody leases from yet has before it, off the runtime's threads.
    async fn count_one(&self, cell: &Arc<Cell>, head: u64) -> Result<Vec<Special>> {
        let cells = [Arc::clone(cell)];
        self.at_disk(move |log| count_ahead(log, &cells, head))
            .await
    }

    /// Reads in the log off the runtime's threads, with one hop to a blocking one: for many records, or seldom.
    async fn at_disk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&log::Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let log = self.log.reader();
        if self.is_instant {
            return read(&log);
        }
        tokio::task::spawn_blocking(move || read(&log))
            .await
            .map_err(|error| Error::closed("reading the log was cut short").with_source(error))?
    }

    /// The event at `position`, from memory or the disk.
    pub(crate) async fn event(&self, position: u64) -> Result<Arc<Event>> {
        if let Some(event) = self.hub.read(|state| state.tail.get(position)) {
            return Ok(event);
        }
        let page = self.read(position, 1).await?;
        page.events
            .into_iter()
            .next()
            .filter(|(at, _)| *at == position)
            .map(|(_, event)| event)
            .ok_or_else(|| no_event(position))
    }

    /// Events from `position` on, read from the disk.
    pub(crate) async fn read(&self, position: u64, max: usize) -> Result<Page> {
        // A whole page, never a single event on the way to a handler.
        self.at_disk(move |log| read_page(log, position, max)).await
    }
}

fn no_event(position: u64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("the log has no event at position {position}"),
    )
}

fn read_page(log: &log::Shared, position: u64, max: usize) -> Result<Page> {
    let mut page = Page {
        events: Vec::with_capacity(max.min(SHARED_EVENTS)),
        next: position,
        is_last: true,
    };
    let mut looked_at = 0;
    let mut latest = None;
    let is_shared = max >= SHARED_EVENTS;
    log.read_shared(position, &mut |at, kind, content, chunk| {
        if page.events.len() >= max || looked_at >= READ_RECORDS_MAX {
            page.is_last = false;
            return Ok(false);
        }
        if kind == record::EVENT {
            let chunk = is_shared.then_some(chunk);
            let event = record::decode_next(content, chunk, &mut latest)?;
            page.events.push((at, Arc::new(event)));
        }
        looked_at += 1;
        page.next = at + 1;
        Ok(true)
    })?;
    Ok(page)
}

#[async_trait]
impl Transport for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            engine: "embedded",
            durability: self.durability,
            lacks: &[],
        }
    }

    async fn append(&self, events: &[Arc<Event>]) -> Result<Vec<Receipt>> {
        self.shared.watch_timers();
        let permits = u32::try_from(events.len().min(APPENDS_MAX)).unwrap_or(1);
        let _permit = self
            .appends
            .acquire_many(permits)
            .await
            .map_err(|_| Error::closed("the log is closed"))?;
        let at = self.shared.age();
        let entries = events
            .iter()
            .map(|event| Entry::event(Arc::clone(event), self.shared.log.keys(), at))
            .collect();
        let placed = self
            .shared
            .log
            .enqueue(Append {
                entries,
                durability: log::Durability::Synced,
                admission: log::Admission::New,
                link: None,
            })
            .done()
            .await?;
        let mut receipts = Vec::with_capacity(events.len());
        for (event, (position, duplicate)) in events.iter().zip(placed.positions()) {
            receipts.push(if duplicate {
                self.shared.repeated(event, position).await?
            } else {
                Receipt {
                    id: event.id.clone(),
                    position,
                    duplicate,
                    waits: None,
                }
            });
        }
        self.shared.published.add(
            events
                .iter()
                .zip(&receipts)
                .filter(|(_, receipt)| !receipt.duplicate)
                .map(|(event, _)| event.as_ref()),
        );
        Ok(receipts)
    }

    async fn join(&self, spec: SubscriptionSpec) -> Result<Arc<dyn Member>> {
        self.shared.watch_timers();
        if spec.order == Order::Unordered && spec.exhausted == Exhausted::ParkKey {
            return Err(Error::invalid(format!(
                "subscription `{}` parks keys but has no order of keys",
                spec.name
            )));
        }
        let cell = self.take_up(&spec).await?;
        let (epoch, pending) = self.enter(&cell, &spec)?;
        let member = EmbeddedMember {
            shared: Arc::clone(&self.shared),
            cell,
            epoch,
            spec,
        };
        pending.done().await?;
        Ok(Arc::new(member))
    }

    async fn read(&self, position: u64, max: usize) -> Result<Page> {
        self.shared.read(position, max).await
    }

    fn published(&self) -> Published {
        self.shared.published.get()
    }

    fn ledgers(&self) -> &dyn LedgerAdmin {
        self.shared.as_ref()
    }

    fn schedules(&self) -> &dyn Schedules {
        self.shared.as_ref()
    }

    fn condition(&self) -> Result<()> {
        self.shared.running()?;
        if self.shared.log.is_full() {
            return Err(Error::new(
                ErrorKind::Full,
                "the disk has no room for the log; nothing is accepted until there is",
            ));
        }
        self.shared.log.look_for_room()
    }

    fn kept(&self) -> Kept {
        self.shared.kept()
    }

    async fn close(&self) {
        self.shared.closing.cancel();
        for cell in self.shared.hub.cells() {
            debug_assert!(
                cell.state().ledger.is_sound(),
                "deliveries of `{}` are lost or doubled: {:?}",
                cell.name,
                cell.state().ledger.counts()
            );
        }
        self.shared.clockwork.close().await;
        let shared = Arc::clone(&self.shared);
        if self.shared.is_instant {
            return shared.log.close();
        }
        // Joins the committer's thread, once in the life of an engine.
        let _closed = tokio::task::spawn_blocking(move || shared.log.close()).await;
        // Nothing writes any more: another engine may have the directory, whoever still holds this one.
        let mut lock = self
            .shared
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }
}

impl Embedded {
    /// Makes the subscription, or finds it and has it want what it is to want now.
    async fn take_up(&self, spec: &SubscriptionSpec) -> Result<Arc<Cell>> {
        let wants = wants_of(spec);
        let (cell, pending) = match self.shared.hub.cell(&spec.name) {
            Some(cell) => {
                let pending = self.want(&cell, spec, wants)?;
                (cell, pending)
            }
            None => self.create(spec, wants)?,
        };
        if let Some(pending) = pending {
            pending.done().await?;
        }
        // One at a time, as it looks at what is ahead.
        let _backlog = cell.backlog.lock().await;
        let uncounted = *cell
            .uncounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = uncounted {
            // Added by the one who waited for it: a count that nobody waited for is made again.
            for (all, special) in self.shared.count_one(&cell, head).await? {
                cell.add_ahead(all, special);
            }
            *cell
                .uncounted
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(Arc::clone(&cell))
    }

    fn create(
        &self,
        spec: &SubscriptionSpec,
        wants: Wants,
    ) -> Result<(Arc<Cell>, Option<log::Pending>)> {
        let mut cell = Cell::new(&spec.name, Ledger::default());
        cell.is_window = spec.until.is_some();
        let cell = Arc::new(cell);
        cell.set_patterns(spec.patterns.clone());
        // Nobody else says anything of this subscription before its beginning is said.
        let mut state = cell.state();
        let (floor, head) = self.shared.hub.write(|hub| match spec.start {
            Start::At(from) if spec.until.is_some() && from < hub.floor => Err(Error::not_found(
                format!("events before position {} are not kept any more", hub.floor),
            )),
            _ if hub.insert(&cell) => Ok((hub.floor, hub.tail.head().max(hub.floor))),
            _ => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "subscription `{}` is being made by another member",
                    spec.name
                ),
            )),
        })?;
        *cell
            .uncounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(head.min(spec.until.unwrap_or(head)));
        let start = match spec.start {
            Start::Earliest => floor,
            Start::Latest => head,
            Start::At(position) => position.clamp(floor, head),
        };
        let pending = cell.change(
            &mut state,
            &self.shared.log,
            self.shared.clock.now(),
            vec![Change::Began { wants, start }],
            log::Durability::Synced,
        );
        drop(state);
        Ok((cell, Some(pending)))
    }

    /// Has a subscription want this from its cursor on; what was taken before stays.
    fn want(
        &self,
        cell: &Arc<Cell>,
        spec: &SubscriptionSpec,
        wants: Wants,
    ) -> Result<Option<log::Pending>> {
        let mut state = cell.state();
        if state.ledger.wants == wants {
            return Ok(None);
        }
        if state.members.values().any(|it| it.name != spec.member) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "subscription `{}` has members who want something else",
                    spec.name
                ),
            ));
        }
        let head = self.shared.hub.write(|hub| {
            hub.want(cell, spec.patterns.clone());
            cell.clear_ahead();
            hub.tail.head()
        });
        *cell
            .uncounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(head);
        Ok(Some(cell.change(
            &mut state,
            &self.shared.log,
            self.shared.clock.now(),
            vec![Change::Wanted { wants }],
            log::Durability::Synced,
        )))
    }

    /// Makes a member of the subscription; one of the same name is out.
    fn enter(&self, cell: &Cell, spec: &SubscriptionSpec) -> Result<(u64, log::Pending)> {
        let mut state = cell.state();
        if cell.is_removed() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("subscription `{}` is being removed", spec.name),
            ));
        }
        state.ledger.tune(Tuning {
            sharing: spec.sharing,
            budget: spec.budget,
        });
        let epoch = state.ledger.epoch + 1;
        let floor = *state.floor.get_or_insert(epoch);
        let replaced = state.members.iter().find(|(_, it)| it.name == spec.member);
        let mut changes = Vec::new();
        if let Some(replaced) = replaced.map(|(epoch, _)| *epoch) {
            state.members.remove(&replaced);
            changes.push(Change::Left { epoch: replaced });
        }
        changes.push(Change::Joined {
            epoch,
            floor: Some(floor),
        });
        let now = self.shared.look(&mut state.ledger);
        state.members.insert(
            epoch,
            Joined {
                name: spec.member.clone(),
                lease: spec.lease,
                until: self.shared.clock.elapsed() + spec.lease,
                parked_max: spec.parked_max,
            },
        );
        let pending = cell.change(
            &mut state,
            &self.shared.log,
            now,
            changes,
            log::Durability::Written,
        );
        Ok((epoch, pending))
    }
}

/// What the ledger must know of a specification.
fn wants_of(spec: &SubscriptionSpec) -> Wants {
    Wants {
        patterns: spec.patterns.iter().map(ToString::to_string).collect(),
        filter: spec.filter.as_ref().map_or_else(String::new, |filter| {
            filter.text().unwrap_or_else(|| filter.describe())
        }),
        order: spec.order,
        exhausted: spec.exhausted,
    }
}
