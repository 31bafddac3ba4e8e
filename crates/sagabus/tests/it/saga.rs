//! Sagas over the embedded engine: one log for records and events, resumed after a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::disk::{Disk, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{CompensationContext, Definition, Handlers, StepContext, StepError};
use sagabus::saga_store::{SagaBatch, SagaStore};
use sagabus::transport::Transport;
use sagabus::{Bus, Clock, Sagas, Start, SystemClock, saga};
use tempfile::tempdir;
use tokio::sync::Notify;

use crate::support::{Notes, idle};

const TWO_STEPS: &str = "
name: two_steps
steps:
  - { id: first, service: s, action: first, compensationAction: undo_first }
  - { id: second, service: s, action: second, dependencies: [first] }
";

/// A process: engine, bus and orchestrator on one directory.
struct Process {
    bus: Bus,
    sagas: Sagas,
}

async fn open(path: &std::path::Path, handlers: Handlers) -> Process {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(path).unwrap());
    let engine = Embedded::on(disk, &Settings::default(), Arc::clone(&clock)).unwrap();
    let engine = Arc::new(engine);
    let mut bus = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock));
    for (event_type, check) in saga::events::TYPES {
        bus = bus.schema(event_type, check);
    }
    let sagas = Sagas::builder(engine as Arc<dyn SagaStore>, clock)
        .handlers(handlers)
        .open()
        .await
        .unwrap();
    Process {
        bus: bus.build().unwrap(),
        sagas,
    }
}

/// `first` notes its key; `second` hangs until it is told, then fails or succeeds.
fn handlers(
    notes: &Notes,
    hangs: &Arc<AtomicBool>,
    reached: &Arc<Notify>,
    fails: bool,
) -> Handlers {
    let (first, undone) = (notes.clone(), notes.clone());
    let (hangs, reached) = (Arc::clone(hangs), Arc::clone(reached));
    Handlers::new()
        .handle("s", "first", move |context: StepContext| {
            first.add(format!("first {} {}", context.key(), context.attempt()));
            std::future::ready(Ok::<(), StepError>(()))
        })
        .handle("s", "second", move |_: StepContext| {
            let (hangs, reached) = (Arc::clone(&hangs), Arc::clone(&reached));
            async move {
                if hangs.load(Ordering::SeqCst) {
                    reached.notify_one();
                    std::future::pending::<()>().await;
                }
                if fails {
                    return Err(StepError::Reject("no room".to_owned()));
                }
                Ok::<(), StepError>(())
            }
        })
        .compensate("s", "undo_first", move |context: CompensationContext| {
            undone.add(format!("undo {}", context.step_key()));
            std::future::ready(Ok::<(), StepError>(()))
        })
}

/// Runs until the second step hangs, stops there, opens again, and returns the notes and the types of all events.
async fn stopped_in_the_second_step(fails: bool) -> (Vec<String>, Vec<String>, String) {
    let dir = tempdir().unwrap();
    let (notes, hangs, reached) = (
        Notes::default(),
        Arc::new(AtomicBool::new(true)),
        Arc::new(Notify::new()),
    );
    let definition = Definition::from_yaml(TWO_STEPS).unwrap();
    let process = open(dir.path(), handlers(&notes, &hangs, &reached, fails)).await;
    let id = process
        .sagas
        .start(&definition, saga::Start::new("{}"))
        .await
        .unwrap();
    reached.notified().await;
    assert_eq!(process.sagas.shutdown(Duration::ZERO).await, 1);
    process.bus.shutdown(Duration::from_secs(5)).await;
    drop(process);

    hangs.store(false, Ordering::SeqCst);
    let process = open(dir.path(), handlers(&notes, &hangs, &reached, fails)).await;
    let types = Notes::default();
    let to = types.clone();
    process
        .bus
        .subscription("all")
        .pattern("saga.*")
        .start(Start::Earliest)
        .concurrency(1)
        .handler(move |delivery| {
            to.add(delivery.event.event_type.as_str());
            async { Ok(()) }
        })
        .await
        .unwrap();
    let ended = process.sagas.wait(&id).await.unwrap();
    idle(&process.bus).await;
    let counted = process.bus.stats().events_by_source;
    assert!(
        counted.get("saga-orchestrator").is_some_and(|it| *it > 0),
        "events of sagas are counted too: {counted:?}"
    );
    process.sagas.shutdown(Duration::from_secs(5)).await;
    process.bus.shutdown(Duration::from_secs(5)).await;
    let log: Vec<String> = notes
        .all()
        .into_iter()
        .map(|it| it.replace(id.as_str(), "ID"))
        .collect();
    (log, types.all(), ended.status.to_string())
}

