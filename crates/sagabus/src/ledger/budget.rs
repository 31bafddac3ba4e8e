//! Tokens for retries, so that an outage makes no storm. Pure: time is an argument.

use std::time::Duration;

use super::RetryBudget;

/// A token in parts, so that several successes can bring one.
const PARTS: u64 = 1_000_000;
/// Tokens that a successful retry brings: the rate doubles while what was down is well again.
const TOKENS_PER_RETRY: u64 = 2;

/// A bucket of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    budget: RetryBudget,
    parts: u64,
    at: Duration,
}

impl Bucket {
    pub(crate) fn new(budget: RetryBudget) -> Self {
        Self {
            budget,
            parts: u64::from(budget.tokens_max) * PARTS,
            at: Duration::ZERO,
        }
    }

    /// Another budget holds from now on.
    pub(crate) fn set(&mut self, budget: RetryBudget) {
        if budget != self.budget {
            *self = Self {
                at: self.at,
                ..Self::new(budget)
            };
        }
    }

    /// Takes a token, at this time since some fixed point.
    pub(crate) fn take(&mut self, elapsed: Duration) -> bool {
        let passed = elapsed.saturating_sub(self.at);
        let gained = u64::try_from(passed.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.budget.per_second));
        self.at = self.at.max(elapsed);
        self.add(gained);
        let Some(parts) = self.parts.checked_sub(PARTS) else {
            return false;
        };
        self.parts = parts;
        true
    }

    /// When the next token comes by itself, at the latest.
    pub(crate) fn next_after(&self) -> Duration {
        Duration::from_micros(PARTS / u64::from(self.budget.per_second.max(1)))
    }

    /// An attempt succeeded.
    pub(crate) fn succeeded(&mut self, is_retry: bool) {
        self.add(if is_retry {
            TOKENS_PER_RETRY * PARTS
        } else {
            PARTS / u64::from(self.budget.successes_per_token.max(1))
        });
    }

    fn add(&mut self, parts: u64) {
        let max = u64::from(self.budget.tokens_max) * PARTS;
        self.parts = self.parts.saturating_add(parts).min(max);
    }
}
