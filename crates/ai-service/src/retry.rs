//! How often a document is tried, and how long it waits in between. Pure.

use std::time::Duration;

/// Repeats of an attempt that failed for a time. The steps of sagas are repeated by their saga.
pub(crate) const RETRIES_MAX: u32 = 2;
/// Longest wait between two attempts.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// How long to wait before the repeat of this number, from 1; each wait is twice as long as the one before.
pub(crate) fn delay(first: Duration, repeat: u32) -> Duration {
    let factor = 2_u32.saturating_pow(repeat.saturating_sub(1));
    first.saturating_mul(factor).min(DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_as_long_as_the_one_before_and_at_most_ten_seconds() {
        let second = Duration::from_secs(1);
        let seconds = [1, 2, 3, 4, 5, 40].map(|repeat| delay(second, repeat).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }
}
