//! The edges of the rules: where a delay, a text, a recovery or an answer just does or does not count.

mod answers;
mod bounds;
mod moved;
mod queries;
mod restarts;
mod stuck;
mod verbs;

use std::collections::BTreeSet;
use std::time::Duration;

use super::bed::{chain, define, step};
use super::play::{Play, ok};
use crate::error::ErrorKind;
use crate::saga::backoff::Backoff;
use crate::saga::definition::Options;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    Action, Answer, Answered, AttemptResult, Command, CompensationPhase, ERROR_BYTES_MAX, Flight,
    Phase, Timer, answer_refusal,
};
use crate::saga::record::{Fact, Verb};
use crate::saga::{Definition, Settings};

#[test]
fn a_delay_is_between_half_and_all_of_what_doubles_and_differs_between_sagas_steps_and_tries() {
    let backoff = Backoff {
        first: Duration::from_secs(1),
        max: Duration::from_secs(100),
    };
    for (failures, whole_ms) in [
        (1, 1_000),
        (2, 2_000),
        (5, 16_000),
        (8, 100_000),
        (99, 100_000),
    ] {
        let ids = (0..200).map(|at| format!("saga-{at}"));
        let delays: BTreeSet<u128> = ids
            .map(|id| backoff.delay(&id, 3, failures).as_millis())
            .collect();
        // Of 200 draws of at least 501 values few are the same, and they reach both ends nearly.
        assert!(delays.len() > 140, "{failures}: {}", delays.len());
        let (first, last) = (delays.first().unwrap(), delays.last().unwrap());
        assert!(
            (whole_ms / 2..whole_ms * 55 / 100).contains(first),
            "{first}"
        );
        assert!((whole_ms * 95 / 100..=whole_ms).contains(last), "{last}");
    }
    let steps: BTreeSet<_> = (0..100)
        .map(|step| backoff.delay("saga", step, 1))
        .collect();
    let tries: BTreeSet<_> = (8..108).map(|it| backoff.delay("saga", 0, it)).collect();
    assert!(
        steps.len() > 70 && tries.len() > 90,
        "{} {}",
        steps.len(),
        tries.len()
    );
    assert_eq!(backoff.delay("saga", 1, 2), backoff.delay("saga", 1, 2));
}

#[test]
fn an_error_is_stored_up_to_its_bound_and_cut_between_two_characters() {
    for (length, stored) in [
        (1, 1),
        (999, 999),
        (1_000, 1_000),
        (1_001, 1_000),
        (5_000, 1_000),
    ] {
        let mut play = Play::begun(&chain(&["a"]));
        let error = AttemptResult::Err(StepError::Reject("x".repeat(length)));
        play.end("a", error);
        assert_eq!(play.step("a").error.as_ref().unwrap().len(), stored);
    }
    let mut play = Play::begun(&chain(&["a"]));
    let long = format!("x{}", "é".repeat(ERROR_BYTES_MAX));
    play.end("a", AttemptResult::Err(StepError::Reject(long.clone())));
    assert_eq!(
        **play.step("a").error.as_ref().unwrap(),
        long[..ERROR_BYTES_MAX - 1]
    );
}

#[test]
fn each_verb_has_its_own_word() {
    let all = [
        (Verb::Cancel, "cancel"),
        (Verb::Retry, "retry"),
        (Verb::Skip, "skip"),
        (Verb::ForceDone, "force-done"),
        (Verb::Complete, "complete"),
        (Verb::Abandon, "abandon"),
        (Verb::Recompensate, "recompensate"),
        (Verb::Pause, "pause"),
        (Verb::Resume, "resume"),
        (Verb::Terminate, "terminate"),
        (Verb::Migrate, "migrate"),
    ];
    for (verb, word) in all {
        assert_eq!(verb.as_str(), word);
    }
}

/// A saga of which `a` is being taken back.
fn taking_back() -> Play {
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.succeed("a");
    play.reject("b");
    assert_eq!(play.compensating, [0]);
    play
}

#[test]
fn an_answer_of_a_compensation_is_taken_unless_its_handler_is_at_work_here() {
    let answer = |attempt| Answer {
        step: "a".to_owned(),
        attempt,
        epoch: 1,
        result: Answered::Compensation(Ok(())),
    };
    let refusal = |play: &Play, attempt| {
        let refusal = answer_refusal(&play.state, &play.facts(), &answer(attempt));
        refusal.map(|refusal| refusal.kind)
    };
    let mut play = taking_back();
    assert_eq!(refusal(&play, 1), Some(ErrorKind::Conflict));
    assert_eq!(refusal(&play, 2), Some(ErrorKind::NotFound));
    play.elsewhere_compensations = vec![0];
    assert_eq!(refusal(&play, 1), None);
    play.elsewhere_compensations.clear();
    play.compensating.clear();
    assert_eq!(refusal(&play, 1), None);
    // One that waits for its next attempt is at work nowhere.
    let mut play = taking_back();
    play.end_compensation("a", Err(StepError::Retry("busy".to_owned())));
    play.compensating = vec![0];
    assert_eq!(refusal(&play, 1), None);
}

#[test]
fn a_compensation_that_is_at_work_elsewhere_is_not_begun_anew_by_a_restart() {
    let mut play = taking_back();
    play.elsewhere_compensations = vec![0];
    assert!(play.restart().is_empty());
    assert_eq!(
        (play.step("a").compensation.attempts, &play.compensating[..]),
        (1, &[0][..])
    );
}

