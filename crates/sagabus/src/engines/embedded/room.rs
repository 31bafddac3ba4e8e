//! Room of the disk that is left free for what was accepted, by refusing new work in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{Disk, Room};
use crate::error::{Error, ErrorKind, Result};

/// Of a small disk only this part is left free.
const PART: u64 = 8;
const BYTES_PER_MIB: u64 = 1024 * 1024;

/// Watches the room of a disk, for all who ask.
#[derive(Debug)]
pub(crate) struct Watch {
    disk: Arc<dyn Disk>,
    /// What is to be left free, or an eighth of a disk that has less than eight times as much.
    bytes: u64,
    /// There was less at the last look.
    low: AtomicBool,
}

impl Watch {
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes: u64) -> Self {
        Self {
            disk,
            bytes,
            low: AtomicBool::new(false),
        }
    }

    /// Whether there was too little room at the last look. Looks at nothing itself.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Finds out whether there is room for new work. A disk that does not say has room until a write fails.
    ///
    /// # Errors
    /// `Full` with what is free and what is to be.
    pub(crate) fn look(&self) -> Result<()> {
        let short = self.short_of(0);
        let was_low = self.low.swap(short.is_some(), Ordering::Relaxed);
        let Some(Short { free, kept }) = short else {
            if was_low {
                tracing::info!("disk has room again");
            }
            return Ok(());
        };
        if !was_low {
            tracing::warn!(
                free_bytes = free,
                kept_bytes = kept,
                "disk is nearly full: nothing new is accepted"
            );
        }
        Err(Error::new(
            ErrorKind::Full,
            format!(
                "the disk has no room for new work: {} MiB are free, and {} MiB are kept for what was accepted; nothing was stored, free some space and repeat",
                free / BYTES_PER_MIB,
                kept.div_ceil(BYTES_PER_MIB)
            ),
        ))
    }

    /// Whether a file of so many bytes leaves what is to be left.
    pub(crate) fn is_enough_for(&self, bytes: u64) -> bool {
        self.short_of(bytes).is_none()
    }

    fn short_of(&self, bytes: u64) -> Option<Short> {
        let Ok(Some(Room { free, total })) = self.disk.room() else {
            return None;
        };
        let kept = self.bytes.min(total / PART);
        (free < kept.saturating_add(bytes)).then_some(Short { free, kept })
    }
}

/// Too little room.
struct Short {
    free: u64,
    kept: u64,
}
