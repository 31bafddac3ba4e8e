//! Attempts that cannot have what they need: a full disk costs no step its attempts.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::play::Play;
use crate::error::{Error, ErrorKind};
use crate::saga::machine::{AttemptResult, Phase};
use crate::saga::record::Fact;
use crate::saga::{
    Definition, Options, PlainErrors, SagaId, SagaStatus, Sagas, Status, StepError, StepPhase,
};

/// Looks at a saga once a second until it has ended: it takes many minutes.
async fn ended(sagas: &Sagas, id: &SagaId) -> SagaStatus {
    loop {
        let status = sagas.status(id).unwrap();
        if status.status.is_final() {
            return status;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn run(bed: &Bed, definition: &Definition) -> SagaStatus {
    let sagas = bed.open().await;
    let id = sagas.start(definition, input()).await.unwrap();
    let status = ended(&sagas, &id).await;
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
    status
}

#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_have_what_it_needs_is_tried_as_often_as_it_takes() {
    let bed = Bed::new();
    let mut acts = vec![Act::Unavailable; 100];
    acts.extend([Act::Retry, Act::Unavailable, Act::Retry, Act::Unavailable]);
    bed.world.script("b", &acts);
    let began = tokio::time::Instant::now();
    let status = run(
        &bed,
        &define(vec![step("a"), step("b").after("a").retries(2)]),
    )
    .await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(status.steps[1].attempts, 105);
    assert_eq!(bed.world.effects(), ["a", "b"]);
    // At most a minute apart, so not often, and not for ever.
    let took = began.elapsed();
    let minutes = |count| Duration::from_mins(count);
    assert!(took > minutes(45) && took < minutes(103), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_costs_no_attempt_but_other_failures_do() {
    let bed = Bed::new();
    let acts = [Act::Unavailable, Act::Retry, Act::Unavailable, Act::Retry];
    bed.world.script("b", &acts);
    let status = run(
        &bed,
        &define(vec![step("a"), step("b").after("a").retries(1)]),
    )
    .await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    assert_eq!(bed.world.calls().last().unwrap(), "undo_a#1");
    assert_eq!(status.steps[1].attempts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_that_cannot_have_what_it_needs_is_not_stuck() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    let mut acts = vec![Act::Unavailable; 20];
    acts.extend([Act::Retry, Act::Unavailable, Act::Retry, Act::Unavailable]);
    bed.world.script("undo_a", &acts);
    let status = run(&bed, &chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.calls().last().unwrap(), "undo_a#25");
    assert_eq!(bed.world.count("undo_a"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_saga_ends_what_cannot_be_had_and_its_attempts_left_nothing() {
    let bed = Bed::new();
    bed.world.script("b", &vec![Act::Unavailable; 1_000]);
    let options = Options {
        deadline: Some(Duration::from_mins(10)),
        // A plain error leaves a doubt, but this one says that nothing happened.
        plain_errors: PlainErrors::InDoubt,
        ..Options::default()
    };
    let definition = Definition::builder("limited").options(options);
    let definition = definition.step(step("a")).step(step("b").after("a"));
    let status = run(&bed, &definition.build().unwrap()).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    assert_eq!(status.steps[1].phase, StepPhase::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_for_room_goes_on_after_a_restart_where_it_was() {
    let bed = Bed::new();
    bed.world.script("a", &vec![Act::Unavailable; 30]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_mins(5)).await;
    let before = sagas.status(&id).unwrap().steps[0].attempts;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    let status = ended(&sagas, &id).await;
    assert_eq!(status.status, Status::Completed);
    assert!(before > 5 && status.steps[0].attempts == 31, "{before}");
    sagas.shutdown(Duration::ZERO).await;
}

#[test]
fn what_comes_without_what_it_needs_after_its_saga_turned_back_has_failed_without_an_effect() {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    play.reject("a");
    let facts = play.end(
        "b",
        AttemptResult::Err(StepError::Unavailable("full".to_owned())),
    );
    assert!(
        matches!(facts[..], [Fact::StepFailed { .. }, ..]),
        "{facts:?}"
    );
    assert!(matches!(play.step("b").phase, Phase::Failed(_)));
    assert!(!play.step("b").may_have_had_effect());
}

#[test]
fn failures_that_count_make_the_delays_of_want_of_room_no_longer() {
    let full = || StepError::Unavailable("full".to_owned());
    let busy = || StepError::Retry("busy".to_owned());
    let mut play = Play::begun(&define(vec![step("a").retries(9), step("b").after("a")]));
    play.settings.compensation_attempts_max = 9;
    let delay = |play: &Play| match &play.records.last().unwrap().fact {
        Fact::AttemptFailed { retry_at, .. } | Fact::CompensationAttemptFailed { retry_at, .. } => {
            retry_at.since(play.now)
        }
        other => panic!("{other:?}"),
    };
    for _ in 0..6 {
        play.end("a", AttemptResult::Err(busy()));
        play.due("a");
    }
    for most in [1, 2, 4].map(Duration::from_secs) {
        play.end("a", AttemptResult::Err(full()));
        assert!(delay(&play) <= most, "{:?}", delay(&play));
        play.due("a");
    }
    play.succeed("a");
    play.reject("b");
    for _ in 0..6 {
        play.end_compensation("a", Err(busy()));
        play.due("a");
    }
    for most in [1, 2, 4].map(Duration::from_secs) {
        play.end_compensation("a", Err(full()));
        assert!(delay(&play) <= most, "{:?}", delay(&play));
        play.due("a");
    }
}

#[test]
fn an_error_for_want_of_room_says_that_the_attempt_does_not_count() {
    let full = Error::new(ErrorKind::Full, "no room");
    assert_eq!(
        StepError::from(full),
        StepError::Unavailable("no room".to_owned())
    );
    let busy = Error::new(ErrorKind::Transient, "busy");
    assert_eq!(StepError::from(busy), StepError::Retry("busy".to_owned()));
}
