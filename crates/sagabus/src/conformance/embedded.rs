//! The engines of this crate under test: the embedded engine on a memory disk and on a real directory.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;

use super::Cluster;
use crate::clock::{Clock, SystemClock, TestClock, Timestamp};
use crate::engines::embedded::disk::{Disk, DiskFile, MemoryDisk, RealDisk};
use crate::engines::embedded::{DEDUPLICATION_EVENTS, DEDUPLICATION_TIME, Embedded, Settings};
use crate::transport::{Member, Transport};

/// Small files of the log, so that a rule goes through several; the largest batch of a rule fits into one.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// The same where what nobody needs is dropped: a history goes through many.
const LITTLE_BYTES: u64 = 8 * 1024;

/// The embedded engine over one disk.
#[derive(Debug)]
pub struct EmbeddedCluster {
    disk: Arc<dyn Disk>,
    clock: Arc<JumpingClock>,
    unit: Duration,
    lateness: Duration,
    running: Mutex<Option<Process>>,
    /// Events remembered, and for how long.
    remembered: Mutex<(usize, Duration)>,
    /// What nobody needs is dropped.
    keeps_little: AtomicBool,
    /// The disk takes no further file.
    is_full: Arc<AtomicBool>,
    /// Members whose process was killed.
    killed: Mutex<Vec<Arc<dyn Member>>>,
    _folder: Option<Folder>,
}

/// What runs now, and the gate between it and the disk.
#[derive(Debug)]
struct Process {
    engine: Arc<Embedded>,
    gate: Arc<Gate>,
}

/// A directory that is removed when it is no longer used.
#[derive(Debug)]
struct Folder(PathBuf);

impl EmbeddedCluster {
    /// On a memory disk, with time that passes at once when nobody is at work. Pauses the clock of the runtime, which
    /// must be one of a single thread.
    #[must_use]
    pub fn in_memory() -> Self {
        tokio::time::pause();
        Self::in_paused_memory()
    }

    /// The same where the clock of the runtime is paused already.
    #[must_use]
    pub fn in_paused_memory() -> Self {
        let clock = TestClock::new(Timestamp::from_milliseconds(1_767_225_600_000), 7);
        Self {
            unit: Duration::from_secs(1),
            lateness: Duration::from_millis(20),
            ..Self::new(Arc::new(MemoryDisk::default()), Arc::new(clock))
        }
    }

    /// In a new directory for temporary files, with real time.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn in_directory() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sagabus-conformance-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let disk = RealDisk::new(&folder)?;
        Ok(Self {
            _folder: Some(Folder(folder)),
            ..Self::new(Arc::new(disk), Arc::new(SystemClock))
        })
    }

    /// In a new directory for temporary files, in time that passes as in [`EmbeddedCluster::in_paused_memory`]: what is
    /// written and read is, on the thread that asks for it. For what is to be the same on both.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn in_paused_directory() -> io::Result<Self> {
        let Self { disk, _folder, .. } = Self::in_directory()?;
        Ok(Self {
            disk: Arc::new(PromptDisk(disk)),
            _folder,
            ..Self::in_paused_memory()
        })
    }

    fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        Self {
            disk,
            clock: Arc::new(JumpingClock {
                clock,
                offset_ms: AtomicI64::new(0),
            }),
            unit: Duration::from_millis(20),
            lateness: Duration::from_secs(5),
            running: Mutex::default(),
            remembered: Mutex::new((DEDUPLICATION_EVENTS, DEDUPLICATION_TIME)),
            keeps_little: AtomicBool::new(false),
            is_full: Arc::default(),
            killed: Mutex::default(),
            _folder: None,
        }
    }
}

