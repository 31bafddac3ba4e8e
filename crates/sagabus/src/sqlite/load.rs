//! How much a database has to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// Upper bounds of the times of transactions in [`Load::times`]; the last bucket has what is beyond.
pub const LOAD_BOUNDS: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
const BUCKETS: usize = LOAD_BOUNDS.len() + 1;

/// What a database does, and did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Whether it has a transaction.
    pub is_busy: bool,
    /// Transactions that wait for the one before; callers that wait for a place in this line are not counted.
    pub waiting: u64,
    /// Time of all transactions that ended, each with its sync and without its wait.
    pub spent: Duration,
    /// How many of them took how long: up to each of [`LOAD_BOUNDS`] and beyond the one before, and longer ones.
    pub times: [u64; BUCKETS],
}

impl Load {
    /// Transactions that ended, committed or not.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.times.iter().sum()
    }
}

/// Counts what the thread of a database does.
#[derive(Debug, Default)]
pub(super) struct Meter {
    is_busy: AtomicBool,
    spent_ns: AtomicU64,
    times: [AtomicU64; BUCKETS],
}

/// Ends the time of one transaction, also of one that panics.
struct Running<'m> {
    meter: &'m Meter,
    began: Duration,
}

impl Meter {
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_busy.store(true, Ordering::Relaxed);
        let _running = Running {
            meter: self,
            began: SystemClock.elapsed(),
        };
        work()
    }

    pub(super) fn read(&self, waiting: u64) -> Load {
        Load {
            is_busy: self.is_busy.load(Ordering::Relaxed),
            waiting,
            spent: Duration::from_nanos(self.spent_ns.load(Ordering::Relaxed)),
            times: self.times.each_ref().map(|it| it.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = SystemClock.elapsed().saturating_sub(self.began);
        let meter = self.meter;
        meter.is_busy.store(false, Ordering::Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        meter.spent_ns.fetch_add(ns, Ordering::Relaxed);
        let place = LOAD_BOUNDS.partition_point(|bound| *bound < took);
        if let Some(count) = meter.times.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
