//! A disk in memory whose power can be turned off: what was written stays, nothing more is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engines::embedded::disk::{Disk, DiskFile, MemoryDisk};

/// The switch of one bus. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Power {
    /// How many writes are still made.
    writes: Arc<AtomicU64>,
}

impl Default for Power {
    fn default() -> Self {
        Self {
            writes: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}

impl Power {
    /// From now on nothing is stored: the moment at which the process is killed. Call
    /// [`super::TestBus::crash_and_restart`] next.
    pub fn turn_off(&self) {
        self.turn_off_after(0);
    }

    /// The same after so many more writes: a test that does it for 0, 1, 2, … kills the process at each of them.
    pub fn turn_off_after(&self, writes: u64) {
        self.writes.store(writes, Ordering::SeqCst);
    }

    /// Whether a write was refused, or will be next.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.writes.load(Ordering::SeqCst) == 0
    }

    fn check(&self, writes: u64) -> io::Result<()> {
        self.writes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                (left > 0).then(|| left - writes)
            })
            .map(drop)
            .map_err(|_| io::Error::other("the power is off"))
    }
}

#[derive(Debug)]
pub(super) struct PoweredDisk {
    disk: MemoryDisk,
    power: Power,
}

#[derive(Debug)]
struct PoweredFile {
    file: Arc<dyn DiskFile>,
    power: Power,
}

impl PoweredDisk {
    pub(super) fn new(disk: MemoryDisk, power: Power) -> Self {
        Self { disk, power }
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(PoweredFile {
            file,
            power: self.power.clone(),
        })
    }
}

impl Disk for PoweredDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.power.check(0)?;
        Ok(self.wrap(self.disk.create(name, len)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.power.check(0)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.power.check(0)?;
        self.disk.remove(name)
    }

    fn is_instant(&self) -> bool {
        self.disk.is_instant()
    }
}

impl DiskFile for PoweredFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.power.check(1)?;
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.power.check(0)?;
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
