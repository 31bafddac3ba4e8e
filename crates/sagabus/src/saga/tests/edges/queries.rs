//! What a saga says of itself: whether it waits, is at work, has begun, leaves something; and what it wants of its services.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{set, taking_back};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::definition::Options;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    Action, AttemptResult, Command, Direction, Input, Signal, Stage, Timer, Wanted, signal_refusal,
};
use crate::saga::record::{Fact, Outcome, Record};
use crate::saga::tests::bed::{chain, define, step};
use crate::saga::tests::invariants::fold;
use crate::saga::tests::play::{Play, ok};
use crate::saga::{Definition, OnTimeout, Step};

const HOUR: Duration = Duration::from_secs(3_600);

/// A saga whose turn has come, while there is no slot for the steps at these positions.
fn without_slots(definition: &Definition, limited: &[usize]) -> Play {
    let mut play = Play::queued(definition);
    play.limited = limited.to_vec();
    play.give(Input::Begin);
    play
}

#[test]
fn a_step_that_is_ready_and_has_no_slot_has_its_limit_set_once() {
    let definition = define(vec![step("a").queue_timeout(HOUR), step("b"), step("c")]);
    let play = without_slots(&definition, &[0, 1]);
    assert_eq!(play.state.ready_at(0), Some(play.now));
    assert_eq!(set(&play, Timer::Start(0)), Some(HOUR));
    let arms = |it: &&Command| {
        matches!(
            it,
            Command::Arm {
                timer: Timer::Start(_),
                ..
            }
        )
    };
    assert_eq!(play.commands.iter().filter(arms).count(), 1);
}

