//! Settings of the bus: plain data with defaults and limits.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::retry::Retry;

/// Settings of a [`crate::Bus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most subscriptions at one time; one more is refused (1–10,000).
    pub subscriptions_max: usize,
    /// Delay after the first failed attempt of subscriptions that set none of their own (1 ms – 1 h).
    pub retry_delay: Duration,
    /// Re-tries of subscriptions that set none of their own; attempts are one more (0–1,000).
    pub retries_max: u32,
    /// The bus reports itself unhealthy above this number of dead letters.
    pub dead_letter_threshold: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            subscriptions_max: 100,
            retry_delay: Duration::from_secs(1),
            retries_max: 3,
            dead_letter_threshold: 100,
        }
    }
}

impl Settings {
    /// Checks each field against its limits.
    ///
    /// # Errors
    /// `Invalid`, naming the field and the limit.
    pub fn validate(&self) -> Result<()> {
        if !(1..=10_000).contains(&self.subscriptions_max) {
            return Err(Error::invalid("`subscriptions_max` must be 1 to 10,000"));
        }
        if !(Duration::from_millis(1)..=Duration::from_hours(1)).contains(&self.retry_delay) {
            return Err(Error::invalid("`retry_delay` must be 1 ms to 1 h"));
        }
        if self.retries_max > 1_000 {
            return Err(Error::invalid("`retries_max` must be 0 to 1,000"));
        }
        Ok(())
    }

    /// The retry policy of a subscription that sets none of its own.
    #[must_use]
    pub fn retry(&self) -> Retry {
        Retry::times(self.retries_max).delay(self.retry_delay)
    }
}

#[cfg(test)]
mod tests;
