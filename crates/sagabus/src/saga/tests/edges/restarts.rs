//! Restarts: what is taken up again, what still counts, and when a saga that always ends its process is left alone.

use std::time::Duration;

use super::{set, taking_back};
use crate::saga::machine::{
    Action, Command, CompensationPhase, INTERRUPTIONS_MAX, Input, Phase, Stage, Timer,
};
use crate::saga::record::{Effect, Fact, Outcome, PauseCause};
use crate::saga::tests::bed::{define, step};
use crate::saga::tests::play::{Play, ok};
use crate::saga::{OnInDoubt, OnTimeout, Step};

fn cause(play: &Play) -> Option<PauseCause> {
    play.state.paused.map(|paused| paused.cause)
}

/// The process ends and begins as often as a saga goes on by itself, and once more.
fn wear_out(play: &mut Play, before: u32) {
    for _ in before..INTERRUPTIONS_MAX {
        play.restart();
        assert_eq!(cause(play), None);
    }
    play.restart();
    assert_eq!(cause(play), Some(PauseCause::Poison));
}

#[test]
fn a_step_that_ends_its_process_each_time_pauses_its_saga_until_somebody_resumes_it() {
    let mut play = Play::begun(&define(vec![step("a")]));
    wear_out(&mut play, 0);
    assert_eq!(play.step("a").attempts, 1 + INTERRUPTIONS_MAX);
    // It has its chances anew, the first of them at once.
    play.operate(Action::Resume);
    assert_eq!(play.step("a").attempts, 2 + INTERRUPTIONS_MAX);
    wear_out(&mut play, 1);
    play.operate(Action::Resume);
    play.succeed("a");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn a_compensation_that_ends_its_process_each_time_pauses_its_saga() {
    let mut play = taking_back();
    wear_out(&mut play, 0);
    let attempts = play.step("a").compensation.attempts;
    assert_eq!(attempts, 1 + INTERRUPTIONS_MAX);
    play.operate(Action::Resume);
    assert_eq!(play.compensating, [0]);
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn whatever_brings_a_saga_further_gives_it_all_its_chances_again_and_a_pause_does_not() {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    for _ in 1..INTERRUPTIONS_MAX {
        play.restart();
    }
    play.succeed("b");
    wear_out(&mut play, 0);
    let mut play = Play::begun(&define(vec![step("a")]));
    for _ in 0..INTERRUPTIONS_MAX {
        play.restart();
    }
    play.operate(Action::Pause);
    play.restart();
    assert_eq!(cause(&play), Some(PauseCause::Operator));
}

#[test]
fn what_waits_is_not_begun_anew_and_has_the_rest_of_its_time() {
    let minute = Duration::from_secs(60);
    let waits = Step::new("w").signal("go");
    let waits = waits.waits_at_most(minute, OnTimeout::Fail);
    let mut play = Play::begun(&define(vec![waits]));
    play.now = play.now.after(Duration::from_secs(20));
    assert_eq!(play.restart(), []);
    assert_eq!(play.step("w").attempts, 1);
    assert_eq!(set(&play, Timer::Wait(0)), Some(Duration::from_secs(40)));
}

#[test]
fn a_service_elsewhere_is_asked_the_same_again_by_a_restart_and_not_by_the_end_of_a_pause() {
    let mut play = Play::queued(&define(vec![step("a")]));
    play.elsewhere = vec![0];
    play.give(Input::Begin);
    let run = Command::Run {
        step: 0,
        attempt: 1,
    };
    assert_eq!(play.commands, std::slice::from_ref(&run));
    assert_eq!(play.restart(), []);
    assert_eq!(play.commands, std::slice::from_ref(&run));
    play.operate(Action::Pause);
    play.operate(Action::Resume);
    assert!(!play.commands.contains(&run));
    play.succeed("a");
    play.check();
}

#[test]
fn the_limit_of_a_step_that_is_in_flight_counts_on_behind_a_pause() {
    let hour = Duration::from_secs(3_600);
    let mut play = Play::begun(&define(vec![step("a").step_deadline(hour)]));
    play.operate(Action::Pause);
    play.now = play.now.after(hour / 4);
    play.operate(Action::Resume);
    assert_eq!(set(&play, Timer::Step(0)), Some(hour / 4 * 3));
}

#[test]
fn nothing_is_run_again_beside_a_step_in_doubt_that_pauses_its_saga_or_turns_it_back() {
    for (policy, stage) in [
        (OnInDoubt::Park, Stage::Running),
        (OnInDoubt::Compensate, Stage::Backward),
    ] {
        let definition = define(vec![step("a"), step("b").on_in_doubt(policy)]);
        let mut play = Play::begun(&definition);
        let facts = play.restart();
        let starts = |fact: &Fact| matches!(fact, Fact::StepStarted { .. });
        assert!(!facts.iter().any(starts), "{facts:?}");
        assert_eq!(play.step("a").attempts, 1);
        assert!(play.is(stage) && play.in_flight.is_empty());
        play.check();
    }
}

#[test]
fn nobody_elsewhere_is_awaited_for_a_list_or_for_what_waits_when_a_saga_turns_back() {
    let two = 2.try_into().unwrap();
    let list = || step("b").for_each("/items").at_a_time(two);
    for other in [step("c"), Step::new("w").signal("go")] {
        let definition = define(vec![list(), other]);
        let mut play = Play::queued_with(&definition, br#"{"items":[1,2]}"#);
        play.elsewhere = vec![0, 1];
        play.give(Input::Begin);
        play.succeed("b[0]");
        let last = play.position("b[1]");
        if play.state.wait(1).is_none() {
            play.succeed("c");
        }
        play.reject("b[1]");
        assert_eq!(play.step("b").phase, Phase::Failed(Effect::None));
        assert!(!play.compensating.is_empty(), "item {last} was the last");
        play.check();
    }
    // One that a service elsewhere may still do is awaited.
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    play.elsewhere = vec![0];
    play.reject("b");
    play.restart();
    assert!(play.compensating.is_empty());
    play.end_attempt(0, 1, ok());
    let back = play.step("a").compensation.phase;
    assert_eq!(back, CompensationPhase::Started);
    play.check();
}
