//! Bounds in bytes: what just fits is taken, and one byte more is refused before anything is done with it.

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::event::DATA_BYTES_MAX;
use crate::ledger::By;
use crate::saga::machine::{
    Action, AttemptResult, Command, HELD_BYTES_MAX, Input, Phase, Signal, signal_refusal,
};
use crate::saga::record::Effect;
use crate::saga::remote::request_bytes_max;
use crate::saga::tests::bed::{define, step};
use crate::saga::tests::play::{Play, ok};
use crate::saga::{Definition, Step};

/// What the input of a played saga holds, `{}`.
const INPUT_BYTES: usize = 2;

/// A JSON number of so many digits.
fn number(bytes: usize) -> Bytes {
    vec![b'1'; bytes].into()
}

fn returns(bytes: usize) -> AttemptResult {
    AttemptResult::Ok(number(bytes))
}

fn is_done(play: &Play, id: &str) -> bool {
    matches!(play.step(id).phase, Phase::Succeeded(_))
}

#[test]
fn the_outputs_of_a_list_are_taken_up_to_what_one_output_may_have_with_brackets_and_commas() {
    let list = step("b").for_each("/items");
    let list = list.at_a_time(2.try_into().unwrap());
    let definition = define(vec![list]);
    // Two commas, two brackets, ten bytes of the first; of the last nobody knows, so it counts as `null`.
    let most = DATA_BYTES_MAX - 2 - 2 - 10 - 4;
    for (bytes, fits) in [(most, true), (most + 1, false)] {
        let mut play = Play::queued_with(&definition, br#"{"items":[1,2,3]}"#);
        play.give(Input::Begin);
        play.end("b[0]", returns(10));
        play.end("b[1]", returns(bytes));
        assert_eq!(is_done(&play, "b[1]"), fits, "{bytes}");
        if fits {
            play.end("b[2]", returns(4));
            let output = play.state.output(0).unwrap();
            assert_eq!(output.len(), DATA_BYTES_MAX);
            play.check();
        }
    }
}

#[test]
fn a_service_elsewhere_is_given_up_to_what_one_request_may_have_and_one_here_more() {
    let definition = define(vec![step("a"), step("b").after("a")]);
    // The output of `a` comes with its id, quotes, colon and comma.
    let most = request_bytes_max() - INPUT_BYTES - 5;
    for (elsewhere, bytes, is_asked) in [
        (vec![1], most, true),
        (vec![1], most + 1, false),
        (vec![], most + 1, true),
    ] {
        let mut play = Play::begun(&definition);
        play.elsewhere = elsewhere;
        play.end("a", returns(bytes));
        let run = Command::Run {
            step: 1,
            attempt: 1,
        };
        assert_eq!(play.commands.contains(&run), is_asked, "{bytes}");
        let phase = match is_asked {
            true => Phase::Started,
            false => Phase::Failed(Effect::None),
        };
        assert!(play.has("b", &phase));
    }
}

#[test]
fn an_output_is_taken_up_to_what_the_service_elsewhere_that_takes_it_back_can_be_given() {
    let most = request_bytes_max() - INPUT_BYTES;
    for (elsewhere, bytes, fits) in [
        (vec![0], 1, true),
        (vec![0], most, true),
        (vec![0], most + 1, false),
        (vec![], most + 1, true),
    ] {
        let mut play = Play::begun(&define(vec![step("a")]));
        play.elsewhere_compensations = elsewhere;
        play.end("a", returns(bytes));
        assert_eq!(is_done(&play, "a"), fits, "{bytes}");
    }
}

fn signal(name: &str, bytes: usize) -> Signal {
    Signal {
        name: name.to_owned(),
        key: None,
        payload: number(bytes),
        by: By::new("ann", "so it is"),
        approval: None,
    }
}

fn waiting() -> Definition {
    define(vec![
        Step::new("w").signal("go"),
        Step::new("v").signal("on"),
    ])
}

#[test]
fn signals_are_taken_up_to_what_a_saga_holds_and_each_takes_room() {
    let refusal = |play: &Play, bytes| {
        let refusal = signal_refusal(&play.state, &signal("on", bytes));
        refusal.map(|refusal| refusal.kind)
    };
    let mut play = Play::begun(&waiting());
    let most = HELD_BYTES_MAX - INPUT_BYTES;
    assert_eq!(refusal(&play, most), None);
    assert_eq!(refusal(&play, most + 1), Some(ErrorKind::Full));
    // Once as what it was told, and once as what its step returned.
    play.give(Input::Signal(signal("go", 1)));
    assert_eq!(refusal(&play, most - 2), None);
    assert_eq!(refusal(&play, most - 1), Some(ErrorKind::Full));
}

#[test]
fn an_output_that_came_late_takes_room_too() {
    for (late, fits) in [(false, true), (true, false)] {
        let mut play = Play::begun(&define(vec![step("a").retries(1)]));
        play.time_out("a");
        play.in_flight.clear();
        play.due("a");
        if late {
            play.end_attempt(0, 1, ok());
        }
        let most = HELD_BYTES_MAX - INPUT_BYTES;
        let complete = Action::Complete {
            step: "a".to_owned(),
            output: number(most),
        };
        play.in_flight.clear();
        let refusal = play.refusal(&complete).map(|refusal| refusal.kind);
        assert_eq!(refusal, (!fits).then_some(ErrorKind::Full));
    }
}

#[test]
fn an_operator_completes_a_step_with_what_there_is_room_for() {
    let play = Play::begun(&define(vec![step("a"), step("b").after("a")]));
    let most = HELD_BYTES_MAX - INPUT_BYTES;
    for (bytes, refused) in [(most, None), (most + 1, Some(ErrorKind::Full))] {
        let complete = Action::Complete {
            step: "b".to_owned(),
            output: number(bytes),
        };
        let refusal = play.refusal(&complete).map(|refusal| refusal.kind);
        assert_eq!(refusal, refused);
    }
}