#[test]
fn a_compensation_without_a_handler_waits_and_is_begun_where_there_is_one_again() {
    let mut play = taking_back();
    play.missing_compensations = vec![0];
    assert!(play.restart().is_empty());
    assert!(play.compensating.is_empty());
    play.missing_compensations.clear();
    assert_eq!(play.restart().len(), 1);
    assert_eq!(
        (play.step("a").compensation.attempts, &play.compensating[..]),
        (2, &[0][..])
    );
    // The same for one that has not begun.
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.succeed("a");
    play.missing_compensations = vec![0];
    play.reject("b");
    assert_eq!(play.step("a").compensation.phase, CompensationPhase::Idle);
    play.missing_compensations.clear();
    play.restart();
    assert_eq!(play.compensating, [0]);
}

#[test]
fn what_is_in_flight_is_not_begun_anew_when_a_pause_is_over() {
    let mut play = taking_back();
    play.operate(Action::Pause);
    let facts = play.operate(Action::Resume);
    assert!(matches!(facts[..], [Fact::Operated { .. }]), "{facts:?}");
    let mut play = Play::begun(&chain(&["a"]));
    play.operate(Action::Pause);
    let facts = play.operate(Action::Resume);
    assert!(matches!(facts[..], [Fact::Operated { .. }]), "{facts:?}");
    play.succeed("a");
    play.check();
}

#[test]
fn a_handler_is_told_to_stop_once_with_the_grace_of_what_ended_it() {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    play.time_out("a");
    let told = |step, grace| Command::Stop {
        flight: Flight { step, attempt: 1 },
        grace,
    };
    let settings = Settings::default();
    let stops = [told(0, settings.abort_grace), told(1, settings.drain_grace)];
    assert_eq!(play.commands, stops);
}

/// The delay that a timer was set to by what was done last.
fn set(play: &Play, timer: Timer) -> Option<Duration> {
    play.commands.iter().find_map(|command| match command {
        Command::Arm { timer: set, delay } if *set == timer => Some(*delay),
        _ => None,
    })
}

#[test]
fn a_retry_has_its_timer_which_a_restart_sets_for_what_is_left() {
    let delay = Duration::from_secs(8);
    let mut play = Play::begun(&define(vec![step("a").retries(1).retry_delay(delay)]));
    play.end("a", AttemptResult::Err(StepError::Retry("busy".to_owned())));
    let first = set(&play, Timer::Retry(0)).unwrap();
    assert!((delay / 2..=delay).contains(&first));
    play.now = play.now.after(Duration::from_secs(3));
    play.restart();
    assert_eq!(
        set(&play, Timer::Retry(0)),
        Some(first - Duration::from_secs(3))
    );
    // A clock that was set back makes no delay longer than the schedule.
    play.now = crate::Timestamp::from_milliseconds(-1_000_000_000);
    play.restart();
    assert_eq!(set(&play, Timer::Retry(0)), Some(Duration::from_secs(30)));
    let mut play = taking_back();
    play.end_compensation("a", Err(StepError::Retry("busy".to_owned())));
    let first = set(&play, Timer::Retry(0)).unwrap();
    play.now = play.now.after(Duration::from_millis(100));
    play.restart();
    assert_eq!(
        set(&play, Timer::Retry(0)),
        Some(first - Duration::from_millis(100))
    );
    play.due("a");
    assert_eq!(
        (play.step("a").compensation.attempts, &play.compensating[..]),
        (2, &[0][..])
    );
}

#[test]
fn the_limits_of_a_saga_are_set_by_a_restart_as_far_as_they_still_count() {
    let options = Options {
        deadline: Some(Duration::from_secs(60)),
        queue_timeout: Some(Duration::from_secs(20)),
        ..Options::default()
    };
    let limited = || Definition::builder("limited").options(options.clone());
    let definition = limited().step(step("a")).step(step("b").after("a")).build();
    let definition = definition.unwrap();
    let mut play = Play::queued(&definition);
    play.now = play.now.after(Duration::from_secs(5));
    play.restart();
    assert_eq!(set(&play, Timer::Saga), Some(Duration::from_secs(55)));
    assert_eq!(set(&play, Timer::Queue), Some(Duration::from_secs(15)));
    let mut play = Play::begun(&definition);
    play.restart();
    assert_eq!(set(&play, Timer::Saga), Some(Duration::from_secs(60)));
    assert_eq!(set(&play, Timer::Queue), None);
    play.succeed("a");
    play.reject("b");
    play.restart();
    assert_eq!(set(&play, Timer::Saga), None);
}

#[test]
fn as_many_failures_as_a_compensation_has_tries_make_it_stuck() {
    for (retries, tries) in [(Some(0), 1), (Some(2), 3), (None, 10)] {
        let mut first = step("a");
        if let Some(retries) = retries {
            first = first.compensation_retries(retries);
        }
        let mut play = Play::begun(&define(vec![first, step("b").after("a")]));
        play.succeed("a");
        play.reject("b");
        for attempt in 1..=tries {
            assert_eq!(play.step("a").compensation.attempts, attempt);
            play.end_compensation("a", Err(StepError::InDoubt("?".to_owned())));
            play.due("a");
        }
        let back = &play.step("a").compensation;
        assert_eq!(
            (back.phase, back.attempts),
            (CompensationPhase::Stuck, tries)
        );
    }
}

#[test]
fn an_answer_of_an_attempt_that_never_was_changes_nothing() {
    let mut play = Play::begun(&chain(&["a"]));
    assert!(play.end_attempt(0, 2, ok()).is_empty());
    assert!(play.end_attempt(7, 1, ok()).is_empty());
    assert!(play.has("a", &Phase::Started));
}
