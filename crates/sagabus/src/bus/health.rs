//! Whether the bus is well.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Bus;
use super::stats::Stats;
use crate::error::Error;
use crate::settings::Settings;

/// Deliveries that may wait for another attempt before that counts as an issue.
const RETRY_QUEUE_MAX: u64 = 50;
/// Share of failed handler calls above which that counts as an issue.
const ERROR_RATE_MAX: f64 = 0.1;

/// How far back the share of failed calls looks: one to two of these.
const RECENT: Duration = Duration::from_mins(1);

const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

/// Whether the bus is well, or what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// One sentence per issue; none when all is well.
    pub issues: Vec<String>,
}

impl Health {
    /// Whether there is no issue.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.issues.is_empty()
    }
}

impl Bus {
    /// Whether all is well, or what is not.
    #[must_use]
    pub fn health(&self) -> Health {
        let (stats, now) = (self.stats(), self.inner.clock.elapsed());
        judge(
            &stats,
            self.inner.recent.error_rate(&stats, now),
            &self.inner.settings,
            self.condition().err().as_ref(),
            &self.inner.circuits.open(),
        )
    }
}

/// The handler calls of the last one to two minutes, as those see them who ask; of the time since somebody last asked, where that
/// is longer. Those before say nothing about now.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Calls>);

/// Calls and failed calls at two times.
#[derive(Debug, Default)]
struct Calls {
    /// At the beginning of the part that is over, and of the one that is not.
    before: (u64, u64),
    current: (u64, u64),
    since: Duration,
}

impl Recent {
    /// Failed handler calls in all handler calls, 0 to 1, given those since the start of the process.
    pub(crate) fn error_rate(&self, stats: &Stats, now: Duration) -> f64 {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.error_rate(stats.attempts, stats.failed_attempts, now)
    }
}

impl Calls {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate to show; counts stay far below 2⁵²"
    )]
    fn error_rate(&mut self, attempts: u64, failed: u64, now: Duration) -> f64 {
        let calls = attempts.saturating_sub(self.before.0);
        let failures = failed.saturating_sub(self.before.1);
        if now.saturating_sub(self.since) >= RECENT {
            self.before = self.current;
            self.current = (attempts, failed);
            self.since = now;
        }
        match calls {
            0 => 0.0,
            calls => failures as f64 / calls as f64,
        }
    }
}

/// Compares the numbers with their limits. `error_rate` is the recent one.
pub(crate) fn judge(
    stats: &Stats,
    error_rate: f64,
    settings: &Settings,
    engine: Option<&Error>,
    circuits: &[String],
) -> Health {
    let mut issues = Vec::new();
    if let Some(error) = engine {
        issues.push(format!(
            "Event log does not accept events: {}",
            error.chain()
        ));
    }
    if stats.dead_letters > settings.dead_letter_threshold as u64 {
        issues.push(format!(
            "Dead letter queue size is excessive: {} dead letters, more than {}",
            stats.dead_letters, settings.dead_letter_threshold
        ));
    }
    if stats.retry_queue > RETRY_QUEUE_MAX {
        issues.push(format!(
            "Retry queue size is excessive: {} deliveries wait for another attempt, more than {RETRY_QUEUE_MAX}",
            stats.retry_queue
        ));
    }
    if error_rate > ERROR_RATE_MAX {
        issues.push(format!(
            "High error rate detected: {:.0} % of recent handler calls failed, more than {:.0} %",
            error_rate * 100.0,
            ERROR_RATE_MAX * 100.0
        ));
    }
    for subscription in &stats.subscriptions {
        if let Some(pause) = &subscription.pause {
            issues.push(format!(
                "Subscription `{}` is paused since {}: {}",
                subscription.name, pause.at, pause.by.reason
            ));
        }
        if subscription.is_stalled {
            issues.push(format!(
                "Subscription `{}` looks at no further events: {} wait behind dead letters of their keys",
                subscription.name, subscription.counts.parked
            ));
        }
    }
    if let Some(fault) = &stats.kept.fault {
        issues.push(format!(
            "Events that are due to be dropped cannot be: {fault}"
        ));
    }
    for holding in &stats.kept.holding {
        issues.push(format!(
            "Subscription `{}` has not looked at events that are due to be dropped: {:.1} MiB are kept for it",
            holding.subscription,
            holding.bytes as f64 / BYTES_PER_MIB
        ));
    }
    for dependency in circuits {
        issues.push(format!(
            "Circuit breaker is open: `{dependency}` fails, and subscriptions that need it wait"
        ));
    }
    Health { issues }
}

#[cfg(test)]
mod tests;
