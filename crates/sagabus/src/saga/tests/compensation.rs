//! Backward: order, retries, and what happens when taking back fails.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step, told};
use crate::error::ErrorKind;
use crate::saga::{Status, Step, StepPhase};

#[tokio::test(start_paused = true)]
async fn a_failed_step_compensates_the_steps_before_it_in_reverse_order() {
    let bed = Bed::new();
    bed.world.script("d", &[Act::Reject]);
    let status = bed.run(&chain(&["a", "b", "c", "d"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(
        bed.world.effects(),
        ["a", "b", "c", "undo_c", "undo_b", "undo_a"]
    );
    assert_eq!(status.steps[0].phase, StepPhase::Compensated);
}

#[tokio::test(start_paused = true)]
async fn compensation_follows_the_order_of_execution_and_not_of_the_definition() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let definition = define(vec![step("b").after("a"), step("a"), step("c").after("b")]);
    bed.run(&definition).await;
    assert_eq!(bed.world.effects(), ["a", "b", "undo_b", "undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_without_compensation_has_nothing_to_take_back() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let neutral = Step::new("b").service("svc").after("a");
    let status = bed
        .run(&define(vec![step("a"), neutral, step("c").after("b")]))
        .await;
    assert_eq!(bed.world.effects(), ["a", "b", "undo_a"]);
    assert_eq!(status.steps[1].phase, StepPhase::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_failing_compensation_is_tried_again() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Retry, Act::InDoubt]);
    let status = bed.run(&chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.calls()[2..], ["undo_a#1", "undo_a#2", "undo_a#3"]);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_that_keeps_failing_is_stuck_and_never_called_compensated() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    bed.world.script("undo_b", &[Act::Retry; 9]);
    let status = bed.run(&chain(&["a", "b", "c"])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[1].phase, StepPhase::CompensationStuck);
    assert_eq!(status.steps[1].error.as_deref(), Some("undo_b is busy"));
    assert_eq!(bed.world.count("undo_a"), 0);
    let told = told(&bed.disk);
    assert_eq!(told.last().unwrap(), "compensation_failed b");
    assert!(!told.contains(&"compensation_completed".to_owned()));
    assert!(!told.contains(&"failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_compensation_times_out_and_is_stuck() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Hang; 3]);
    let limited = step("a").timeout(Duration::from_millis(50));
    let status = bed.run(&define(vec![limited, step("b").after("a")])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[0].compensation_attempts, 3);
    assert_eq!(
        status.steps[0].error.as_deref(),
        Some("timed out after 50ms")
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_compensation_is_stuck_at_once() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    let status = bed.run(&chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[0].compensation_attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_compensation_is_a_failed_attempt() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Panic]);
    let status = bed.run(&chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.steps[0].compensation_attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_have_a_stuck_compensation_tried_again() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    // The second series has all its attempts again.
    bed.world.script("undo_b", &[Act::Retry; 5]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a", "b", "c"]), input())
        .await
        .unwrap();
    assert_eq!(settled(&sagas, &id).await.status, Status::CompensationStuck);
    assert_eq!(sagas.stats().stuck, 1);
    assert_eq!(sagas.stats().active, 0);
    assert_eq!(sagas.health().issues, ["1 sagas have a stuck compensation"]);
    sagas.retry_compensation(&id).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "b", "undo_b", "undo_a"]);
    assert!(sagas.health().healthy);
    let again = sagas.retry_compensation(&id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn only_a_stuck_saga_can_be_retried_or_given_up() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    let error = sagas.abandon(&id, "tired").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = sagas.retry_compensation(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_that_is_given_up_has_failed() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    settled(&sagas, &id).await;
    let status = sagas.abandon(&id, "cleaned up by hand").await.unwrap();
    assert_eq!(status.status, Status::Failed);
    assert_eq!(status.error.as_deref(), Some("cleaned up by hand"));
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Failed);
    assert_eq!(told(&bed.disk)[6..], ["compensation_failed a", "failed"]);
    assert_eq!(sagas.stats().failed, 1);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_stays_stuck_after_a_restart_until_an_operator_acts() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    bed.run(&chain(&["a", "b"])).await;
    let sagas = bed.open().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let status = sagas.active().remove(0);
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(bed.world.count("undo_a"), 0);
    sagas.retry_compensation(&status.id).await.unwrap();
    assert_eq!(
        sagas.wait(&status.id).await.unwrap().status,
        Status::Compensated
    );
    assert_eq!(bed.world.count("undo_a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_compensation_counts_as_active_beyond_the_limit() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("b", &[Act::Reject]);
    bed.world
        .script("undo_a", &[Act::Reject, Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let stuck = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    settled(&sagas, &stuck).await;
    bed.world.script("c", &[Act::DoAfter(200)]);
    let running = sagas.start(&chain(&["c"]), input()).await.unwrap();
    sagas.retry_compensation(&stuck).await.unwrap();
    assert_eq!((sagas.stats().active, sagas.stats().stuck), (2, 0));
    sagas.wait(&stuck).await.unwrap();
    assert_eq!(sagas.stats().active, 1);
    sagas.wait(&running).await.unwrap();
    assert_eq!(sagas.stats().active, 0);
}
