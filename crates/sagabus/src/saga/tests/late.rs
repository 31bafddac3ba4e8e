//! Late answers: each cell of the table, on the pure machine.

use bytes::Bytes;

use super::bed::{chain, define, step};
use super::play::{Play, ok};
use crate::saga::definition::Options;
use crate::saga::handlers::StepError;
use crate::saga::machine::{Action, AttemptResult, CompensationPhase, Phase, Stage};
use crate::saga::record::{Effect, Fact, Outcome};
use crate::saga::{Compensate, Definition, Order};

fn rejected() -> AttemptResult {
    AttemptResult::Err(StepError::Reject("it was refused".to_owned()))
}

fn succeeded(step: u32, attempt: u32) -> Fact {
    Fact::StepSucceeded {
        step,
        attempt,
        output: Bytes::from_static(b"1"),
    }
}

fn late_success(step: u32, attempt: u32) -> Fact {
    Fact::LateResult {
        step,
        attempt,
        output: Some(Bytes::from_static(b"1")),
        effect: Effect::Unknown,
        error: None,
    }
}

fn late_failure(step: u32, attempt: u32) -> Fact {
    Fact::LateResult {
        step,
        attempt,
        output: None,
        effect: Effect::None,
        error: Some("it was refused".to_owned()),
    }
}

fn retried() -> Definition {
    define(vec![step("a").retries(2), step("b").after("a")])
}

/// `a` has timed out and its next attempt is due later.
fn in_backoff() -> Play {
    let mut play = Play::begun(&retried());
    play.time_out("a");
    play
}

/// `a` has timed out, and a second attempt is in flight.
fn in_the_second_attempt() -> Play {
    let mut play = in_backoff();
    // Its handler is gone without an answer; an answer of it comes from elsewhere.
    play.in_flight.clear();
    play.due("a");
    assert_eq!(play.step("a").attempts, 2);
    play
}

/// `a` has timed out for good and its handler is awaited.
fn draining() -> Play {
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.time_out("a");
    assert!(play.is(Stage::Backward));
    play
}

/// `a` and `b` are in doubt, what they did is taken back, `b` first.
fn compensating() -> Play {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    play.end("a", AttemptResult::Err(StepError::InDoubt("?".to_owned())));
    play.end("b", AttemptResult::Abandoned);
    assert_eq!(play.compensating, [1]);
    play
}

