//! What is left of a saga that an operator ends: its error, and the effects that nobody takes back.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::operator::by;
use super::play::Play;
use crate::saga::events::SagaFailed;
use crate::saga::handlers::StepError;
use crate::saga::machine::AttemptResult;
use crate::saga::{Action, Compensate, Definition, SagaStatus, Step};

/// The error of a saga that an operator ends, and of the event that tells of it.
async fn error_of_one_ended(definition: &Definition, script: (&str, Act), end: Action) -> String {
    let bed = Bed::new();
    bed.world.script(script.0, &[script.1]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    let id = sagas.start(definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = sagas.operate(&id, end.clone(), by()).await.unwrap();
    assert!(status.status.is_final(), "{end:?}: {}", status.status);
    // What the operator said stands beside it.
    assert_eq!(status.operated.last().unwrap().by, by());
    let told = bed.disk.events().pop().unwrap();
    let told: SagaFailed = serde_json::from_slice(&told.data).unwrap();
    assert_eq!(told.reason.as_deref(), Some("so it is"));
    let error = status.error.unwrap();
    assert_eq!(told.error, error);
    // After a restart it is the same.
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(
        sagas.status(&id).unwrap().error.as_deref(),
        Some(error.as_str())
    );
    super::invariants::check(&bed.disk);
    error
}

#[tokio::test(start_paused = true)]
async fn what_failed_stays_the_error_of_a_saga_that_an_operator_ends() {
    let failed = "step `b` failed: b is refused";
    let behind = define(vec![step("a").pivot(), step("b").after("a")]);
    for (definition, end) in [
        (chain(&["a", "b"]), Action::Abandon),
        (chain(&["a", "b"]), Action::Terminate),
        (behind.clone(), Action::Abandon),
        (behind, Action::Terminate),
    ] {
        let error = error_of_one_ended(&definition, ("b", Act::Reject), end).await;
        assert_eq!(error, failed);
    }
    // Nothing has failed: the only reason is that of the operator.
    let error = error_of_one_ended(&chain(&["a"]), ("a", Act::Hang), Action::Terminate).await;
    assert_eq!(error, "so it is");
}

/// What a saga says of what it left: whether anything, and of which steps.
fn left(play: &Play) -> (bool, Vec<String>) {
    let status = SagaStatus::of(&play.state, &[], &[]);
    (status.inconsistent, status.unsettled)
}

fn of(ids: &[&str]) -> (bool, Vec<String>) {
    let named = ids.iter().map(|&id| id.to_owned()).collect();
    (!ids.is_empty(), named)
}

#[test]
fn a_saga_that_was_ended_names_each_step_that_it_left_an_effect_of() {
    // What nothing takes back has had its effect all the same.
    let plain = |id: &str| Step::new(id).service("svc");
    let mut play = Play::begun(&define(vec![plain("a"), plain("b").after("a")]));
    play.succeed("a");
    play.operate(Action::Terminate);
    assert_eq!(left(&play), of(&["a", "b"]));
    // One that was refused has had none, unless it is taken back whatever it says.
    for (compensate, expected) in [
        (Compensate::CompletedOrInDoubt, of(&[])),
        (Compensate::Always, of(&["a"])),
    ] {
        let mut play = Play::begun(&define(vec![step("a").compensate(compensate), step("b")]));
        play.reject("a");
        play.reject("b");
        play.operate(Action::Terminate);
        assert_eq!(left(&play), expected, "{compensate:?}");
        let repair = Action::Recompensate {
            step: "a".to_owned(),
        };
        assert_eq!(
            play.refusal(&repair).is_none(),
            compensate == Compensate::Always
        );
    }
    // One that is taken back only when it was done is left when it is in doubt.
    let own = step("a").compensate(Compensate::Completed);
    let mut play = Play::begun(&define(vec![own]));
    play.operate(Action::Terminate);
    assert_eq!(left(&play), of(&["a"]));
}

#[test]
fn a_saga_that_turned_back_and_is_given_up_names_what_was_to_be_taken_back() {
    // What nothing takes back is no work that is left.
    let plain = Step::new("a").service("svc");
    let steps = vec![plain, step("b").after("a"), step("c").after("b")];
    let mut play = Play::begun(&define(steps));
    play.succeed("a");
    play.succeed("b");
    play.reject("c");
    play.not_taken_back("b");
    assert_eq!(left(&play), (false, vec!["b".to_owned()]));
    play.operate(Action::Abandon);
    assert_eq!(left(&play), of(&["b"]));
}

/// The word for each step.
fn words(play: &Play) -> Vec<&'static str> {
    let status = SagaStatus::of(&play.state, &[], &[]);
    status
        .steps
        .iter()
        .map(|step| step.phase.as_str())
        .collect()
}

#[test]
fn no_step_of_a_saga_that_was_ended_is_shown_as_one_that_goes_on() {
    let waits = Step::new("w").signal("go");
    let again = step("d").retries(1);
    let steps = vec![step("a"), step("b"), again, waits, step("c").after("b")];
    let mut play = Play::begun(&define(steps));
    play.succeed("a");
    play.end(
        "d",
        AttemptResult::Err(StepError::Retry("not yet".to_owned())),
    );
    let before = ["completed", "executing", "executing", "waiting", "pending"];
    assert_eq!(words(&play), before);
    play.operate(Action::Terminate);
    let after = ["completed", "aborted", "failed", "aborted", "not_run"];
    assert_eq!(words(&play), after);

    // While it is taken back; an operator can still have that done.
    let mut play = Play::begun(&chain(&["a", "b", "c"]));
    play.succeed("a");
    play.succeed("b");
    play.reject("c");
    assert_eq!(words(&play), ["compensating", "compensating", "failed"]);
    play.operate(Action::Terminate);
    let after = ["completed", "compensation_aborted", "failed"];
    assert_eq!(words(&play), after);
    for id in ["b", "a"] {
        play.operate(Action::Recompensate {
            step: id.to_owned(),
        });
        let at = play.position(id);
        assert_eq!(words(&play)[at], "compensating");
        play.taken_back(id);
        assert_eq!(words(&play)[at], "compensated");
    }
}

#[test]
fn a_step_that_was_stuck_is_shown_as_failed_once_its_saga_is_given_up() {
    let steps = || vec![step("a").pivot(), step("b").after("a")];
    for end in [Action::Abandon, Action::Terminate] {
        // Behind the pivot.
        let mut play = Play::begun(&define(steps()));
        play.succeed("a");
        play.reject("b");
        assert_eq!(words(&play), ["completed", "stuck"]);
        play.operate(end.clone());
        assert_eq!(words(&play), ["completed", "failed"], "{end:?}");

        // On the way back; the other one was not reached.
        let mut play = Play::begun(&chain(&["a", "b", "c"]));
        play.succeed("a");
        play.succeed("b");
        play.reject("c");
        play.not_taken_back("b");
        let before = ["compensating", "compensation_stuck", "failed"];
        assert_eq!(words(&play), before);
        play.operate(end.clone());
        let after = ["completed", "compensation_failed", "failed"];
        assert_eq!(words(&play), after, "{end:?}");
        play.restart();
        assert_eq!(words(&play), after, "{end:?}");
        // An operator can still have it done, and it fails again; nobody waits for them.
        let waits = |play: &Play| {
            let status = SagaStatus::of(&play.state, &[], &[]);
            status.steps.iter().any(|step| step.waits.is_some())
        };
        for id in ["b", "a"] {
            play.operate(Action::Recompensate {
                step: id.to_owned(),
            });
            let at = play.position(id);
            assert_eq!(words(&play)[at], "compensating", "{end:?}");
            assert!(!waits(&play), "{end:?}: {id}");
            play.not_taken_back(id);
            assert_eq!(words(&play)[at], "compensation_failed", "{end:?}");
            assert!(!waits(&play), "{end:?}: {id}");
        }
    }
}
