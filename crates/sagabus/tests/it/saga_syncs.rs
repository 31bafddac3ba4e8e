//! What sagas ask of the disk.
//!
//! As many syncs as they have steps and one more, fewer when there are many; and nothing is done on the strength of a sync
//! that failed.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sagabus::clock::TestClock;
use sagabus::engines::embedded::disk::{Disk, DiskFile, RealDisk};
use sagabus::engines::embedded::simulation::{Crash, SimDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{self, Definition, Handlers, Step, StepContext, StepError};
use sagabus::saga_store::{SagaBatch, SagaStore, StoredSaga};
use sagabus::{Clock, ErrorKind, Sagas, SystemClock};
use tempfile::tempdir;

use crate::support::Notes;

/// Counts the syncs of a disk, and can hold them up.
#[derive(Clone, Debug)]
struct Counting<D>(D, Arc<Syncs>);

#[derive(Debug, Default)]
struct Syncs {
    count: AtomicU64,
    is_held: Mutex<bool>,
    released: Condvar,
}

impl Syncs {
    fn hold(&self, is_held: bool) {
        *self.is_held.lock().unwrap() = is_held;
        self.released.notify_all();
    }
}

#[derive(Debug)]
struct CountingFile(Arc<dyn DiskFile>, Arc<Syncs>);

impl<D: Disk> Counting<D> {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile(file, Arc::clone(&self.1)))
    }
}

impl<D: Disk> Disk for Counting<D> {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.0.create(name, len)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.0.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn is_instant(&self) -> bool {
        self.0.is_instant()
    }
}

impl DiskFile for CountingFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        let held = self.1.is_held.lock().unwrap();
        drop(self.1.released.wait_while(held, |held| *held).unwrap());
        self.1.count.fetch_add(1, Ordering::SeqCst);
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

/// Counts the appends that were asked for.
#[derive(Debug)]
struct Asked(Arc<Embedded>, Arc<AtomicUsize>);

#[async_trait]
impl SagaStore for Asked {
    async fn append(&self, batches: Vec<SagaBatch>) -> sagabus::Result<()> {
        let appended = self.0.append(batches);
        let mut appended = std::pin::pin!(appended);
        // It is on its way once it was polled.
        let first =
            std::future::poll_fn(|context| std::task::Poll::Ready(appended.as_mut().poll(context)));
        let first = first.await;
        self.1.fetch_add(1, Ordering::SeqCst);
        match first {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => appended.await,
        }
    }

    async fn load(&self) -> sagabus::Result<Vec<StoredSaga>> {
        self.0.load().await
    }

    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
}

fn chain(steps: usize) -> Definition {
    let mut definition = Definition::builder("chain");
    for number in 0..steps {
        let mut step = Step::new(format!("s{number}")).service("s").action("do");
        if number > 0 {
            step = step.after(format!("s{}", number - 1));
        }
        definition = definition.step(step);
    }
    definition.build().unwrap()
}

fn handlers() -> Handlers {
    Handlers::new().handle("s", "do", |_: StepContext| {
        std::future::ready(Ok::<(), StepError>(()))
    })
}

