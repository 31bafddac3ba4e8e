//! Verbs of operators at the edges of their table: given twice, beside what is in flight, and what follows from them.

use std::time::Duration;

use bytes::Bytes;

use super::taking_back;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    Action, AttemptResult, Command, CompensationPhase, InFlight, Phase, Stage,
};
use crate::saga::record::{Fact, Outcome, Record};
use crate::saga::tests::bed::{chain, define, step};
use crate::saga::tests::play::Play;
use crate::saga::{Settings, Step};

fn skip(id: &str) -> Action {
    Action::Skip {
        step: id.to_owned(),
    }
}

fn force(id: &str) -> Action {
    Action::ForceDone {
        step: id.to_owned(),
    }
}

fn complete(id: &str, output: &'static [u8]) -> Action {
    Action::Complete {
        step: id.to_owned(),
        output: Bytes::from_static(output),
    }
}

fn repair(id: &str) -> Action {
    Action::Recompensate {
        step: id.to_owned(),
    }
}

/// What a refusal says; nothing where there is none.
fn refusal(play: &Play, action: &Action) -> String {
    let refusal = play.refusal(action);
    refusal.map_or_else(String::new, |refusal| refusal.text)
}

/// An action that finds its effect done: it is not refused, and stores nothing.
fn is_done(play: &mut Play, action: &Action) -> bool {
    refusal(play, action).is_empty() && play.operate(action.clone()).is_empty()
}

#[test]
fn what_would_leave_the_saga_of_a_step_alone_is_refused_while_that_is_not_over() {
    let child = || define(vec![step("c")]);
    let definition = define(vec![
        Step::new("g").child(child()),
        Step::new("h").child(child()).after("g"),
    ]);
    let play = Play::begun(&definition);
    assert!(play.has("g", &Phase::Started));
    for action in [Action::Terminate, skip("g"), complete("g", b"1")] {
        let text = refusal(&play, &action);
        assert!(
            text.starts_with("its saga `") && text.ends_with("is not over"),
            "{action:?}: {text}"
        );
    }
    for action in [skip("h"), complete("h", b"1")] {
        assert_eq!(refusal(&play, &action), "", "it has none yet");
    }
}

