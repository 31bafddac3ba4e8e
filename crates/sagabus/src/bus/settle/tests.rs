//! The table of verdicts.

use super::*;
use crate::retry::Jitter;
use std::time::Duration;

fn policy(attempts_max: u32) -> Policy {
    Policy {
        retry: Retry {
            attempts_max,
            jitter: Jitter::None,
            ..Retry::default()
        },
        keeps_dead_letters: true,
    }
}

fn attempt(number: u32) -> Attempt {
    Attempt {
        number,
        uncounted: 0,
        duration_ms: 3,
        now: Timestamp::from_milliseconds(1_000),
        seed: 1,
    }
}

fn kind(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Ack => ("ack", ""),
        Verdict::RetryAt(_, fault) => ("retry", &fault.kind),
        Verdict::Dead(fault) => ("dead", &fault.kind),
        Verdict::Skip => ("skip", ""),
        Verdict::Release => ("release", ""),
    }
}

#[test]
fn every_outcome_has_its_verdict() {
    let text = || "boom".to_owned();
    for (number, outcome, expected) in [
        (1, Outcome::Handled, ("ack", "")),
        (9, Outcome::Handled, ("ack", "")),
        (
            1,
            Outcome::Failed(HandlerError::transient("boom")),
            ("retry", "error"),
        ),
        (
            3,
            Outcome::Failed(HandlerError::transient("boom")),
            ("dead", "error"),
        ),
        (
            1,
            Outcome::Failed(HandlerError::permanent("boom")),
            ("dead", "rejected"),
        ),
        (2, Outcome::Panicked(text()), ("retry", "panic")),
        (3, Outcome::Panicked(text()), ("dead", "panic")),
        (1, Outcome::TimedOut { limit_ms: 5 }, ("retry", "timeout")),
        (3, Outcome::TimedOut { limit_ms: 5 }, ("dead", "timeout")),
        (3, Outcome::Interrupted, ("retry", "interrupted")),
        (
            3,
            Outcome::Failed(HandlerError::unavailable("boom")),
            ("retry", "unavailable"),
        ),
    ] {
        assert_eq!(
            kind(&after(&policy(3), attempt(number), &outcome)),
            expected,
            "{number} {outcome:?}"
        );
    }
}

#[test]
fn a_retry_waits_for_the_delay_of_its_attempt() {
    let verdict = after(
        &policy(9),
        attempt(3),
        &Outcome::Failed(HandlerError::transient("x")),
    );
    let Verdict::RetryAt(due, _) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(due, attempt(3).now.after(Duration::from_secs(4)));
}

#[test]
fn a_subscription_that_wants_no_dead_letters_gets_none() {
    let policy = Policy {
        keeps_dead_letters: false,
        ..policy(1)
    };
    assert_eq!(
        after(
            &policy,
            attempt(1),
            &Outcome::Failed(HandlerError::transient("x"))
        ),
        Verdict::Skip
    );
}

#[test]
fn an_event_that_ended_the_process_in_each_attempt_is_not_tried_again() {
    assert_eq!(before(&policy(9), attempt(3), 2), None);
    for (number, silent) in [(4, 3), (10, 0)] {
        assert_eq!(
            kind(&before(&policy(9), attempt(number), silent).unwrap()),
            ("dead", "crash_loop")
        );
    }
}

#[test]
fn a_handler_may_ask_for_more_time_than_the_policy_gives_and_not_for_less() {
    for (asked, waited) in [(60, 60), (1, 4)] {
        let error = HandlerError::retry_after(Duration::from_secs(asked), "busy");
        let verdict = after(&policy(9), attempt(3), &Outcome::Failed(error));
        let Verdict::RetryAt(due, _) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(due, attempt(3).now.after(Duration::from_secs(waited)));
    }
}

#[test]
fn attempts_that_could_not_have_what_they_need_do_not_count_and_come_at_most_a_minute_apart() {
    let full = || {
        Outcome::Failed(HandlerError::from(crate::Error::new(
            crate::error::ErrorKind::Full,
            "no room",
        )))
    };
    for uncounted in [0, 1, 5, 1_000_000] {
        let attempt = Attempt {
            uncounted,
            ..attempt(uncounted + 1)
        };
        let verdict = after(&policy(1), attempt, &full());
        let Verdict::RetryAt(due, fault) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(fault.kind, "unavailable");
        let delay = due.since(attempt.now);
        let nominal = Duration::from_secs(1 << uncounted.min(6)).min(Duration::from_mins(1));
        assert!(
            delay <= nominal && delay >= nominal / 2,
            "{delay:?} after {uncounted}"
        );
        // The next one is made, and when that fails it was the first that counts.
        let next = Attempt {
            number: attempt.number + 1,
            uncounted: uncounted + 1,
            ..attempt
        };
        assert_eq!(before(&policy(1), next, 0), None);
        let failed = Outcome::Failed(HandlerError::transient("boom"));
        assert_eq!(kind(&after(&policy(1), next, &failed)), ("dead", "error"));
        assert_eq!(kind(&after(&policy(2), next, &failed)), ("retry", "error"));
    }
}