#[tokio::test(start_paused = true)]
async fn a_saga_of_steps_in_a_row_takes_a_sync_for_each_step_and_one_more() {
    let clock: Arc<dyn Clock> =
        Arc::new(TestClock::new("2026-03-01T12:00:00Z".parse().unwrap(), 7));
    let syncs = Arc::new(Syncs::default());
    let disk = Counting(SimDisk::new(1), Arc::clone(&syncs));
    let engine = Embedded::on(Arc::new(disk), &Settings::default(), Arc::clone(&clock)).unwrap();
    let sagas = Sagas::builder(Arc::new(engine) as Arc<dyn SagaStore>, clock)
        .handlers(handlers())
        .open()
        .await
        .unwrap();
    for steps in [1, 2, 4, 10, 50] {
        let before = syncs.count.load(Ordering::SeqCst);
        let id = sagas
            .start(&chain(steps), saga::Start::new("{}"))
            .await
            .unwrap();
        sagas.wait(&id).await.unwrap();
        let taken = syncs.count.load(Ordering::SeqCst) - before;
        assert_eq!(taken, steps as u64 + 1, "{steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_at_the_same_time_share_their_syncs() {
    const SAGAS: usize = 64;
    const STEPS: usize = 4;
    let dir = tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    let disk = Counting(RealDisk::new(dir.path()).unwrap(), Arc::clone(&syncs));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Embedded::on(Arc::new(disk), &Settings::default(), Arc::clone(&clock)).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let store = Asked(Arc::new(engine), Arc::clone(&asked));
    let sagas = Sagas::builder(Arc::new(store) as Arc<dyn SagaStore>, clock)
        .handlers(handlers())
        .open()
        .await
        .unwrap();
    // The spare file of the log is made beside it, with a sync of its own; what is counted comes after it.
    let first = sagas
        .start(&chain(1), saga::Start::new("{}"))
        .await
        .unwrap();
    sagas.wait(&first).await.unwrap();
    let (before, asked_before) = (
        syncs.count.load(Ordering::SeqCst),
        asked.load(Ordering::SeqCst),
    );
    syncs.hold(true);
    let definition = chain(STEPS);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..SAGAS {
        let (sagas, definition) = (sagas.clone(), definition.clone());
        tasks.spawn(async move {
            let id = sagas
                .start(&definition, saga::Start::new("{}"))
                .await
                .unwrap();
            sagas.wait(&id).await.unwrap()
        });
    }
    while asked.load(Ordering::SeqCst) < asked_before + SAGAS {
        tokio::task::yield_now().await;
    }
    syncs.hold(false);
    while let Some(ended) = tasks.join_next().await {
        assert_eq!(ended.unwrap().status, saga::Status::Completed);
    }
    let taken = usize::try_from(syncs.count.load(Ordering::SeqCst) - before).unwrap();
    let alone = SAGAS * (STEPS + 1);
    println!("{SAGAS} sagas of {STEPS} steps: {taken} syncs, one after the other {alone}");
    // All first records but those of the first group are in one; and the spare file may take three.
    assert!(taken <= alone - (SAGAS - 2) + 3, "{taken} syncs");
    sagas.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_or_acknowledged_after_a_failed_sync_of_the_engine() {
    const STEPS: usize = 3;
    // The sync that fails: that of the start, of a step in the middle, of the end.
    for failing in 0..=STEPS as u64 {
        let disk = SimDisk::new(failing);
        let clock: Arc<dyn Clock> =
            Arc::new(TestClock::new("2026-03-01T12:00:00Z".parse().unwrap(), 7));
        let notes = Notes::default();
        let open = async |disk: &SimDisk| {
            let engine = Embedded::on(
                Arc::new(disk.clone()),
                &Settings::default(),
                Arc::clone(&clock),
            );
            let noted = notes.clone();
            Sagas::builder(
                Arc::new(engine.unwrap()) as Arc<dyn SagaStore>,
                Arc::clone(&clock),
            )
            .handlers(
                Handlers::new().handle("s", "do", move |context: StepContext| {
                    noted.add(context.step_id());
                    std::future::ready(Ok::<(), StepError>(()))
                }),
            )
            .open()
            .await
            .unwrap()
        };
        let sagas = open(&disk).await;
        disk.fail_sync_in(failing);
        let start = || saga::Start::new("{}").keyed("once");
        let started = sagas.start(&chain(STEPS), start()).await;
        if let Ok(id) = &started {
            // It never ends in this process.
            let waited = tokio::time::timeout(Duration::from_secs(60), sagas.wait(id)).await;
            assert!(waited.is_err() || waited.unwrap().is_err(), "{failing}");
        }
        assert_eq!(started.is_err(), failing == 0, "{failing}");
        let called = usize::try_from(failing).unwrap();
        assert_eq!(
            notes.all().len(),
            called,
            "{failing}: no step after the sync that failed"
        );
        let refused = sagas
            .start(&chain(STEPS), saga::Start::new("{}"))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Closed);
        let verb = match &started {
            Ok(id) => sagas.cancel(id, "too late").await.unwrap_err().kind(),
            Err(error) => error.kind(),
        };
        assert_eq!(verb, ErrorKind::Closed, "{failing}");
        assert!(!sagas.health().healthy);
        assert_eq!(notes.all().len(), called, "{failing}");
        sagas.shutdown(Duration::ZERO).await;
        drop(sagas);

        disk.restart(Crash::Power);
        let sagas = open(&disk).await;
        let id = sagas.start(&chain(STEPS), start()).await.unwrap();
        assert!(
            started.is_err() || started.unwrap() == id,
            "{failing}: its start was acknowledged"
        );
        let ended = sagas.wait(&id).await.unwrap();
        assert_eq!(ended.status, saga::Status::Completed, "{failing}");
        sagas.shutdown(Duration::ZERO).await;
    }
}