#[test]
fn the_turn_of_a_saga_comes_once() {
    let mut play = without_slots(&chain(&["a"]), &[0]);
    assert_eq!(play.records.last().unwrap().fact, Fact::Begun);
    for mut state in [play.state.clone(), Play::begun(&chain(&["a"])).state] {
        let again = state.replay(&Record::new(play.now, Fact::Begun));
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    play.granted.clone_from(&play.wanting);
    play.give(Input::Begin);
    assert_eq!(play.in_flight.len(), 1);
}

#[test]
fn what_turns_back_as_its_turn_comes_wants_no_slot_any_more() {
    let nowhere = step("b").for_each("/nowhere");
    let play = without_slots(&define(vec![step("a"), nowhere]), &[0]);
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    assert_eq!(play.wanting, []);
}

#[test]
fn only_what_has_failed_and_is_to_be_tried_again_waits_between_two_attempts() {
    let is_between = |play: &Play, direction| {
        let wanted = Wanted { step: 0, direction };
        play.state.is_between_attempts(wanted)
    };
    let busy = || StepError::Retry("busy".to_owned());
    let mut play = Play::queued(&define(vec![step("a").retries(1)]));
    assert!(!is_between(&play, Direction::Forward));
    play.give(Input::Begin);
    assert!(!is_between(&play, Direction::Forward));
    play.end("a", AttemptResult::Err(busy()));
    assert!(is_between(&play, Direction::Forward));
    let mut play = taking_back();
    assert!(!is_between(&play, Direction::Backward));
    play.end_compensation("a", Err(busy()));
    assert!(is_between(&play, Direction::Backward));
    assert!(!is_between(&play, Direction::Forward));
}

#[test]
fn what_led_to_a_saga_and_when_its_time_is_over_is_known_of_it() {
    let options = Options {
        deadline: Some(HOUR),
        ..Options::default()
    };
    let definition = Definition::builder("limited").options(options);
    let mut play = Play::queued(&definition.step(step("a")).build().unwrap());
    assert_eq!(play.state.deadline(), Some(play.now.after(HOUR)));
    assert_eq!(play.state.causation_id(), None);
    let Fact::Created { causation_id, .. } = &mut play.records[0].fact else {
        panic!("created by another record");
    };
    *causation_id = Some("event".to_owned());
    let state = fold("saga", &play.records);
    assert_eq!(state.causation_id(), Some(&Arc::from("event")));
    assert_eq!(Play::queued(&chain(&["a"])).state.deadline(), None);
}

/// The span of a step's last attempt.
fn span(play: &Play, direction: Direction) -> u64 {
    let span = play.state.trace_of(0, direction).unwrap();
    assert_eq!(
        Some(span.trace_id()),
        play.state.trace().map(|it| it.trace_id())
    );
    span.span_id()
}

#[test]
fn each_attempt_has_a_span_of_its_own_in_the_trace_of_its_saga() {
    let retried = vec![step("a").retries(1), step("b").after("a")];
    let mut play = Play::queued(&define(retried));
    assert_eq!(play.state.trace(), None);
    assert_eq!(play.state.trace_of(0, Direction::Forward), None);
    let Fact::Created { trace, .. } = &mut play.records[0].fact else {
        panic!("created by another record");
    };
    *trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    play.state = fold("saga", &play.records);
    play.give(Input::Begin);
    let parent = 0x00f0_67aa_0ba9_02b7;
    let mut spans = vec![parent, play.state.trace().unwrap().span_id()];
    spans.push(span(&play, Direction::Forward));
    play.end("a", AttemptResult::Err(StepError::Retry("busy".to_owned())));
    play.due("a");
    spans.push(span(&play, Direction::Forward));
    play.succeed("a");
    play.reject("b");
    spans.push(span(&play, Direction::Backward));
    let others = BTreeSet::from_iter(spans.iter().copied());
    assert_eq!(others.len(), spans.len(), "{spans:?}");
}

#[test]
fn a_saga_has_begun_once_a_step_has_or_is_said_to_be_done() {
    assert!(!Play::queued(&chain(&["a"])).state.has_begun());
    let mut play = without_slots(&chain(&["a", "b"]), &[0]);
    assert!(!play.state.has_begun(), "its turn has come, and no more");
    play.operate(Action::Complete {
        step: "b".to_owned(),
        output: Bytes::from_static(b"1"),
    });
    assert!(play.state.has_begun());
    assert!(Play::begun(&chain(&["a"])).state.has_begun());
}

#[test]
fn a_terminated_saga_leaves_what_its_handlers_may_have_done_and_not_what_waited() {
    let list = step("b").for_each("/items");
    let waits = Step::new("w").signal("go");
    let definition = define(vec![list, waits, step("a")]);
    for (limited, is_left) in [(&[0, 2][..], false), (&[2], true), (&[0], true)] {
        let mut play = Play::queued_with(&definition, br#"{"items":[1]}"#);
        play.limited = limited.to_vec();
        play.give(Input::Begin);
        play.operate(Action::Terminate);
        assert_eq!(play.state.is_inconsistent(), is_left, "{limited:?}");
    }
}

#[test]
fn an_effect_that_comes_to_light_after_all_was_taken_back_leaves_something() {
    let mut play = Play::queued(&chain(&["a"]));
    // The saga that waits for it does not know yet, so records may still follow its end.
    let Fact::Created { parent, .. } = &mut play.records[0].fact else {
        panic!("created by another record");
    };
    *parent = Some("parent".to_owned());
    play.state = fold("saga", &play.records);
    play.give(Input::Begin);
    play.reject("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    assert!(!play.state.is_inconsistent());
    play.end_attempt(0, 1, ok());
    assert!(play.state.is_inconsistent());
}

#[test]
fn a_saga_is_being_repaired_from_the_word_of_an_operator_until_that_is_done() {
    let mut play = taking_back();
    assert!(!play.state.is_being_repaired(), "it is not over");
    play.not_taken_back("a");
    play.operate(Action::Abandon);
    assert!(!play.state.is_being_repaired());
    play.operate(Action::Recompensate {
        step: "a".to_owned(),
    });
    assert!(play.state.is_being_repaired());
    play.taken_back("a");
    assert!(!play.state.is_being_repaired());
}

/// `w` waits for a signal.
fn waits() -> Step {
    Step::new("w").signal("go")
}

const ITEMS: &[u8] = br#"{"items":[1,2]}"#;

/// What a saga is called, and whether it waits and whether it is at work.
type Row = (&'static str, Play, bool, bool);

fn table() -> Vec<Row> {
    let waiting = || Play::begun(&define(vec![waits(), step("b").after("w")]));
    let beside = || Play::begun(&define(vec![step("a"), waits()]));
    let paused = |mut play: Play| {
        play.operate(Action::Pause);
        play
    };
    let mut awaited = beside();
    awaited.time_out("a");
    let mut terminated = waiting();
    terminated.operate(Action::Terminate);
    let list = step("b").after("a").for_each_of("a", "");
    let behind = vec![step("a").pivot(), list, waits().after("a")];
    let mut with_stuck_item = Play::begun(&define(behind));
    let items = AttemptResult::Ok(Bytes::from_static(b"[1]"));
    with_stuck_item.end("a", items);
    with_stuck_item.reject("b[0]");
    let mut done = Play::begun(&chain(&["a"]));
    done.succeed("a");
    let slotless = |own| {
        let mut play = Play::queued_with(&define(vec![own, waits()]), ITEMS);
        play.limited = vec![0];
        play.give(Input::Begin);
        play
    };
    // One after the other, each a saga of its own.
    let children = Step::new("g").child(chain(&["c"])).for_each("/items");
    let children = define(vec![children.at_a_time(1.try_into().unwrap())]);
    let mut with_children = Play::queued_with(&children, ITEMS);
    with_children.give(Input::Begin);
    let list = step("b").for_each("/items");
    vec![
        ("queued", Play::queued(&chain(&["a"])), false, false),
        ("a step in flight", Play::begun(&chain(&["a"])), false, true),
        ("a step that waits", waiting(), true, false),
        ("one beside a handler", beside(), false, true),
        (
            "one beside a step that has no slot",
            slotless(step("a")),
            false,
            true,
        ),
        (
            "one beside items that have no slot",
            slotless(list),
            false,
            true,
        ),
        (
            "one beside an item that is stuck",
            with_stuck_item,
            true,
            false,
        ),
        (
            "items that are sagas and go one by one",
            with_children,
            true,
            false,
        ),
        ("turned back, a handler is awaited", awaited, false, true),
        ("paused", paused(Play::begun(&chain(&["a"]))), false, false),
        ("paused while it waits", paused(waiting()), true, false),
        ("taken back", taking_back(), false, true),
        ("terminated while it waited", terminated, false, false),
        ("completed", done, false, false),
    ]
}

#[test]
fn who_waits_for_the_world_outside_holds_no_slot_and_who_works_does() {
    for (name, play, is_waiting, holds_slot) in table() {
        let is = (play.state.is_waiting(), play.state.holds_slot());
        assert_eq!(is, (is_waiting, holds_slot), "{name}");
    }
}

fn signal(name: &str, payload: &'static [u8]) -> Signal {
    Signal {
        name: name.to_owned(),
        key: None,
        payload: Bytes::from_static(payload),
        by: By::new("ann", "so it is"),
        approval: None,
    }
}

#[test]
fn a_step_takes_the_signal_of_its_own_name_whichever_came_first() {
    let next = Step::new("v").signal("on").after("w");
    let mut play = Play::begun(&define(vec![waits(), next]));
    play.give(Input::Signal(signal("on", b"2")));
    assert!(play.is(Stage::Running), "it is kept");
    play.give(Input::Signal(signal("go", b"1")));
    let outputs = [0, 1].map(|at| play.state.output(at).cloned().unwrap());
    assert_eq!(outputs, [&b"1"[..], b"2"]);
    assert!(play.is(Stage::Ended(Outcome::Completed)));
}

#[test]
fn a_signal_that_comes_after_the_time_of_waiting_is_refused() {
    let waits = waits().waits_at_most(HOUR, OnTimeout::Complete);
    let mut play = Play::begun(&define(vec![waits, step("a")]));
    play.give(Input::Elapsed(Timer::Wait(0)));
    let refusal = signal_refusal(&play.state, &signal("go", b"1")).unwrap();
    assert_eq!(
        (refusal.kind, refusal.text.as_str()),
        (ErrorKind::Conflict, "what waited for `go` is over")
    );
    assert_eq!(play.give(Input::Signal(signal("go", b"1"))), []);
}