#[tokio::test]
async fn the_epoch_of_the_log_grows_with_each_start_that_stored_something() {
    let dir = tempdir().unwrap();
    let epoch = async |stores: bool| {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir.path()).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Embedded::on(disk, &Settings::default(), clock).unwrap();
        let epoch = engine.epoch();
        if stores {
            let batch = SagaBatch {
                keys: Vec::new(),
                saga: "s".to_owned(),
                records: vec![b"record".as_slice().into()],
                events: Vec::new(),
                is_start: false,
                is_last: false,
            };
            SagaStore::append(&engine, vec![batch]).await.unwrap();
            assert!(engine.epoch() > epoch, "of one that opens now");
        }
        Transport::close(&engine).await;
        epoch
    };
    let first = epoch(true).await;
    let second = epoch(false).await;
    let third = epoch(true).await;
    let fourth = epoch(true).await;
    assert!(first < second && second <= third && third < fourth);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_goes_on_after_a_restart_without_repeating_what_was_done() {
    let (log, types, status) = stopped_in_the_second_step(false).await;
    assert_eq!(status, "completed");
    assert_eq!(log, ["first ID/first 1"]);
    assert_eq!(types.first().map(String::as_str), Some("saga.started"));
    assert_eq!(types.last().map(String::as_str), Some("saga.completed"));
    let completed = types
        .iter()
        .filter(|it| *it == "saga.step_completed")
        .count();
    assert_eq!(completed, 2, "{types:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_fails_after_a_restart_takes_back_what_was_done_before_it() {
    let (log, types, status) = stopped_in_the_second_step(true).await;
    assert_eq!(status, "compensated");
    assert_eq!(log, ["first ID/first 1", "undo ID/first"]);
    let end: Vec<&str> = types
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(String::as_str)
        .collect();
    assert_eq!(
        end,
        [
            "saga.compensation_started",
            "saga.compensation_completed",
            "saga.failed"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_fail_at_every_event_of_a_saga_do_not_fail_it() {
    let dir = tempdir().unwrap();
    let notes = Notes::default();
    let never = Arc::new(AtomicBool::new(false));
    let process = open(dir.path(), handlers(&notes, &never, &Arc::default(), false)).await;
    process
        .bus
        .subscription("fails")
        .pattern("saga.*")
        .start(Start::Earliest)
        .retry(sagabus::Retry::never())
        .handler(|_| async { Err(sagabus::HandlerError::permanent("no")) })
        .await
        .unwrap();
    process
        .bus
        .subscription("panics")
        .pattern("saga.*")
        .start(Start::Earliest)
        .retry(sagabus::Retry::never())
        .handler(|_| async { panic!("boom") })
        .await
        .unwrap();
    let definition = Definition::from_yaml(TWO_STEPS).unwrap();
    let id = process
        .sagas
        .start(&definition, saga::Start::new("{}"))
        .await
        .unwrap();
    let ended = process.sagas.wait(&id).await.unwrap();
    assert_eq!(ended.status, saga::Status::Completed);
    assert!(
        ended.steps.iter().all(|step| step.attempts == 1),
        "{ended:?}"
    );
    idle(&process.bus).await;
    // The saga's six events failed at both.
    assert_eq!(process.bus.stats().dead_letters, 12);
    process.sagas.shutdown(Duration::from_secs(5)).await;
    process.bus.shutdown(Duration::from_secs(5)).await;
}
