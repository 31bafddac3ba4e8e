//! Cancelling: once, durable before it is acknowledged, and true to what has happened.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step, told};
use crate::error::ErrorKind;
use crate::saga::{SagaId, Status};

#[tokio::test(start_paused = true)]
async fn a_cancelled_saga_takes_back_what_was_done() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a", "b", "c"]), input())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let status = sagas.cancel(&id, "wrong sample").await.unwrap();
    assert_eq!(status.status, Status::Compensating);
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(status.error.as_deref(), Some("wrong sample"));
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    assert_eq!(
        told(&bed.disk)[5..],
        ["step_failed b", "compensation_completed", "failed"]
    );
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_success_after_the_cancel_is_taken_back() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfterDeaf(200)]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a", "b", "c"]), input())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    sagas.cancel(&id, "wrong sample").await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(bed.world.effects(), ["a", "b", "undo_b", "undo_a"]);
    assert_eq!(
        told(&bed.disk)[4..],
        [
            "compensation_started",
            "step_completed b",
            "compensation_completed",
            "failed"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_stop_in_time_is_dropped_and_its_step_taken_back() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfterDeaf(60_000)]);
    let sagas = bed.open().await;
    let definition = define(vec![step("a").timeout(Duration::from_secs(300))]);
    let id = sagas.start(&definition, input()).await.unwrap();
    let began = tokio::time::Instant::now();
    sagas.cancel(&id, "too slow").await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(6));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(bed.world.effects(), ["undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn cancelling_twice_compensates_once() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (one, two) = tokio::join!(sagas.cancel(&id, "one"), sagas.cancel(&id, "two"));
    assert_eq!(one.unwrap().status, Status::Compensating);
    two.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.error.as_deref(), Some("one"));
    assert_eq!(
        sagas.cancel(&id, "three").await.unwrap().status,
        Status::Cancelled
    );
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_completed_saga_cannot_be_cancelled_any_more() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    sagas.wait(&id).await.unwrap();
    assert_eq!(
        sagas.cancel(&id, "late").await.unwrap().status,
        Status::Completed
    );
    assert_eq!(bed.world.effects(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_saga_cancelled_between_two_attempts_ends_at_once() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Retry; 9]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&define(vec![step("a").retries(9)]), input())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(
        sagas.cancel(&id, "enough").await.unwrap().status,
        Status::Cancelled
    );
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bed.world.calls(), ["a#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_durable_when_it_returns() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    sagas.cancel(&id, "stop").await.unwrap();
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(settled(&sagas, &id).await.status, Status::Cancelled);
    // The step that was cut off may have happened, and is never run forward again.
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "undo_b#1", "undo_a#1"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_saga_is_not_found() {
    let sagas = Bed::new().open().await;
    let id: SagaId = "none".parse().unwrap();
    assert_eq!(sagas.status(&id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        sagas.cancel(&id, "x").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        sagas.wait(&id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
