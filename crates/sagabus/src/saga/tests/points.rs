//! A crash at named points of a saga's life, and what comes before what.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step, told};
use super::store::{Fault, TestStore};
use crate::clock::Clock;
use crate::ledger::By;
use crate::saga::record::Fact;
use crate::saga::{
    Action, Definition, Handlers, InFlight, Options, Order, Sagas, Status, Step, StepContext,
    StepError,
};

#[tokio::test(start_paused = true)]
async fn a_step_whose_failure_is_not_durable_is_tried_again_after_a_crash_and_may_succeed() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    // Append 2 would have said that `b` failed and the saga turns back.
    let faults = [(2, Fault::Before)];
    let status = bed.run_through(&chain(&["a", "b"]), &faults, None).await;
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "b#2"]);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_a_process_that_has_ended_are_not_awaited() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfterDeaf(60_000)]);
    bed.world.script("c", &[Act::Reject]);
    let definition = define(vec![step("a"), step("b").after("a"), step("c").after("a")]);
    let began = tokio::time::Instant::now();
    // Append 2 says that the saga turns back; `b` would have been awaited for 5 s.
    let status = bed
        .run_through(&definition, &[(2, Fault::After)], None)
        .await;
    assert_eq!(status.status, Status::Compensated);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(bed.world.effects(), ["a", "undo_b", "undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn the_events_of_the_end_are_there_once_after_a_crash_behind_it() {
    for fault in [Fault::Before, Fault::After] {
        let bed = Bed::new();
        let status = bed
            .run_through(&chain(&["a", "b"]), &[(2, fault)], None)
            .await;
        assert_eq!(status.status, Status::Completed);
        let told = told(&bed.disk);
        for event in ["step_completed b", "completed"] {
            assert_eq!(told.iter().filter(|it| *it == event).count(), 1, "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_cancel_reaches_a_compensation() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    // It would stop at once if it were told to.
    bed.world.script("undo_a", &[Act::DoAfter(500)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    while bed.world.calls().len() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let cancel = Action::Cancel {
        in_flight: InFlight::Abandon,
    };
    let by = By::new("ann", "too slow");
    sagas.operate(&id, cancel, by).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "undo_a#1"]);
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn who_cancels_and_why_is_stored_and_shown() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(500)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    let cancel = Action::Cancel {
        in_flight: InFlight::default(),
    };
    let by = By::new("ann", "sent twice");
    sagas.operate(&id, cancel, by.clone()).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(status.error.as_deref(), Some("sent twice"));
    assert_eq!(status.operated[0].by, by);
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.status(&id).unwrap().operated[0].by, by);
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_of_its_timeout_when_that_is_durable() {
    let bed = Bed::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (disk, noted) = (Arc::clone(&bed.disk), Arc::clone(&seen));
    let handlers = Handlers::new().handle("svc", "a", move |context: StepContext| {
        let (disk, noted) = (Arc::clone(&disk), Arc::clone(&noted));
        async move {
            context.cancelled().cancelled().await;
            let records = disk.records();
            let is_failure = |fact: &Fact| matches!(fact, Fact::StepFailed { error, .. } if error.starts_with("timed out"));
            let has = records[0].iter().any(|record| is_failure(&record.fact));
            noted.lock().unwrap().push(has);
            Err::<(), _>(StepError::Reject("stopped".to_owned()))
        }
    });
    let clock = Arc::clone(&bed.clock) as Arc<dyn Clock>;
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), clock);
    let sagas = builder.handlers(handlers).open().await.unwrap();
    let own = Step::new("a")
        .service("svc")
        .timeout(Duration::from_secs(1));
    let id = sagas.start(&define(vec![own]), input()).await.unwrap();
    sagas.wait(&id).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [true]);
}

#[tokio::test(start_paused = true)]
async fn one_stuck_compensation_is_tried_again_or_all_are() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    bed.world.script("undo_b", &[Act::Reject]);
    let options = Options {
        compensation: Order::Parallel,
        ..Options::default()
    };
    let builder = Definition::builder("saga").options(options);
    let builder = builder.step(step("a")).step(step("b"));
    let definition = builder.step(step("c").after("a").after("b")).build();
    let sagas = bed.open().await;
    let id = sagas.start(&definition.unwrap(), input()).await.unwrap();
    let status = settled(&sagas, &id).await;
    assert_eq!(status.unsettled, ["a", "b"]);
    let by = || By::new("ann", "the bench is free");
    let retry = |step: Option<&str>| Action::Retry {
        step: step.map(str::to_owned),
    };
    sagas.operate(&id, retry(Some("a")), by()).await.unwrap();
    let status = settled(&sagas, &id).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.unsettled, ["b"]);
    sagas.operate(&id, retry(None), by()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.effects()[2..], ["undo_a", "undo_b"]);
    super::invariants::check(&bed.disk);
}