#[test]
fn a_step_is_skipped_or_completed_once_and_not_to_another_effect() {
    let after = |id| step(id).after("a");
    let mut play = Play::begun(&define(vec![step("a"), after("b"), after("c")]));
    play.operate(complete("b", b"7"));
    assert!(is_done(&mut play, &complete("b", b"7")));
    assert_eq!(refusal(&play, &complete("b", b"8")), "the step is over");
    play.operate(skip("c"));
    assert!(is_done(&mut play, &skip("c")));
    assert_eq!(refusal(&play, &complete("c", b"7")), "the step is over");
    play.succeed("a");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

/// `b` and `a` are to be taken back, and `b` cannot be.
fn stuck() -> Play {
    let mut play = Play::begun(&chain(&["a", "b", "c"]));
    play.succeed("a");
    play.succeed("b");
    play.reject("c");
    play.not_taken_back("b");
    assert!(play.is(Stage::Stuck));
    play
}

#[test]
fn a_compensation_is_skipped_or_said_to_be_done_once_and_only_one_of_both() {
    for (first, other) in [(skip("b"), force("b")), (force("b"), skip("b"))] {
        let mut play = stuck();
        play.operate(first.clone());
        assert!(is_done(&mut play, &first));
        let nothing = "the step has nothing to take back";
        assert_eq!(refusal(&play, &other), nothing);
        assert_eq!(refusal(&play, &skip("c")), nothing, "it did nothing");
        play.taken_back("a");
        assert!(play.is(Stage::Ended(Outcome::Compensated)));
    }
}

#[test]
fn what_is_in_flight_backward_is_not_skipped_and_what_was_cut_off_is() {
    let mut play = taking_back();
    let text = "the compensation of the step is in flight";
    assert_eq!(refusal(&play, &skip("a")), text);
    // Nobody here can take it back any more.
    play.missing_compensations = vec![0];
    play.restart();
    assert_eq!(
        play.step("a").compensation.phase,
        CompensationPhase::Started
    );
    play.operate(skip("a"));
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    // A handler that is told to stop may still say what it did.
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.time_out("a");
    assert!(play.is(Stage::Backward));
    for action in [skip("a"), force("a")] {
        assert_eq!(refusal(&play, &action), "the step is in flight");
    }
}

#[test]
fn a_stuck_compensation_is_tried_again_and_its_step_is_not_run_again() {
    let mut play = stuck();
    let step = Some("b".to_owned());
    play.operate(Action::Retry { step });
    assert_eq!(play.compensating, [1]);
    assert!(matches!(play.step("b").phase, Phase::Succeeded(_)));
    assert!(play.in_flight.is_empty());
}

#[test]
fn a_repair_that_is_under_way_is_done_once_and_one_that_is_stuck_again() {
    let mut play = stuck();
    play.operate(Action::Abandon);
    play.operate(repair("b"));
    assert_eq!(play.compensating, [1]);
    assert!(is_done(&mut play, &repair("b")));
    play.not_taken_back("b");
    assert!(!play.operate(repair("b")).is_empty());
    assert_eq!(play.compensating, [1]);
    play.taken_back("b");
    let nothing = "the step has nothing to take back";
    assert_eq!(refusal(&play, &repair("b")), nothing);
}

#[test]
fn what_is_closed_is_not_repaired_although_effects_are_left() {
    let mut play = stuck();
    play.operate(Action::Abandon);
    assert_eq!(refusal(&play, &repair("b")), "");
    let closed = Record::new(play.now, Fact::Closed);
    play.state.replay(&closed).unwrap();
    assert!(play.state.is_inconsistent());
    let text = "it ended with nothing left to repair";
    assert_eq!(refusal(&play, &repair("b")), text);
}

#[test]
fn handlers_in_flight_have_the_time_that_the_cancel_gives_them() {
    let settings = Settings {
        drain_grace: Duration::from_secs(7),
        ..Settings::default()
    };
    for (in_flight, grace) in [
        (InFlight::Wait, None),
        (InFlight::Signal, Some(settings.drain_grace)),
        (InFlight::Abandon, Some(Duration::ZERO)),
    ] {
        let mut play = Play::begun(&chain(&["a"]));
        play.settings = settings.clone();
        play.operate(Action::Cancel { in_flight });
        let stops = play.commands.iter().filter_map(|command| match command {
            Command::Stop { grace, .. } => Some(*grace),
            _ => None,
        });
        assert_eq!(stops.collect::<Vec<_>>(), Vec::from_iter(grace));
    }
}

#[test]
fn a_step_that_an_operator_completed_has_its_place_in_the_order_of_taking_back() {
    // As they are written they are in another order than that of their beginning.
    let definition = define(vec![
        step("c").after("b"),
        step("a"),
        step("b").after("a"),
        step("d").after("c"),
    ]);
    let mut play = Play::begun(&definition);
    play.operate(complete("b", b"7"));
    play.succeed("a");
    play.succeed("c");
    play.reject("d");
    for id in ["c", "b", "a"] {
        assert_eq!(play.compensating, [play.position(id)]);
        play.taken_back(id);
    }
    play.check();
}

#[test]
fn a_skipped_step_is_taken_back_if_it_was_cut_off_and_not_if_it_had_no_effect() {
    let definition = define(vec![step("a").retries(1), step("b").after("a")]);
    let mut play = Play::begun(&definition);
    play.missing = vec![0];
    play.restart();
    play.operate(skip("a"));
    play.reject("b");
    assert_eq!(play.compensating, [0]);
    play.check();
    let mut play = Play::begun(&definition);
    play.end("a", AttemptResult::Err(StepError::Retry("busy".to_owned())));
    play.operate(skip("a"));
    play.reject("b");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}
