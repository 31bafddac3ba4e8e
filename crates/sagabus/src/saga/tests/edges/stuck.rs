//! Tries and their delays: of steps, and of compensations that are stuck and are tried again by themselves.

use std::time::Duration;

use super::set;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    Action, AttemptResult, CompensationPhase, Input, STUCK_RETRIES_MAX, Stage, Timer,
};
use crate::saga::record::Fact;
use crate::saga::tests::bed::{chain, define, step};
use crate::saga::tests::play::Play;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_delay_before_a_try_doubles_with_each_failure() {
    let delay = Duration::from_secs(2);
    let mut play = Play::begun(&define(vec![step("a").retries(4).retry_delay(delay)]));
    for failures in 0..4 {
        let most = delay * 2_u32.pow(failures);
        play.end("a", AttemptResult::Err(StepError::Retry("busy".to_owned())));
        let own = set(&play, Timer::Retry(0)).unwrap();
        assert!((most / 2..=most).contains(&own), "{failures}: {own:?}");
        let backoff = crate::saga::backoff::Backoff {
            first: delay,
            max: Duration::from_secs(30),
        };
        assert_eq!(own, backoff.delay("saga", 0, failures + 1));
        play.due("a");
    }
}

#[test]
fn each_failure_of_a_compensation_is_counted_the_last_too() {
    let definition = vec![step("a").compensation_retries(1), step("b").after("a")];
    let mut play = Play::begun(&define(definition));
    play.succeed("a");
    play.reject("b");
    play.end_compensation("a", Err(StepError::Retry("busy".to_owned())));
    assert_eq!(play.step("a").compensation.failures, 1);
    play.due("a");
    play.not_taken_back("a");
    let back = &play.step("a").compensation;
    assert_eq!((back.phase, back.failures), (CompensationPhase::Stuck, 2));
}

/// `a` cannot be taken back, and is tried again by itself each hour.
fn stuck() -> Play {
    let mut play = Play::queued(&chain(&["a", "b"]));
    play.settings.stuck_retry = Some(HOUR);
    play.give(Input::Begin);
    play.succeed("a");
    play.reject("b");
    play.not_taken_back("a");
    assert!(play.is(Stage::Stuck));
    play
}

fn by_itself(play: &mut Play) -> bool {
    match &play.give(Input::Elapsed(Timer::Stuck))[..] {
        [] => false,
        [Fact::Operated { by, .. }, Fact::CompensationStarted { .. }] => {
            assert_eq!(by.author, "sagabus");
            true
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_stuck_is_tried_again_by_itself_so_often_and_as_often_again_after_an_operator_did() {
    let mut play = stuck();
    for _ in 0..2 {
        for done in 0..STUCK_RETRIES_MAX {
            assert_eq!(set(&play, Timer::Stuck), Some(HOUR), "{done}");
            assert!(by_itself(&mut play), "{done}");
            assert_eq!(play.compensating, [0]);
            play.not_taken_back("a");
        }
        assert_eq!(set(&play, Timer::Stuck), None);
        assert!(!by_itself(&mut play), "it needs a person now");
        play.operate(Action::Retry { step: None });
        play.not_taken_back("a");
    }
    play.check();
}

#[test]
fn without_such_a_setting_what_is_stuck_stays_so() {
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.succeed("a");
    play.reject("b");
    play.not_taken_back("a");
    assert_eq!(set(&play, Timer::Stuck), None);
    assert!(!by_itself(&mut play));
}
