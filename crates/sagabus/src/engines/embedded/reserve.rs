//! Room that is kept for dropping what is old.
//!
//! It is a file, so that a disk that is full to the last byte can be mended: what is left of the old segments is written there.

use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};

/// Name of the file that keeps the room.
pub(crate) const RESERVE_NAME: &str = "reserve.tmp";
/// How often the room goes into a segment. What is needed of old segments is mostly little, and as two of them are
/// dropped there is room for it anew, and for one more.
const PARTS: u64 = 4;

/// The room to keep where segments have this size.
pub(crate) fn bytes(segment_bytes: u64) -> u64 {
    segment_bytes / PARTS
}

fn kept(disk: &dyn Disk) -> io::Result<u64> {
    match disk.open(RESERVE_NAME) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Keeps `bytes` of room from now on, if there are as many.
pub(crate) fn keep(disk: &dyn Disk, bytes: u64) -> io::Result<()> {
    if kept(disk)? != bytes {
        disk.create(RESERVE_NAME, bytes)?;
    }
    Ok(())
}

/// Gives the room up for a file of this name; `None` when there is none, or less than `bytes`.
pub(crate) fn take(
    disk: &dyn Disk,
    name: &str,
    bytes: u64,
) -> io::Result<Option<Arc<dyn DiskFile>>> {
    if kept(disk)? < bytes {
        return Ok(None);
    }
    disk.rename(RESERVE_NAME, name)?;
    disk.open(name).map(Some)
}

/// Takes back what was given up.
pub(crate) fn put_back(disk: &dyn Disk, name: &str) -> io::Result<()> {
    disk.rename(name, RESERVE_NAME)
}
