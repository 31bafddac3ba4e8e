//! Answers that nobody asks for any more, or that come twice: what each changes, and what it does not.

use bytes::Bytes;

use super::taking_back;
use crate::saga::Compensate;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    Action, AttemptResult, Command, CompensationPhase, Flight, InFlight, Input, Limit, Phase, Stage,
};
use crate::saga::record::{Effect, Fact, Outcome};
use crate::saga::tests::bed::{chain, define, step};
use crate::saga::tests::play::{Play, ok};

fn refused() -> AttemptResult {
    AttemptResult::Err(StepError::Reject("no".to_owned()))
}

fn in_doubt() -> AttemptResult {
    AttemptResult::Err(StepError::InDoubt("?".to_owned()))
}

fn retry(id: &str) -> Action {
    Action::Retry {
        step: Some(id.to_owned()),
    }
}

fn skip(id: &str) -> Action {
    Action::Skip {
        step: id.to_owned(),
    }
}

fn cancel() -> Action {
    Action::Cancel {
        in_flight: InFlight::Signal,
    }
}

/// The first attempt of `a` has timed out and a second one is in flight; `b` is in flight beside it.
fn in_the_second_attempt() -> Play {
    let mut play = Play::begun(&define(vec![step("a").retries(1), step("b")]));
    play.time_out("a");
    // The handler of the first is gone without an answer.
    play.in_flight.retain(|flight| flight.step == 1);
    play.due("a");
    assert_eq!(play.step("a").attempts, 2);
    play
}

/// `a` and `b` are in doubt, and `b` is taken back first.
fn both_in_doubt() -> Play {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    play.end("a", in_doubt());
    play.end("b", AttemptResult::Abandoned);
    assert_eq!(play.compensating, [1]);
    play
}

