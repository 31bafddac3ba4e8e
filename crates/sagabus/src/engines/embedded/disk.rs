//! The seam below the log: named files that are written at an offset and synced.

mod memory;
mod real;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use memory::MemoryDisk;
pub use real::RealDisk;

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What may still be written.
    pub free: u64,
    /// What the whole disk holds.
    pub total: u64,
}

/// A flat folder of files.
///
/// What a disk promises: bytes written by [`DiskFile::write_at`] survive a crash of the process at once, and a loss of
/// power after [`DiskFile::sync`] returned `Ok`. A file made by [`Disk::create`] or moved by [`Disk::rename`] is there
/// after a loss of power once the call returned `Ok`. After any `Err` of `sync` nothing is known about unsynced bytes.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Names of all files, in any order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of `len` zero bytes that are really on the disk; an older file of that name is lost.
    ///
    /// # Errors
    /// `StorageFull` when there is no room; the file is then gone.
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or what the operating system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, at once or not at all.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How much room there is, where the disk can say that.
    ///
    /// # Errors
    /// What the operating system says.
    fn room(&self) -> io::Result<Option<Room>> {
        Ok(None)
    }

    /// Whether writes and syncs return at once, so that they may run on the caller's thread.
    fn is_instant(&self) -> bool {
        false
    }
}

/// One file of a [`Disk`].
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the operating system says; any part of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes at `offset` and says how many; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns when everything written before is durable.
    ///
    /// # Errors
    /// What the operating system says. Never call it again to "retry": the kernel may have dropped the bytes.
    fn sync(&self) -> io::Result<()>;

    /// Length of the file, in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Zeros written per call.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Writes zeros from byte `from` up to `upto`.
pub(crate) fn write_zeros(file: &dyn DiskFile, from: u64, upto: u64) -> io::Result<()> {
    let mut at = from;
    while at < upto {
        let bytes = usize::try_from(upto - at).unwrap_or(ZEROS.len());
        let zeros = ZEROS.get(..bytes).unwrap_or(&ZEROS);
        file.write_at(at, zeros)?;
        at += zeros.len() as u64;
    }
    Ok(())
}