impl EmbeddedCluster {
    async fn end(&self, is_sudden: bool) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(process) = running {
            if is_sudden {
                process.gate.shut();
            }
            // Ends the engine's threads; what they still have to write does not pass a gate that is shut.
            process.engine.close().await;
            process.gate.shut();
        }
        self.killed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Drop for Process {
    /// After whatever was done: what came is where it went, in each subscription.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for view in self.engine.ledgers().list() {
            assert!(view.counts.is_conserved(), "{view:?}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind where it cannot be removed: the system clears such folders.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

#[async_trait]
impl Cluster for EmbeddedCluster {
    async fn transport(&self) -> Arc<dyn Transport> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = running.as_ref() {
            return Arc::clone(&process.engine) as Arc<dyn Transport>;
        }
        let gate = Arc::new(Gate::default());
        let disk = GatedDisk {
            disk: Arc::clone(&self.disk),
            gate: Arc::clone(&gate),
            is_full: Arc::clone(&self.is_full),
        };
        let (deduplication_events, deduplication_time) = *self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut settings = Settings {
            segment_bytes: SEGMENT_BYTES,
            deduplication_events,
            deduplication_time,
            ..Settings::default()
        };
        if self.keeps_little.load(Ordering::SeqCst) {
            settings.segment_bytes = LITTLE_BYTES;
            settings.retention_bytes = LITTLE_BYTES;
        }
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let engine = Arc::new(Embedded::on(Arc::new(disk), &settings, clock).unwrap());
        *running = Some(Process {
            engine: Arc::clone(&engine),
            gate,
        });
        engine
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn jump(&self, by: Duration, is_back: bool) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let by = if is_back { -by } else { by };
        self.clock.offset_ms.fetch_add(by, Ordering::SeqCst);
    }

    fn unit(&self) -> Duration {
        self.unit
    }

    fn lateness(&self) -> Duration {
        self.lateness
    }

    fn remember(&self, events: usize, time: Duration) {
        *self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = (events, time);
    }

    fn keep_little(&self) -> bool {
        self.keeps_little.store(true, Ordering::SeqCst);
        true
    }

    fn set_room(&self, has_room: bool) {
        self.is_full.store(!has_room, Ordering::SeqCst);
    }

    async fn crash(&self) {
        self.end(true).await;
    }

    async fn restart(&self) {
        self.end(false).await;
    }

    fn kill(&self, member: Arc<dyn Member>) {
        // A member that is dropped leaves, so it is kept.
        self.killed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(member);
    }
}

/// A clock whose wall clock can be set.
#[derive(Debug)]
struct JumpingClock {
    clock: Arc<dyn Clock>,
    offset_ms: AtomicI64,
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let offset_ms = self.offset_ms.load(Ordering::SeqCst);
        Timestamp::from_milliseconds(self.clock.now().milliseconds() + offset_ms)
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// Whether a process still reaches its disk. A killed one does not, while its tasks in this test go on for a moment.
#[derive(Default)]
struct Gate(RwLock<bool>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// Nothing passes from now on, and nothing is under way.
    fn shut(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn pass<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let is_shut = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if *is_shut {
            return Err(io::Error::other("the process was killed"));
        }
        act()
    }
}

/// A disk whose users wait for it on their own thread.
#[derive(Debug)]
struct PromptDisk(Arc<dyn Disk>);

impl Disk for PromptDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(name, len)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn is_instant(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct GatedDisk {
    disk: Arc<dyn Disk>,
    gate: Arc<Gate>,
    is_full: Arc<AtomicBool>,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl GatedDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(GatedFile {
            file,
            gate: Arc::clone(&self.gate),
        })
    }
}

impl Disk for GatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.gate.pass(|| self.disk.list())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.gate
            .pass(|| self.disk.create(name, len))
            .map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.gate
            .pass(|| self.disk.open(name))
            .map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.gate.pass(|| self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.gate.pass(|| self.disk.remove(name))
    }

    fn is_instant(&self) -> bool {
        self.disk.is_instant()
    }
}

impl DiskFile for GatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.gate.pass(|| self.file.write_at(offset, bytes))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.gate.pass(|| self.file.read_at(offset, buffer))
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass(|| self.file.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.gate.pass(|| self.file.len())
    }
}
