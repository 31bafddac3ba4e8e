//! What the tests share: a bus on a paused clock, handlers that note what they got, disks that fail.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sagabus::clock::TestClock;
use sagabus::engines::embedded::disk::{Disk, DiskFile, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::transport::{
    Capabilities, DeadLetterQuery, LedgerAdmin, Member, Page, Published, Schedules,
    SubscriptionSpec, Transport,
};
use sagabus::{Bus, Clock, Error, ErrorKind, Event, EventType, Receipt, Timestamp};

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock::new(
        Timestamp::from_milliseconds(1_767_225_600_000),
        7,
    ))
}

/// A bus of which, when a test is done with it, what came is where it went.
#[derive(Debug)]
pub(crate) struct Checked(Bus);

pub(crate) fn checked(bus: Bus) -> Checked {
    Checked(bus)
}

impl std::ops::Deref for Checked {
    type Target = Bus;

    fn deref(&self) -> &Bus {
        &self.0
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for view in self.0.ledgers().list() {
            assert!(view.counts.is_conserved(), "{view:?}");
        }
    }
}

pub(crate) fn memory_bus() -> Checked {
    let clock = clock();
    let engine = Embedded::in_memory(Arc::clone(&clock)).unwrap();
    Checked(Bus::builder(Arc::new(engine), clock).build().unwrap())
}

pub(crate) fn bus_on(disk: Arc<dyn Disk>, segment_bytes: u64) -> sagabus::Result<Checked> {
    let clock: Arc<dyn Clock> = Arc::new(sagabus::SystemClock);
    let engine = Embedded::on(
        disk,
        &Settings {
            segment_bytes,
            ..Settings::default()
        },
        Arc::clone(&clock),
    )?;
    Bus::builder(Arc::new(engine), clock).build().map(Checked)
}

pub(crate) fn event(bus: &Bus, event_type: &str, data: &str) -> Event {
    let event_type = EventType::new(event_type).unwrap();
    Event::raw(
        event_type,
        "test",
        Bytes::copy_from_slice(data.as_bytes()),
        bus.clock().as_ref(),
    )
}

/// Waits until nothing is queued, running or waiting for a retry.
pub(crate) async fn idle(bus: &Bus) {
    for _ in 0..100_000 {
        if bus.stats().queue == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never idle: {:?}", bus.stats());
}

/// A query for all dead letters.
pub(crate) fn all() -> DeadLetterQuery {
    DeadLetterQuery {
        max: 100_000,
        ..DeadLetterQuery::default()
    }
}

/// Notes what handlers got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A real directory whose syncs or file creation can be made to fail.
#[derive(Clone, Debug)]
pub(crate) struct FaultDisk {
    disk: RealDisk,
    pub(crate) faults: Arc<Faults>,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) fail_sync: AtomicBool,
    pub(crate) is_full: AtomicBool,
    pub(crate) syncs: AtomicUsize,
    /// Files made.
    pub(crate) made: AtomicUsize,
    /// Writes that made a file longer.
    pub(crate) writes_past_end: AtomicUsize,
}

#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl FaultDisk {
    pub(crate) fn new(path: &std::path::Path) -> Self {
        Self {
            disk: RealDisk::new(path).unwrap(),
            faults: Arc::default(),
        }
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile {
            file,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl Disk for FaultDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        if self.faults.is_full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let file = self.disk.create(name, len)?;
        self.faults.made.fetch_add(1, Ordering::SeqCst);
        Ok(self.wrap(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
}

impl DiskFile for FaultFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.file.len()? {
            self.faults.writes_past_end.fetch_add(1, Ordering::SeqCst);
        }
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        if self.faults.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected: the disk did not sync"));
        }
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// What an [`Unsteady`] engine does with appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Refuses: nothing is stored.
    Full,
    /// Stores nothing, and says that the outcome is unknown.
    LostBefore,
    /// Stores, and says that the outcome is unknown.
    LostAfter,
    /// Never answers, and stores nothing.
    Silent,
}

/// The embedded engine with a mood, and with capabilities that can be taken from it.
#[derive(Clone, Debug)]
pub(crate) struct Unsteady {
    engine: Arc<Embedded>,
    mood: Arc<Mutex<Mood>>,
    pub(crate) capabilities: Capabilities,
}

impl Unsteady {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        let engine = Embedded::in_memory(Arc::clone(clock)).unwrap();
        Self {
            capabilities: engine.capabilities(),
            engine: Arc::new(engine),
            mood: Arc::default(),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn bus(&self, clock: &Arc<dyn Clock>) -> Bus {
        let engine = Arc::new(self.clone());
        Bus::builder(engine, Arc::clone(clock)).build().unwrap()
    }
}

#[async_trait::async_trait]
impl Transport for Unsteady {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn append(&self, events: &[Arc<Event>]) -> sagabus::Result<Vec<Receipt>> {
        let mood = *self.mood.lock().unwrap();
        let lost = || Error::closed("injected: the answer was lost");
        match mood {
            Mood::Well => self.engine.append(events).await,
            Mood::Full => Err(Error::new(ErrorKind::Full, "injected: no room")),
            Mood::LostBefore => Err(lost()),
            Mood::LostAfter => {
                self.engine.append(events).await?;
                Err(lost())
            }
            Mood::Silent => std::future::pending().await,
        }
    }

    async fn join(&self, spec: SubscriptionSpec) -> sagabus::Result<Arc<dyn Member>> {
        self.engine.join(spec).await
    }

    async fn read(&self, position: u64, max: usize) -> sagabus::Result<Page> {
        self.engine.read(position, max).await
    }

    fn published(&self) -> Published {
        self.engine.published()
    }

    fn ledgers(&self) -> &dyn LedgerAdmin {
        self.engine.ledgers()
    }

    fn schedules(&self) -> &dyn Schedules {
        self.engine.schedules()
    }

    fn condition(&self) -> sagabus::Result<()> {
        self.engine.condition()
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}
