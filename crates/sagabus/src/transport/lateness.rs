//! How late events were published that were to be published at a time.

use std::time::Duration;

/// Upper bounds of the buckets of a [`Lateness`]; one more bucket has what is above.
pub const LATENESS_BOUNDS: [Duration; 12] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
];

/// How late events were: the time from when they were due, or from when they were scheduled if that was later, until they
/// were durable. Time in which no process ran counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Events.
    pub count: u64,
    /// All of it together.
    pub sum: Duration,
    /// The latest one.
    pub max: Duration,
    /// Events by bucket of [`LATENESS_BOUNDS`].
    pub buckets: [u64; LATENESS_BOUNDS.len() + 1],
}

impl Lateness {
    /// Counts one event more.
    pub fn add(&mut self, late: Duration) {
        self.count += 1;
        self.sum = self.sum.saturating_add(late);
        self.max = self.max.max(late);
        let bucket = LATENESS_BOUNDS.iter().position(|bound| late <= *bound);
        if let Some(bucket) = self
            .buckets
            .get_mut(bucket.unwrap_or(LATENESS_BOUNDS.len()))
        {
            *bucket += 1;
        }
    }

    /// The bound below which `percent` of the events are; the latest one where that is less.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (bound, count) in LATENESS_BOUNDS.iter().zip(self.buckets) {
            seen += count;
            if seen >= wanted {
                return self.max.min(*bound);
            }
        }
        self.max
    }
}