#[test]
fn an_answer_of_a_compensation_counts_only_for_the_attempt_that_is_under_way() {
    let mut play = taking_back();
    play.end_compensation("a", Err(StepError::Retry("busy".to_owned())));
    let answer = |play: &mut Play| {
        play.give(Input::CompensationEnded {
            step: 0,
            attempt: 1,
            result: Ok(()),
        })
    };
    assert_eq!(answer(&mut play), [], "that attempt has failed already");
    play.due("a");
    assert_eq!(answer(&mut play), [], "another one is under way");
    let back = play.step("a").compensation.phase;
    assert_eq!(back, CompensationPhase::Started);
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn the_time_of_an_attempt_that_nobody_waits_for_only_stops_its_handler() {
    let time_out = |play: &mut Play| {
        let limit = Limit::Timeout(std::time::Duration::from_secs(1));
        let facts = play.give(Input::TimedOut {
            step: 0,
            attempt: 1,
            limit,
        });
        let flight = Flight {
            step: 0,
            attempt: 1,
        };
        let stops = |it: &Command| matches!(it, Command::Stop { flight: to, .. } if *to == flight);
        assert!(facts.is_empty() && play.commands.iter().all(stops));
        assert_eq!(play.commands.len(), 1);
    };
    time_out(&mut in_the_second_attempt());
    let mut play = Play::begun(&define(vec![step("a").retries(1)]));
    play.time_out("a");
    time_out(&mut play);
    assert_eq!(play.step("a").failures, 1, "it is counted once");
}

#[test]
fn what_is_known_of_a_stuck_step_is_what_its_late_answers_say() {
    let behind = define(vec![step("a").pivot(), step("b").after("a").retries(1)]);
    let mut play = Play::begun(&behind);
    play.succeed("a");
    play.end("b", in_doubt());
    play.due("b");
    play.reject("b");
    assert!(play.has("b", &Phase::Stuck(Effect::Unknown)));
    play.end_attempt(1, 1, refused());
    assert!(play.has("b", &Phase::Stuck(Effect::None)));
    // Given up, and then it did happen.
    play.operate(Action::Abandon);
    play.end_attempt(1, 1, ok());
    assert!(play.has("b", &Phase::Stuck(Effect::Unknown)));
    play.check();
}

#[test]
fn a_step_that_has_failed_and_did_happen_after_all_is_taken_back() {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    play.reject("a");
    assert!(play.has("a", &Phase::Failed(Effect::None)));
    play.end("b", AttemptResult::Abandoned);
    assert_eq!(play.compensating, [1]);
    play.end_attempt(0, 1, ok());
    play.taken_back("b");
    assert_eq!(play.compensating, [0]);
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
}

#[test]
fn of_two_late_outputs_the_first_is_given_to_what_takes_the_step_back() {
    let mut play = Play::begun(&define(vec![step("a").retries(1), step("b")]));
    play.end("a", in_doubt());
    play.due("a");
    play.end("a", in_doubt());
    play.end("b", AttemptResult::Abandoned);
    assert_eq!(play.compensating, [1]);
    play.end_attempt(0, 2, ok());
    play.end_attempt(0, 1, AttemptResult::Ok(Bytes::from_static(b"2")));
    let output = play.state.compensation_output(0);
    assert_eq!(output, Some(&Bytes::from_static(b"1")));
}

#[test]
fn a_late_success_leaves_a_compensation_that_is_stuck_or_not_begun_where_it_is() {
    let mut play = both_in_doubt();
    play.end_attempt(0, 1, ok());
    play.not_taken_back("b");
    play.end_attempt(1, 1, ok());
    assert!(play.is(Stage::Stuck), "it needs a person still");
    assert_eq!(play.step("b").compensation.phase, CompensationPhase::Stuck);
    play.operate(retry("b"));
    play.taken_back("b");
    play.taken_back("a");
    // All that came to light was taken back after it had.
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    assert!(!play.state.is_inconsistent());
}

#[test]
fn a_late_failure_changes_nothing_once_somebody_has_decided_about_the_compensation() {
    let mut play = both_in_doubt();
    play.operate(skip("a"));
    assert_eq!(
        play.end_attempt(0, 1, refused()),
        [],
        "not to be taken back"
    );
    let mut play = both_in_doubt();
    play.end_compensation("b", Err(StepError::Retry("busy".to_owned())));
    play.operate(Action::Pause);
    play.operate(retry("b"));
    assert_eq!(play.step("b").compensation.phase, CompensationPhase::Idle);
    assert_eq!(play.end_attempt(1, 1, refused()), [], "it has begun before");
}

#[test]
fn a_second_success_of_a_step_that_is_done_is_nothing_new() {
    let mut play = in_the_second_attempt();
    play.succeed("a");
    play.operate(cancel());
    assert!(play.is(Stage::Backward), "`b` is awaited");
    assert_eq!(play.end_attempt(0, 1, ok()), []);
}

#[test]
fn what_a_step_did_is_no_success_any_more_once_a_compensation_is_decided_about() {
    let is_noted = |facts: &[Fact]| matches!(facts.first(), Some(Fact::LateResult { .. }));
    // `b` is awaited; a person says meanwhile that `a` stays.
    let mut play = Play::begun(&define(vec![step("a"), step("b"), step("c")]));
    play.succeed("a");
    play.reject("c");
    play.operate(skip("a"));
    assert!(is_noted(&play.end_attempt(2, 1, ok())));
    // The only compensation that has begun is to begin anew.
    let mut play = taking_back();
    play.end_compensation("a", Err(StepError::Retry("busy".to_owned())));
    play.operate(Action::Pause);
    play.operate(retry("a"));
    assert!(is_noted(&play.end_attempt(1, 1, ok())));
}

#[test]
fn an_answer_that_comes_again_is_one_doubt() {
    let mut play = in_the_second_attempt();
    let doubt = play.step("a").doubt.clone();
    assert!(doubt.is_any());
    for _ in 0..40 {
        play.end_attempt(0, 1, ok());
    }
    assert_eq!(play.step("a").doubt, doubt);
}

#[test]
fn so_many_attempts_in_doubt_are_told_apart_and_one_more_is_doubted_for_good() {
    for (attempts, is_doubted) in [(32, false), (33, true)] {
        let mut play = Play::begun(&define(vec![step("a").retries(99)]));
        for _ in 0..attempts {
            play.due("a");
            play.end("a", in_doubt());
        }
        for attempt in 1..=attempts {
            play.end_attempt(0, attempt, refused());
        }
        play.due("a");
        play.reject("a");
        assert_eq!(!play.compensating.is_empty(), is_doubted, "{attempts}");
    }
}

#[test]
fn a_step_that_is_to_begin_anew_when_its_saga_turns_back_is_taken_back_if_it_may_have_happened() {
    for (result, is_taken_back) in [
        (in_doubt(), true),
        (
            AttemptResult::Err(StepError::Retry("busy".to_owned())),
            false,
        ),
    ] {
        let mut play = Play::begun(&define(vec![step("a").retries(1)]));
        play.end("a", result);
        play.operate(Action::Pause);
        play.operate(retry("a"));
        assert!(play.has("a", &Phase::Pending));
        play.operate(cancel());
        assert_eq!(!play.compensating.is_empty(), is_taken_back);
    }
}

#[test]
fn what_is_always_taken_back_is_not_where_it_never_began() {
    let always = |id: &str| step(id).compensate(Compensate::Always);
    let mut play = Play::begun(&define(vec![always("a"), always("b").after("a")]));
    play.reject("a");
    assert_eq!(play.compensating, [0], "it was begun");
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    let mut play = Play::begun(&chain(&["a"]));
    play.reject("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
}
