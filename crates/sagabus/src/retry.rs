//! When a failed delivery is tried again.

use std::time::Duration;

use crate::clock::mix;

/// How much of a delay is left to chance, so that failures of one moment do not all come back at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// The nominal delay.
    None,
    /// Between half and all of the nominal delay.
    Equal,
    /// Between nothing and all of the nominal delay.
    Full,
}

/// Exponential backoff with a cap: the delay after failed attempt *n* is `delay · 2ⁿ⁻¹`, at most `delay_max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts_max: u32,
    /// Nominal delay after the first failed attempt.
    pub delay: Duration,
    /// Longest nominal delay.
    pub delay_max: Duration,
    /// The part of chance in each delay.
    pub jitter: Jitter,
    /// Calls of the handler within one attempt, before it counts as failed.
    pub inline: Inline,
}

/// How long an attempt is put off whose handler could not have what it needs: from 1 s to a minute, since it is tried as often
/// as it takes and each attempt is stored.
const UNAVAILABLE: Retry = Retry {
    attempts_max: u32::MAX,
    delay: Duration::from_secs(1),
    delay_max: Duration::from_mins(1),
    jitter: Jitter::Equal,
    inline: Inline {
        times: 0,
        delay: Duration::ZERO,
    },
};

/// How long to wait after so many attempts (at least 1) that did not count, since what they need is unavailable. See
/// [`Retry::delay_after`].
pub(crate) fn unavailable_delay(times: u32, seed: u64) -> Duration {
    UNAVAILABLE.delay_after(times, seed)
}

/// Further calls at once, for failures that pass in moments: nothing is written down between them, and they are one
/// attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inline {
    /// Further calls after a failed one (0–10).
    pub times: u32,
    /// Pause before each of them (up to 10 s).
    pub delay: Duration,
}

impl Default for Retry {
    /// Three re-tries after 1, 2 and 4 s, each between half and all of that; cap 5 min.
    fn default() -> Self {
        Self {
            attempts_max: 4,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_mins(5),
            jitter: Jitter::Equal,
            inline: Inline::default(),
        }
    }
}

impl Retry {
    /// No second attempt.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts_max: 1,
            ..Self::default()
        }
    }

    /// `retries` further attempts after the first.
    #[must_use]
    pub fn times(retries: u32) -> Self {
        Self {
            attempts_max: retries.saturating_add(1),
            ..Self::default()
        }
    }

    /// The same with further calls within each attempt.
    #[must_use]
    pub fn inline(mut self, times: u32, delay: Duration) -> Self {
        self.inline = Inline { times, delay };
        self
    }

    /// The same with another cap of the delay.
    #[must_use]
    pub fn cap(mut self, delay_max: Duration) -> Self {
        self.delay_max = delay_max;
        self
    }

    /// The same with another part of chance.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The same with another first delay.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How long to wait after failed attempt `attempt` (the first is 1).
    ///
    /// The chance in it comes from `seed` and the attempt alone, so the next time can be foretold and shown.
    #[must_use]
    pub fn delay_after(&self, attempt: u32, seed: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(63);
        let nominal = self
            .delay
            .checked_mul(2_u32.saturating_pow(doublings))
            .unwrap_or(self.delay_max)
            .min(self.delay_max);
        let milliseconds = u64::try_from(nominal.as_millis()).unwrap_or(u64::MAX);
        let random = mix(seed ^ mix(u64::from(attempt)));
        let chance = |of: u64| if of == 0 { 0 } else { random % (of + 1) };
        Duration::from_millis(match self.jitter {
            Jitter::None => milliseconds,
            Jitter::Equal => milliseconds / 2 + chance(milliseconds - milliseconds / 2),
            Jitter::Full => chance(milliseconds),
        })
    }
}

/// A seed for [`Retry::delay_after`] from the words that name a delivery (FNV-1a, 64 bits).
#[must_use]
pub fn seed(words: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in words.iter().flat_map(|word| word.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests;
