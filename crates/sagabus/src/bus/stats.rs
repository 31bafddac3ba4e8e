//! Numbers about the bus, from what handlers really did.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ledger::{Counts, Order, Pause};
use crate::transport::{Kept, Lateness, LedgerView, Published};

/// Durations are counted in powers of two of a microsecond, the last being all above 2³⁰ µs (18 min).
const BUCKETS: usize = 32;

/// What the handlers of one subscription did since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionCounters {
    failed: AtomicU64,
    retried: AtomicU64,
    died: AtomicU64,
    microseconds: AtomicU64,
    /// Attempts by their duration: all of them together are the attempts.
    buckets: [AtomicU64; BUCKETS],
}

impl SubscriptionCounters {
    pub(crate) fn attempt(&self, duration: Duration, is_handled: bool) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if !is_handled {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        let bucket = usize::try_from(u64::BITS - microseconds.leading_zeros()).unwrap_or(BUCKETS);
        if let Some(bucket) = self.buckets.get(bucket.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn died(&self) {
        self.died.fetch_add(1, Ordering::Relaxed);
    }

    /// What several members did together.
    fn sum(members: &[&Self]) -> Self {
        let sum = Self::default();
        let add = |to: &AtomicU64, from: &AtomicU64| {
            to.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        for member in members {
            add(&sum.failed, &member.failed);
            add(&sum.retried, &member.retried);
            add(&sum.died, &member.died);
            add(&sum.microseconds, &member.microseconds);
            for (to, from) in sum.buckets.iter().zip(&member.buckets) {
                add(to, from);
            }
        }
        sum
    }

    fn attempts(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    fn percentile(&self, percent: u64) -> Duration {
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        let wanted = (counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(1 << bucket.min(BUCKETS - 1));
            }
        }
        Duration::ZERO
    }
}

/// Numbers about one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// Its name.
    pub name: String,
    /// Its patterns.
    pub patterns: Vec<String>,
    /// Whether it runs in this process.
    pub is_running: bool,
    /// Names of its members.
    pub members: Vec<String>,
    /// In which order its events are handled.
    pub order: Order,
    /// Why it hands out nothing.
    pub pause: Option<Pause>,
    /// It looks at no further events, since so many wait behind dead letters of their key.
    pub is_stalled: bool,
    /// Events that were not looked at yet.
    pub ahead: u64,
    /// All its deliveries, since it was made.
    pub counts: Counts,
    /// Handler calls since the start of the process.
    pub attempts: u64,
    /// Of those, the ones that failed.
    pub failed: u64,
    /// Of those, the ones that are tried again.
    pub retried: u64,
    /// Of those, the ones that became dead letters.
    pub died: u64,
    /// Mean time of a handler call.
    pub average: Duration,
    /// Upper bound of the time of half of the handler calls, to a power of two.
    pub p50: Duration,
    /// Upper bound of the time of 99 of 100 handler calls, to a power of two.
    pub p99: Duration,
}

/// Numbers about the bus. A copy: changing it changes nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events published since the start of the process.
    pub total_events: u64,
    /// The same by type; after 1,000 types the rest is under `(others)`.
    pub events_by_type: BTreeMap<String, u64>,
    /// The same by source.
    pub events_by_source: BTreeMap<String, u64>,
    /// Handler calls since the start of the process.
    pub attempts: u64,
    /// Of those, the ones that failed.
    pub failed_attempts: u64,
    /// Deliveries that wait for another attempt.
    pub retry_queue: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Deliveries that are not settled: waiting for the first attempt, running, or waiting for another.
    pub queue: u64,
    /// Mean time of a handler call.
    pub average_processing_time: Duration,
    /// What is kept of what was published.
    pub kept: Kept,
    /// Events that are to be published later.
    pub scheduled: u64,
    /// How late those were that were published since the start of the process.
    pub lateness: Lateness,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionStats>,
}

impl Stats {
    /// Failed handler calls in all handler calls, 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate to show; counts stay far below 2⁵²"
    )]
    pub fn error_rate(&self) -> f64 {
        if self.attempts == 0 {
            return 0.0;
        }
        self.failed_attempts as f64 / self.attempts as f64
    }
}

/// Puts the numbers together.
pub(crate) fn collect<'a>(
    published: Published,
    running: impl Iterator<Item = (&'a str, &'a SubscriptionCounters)>,
    ledgers: Vec<LedgerView>,
) -> Stats {
    let mut members: BTreeMap<&str, Vec<&SubscriptionCounters>> = BTreeMap::new();
    for (name, counters) in running {
        members.entry(name).or_default().push(counters);
    }
    let mut stats = Stats {
        total_events: published.total,
        events_by_type: published.by_type,
        events_by_source: published.by_source,
        ..Stats::default()
    };
    let mut microseconds = 0;
    for view in ledgers {
        let found = members.remove(view.subscription.as_str());
        let is_running = found.is_some();
        let counters = &SubscriptionCounters::sum(&found.unwrap_or_default());
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let attempts = counters.attempts();
        let spent = load(&counters.microseconds);
        microseconds += spent;
        stats.attempts += attempts;
        stats.failed_attempts += load(&counters.failed);
        stats.retry_queue += view.counts.waiting;
        stats.dead_letters += view.counts.dead;
        stats.queue += view.ahead + view.counts.pending();
        stats.subscriptions.push(SubscriptionStats {
            name: view.subscription,
            patterns: view.patterns,
            is_running,
            members: view.members,
            order: view.order,
            pause: view.pause,
            is_stalled: view.is_stalled,
            ahead: view.ahead,
            counts: view.counts,
            attempts,
            failed: load(&counters.failed),
            retried: load(&counters.retried),
            died: load(&counters.died),
            average: Duration::from_micros(spent.checked_div(attempts).unwrap_or(0)),
            p50: counters.percentile(50),
            p99: counters.percentile(99),
        });
    }
    stats.average_processing_time =
        Duration::from_micros(microseconds.checked_div(stats.attempts).unwrap_or(0));
    stats
}
