//! Exponential delay between attempts, with a jitter that depends on what is tried and not on chance.

use std::time::Duration;

use crate::clock::mix;

/// A delay that doubles up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first retry.
    pub first: Duration,
    /// Never longer than this.
    pub max: Duration,
}

/// Between attempts that cannot have what they need: there is no end of them, and each is stored.
pub(crate) const UNAVAILABLE: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_mins(1),
};

impl Backoff {
    /// The delay after the given number of failures (1 for the first): between half and all of `first × 2^(failures-1)`,
    /// capped at `max`. The same saga, step and number always give the same delay, so that a test and a recovery agree,
    /// while sagas that failed together do not come back together.
    #[must_use]
    pub fn delay(&self, saga: &str, step: usize, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.max);
        let half = whole / 2;
        let half_ms = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        let seed = fnv(saga.as_bytes())
            .wrapping_add(u64::try_from(step).unwrap_or(u64::MAX).rotate_left(32))
            .wrapping_add(u64::from(failures));
        let jitter_ms = mix(seed) % half_ms.saturating_add(1);
        (whole - half) + Duration::from_millis(jitter_ms)
    }
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
