//! The engine that needs nothing but a directory: one log on one disk, or in memory.
//!
//! Events, the ledgers of all subscriptions and the records of sagas are records of one log, so one sync of the disk
//! makes a whole step durable.

mod admin;
mod answer;
mod cell;
mod committer;
pub mod disk;
mod frame;
mod hub;
mod letters;
mod lock;
mod log;
mod member;
mod planted;
mod published;
mod record;
mod recovery;
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

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use self::cell::{Cell, Joined};
use self::disk::{Disk, MemoryDisk, RealDisk};
use self::hub::Hub;
use self::log::{Append, Entry, Log};
use self::member::EmbeddedMember;
use self::published::Counter;
use self::recovery::recover;
use self::schedule::Clockwork;
use self::tally::Tally;
use self::timers::Timers;
use self::window::{Limits, Window};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventType};
use crate::ledger::{Change, Exhausted, Ledger, Order, Record, Tuning, Wants};
use crate::transport::{
    Capabilities, Durability, LedgerAdmin, Member, Page, Published, Receipt, Schedules, Start,
    SubscriptionSpec, Transport,
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
/// Appends that may wait for the disk at once; further publishers wait before they are taken.
const APPENDS_MAX: usize = 8192;
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            deduplication_events: DEDUPLICATION_EVENTS,
            deduplication_time: DEDUPLICATION_TIME,
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
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<dyn Clock>,
    is_instant: bool,
    /// Itself, for tasks that must not keep it alive.
    this: Weak<Self>,
    pub(crate) published: Counter,
    pub(crate) clockwork: Arc<Clockwork>,
    /// When the log was opened, since the clock's fixed point.
    opened: Duration,
    /// Given back when the last member is gone too, and after the log is closed: fields go in this order.
    _lock: Option<DirectoryLock>,
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
        let is_instant = disk.is_instant();
        let opened = clock.elapsed();
        let mut ledgers: BTreeMap<String, Ledger> = BTreeMap::new();
        let mut timers = Timers::default();
        let mut tally = Tally::default();
        let recovered = recover(disk.as_ref(), &mut |position, kind, content| {
            match kind {
                record::LEDGER => fold(&mut ledgers, content)?,
                record::SCHEDULE => timers.apply(position, &record::decode(content)?),
                _ => {}
            }
            tally.note(position, kind, content)
        })?;
        if recovered.torn_bytes > 0 {
            tracing::warn!(
                bytes = recovered.torn_bytes,
                "cut a torn tail that was never acknowledged"
            );
        }
        if let Some((name, _)) = ledgers.iter().find(|(_, it)| it.is_unreadable()) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the state of subscription `{name}` is whole but cannot be read; it may come from a newer version"
                ),
            ));
        }
        let cells = ledgers.into_iter().map(|(name, mut ledger)| {
            ledger.wake(clock.now());
            Arc::new(Cell::new(&name, ledger))
        });
        let hub = Arc::new(Hub::new(recovered.next_position, cells));
        let reader = Arc::new(log::Shared::new(&recovered));
        let limits = Limits {
            events: settings.deduplication_events,
            time: settings.deduplication_time,
        };
        let window = remember(&reader, &tally, limits)?;
        let log = Log::start(committer::Parts {
            disk,
            segment_bytes: settings.segment_bytes,
            salt_seed: (clock.random(), clock.random()),
            shared: reader,
            recovered,
            observer: Arc::clone(&hub) as Arc<dyn log::Observer>,
            window,
        })?;
        let shared = Arc::new_cyclic(|this| Shared {
            log,
            hub,
            clock,
            is_instant,
            this: Weak::clone(this),
            published: Counter::default(),
            clockwork: Arc::new(Clockwork::new(timers)),
            opened,
            _lock: lock,
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
        if window.is_full() || from == 0 {
            return Ok(window);
        }
        events = events.saturating_mul(2);
    }
}

