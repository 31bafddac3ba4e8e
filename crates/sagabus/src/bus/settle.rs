//! What becomes of a delivery after an attempt. Pure.

use std::time::Duration;

use super::handler::{Disposition, HandlerError};
use crate::clock::Timestamp;
use crate::ledger::{Fault, INTERRUPTED, UNAVAILABLE};
use crate::planted::{self, DeliveryBug};
use crate::retry::{self, Retry};
use crate::transport::Verdict;

/// Attempts without an outcome after which an event is given up: two may be bad luck of its neighbours, and the third
/// was made alone.
const SILENT_MAX: u32 = 3;

/// How a subscription treats failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) retry: Retry,
    /// Whether an event that is given up is kept as a dead letter.
    pub(crate) keeps_dead_letters: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Handled,
    /// The handler says what is to be done.
    Failed(HandlerError),
    Panicked(String),
    TimedOut {
        limit_ms: u64,
    },
    /// Cut because the bus stops.
    Interrupted,
}

impl Outcome {
    /// How it ended, in a few words without what a handler says: that may hold personal data.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Failed(error) if error.is_permanent() => "failed for good",
            Self::Failed(_) if self.is_unavailable() => "could not have what it needs",
            Self::Failed(_) => "failed for now",
            Self::Panicked(_) => "panicked",
            Self::TimedOut { .. } => "timed out",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the handler could not have what it needs for the time being.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Failed(error) if error.disposition() == Disposition::Unavailable)
    }

    /// Whether what the handler depends on may be down.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Handled | Self::Interrupted | Self::Panicked(_) => false,
            Self::Failed(error) => !error.is_permanent(),
            Self::TimedOut { .. } => true,
        }
    }
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    /// Those before it that do not count.
    pub(crate) uncounted: u32,
    pub(crate) duration_ms: u64,
    /// When it ended.
    pub(crate) now: Timestamp,
    /// For the chance in the delay.
    pub(crate) seed: u64,
}

impl Attempt {
    /// Which one it is of those that count, from 1.
    fn counted(self) -> u32 {
        self.number.saturating_sub(self.uncounted)
    }
}

/// Decides before a handler is called: `Some` when it must not be. `silent` is how many attempts before ended without an
/// outcome.
pub(crate) fn before(policy: &Policy, attempt: Attempt, silent: u32) -> Option<Verdict> {
    if is_spent(policy, attempt.counted(), silent) {
        let text =
            "the process ended, or the member was silent, during each of the attempts before";
        return Some(give_up(policy, fault(attempt, "crash_loop", text)));
    }
    None
}

/// Whether the attempt that is the `number`th of those that count, after so many in a row without an outcome, must not be made.
pub(crate) fn is_spent(policy: &Policy, number: u32, silent: u32) -> bool {
    let is_over =
        number > policy.retry.attempts_max && !planted::has(DeliveryBug::AttemptsWithoutEnd);
    silent >= SILENT_MAX || is_over
}

/// Decides after an attempt.
pub(crate) fn after(policy: &Policy, attempt: Attempt, outcome: &Outcome) -> Verdict {
    let mut least = Duration::ZERO;
    let fault = match outcome {
        Outcome::Handled => return Verdict::Ack,
        Outcome::Interrupted => {
            let fault = fault(attempt, INTERRUPTED, "the bus was shut down");
            return Verdict::RetryAt(attempt.now, Box::new(fault));
        }
        Outcome::Failed(error) => {
            let (kind, is_rejected) = match error.disposition() {
                Disposition::Reject => (error.fault_kind().unwrap_or("rejected"), true),
                Disposition::Retry { after } => {
                    least = after;
                    ("error", false)
                }
                Disposition::Unavailable => (UNAVAILABLE, false),
            };
            let mut fault = fault(attempt, kind, &error.to_string());
            fault.error_type = error.error_type().to_owned();
            if is_rejected {
                return give_up(policy, fault);
            }
            if !fault.is_counted() {
                let delay = retry::unavailable_delay(attempt.uncounted + 1, attempt.seed);
                return Verdict::RetryAt(attempt.now.after(delay), Box::new(fault));
            }
            fault
        }
        Outcome::Panicked(text) => fault(attempt, "panic", text),
        Outcome::TimedOut { limit_ms } => fault(
            attempt,
            "timeout",
            &format!("the handler ran longer than {limit_ms} ms"),
        ),
    };
    if attempt.counted() >= policy.retry.attempts_max
        && !planted::has(DeliveryBug::AttemptsWithoutEnd)
    {
        return give_up(policy, fault);
    }
    let delay = policy.retry.delay_after(attempt.counted(), attempt.seed);
    Verdict::RetryAt(attempt.now.after(delay.max(least)), Box::new(fault))
}

fn give_up(policy: &Policy, fault: Fault) -> Verdict {
    if policy.keeps_dead_letters && !planted::has(DeliveryBug::DeadLetterDropped) {
        Verdict::Dead(Box::new(fault))
    } else {
        Verdict::Skip
    }
}

fn fault(attempt: Attempt, kind: &str, text: &str) -> Fault {
    Fault::new(attempt.number, attempt.now, attempt.duration_ms, kind, text)
}

#[cfg(test)]
mod tests;
