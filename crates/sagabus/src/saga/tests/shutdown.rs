//! Shutting down in the middle, and going on afterwards.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::store::TestStore;
use crate::error::ErrorKind;
use crate::saga::machine::INTERRUPTIONS_MAX;
use crate::saga::{Handlers, Sagas, Status};

#[tokio::test(start_paused = true)]
async fn a_saga_that_is_shut_down_in_the_middle_completes_after_the_next_open() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a", "b", "c"]), input())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    // The handler in flight is awaited, and what follows it is not started.
    assert_eq!(sagas.shutdown(Duration::from_secs(10)).await, 1);
    assert_eq!(bed.world.effects(), ["a", "b"]);
    assert_eq!(
        sagas
            .start(&chain(&["a"]), input())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Closed
    );
    assert_eq!(sagas.wait(&id).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        sagas.cancel(&id, "x").await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(sagas.shutdown(Duration::ZERO).await, 1);
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "c#1"]);
    assert_eq!(sagas.shutdown(Duration::ZERO).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_the_deadline_is_dropped_and_its_step_run_again() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfterDeaf(60_000)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let began = tokio::time::Instant::now();
    sagas.shutdown(Duration::from_secs(2)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    let sagas = bed.open().await;
    // Being cut off uses up no retry.
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "a#2"]);
    assert_eq!(bed.world.keys()[0], bed.world.keys()[1]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_cut_off_again_and_again_is_taken_back_in_the_end() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang; 100]);
    let mut lives = 0;
    loop {
        let sagas = bed.open().await;
        let id = sagas
            .start(&chain(&["a"]), input().keyed("k"))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let status = sagas.status(&id).unwrap();
        sagas.shutdown(Duration::ZERO).await;
        if status.status == Status::Compensated {
            break;
        }
        lives += 1;
        assert!(lives < 20);
    }
    assert_eq!(lives, INTERRUPTIONS_MAX + 1);
    assert_eq!(bed.world.effects(), ["undo_a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_due_later_is_made_after_the_restart() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Retry]);
    let sagas = bed.open().await;
    let slow = step("a").retries(1).retry_delay(Duration::from_secs(20));
    let id = sagas.start(&define(vec![slow]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sagas.shutdown(Duration::ZERO).await;
    let began = tokio::time::Instant::now();
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert!(
        began.elapsed() >= Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_saga_whose_handler_is_gone_is_parked_and_the_others_go_on() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    bed.world.script("b", &[Act::Hang]);
    let sagas = bed.open().await;
    let lost = sagas
        .start(&define(vec![step("a")]), input())
        .await
        .unwrap();
    let kept = sagas
        .start(&define(vec![step("b").service("svc")]), input())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    sagas.shutdown(Duration::ZERO).await;
    let handlers = Handlers::new()
        .handle("svc", "b", |_| async { Ok(()) })
        .compensate("svc", "undo_b", |_| async { Ok(()) });
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    assert_eq!(sagas.wait(&kept).await.unwrap().status, Status::Completed);
    let status = sagas.status(&lost).unwrap();
    assert!(!status.status.is_final());
    assert_eq!(
        status.parked.as_deref(),
        Some("step `a` has no handler for `svc/a`")
    );
    assert_eq!(
        sagas.health().issues,
        ["1 sagas lack a handler in this process"]
    );
    assert_eq!(
        sagas.cancel(&lost, "x").await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&lost).await.unwrap().status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_start_still_starts_the_saga() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let definition = chain(&["a"]);
    {
        let start = sagas.start(&definition, input().keyed("k"));
        let mut start = std::pin::pin!(start);
        // Polled once: the saga is handed over, and nobody waits for the answer.
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(start.as_mut().poll(context)));
        assert!(polled.await.is_pending());
    }
    let id = sagas.start(&definition, input().keyed("k")).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.count("a"), 1);
}
