//! Sagas that events start: one for each event, however often it comes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sagabus::bus::{RetryPlan, Subscription};
use sagabus::engines::embedded::disk::{Disk, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{Definition, Handlers, SagaStatus, Status, Step, StepContext, StepError};
use sagabus::saga_store::SagaStore;
use sagabus::transport::DeadLetterQuery;
use sagabus::{Bus, Clock, ErrorKind, HandlerError, Sagas, Start, SystemClock, saga};
use tempfile::tempdir;

use crate::support::{Notes, event, idle};

fn definition() -> Definition {
    let step = Step::new("read").service("ai");
    Definition::from_steps("pdf_processing_workflow", vec![step]).unwrap()
}

struct Process {
    bus: Bus,
    sagas: Sagas,
    trigger: Subscription,
}

impl Process {
    /// Opens everything on one directory; `notes` has a line for each effect.
    async fn open(path: &Path, notes: &Notes, refuses: &Arc<AtomicBool>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(path).unwrap());
        let engine = Embedded::on(disk, &Settings::default(), Arc::clone(&clock)).unwrap();
        let engine = Arc::new(engine);
        let bus = Bus::builder(Arc::clone(&engine) as _, Arc::clone(&clock));
        let bus = bus.build().unwrap();
        let noted = notes.clone();
        let handlers = Handlers::new().handle("ai", "read", move |context: StepContext| {
            noted.add(String::from_utf8(context.input().to_vec()).unwrap());
            std::future::ready(Ok::<(), StepError>(()))
        });
        let sagas = Sagas::builder(engine as Arc<dyn SagaStore>, clock);
        let sagas = sagas.handlers(handlers).open().await.unwrap();
        let subscription = bus
            .subscription("pdf")
            .pattern("sample.*")
            .start(Start::Earliest);
        let refuses = Arc::clone(refuses);
        let trigger = sagas.started_by(subscription, definition(), move |event| {
            if refuses.load(Ordering::SeqCst) {
                return Err(HandlerError::permanent("not today"));
            }
            // Only those that were created start one.
            let is_created = event.event_type.as_str() == "sample.created";
            Ok(is_created.then(|| saga::Start::new(event.data.clone())))
        });
        let trigger = trigger.await.unwrap();
        Self {
            bus,
            sagas,
            trigger,
        }
    }

    /// All sagas, when they are over.
    async fn ended(&self) -> Vec<SagaStatus> {
        idle(&self.bus).await;
        for saga in self.sagas.active() {
            self.sagas.wait(&saga.id).await.unwrap();
        }
        self.sagas.history()
    }

    async fn close(self) {
        self.sagas.shutdown(Duration::from_secs(5)).await;
        self.bus.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn an_event_starts_one_saga_also_after_a_repeat_a_replay_and_a_restart() {
    let dir = tempdir().unwrap();
    let (notes, refuses) = (Notes::default(), Arc::default());
    let process = Process::open(dir.path(), &notes, &refuses).await;
    let created = event(&process.bus, "sample.created", "1");
    let receipt = process.bus.publish(created.clone()).await.unwrap();
    process.bus.publish(created.clone()).await.unwrap();
    let other = event(&process.bus, "sample.updated", "2");
    process.bus.publish(other).await.unwrap();
    let sagas = process.ended().await;
    assert_eq!(sagas.len(), 1, "{sagas:?}");
    assert_eq!(sagas[0].status, Status::Completed);
    assert_eq!(sagas[0].name, "pdf_processing_workflow");
    assert_eq!(sagas[0].correlation_id, created.id.as_str());
    let id = sagas[0].id.clone();
    assert_eq!(notes.all(), ["1"]);

    let again = async |process: &Process| {
        let until = receipt.position + 1;
        let replay = process.trigger.replay(receipt.position, until).await;
        assert_eq!(replay.unwrap().done().await.unwrap().acked, 1);
        let sagas = process.ended().await;
        let ids: Vec<_> = sagas.iter().map(|saga| saga.id.clone()).collect();
        assert_eq!(ids, std::slice::from_ref(&id));
        assert_eq!(notes.all(), ["1"]);
    };
    again(&process).await;
    process.close().await;
    let process = Process::open(dir.path(), &notes, &refuses).await;
    again(&process).await;

    // Another event is another saga, with an id of its own.
    let second = event(&process.bus, "sample.created", "3");
    process.bus.publish(second).await.unwrap();
    assert_eq!(process.ended().await.len(), 2);
    assert_eq!(notes.all(), ["1", "3"]);
    process.close().await;
}

#[tokio::test]
async fn an_event_that_could_not_start_its_saga_starts_it_once_when_it_is_redriven() {
    let dir = tempdir().unwrap();
    let (notes, refuses) = (Notes::default(), Arc::new(AtomicBool::new(true)));
    let process = Process::open(dir.path(), &notes, &refuses).await;
    let created = event(&process.bus, "sample.created", "1");
    process.bus.publish(created).await.unwrap();
    idle(&process.bus).await;
    let query = DeadLetterQuery::of("pdf");
    let letters = process.bus.letters();
    assert_eq!(letters.count(&query).await.unwrap(), 1);
    refuses.store(false, Ordering::SeqCst);
    let plan = RetryPlan::default();
    assert_eq!(letters.retry(&query, &plan).await.unwrap().count, 1);
    assert_eq!(process.ended().await.len(), 1);
    assert_eq!(notes.all(), ["1"]);
    process.close().await;
}

#[tokio::test]
async fn a_trigger_whose_saga_has_no_handlers_is_refused_before_any_event() {
    let dir = tempdir().unwrap();
    let process = Process::open(dir.path(), &Notes::default(), &Arc::default()).await;
    let lost = Definition::from_steps("lost", vec![Step::new("lost")]).unwrap();
    let subscription = process.bus.subscription("other").pattern("sample.*");
    let refused = process.sagas.started_by(subscription, lost, |_| Ok(None));
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    process.close().await;
}
