//! Another definition for a saga in flight: what has begun, and what is said of an item by its place.

use bytes::Bytes;

use crate::saga::OnInDoubt;
use crate::saga::handlers::StepError;
use crate::saga::machine::{Action, AttemptResult, Misfit, Stage};
use crate::saga::record::{Outcome, PauseCause};
use crate::saga::tests::bed::{chain, define, step};
use crate::saga::tests::play::Play;

#[test]
fn what_was_tried_or_decided_about_stays_in_every_definition() {
    let removed = |play: &Play, step: &str| {
        let step = step.to_owned();
        play.state.misfit(&chain(&["other"])) == Some(Misfit::Removed { step })
    };
    // Skipped or completed, and never begun.
    for action in [
        Action::Skip {
            step: "b".to_owned(),
        },
        Action::Complete {
            step: "b".to_owned(),
            output: Bytes::from_static(b"1"),
        },
    ] {
        let mut play = Play::queued(&chain(&["a", "b"]));
        play.limited = vec![0];
        play.give(crate::saga::machine::Input::Begin);
        assert_eq!(play.state.misfit(&chain(&["other"])), None);
        play.operate(action);
        assert!(removed(&play, "b"));
    }
    // Tried, and to begin anew.
    let definition = crate::saga::Definition::from_steps("chain", vec![step("a").retries(1)]);
    let mut play = Play::begun(&definition.unwrap());
    play.end("a", AttemptResult::Err(StepError::InDoubt("?".to_owned())));
    play.operate(Action::Pause);
    let step = Some("a".to_owned());
    play.operate(Action::Retry { step });
    assert!(removed(&play, "a"));
}

#[test]
fn a_pause_names_the_item_in_doubt_by_its_place_in_the_other_definition() {
    let list = || {
        let list = step("b").after("a").for_each_of("a", "");
        list.on_in_doubt(OnInDoubt::Park)
    };
    let mut play = Play::begun(&define(vec![step("a"), list(), step("c").after("b")]));
    let items = Bytes::from_static(b"[1,2,3]");
    play.end("a", AttemptResult::Ok(items));
    play.succeed("b[0]");
    play.succeed("b[1]");
    play.restart();
    let cause = |play: &Play| play.state.paused.map(|paused| paused.cause);
    assert_eq!(cause(&play), Some(PauseCause::InDoubt(5)));
    let definition = define(vec![
        step("e").after("c"),
        step("f").after("e"),
        list(),
        step("a"),
        step("c").after("b"),
    ]);
    play.operate(Action::Migrate { definition });
    assert_eq!(cause(&play), Some(PauseCause::InDoubt(7)));
    assert_eq!(play.position("b[2]"), 7);
    play.operate(Action::Resume);
    for id in ["b[2]", "c", "e", "f"] {
        play.succeed(id);
    }
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}