#[test]
fn a_late_success_before_the_next_attempt_is_the_success() {
    let mut play = in_backoff();
    let facts = play.end_attempt(0, 1, ok());
    assert_eq!(facts[0], succeeded(0, 1));
    // The next attempt does not come, though its time does.
    assert_eq!(play.due("a"), []);
    play.succeed("b");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn a_late_failure_before_the_next_attempt_is_recorded_and_changes_nothing_but_the_doubt() {
    let mut play = in_backoff();
    assert!(play.step("a").doubt.is_any());
    assert_eq!(play.end_attempt(0, 1, rejected()), [late_failure(0, 1)]);
    assert!(!play.step("a").doubt.is_any());
    assert_eq!(play.due("a").len(), 1);
    play.check();
}

#[test]
fn a_late_success_of_an_attempt_before_this_one_is_recorded_and_this_one_decides() {
    let mut play = in_the_second_attempt();
    assert_eq!(play.end_attempt(0, 1, ok()), [late_success(0, 1)]);
    assert!(play.has("a", &Phase::Started));
    // Even a rejection of this one cannot undo that: it is taken back, with the output.
    play.reject("a");
    assert_eq!(play.compensating, [0]);
    assert_eq!(
        play.state.compensation_output(0),
        Some(&Bytes::from_static(b"1"))
    );
    play.check();
}

#[test]
fn a_late_failure_of_an_attempt_before_this_one_is_ignored() {
    let mut play = in_the_second_attempt();
    assert_eq!(play.end_attempt(0, 1, rejected()), []);
    assert!(play.has("a", &Phase::Started));
    play.check();
}

#[test]
fn a_late_success_while_handlers_are_awaited_is_taken_back_with_its_output() {
    let mut play = draining();
    let facts = play.end_attempt(0, 1, ok());
    assert_eq!(facts[0], succeeded(0, 1));
    assert_eq!(play.compensating, [0]);
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn a_late_failure_while_handlers_are_awaited_has_its_own_effect_class() {
    let mut play = draining();
    let facts = play.end_attempt(0, 1, rejected());
    assert_eq!(facts[0], late_failure(0, 1));
    // It certainly had no effect, so there is nothing to take back.
    assert!(play.has("a", &Phase::Failed(Effect::None)));
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
    let mut play = draining();
    let unknown = AttemptResult::Err(StepError::InDoubt("?".to_owned()));
    play.end_attempt(0, 1, unknown);
    assert_eq!(play.compensating, [0]);
    play.check();
}

#[test]
fn a_late_success_before_its_compensation_began_gives_it_the_output() {
    let mut play = compensating();
    assert_eq!(play.end_attempt(0, 1, ok()), [late_success(0, 1)]);
    play.taken_back("b");
    assert_eq!(play.compensating, [0]);
    let output = play.state.compensation_output(0);
    assert_eq!(output, Some(&Bytes::from_static(b"1")));
    play.taken_back("a");
    assert_eq!(play.step("a").compensation.attempts, 1);
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn a_late_failure_before_its_compensation_began_can_end_the_doubt() {
    let mut play = compensating();
    assert_eq!(play.end_attempt(0, 1, rejected()), [late_failure(0, 1)]);
    play.taken_back("b");
    assert_eq!(play.step("a").compensation.attempts, 0);
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn a_late_failure_ends_the_doubt_of_its_own_attempt_only() {
    let definition = define(vec![step("a").retries(2), step("b")]);
    let mut play = Play::begun(&definition);
    let unknown = || AttemptResult::Err(StepError::InDoubt("?".to_owned()));
    play.end("a", unknown());
    play.due("a");
    play.end("a", unknown());
    play.operate(Action::Cancel {
        in_flight: Default::default(),
    });
    play.end("b", AttemptResult::Abandoned);
    assert_eq!(play.compensating, [1]);
    play.end_attempt(0, 1, rejected());
    assert!(play.has("a", &Phase::Failed(Effect::Unknown)));
    play.end_attempt(0, 2, rejected());
    assert!(play.has("a", &Phase::Failed(Effect::None)));
    play.check();
}

#[test]
fn a_late_success_during_or_after_its_compensation_makes_it_due_again_with_the_output() {
    // While it is in flight.
    let mut play = compensating();
    assert_eq!(play.end_attempt(1, 1, ok()), [late_success(1, 1)]);
    play.taken_back("b");
    assert_eq!(play.compensating, [1], "again, before `a`");
    assert_eq!(play.step("b").compensation.attempts, 2);
    assert!(play.state.compensation_output(1).is_some());
    play.taken_back("b");
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    assert!(!play.state.is_inconsistent() && play.state.is_closed());

    // When it was done.
    let mut play = compensating();
    play.taken_back("b");
    assert_eq!(play.end_attempt(1, 1, ok()), [late_success(1, 1)]);
    play.taken_back("a");
    assert_eq!(play.compensating, [1]);
    play.taken_back("b");
    assert_eq!(play.step("b").compensation.attempts, 2);
    assert_eq!(play.step("b").compensation.phase, CompensationPhase::Done);
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    assert!(!play.state.is_inconsistent() && play.state.is_closed());
}

#[test]
fn a_log_that_does_not_say_that_a_late_effect_was_taken_back_is_read_as_before() {
    let mut play = compensating();
    play.end_attempt(1, 1, ok());
    play.taken_back("b");
    play.taken_back("b");
    play.taken_back("a");
    for record in &mut play.records {
        if let Fact::CompensationSucceeded {
            takes_late_effect, ..
        } = &mut record.fact
        {
            *takes_late_effect = false;
        }
    }
    play.state = super::invariants::fold("saga", &play.records);
    assert!(play.state.is_inconsistent() && !play.state.is_closed());
    // An operator had it taken back once more.
    play.operate(Action::Recompensate {
        step: "b".to_owned(),
    });
    play.restart();
    play.taken_back("b");
    super::invariants::fold("saga", &play.records);
    assert!(!play.state.is_inconsistent() && play.state.is_closed());
}

#[test]
fn what_comes_to_light_while_it_is_taken_back_after_the_end_is_left() {
    let mut play = over();
    play.operate(Action::Recompensate {
        step: "b".to_owned(),
    });
    assert_eq!(play.compensating, [1]);
    play.end_attempt(1, 1, ok());
    play.taken_back("b");
    assert!(play.state.is_left(1), "it may have been too early for that");
    play.operate(Action::Recompensate {
        step: "b".to_owned(),
    });
    play.taken_back("b");
    assert!(!play.state.is_left(1));
}

#[test]
fn a_late_failure_during_or_after_its_compensation_is_ignored() {
    let mut play = compensating();
    assert_eq!(play.end_attempt(1, 1, rejected()), []);
    play.taken_back("b");
    assert_eq!(play.end_attempt(1, 1, rejected()), []);
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

/// `a` is in doubt, its compensation is skipped, that of `b` was given up.
fn over() -> Play {
    let mut play = compensating();
    play.not_taken_back("b");
    play.operate(Action::Skip {
        step: "a".to_owned(),
    });
    play.operate(Action::Abandon);
    assert!(play.is(Stage::Ended(Outcome::Failed)));
    play
}

#[test]
fn a_late_success_after_the_end_is_recorded_and_can_be_taken_back_by_hand() {
    let mut play = over();
    assert_eq!(play.end_attempt(0, 1, ok()), [late_success(0, 1)]);
    assert!(play.is(Stage::Ended(Outcome::Failed)));
    assert!(play.state.is_inconsistent());
    let repair = |id: &str| Action::Recompensate {
        step: id.to_owned(),
    };
    play.operate(repair("a"));
    assert_eq!(play.compensating, [0]);
    play.taken_back("a");
    assert!(play.state.is_inconsistent(), "`b` is left");
    play.operate(repair("b"));
    // A restart in between changes nothing.
    play.restart();
    assert_eq!(play.compensating, [1]);
    play.taken_back("b");
    assert!(!play.state.is_inconsistent() && play.state.is_closed());
    assert!(play.is(Stage::Ended(Outcome::Failed)));
}

#[test]
fn a_late_failure_after_the_end_is_ignored() {
    let mut play = over();
    assert_eq!(play.end_attempt(0, 1, rejected()), []);
}

#[test]
fn nothing_is_recorded_behind_the_last_record() {
    let mut play = compensating();
    play.taken_back("b");
    play.taken_back("a");
    assert!(play.state.is_closed());
    assert_eq!(play.end_attempt(0, 1, ok()), []);
    let mut play = Play::begun(&chain(&["a"]));
    play.succeed("a");
    assert!(play.state.is_closed());
    assert_eq!(play.end_attempt(0, 1, ok()), []);
}

#[test]
fn that_a_handler_was_dropped_says_nothing() {
    for mut play in [in_backoff(), draining(), over()] {
        let before = play.records.len();
        play.end_attempt(0, 1, AttemptResult::Abandoned);
        let new = &play.records[before..];
        let late = new
            .iter()
            .any(|it| matches!(it.fact, Fact::LateResult { .. }));
        assert!(!late);
    }
}

#[test]
fn an_attempt_that_was_never_made_has_no_answer() {
    let mut play = in_backoff();
    assert_eq!(play.end_attempt(0, 7, ok()), []);
}

#[test]
fn a_late_success_counts_where_only_completed_steps_are_taken_back() {
    let options = Options {
        compensation: Order::Serial,
        ..Options::default()
    };
    let only = |id: &str| step(id).compensate(Compensate::Completed);
    let builder = Definition::builder("s").options(options);
    let definition = builder.step(only("a")).step(step("b")).build().unwrap();
    let mut play = Play::begun(&definition);
    play.end("a", AttemptResult::Err(StepError::InDoubt("?".to_owned())));
    play.end("b", AttemptResult::Abandoned);
    play.end_attempt(0, 1, ok());
    play.taken_back("b");
    assert_eq!(play.compensating, [0]);
}

#[test]
fn a_reply_that_is_handed_out_again_is_not_taken_back_again() {
    let mut play = Play::begun(&define(vec![step("a"), step("b").after("a")]));
    play.succeed("a");
    play.reject("b");
    assert_eq!(play.compensating, [0]);
    assert_eq!(play.end("a", ok()), [], "the same attempt, the same output");
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}
