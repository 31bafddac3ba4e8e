//! How long sagas waited for their turn.

use std::time::Duration;

/// Upper bounds of the buckets of [`TurnWaits`]; one more bucket has what is above.
pub const WAIT_BOUNDS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(24),
];

/// How long sagas waited from their start until they began, also over restarts. One that began at once has waited for no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnWaits {
    /// Sagas that have begun.
    pub count: u64,
    /// All of it together.
    pub sum: Duration,
    /// The longest one.
    pub max: Duration,
    /// Sagas by bucket of [`WAIT_BOUNDS`].
    pub buckets: [u64; WAIT_BOUNDS.len() + 1],
}

impl TurnWaits {
    /// Counts one saga more.
    pub(super) fn add(&mut self, waited: Duration) {
        self.count += 1;
        self.sum = self.sum.saturating_add(waited);
        self.max = self.max.max(waited);
        let bucket = WAIT_BOUNDS.iter().position(|bound| waited <= *bound);
        if let Some(bucket) = self.buckets.get_mut(bucket.unwrap_or(WAIT_BOUNDS.len())) {
            *bucket += 1;
        }
    }
}
