//! Shutting down in the middle, and going on afterwards.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::store::TestStore;
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::machine::INTERRUPTIONS_MAX;
use crate::saga::record::{Fact, Verb};
use crate::saga::{Definition, Handlers, SagaId, Sagas, Status};

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

/// Ends the process in the middle of the saga until it is paused; says how often.
async fn cut_off_until_paused(bed: &Bed, definition: &Definition) -> (SagaId, u32) {
    for cuts in 0..20 {
        let sagas = bed.open().await;
        let id = sagas.start(definition, input().keyed("k")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let status = sagas.status(&id).unwrap();
        sagas.shutdown(Duration::ZERO).await;
        if status.status == Status::Paused {
            return (id, cuts);
        }
    }
    panic!("never paused");
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_is_cut_off_again_and_again_is_paused_until_an_operator_lets_it_go_on() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Hang; 100]);
    let (id, cuts) = cut_off_until_paused(&bed, &chain(&["a", "b"])).await;
    // It went on by itself five times.
    assert_eq!(cuts, INTERRUPTIONS_MAX + 1);
    let calls = bed.world.calls().len();
    assert_eq!(calls, 1 + 6);

    // It stays paused, without a slot, whatever time goes by.
    let sagas = bed.open().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.status, Status::Paused);
    let why = "cut off by the end of the process again and again, without progress";
    assert_eq!(status.paused.as_deref(), Some(why));
    assert_eq!((sagas.stats().paused, sagas.stats().active), (1, 0));
    assert_eq!(sagas.stats().poisoned, 1);
    assert_eq!(
        sagas.health().issues,
        ["1 sagas are paused: cut off again and again without progress"]
    );
    assert_eq!(bed.world.calls().len(), calls);
    assert_eq!(bed.world.effects(), ["a"]);

    let long = By::new("ann", &"x".repeat(2_049));
    let error = sagas.resume(&id, long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    bed.world.script("b", &[]);
    let by = By::new("ann", "the disk was full");
    let status = sagas.resume(&id, by.clone()).await.unwrap();
    assert_eq!((status.status, status.paused), (Status::Executing, None));
    assert_eq!(sagas.stats().active, 1);
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "b"]);
    assert!(sagas.health().healthy);
    assert_eq!(sagas.stats().poisoned, 0);
    let again = sagas.resume(&id, by.clone()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let records = &bed.disk.records()[0];
    let operated = records.iter().find_map(|record| match &record.fact {
        Fact::Operated { verb, by, .. } => Some((*verb, by.clone())),
        _ => None,
    });
    assert_eq!(operated, Some((Verb::Resume, by)));
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_is_let_go_on_and_cut_off_again_and_again_is_paused_again() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang; 100]);
    let definition = chain(&["a"]);
    let (id, _) = cut_off_until_paused(&bed, &definition).await;
    let sagas = bed.open().await;
    sagas.resume(&id, By::new("ann", "")).await.unwrap();
    sagas.shutdown(Duration::ZERO).await;
    let (_, cuts) = cut_off_until_paused(&bed, &definition).await;
    // The operator's start is the first of the five.
    assert_eq!(cuts, INTERRUPTIONS_MAX - 1);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_that_is_cut_off_again_and_again_pauses_its_saga_too() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Hang; 100]);
    let (id, cuts) = cut_off_until_paused(&bed, &chain(&["a", "b"])).await;
    assert_eq!(cuts, INTERRUPTIONS_MAX + 1);
    let sagas = bed.open().await;
    // It is being taken back already, so cancelling it changes nothing.
    let status = sagas.cancel(&id, "x").await.unwrap();
    assert_eq!(status.status, Status::Paused);
    bed.world.script("undo_a", &[]);
    sagas.resume(&id, By::new("ann", "")).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_paused_saga_can_be_cancelled_and_is_taken_back() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Hang; 100]);
    let (id, _) = cut_off_until_paused(&bed, &chain(&["a", "b"])).await;
    let sagas = bed.open().await;
    sagas.cancel(&id, "given up").await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Cancelled);
    // The step that was cut off may have happened.
    assert_eq!(bed.world.effects(), ["a", "undo_b", "undo_a"]);
    assert!(sagas.health().healthy);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_comes_further_between_its_cuts_is_not_paused() {
    let bed = Bed::new();
    for id in ["a", "b", "c"] {
        bed.world.script(id, &[Act::Hang; 5]);
    }
    // In flight all the time, and cut off fifteen times.
    bed.world.script("d", &[Act::Hang; 15]);
    let definition = define(vec![
        step("a"),
        step("b").after("a"),
        step("c").after("b"),
        step("d"),
    ]);
    for _ in 0..15 {
        let sagas = bed.open().await;
        let id = sagas.start(&definition, input().keyed("k")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(sagas.status(&id).unwrap().paused, None);
        sagas.shutdown(Duration::ZERO).await;
    }
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input().keyed("k")).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects().len(), 4);
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
