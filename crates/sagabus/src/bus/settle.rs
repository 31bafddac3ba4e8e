//! What becomes of a delivery after an attempt. Pure.

use crate::clock::Timestamp;
use crate::ledger::Fault;
use crate::retry::Retry;
use crate::transport::Verdict;

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
    /// The handler says that another attempt could succeed.
    Failed(String),
    /// The handler says that none will.
    Rejected(String),
    Panicked(String),
    TimedOut {
        limit_ms: u64,
    },
    /// Cut because the bus stops.
    Interrupted,
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) duration_ms: u64,
    /// When it ended.
    pub(crate) now: Timestamp,
    /// For the chance in the delay.
    pub(crate) seed: u64,
}

/// Decides before a handler is called: `Some` when it must not be.
pub(crate) fn before(
    policy: &Policy,
    attempt: Attempt,
    filter_fault: Option<&str>,
) -> Option<Verdict> {
    if let Some(text) = filter_fault {
        return Some(give_up(policy, fault(attempt, "filter", text)));
    }
    if attempt.number > policy.retry.attempts_max {
        let text = "the process ended during each of the attempts before";
        return Some(give_up(policy, fault(attempt, "crash_loop", text)));
    }
    None
}

/// Decides after an attempt.
pub(crate) fn after(policy: &Policy, attempt: Attempt, outcome: &Outcome) -> Verdict {
    let fault = match outcome {
        Outcome::Handled => return Verdict::Ack,
        Outcome::Rejected(text) => return give_up(policy, fault(attempt, "rejected", text)),
        Outcome::Interrupted => {
            let fault = fault(attempt, "interrupted", "the bus was shut down");
            return Verdict::RetryAt(attempt.now, fault);
        }
        Outcome::Failed(text) => fault(attempt, "error", text),
        Outcome::Panicked(text) => fault(attempt, "panic", text),
        Outcome::TimedOut { limit_ms } => fault(
            attempt,
            "timeout",
            &format!("the handler ran longer than {limit_ms} ms"),
        ),
    };
    if attempt.number >= policy.retry.attempts_max {
        return give_up(policy, fault);
    }
    let delay = policy.retry.delay_after(attempt.number, attempt.seed);
    Verdict::RetryAt(attempt.now.after(delay), fault)
}

fn give_up(policy: &Policy, fault: Fault) -> Verdict {
    if policy.keeps_dead_letters {
        Verdict::Dead(fault)
    } else {
        Verdict::Skip
    }
}

fn fault(attempt: Attempt, kind: &str, text: &str) -> Fault {
    Fault::new(attempt.number, attempt.now, attempt.duration_ms, kind, text)
}

#[cfg(test)]
mod tests;
