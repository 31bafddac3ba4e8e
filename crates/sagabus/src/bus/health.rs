//! Whether the bus is well. Pure.

use super::stats::Stats;
use crate::error::Error;
use crate::settings::Settings;

/// Deliveries that may wait for another attempt before that counts as an issue.
const RETRY_QUEUE_MAX: u64 = 50;
/// Share of failed handler calls above which that counts as an issue.
const ERROR_RATE_MAX: f64 = 0.1;

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

/// Compares the numbers with their limits.
pub(crate) fn judge(
    stats: &Stats,
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
    let rate = stats.error_rate();
    if rate > ERROR_RATE_MAX {
        issues.push(format!(
            "High error rate detected: {:.0} % of handler calls failed, more than {:.0} %",
            rate * 100.0,
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
