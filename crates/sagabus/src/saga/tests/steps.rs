//! Forward: order, parallel steps, retries, timeouts.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use crate::saga::{Status, StepPhase};

#[tokio::test(start_paused = true)]
async fn steps_run_in_the_order_of_their_dependencies() {
    let bed = Bed::new();
    let definition = define(vec![step("b").after("a"), step("a"), step("c").after("b")]);
    let status = bed.run(&definition).await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_linear_saga_of_n_steps_needs_n_and_one_appends() {
    let bed = Bed::new();
    bed.run(&chain(&["a", "b", "c", "d"])).await;
    assert_eq!(bed.disk.appends(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_tried_again_and_its_saga_completes() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Retry, Act::Retry]);
    let definition = define(vec![
        step("a"),
        step("b").after("a").retries(2),
        step("c").after("b"),
    ]);
    let status = bed.run(&definition).await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "b#2", "b#3", "c#1"]);
    assert_eq!(status.steps[1].attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_more_often_than_it_may_turns_its_saga_back() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Retry; 9]);
    let definition = define(vec![
        step("a"),
        step("b").after("a").retries(2),
        step("c").after("b"),
    ]);
    let status = bed.run(&definition).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "b#2", "b#3", "undo_a#1"]);
    assert_eq!(status.error.unwrap(), "step `b` failed: b is busy");
    assert_eq!(status.steps[2].phase, StepPhase::NotRun);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_step_is_not_tried_again() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Reject]);
    let status = bed.run(&define(vec![step("a").retries(5)])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.calls(), ["a#1"]);
}

#[tokio::test(start_paused = true)]
async fn delays_between_attempts_double_up_to_their_limit() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Retry; 7]);
    let began = tokio::time::Instant::now();
    bed.run(&define(vec![step("a").retries(7)])).await;
    // 1 + 2 + 4 + 8 + 16 + 30 + 30 seconds, each between half and all of it.
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(45_500), "{waited:?}");
    assert!(waited < Duration::from_secs(92), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_can_have_its_own_retry_delay() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Retry]);
    let began = tokio::time::Instant::now();
    let quick = step("a").retries(1).retry_delay(Duration::from_millis(10));
    bed.run(&define(vec![quick])).await;
    assert!(began.elapsed() < Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn independent_steps_run_in_parallel_and_start_returns_at_once() {
    let bed = Bed::new();
    for id in ["a", "b", "c"] {
        bed.world.script(id, &[Act::DoAfter(200)]);
    }
    let sagas = bed.open().await;
    let began = tokio::time::Instant::now();
    let definition = define(vec![
        step("a"),
        step("b"),
        step("c"),
        step("d").after("a").after("c"),
    ]);
    let id = sagas.start(&definition, input()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(sagas.active().len(), 1);
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert!(
        began.elapsed() < Duration::from_millis(210),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(bed.world.effects()[3], "d");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_times_out_may_have_happened_and_is_taken_back() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Hang]);
    let limited = step("b").after("a").timeout(Duration::from_millis(50));
    let status = bed.run(&define(vec![step("a"), limited])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "undo_b", "undo_a"]);
    assert_eq!(
        status.steps[1].error.as_deref(),
        Some("timed out after 50ms")
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_times_out_is_told_to_stop_and_its_effect_does_not_follow() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfterDeaf(5_000)]);
    let status = bed
        .run(&define(vec![step("a").timeout(Duration::from_millis(50))]))
        .await;
    assert_eq!(status.status, Status::Compensated);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bed.world.effects(), ["undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn a_success_within_the_grace_after_a_timeout_is_a_success_if_a_retry_was_due() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfterDeaf(300)]);
    let limited = step("a").timeout(Duration::from_millis(50)).retries(1);
    let status = bed.run(&define(vec![limited, step("b").after("a")])).await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_success_after_the_last_timeout_is_taken_back_with_its_output() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfterDeaf(300)]);
    let limited = step("a").timeout(Duration::from_millis(50));
    let status = bed.run(&define(vec![limited, step("b").after("a")])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    assert!(status.steps[0].output.is_some());
}

#[tokio::test(start_paused = true)]
async fn two_attempts_of_one_step_never_overlap() {
    let mut bed = Bed::new();
    bed.settings.abort_grace = Duration::from_secs(10);
    bed.world.script("a", &[Act::Hang]);
    let began = tokio::time::Instant::now();
    let limited = step("a")
        .timeout(Duration::from_millis(50))
        .retries(1)
        .retry_delay(Duration::from_millis(1));
    let status = bed.run(&define(vec![limited])).await;
    assert_eq!(status.status, Status::Completed);
    assert!(began.elapsed() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn one_attempt_in_doubt_keeps_the_step_in_doubt_when_a_later_one_is_rejected() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::InDoubt, Act::Reject]);
    let status = bed.run(&define(vec![step("a").retries(3)])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_nothing_more() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Panic]);
    let status = bed.run(&define(vec![step("a").retries(1)])).await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "a#2"]);
    bed.world.script("a", &[Act::Panic, Act::Panic]);
    let status = bed.run(&define(vec![step("a").retries(1)])).await;
    assert_eq!(
        status.steps[0].error.as_deref(),
        Some("handler panicked: a broke")
    );
    assert_eq!(status.status, Status::Compensated);
}

#[tokio::test(start_paused = true)]
async fn the_default_timeout_comes_from_the_settings() {
    let mut bed = Bed::new();
    bed.settings.step_timeout = Duration::from_millis(70);
    bed.world.script("a", &[Act::Hang]);
    let status = bed.run(&define(vec![step("a")])).await;
    assert_eq!(
        status.steps[0].error.as_deref(),
        Some("timed out after 70ms")
    );
}

#[tokio::test(start_paused = true)]
async fn siblings_in_flight_are_told_to_stop_when_a_step_fails() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(10_000)]);
    bed.world.script("b", &[Act::DoAfterDeaf(1_000)]);
    bed.world.script("c", &[Act::Reject]);
    let began = tokio::time::Instant::now();
    let definition = define(vec![step("a"), step("b"), step("c")]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    let status = settled(&sagas, &id).await;
    assert_eq!(status.status, Status::Compensated);
    assert!(began.elapsed() < Duration::from_secs(2));
    // `a` stopped without effect, `b` did not stop and is taken back.
    assert_eq!(bed.world.effects(), ["b", "undo_b"]);
}