/// Takes a ledger record into account.
fn fold(ledgers: &mut BTreeMap<String, Ledger>, content: &[u8]) -> Result<()> {
    let record: Record = record::decode(content)?;
    match &record.change {
        None => {
            ledgers.remove(&record.subscription);
        }
        Some(
            change @ (Change::Created { .. } | Change::Began { .. } | Change::Restated { .. }),
        ) => ledgers
            .entry(record.subscription)
            .or_default()
            .apply(record.at, change),
        Some(change) => {
            // A member that was still at work when its subscription was removed may have written after that.
            if let Some(ledger) = ledgers.get_mut(&record.subscription) {
                ledger.apply(record.at, change);
            }
        }
    }
    Ok(())
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
    /// Time since the log was opened.
    pub(crate) fn age(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.opened)
    }

    /// Counts the events that a subscription which nobody leases from yet has before it, off the runtime's threads.
    async fn count_one(&self, cell: &Arc<Cell>, head: u64) -> Result<Vec<Special>> {
        let log = self.log.reader();
        let cells = [Arc::clone(cell)];
        if self.is_instant {
            return count_ahead(&log, &cells, head);
        }
        tokio::task::spawn_blocking(move || count_ahead(&log, &cells, head))
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
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("the log has no event at position {position}"),
                )
            })
    }

    /// Events from `position` on, read from the disk.
    pub(crate) async fn read(&self, position: u64, max: usize) -> Result<Page> {
        if self.is_instant {
            return read_page(&self.log.reader(), position, max);
        }
        // One hop to a blocking thread for a whole page, never for a single event on the way to a handler.
        let log = self.log.reader();
        tokio::task::spawn_blocking(move || read_page(&log, position, max))
            .await
            .map_err(|error| Error::closed("reading the log was cut short").with_source(error))?
    }
}

fn read_page(log: &log::Shared, position: u64, max: usize) -> Result<Page> {
    let mut page = Page {
        events: Vec::new(),
        next: position,
        is_last: true,
    };
    let mut looked_at = 0;
    let mut latest = None;
    log.read(position, &mut |at, kind, content| {
        if page.events.len() >= max || looked_at >= READ_RECORDS_MAX {
            page.is_last = false;
            return Ok(false);
        }
        if kind == record::EVENT {
            page.events
                .push((at, Arc::new(record::decode_next(content, &mut latest)?)));
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
        }
    }

    async fn append(&self, events: &[Arc<Event>]) -> Result<Vec<Receipt>> {
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
                refusable: true,
                link: None,
            })
            .done()
            .await?;
        let receipts: Vec<Receipt> = events
            .iter()
            .zip(placed.positions())
            .map(|(event, (position, duplicate))| Receipt {
                id: event.id.clone(),
                position,
                duplicate,
            })
            .collect();
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
        if let Some(error) = self.shared.log.stopped() {
            return Err(error);
        }
        if self.shared.log.is_full() {
            return Err(Error::new(
                ErrorKind::Full,
                "the disk has no room for the log; nothing is accepted until there is",
            ));
        }
        Ok(())
    }

    async fn close(&self) {
        self.shared.clockwork.close().await;
        let shared = Arc::clone(&self.shared);
        if self.shared.is_instant {
            return shared.log.close();
        }
        // Joins the committer's thread, once in the life of an engine.
        let _closed = tokio::task::spawn_blocking(move || shared.log.close()).await;
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
        let head = self
            .shared
            .hub
            .write(|hub| hub.insert(&cell).then(|| hub.tail.head()));
        let Some(head) = head else {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "subscription `{}` is being made by another member",
                    spec.name
                ),
            ));
        };
        *cell
            .uncounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(head.min(spec.until.unwrap_or(head)));
        let start = match spec.start {
            Start::Earliest => 1,
            Start::Latest => head,
            Start::At(position) => position.clamp(1, head),
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
            self.shared.clock.now(),
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
