//! What is old and needed by nobody is dropped; nothing else is, ever.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::engines::embedded::disk::{Disk, MemoryDisk, RealDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::By;
use sagabus::saga::record::{Fact, Record};
use sagabus::saga::{
    self, ConcurrencyKey, Definition, Earlier, Handlers, OnConflict, Options, SagaId, Signal,
    Started, Status, Step, StepError,
};
use sagabus::saga_store::{SagaBatch, SagaStore};
use sagabus::transport::{PauseUntil, Repair, Transport};
use sagabus::{Bus, Clock, ErrorKind, Event, HandlerError, Retry, Sagas, Start};

use crate::support::{FaultDisk, all, clock, event, idle};

const SEGMENT_BYTES: u64 = 8192;
/// What may be kept that nobody needs.
const RETENTION_BYTES: u64 = 4 * SEGMENT_BYTES;

fn settings() -> Settings {
    Settings {
        segment_bytes: SEGMENT_BYTES,
        deduplication_events: 8,
        retention_bytes: RETENTION_BYTES,
        ..Settings::default()
    }
}

/// A log that is opened again and again.
struct Bed {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

impl Bed {
    fn new() -> Self {
        Self {
            disk: Arc::new(MemoryDisk::default()),
            clock: clock(),
            settings: settings(),
        }
    }

    fn open(&self) -> (Arc<Embedded>, Bus) {
        let clock = Arc::clone(&self.clock);
        let engine = Embedded::on(Arc::clone(&self.disk), &self.settings, Arc::clone(&clock));
        let engine = Arc::new(engine.unwrap());
        let bus = Bus::builder(Arc::clone(&engine) as Arc<dyn Transport>, clock);
        (engine, bus.build().unwrap())
    }

    /// Bytes of all files.
    fn bytes(&self) -> u64 {
        let names = self.disk.list().unwrap();
        let file = |name: &String| self.disk.open(name).unwrap().len().unwrap();
        names.iter().map(file).sum()
    }
}

async fn close((engine, bus): (Arc<Embedded>, Bus)) {
    bus.shutdown(Duration::from_secs(5)).await;
    drop((engine, bus));
}

/// Publishes events until so many bytes were written, one at a time.
async fn fill(bus: &Bus, bytes: u64) -> u64 {
    let mut last = 0;
    for _ in 0..bytes / 300 {
        let filler = event(bus, "filler.x", &format!("\"{}\"", "x".repeat(200)));
        last = bus.publish(filler).await.unwrap().position;
    }
    last
}

/// A subscription that handles everything of the pattern.
async fn handle(bus: &Bus, name: &str, pattern: &str) -> Arc<Mutex<Vec<u64>>> {
    let got: Arc<Mutex<Vec<u64>>> = Arc::default();
    let noted = Arc::clone(&got);
    let handler = bus
        .subscription(name)
        .pattern(pattern)
        .start(Start::Earliest)
        .handler(move |delivery| {
            noted.lock().unwrap().push(delivery.position);
            async { Ok(()) }
        });
    handler.await.unwrap();
    got
}

async fn fail(bus: &Bus, name: &str, pattern: &str) {
    bus.subscription(name)
        .pattern(pattern)
        .start(Start::Earliest)
        .retry(Retry::times(0))
        .handler(|_| async { Err(HandlerError::permanent("bad")) })
        .await
        .unwrap();
}

async fn positions(bus: &Bus) -> Vec<u64> {
    let mut found = Vec::new();
    let mut next = 1;
    loop {
        let page = bus.read(next, 1000).await.unwrap();
        found.extend(page.events.iter().map(|(position, _)| *position));
        next = page.next;
        if page.is_last {
            return found;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn however_much_is_published_the_log_has_a_bound_and_everything_is_handled_once() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    let got = handle(&bus, "s", "**").await;
    let mut most = 0;
    for _ in 0..20 {
        fill(&bus, 10 * SEGMENT_BYTES).await;
        idle(&bus).await;
        most = most.max(bed.bytes());
    }
    // The kept ones, the spare and two to be written over, what stands for the dropped ones, and what came since the
    // last look.
    assert!(most < RETENTION_BYTES + 14 * SEGMENT_BYTES, "{most} bytes");
    engine.retain().await.unwrap();
    assert!(bed.bytes() < RETENTION_BYTES + 6 * SEGMENT_BYTES);
    let counts = bus.stats().subscriptions[0].counts;
    let handled = got.lock().unwrap().clone();
    assert!(handled.is_sorted() && handled.len() as u64 == counts.acked);
    assert!(bus.stats().kept.oldest > 1000 && bus.stats().kept.holding.is_empty());
    close((engine, bus)).await;

    let (engine, bus) = bed.open();
    let again = handle(&bus, "s", "**").await;
    let last = fill(&bus, SEGMENT_BYTES).await;
    idle(&bus).await;
    let again = again.lock().unwrap().clone();
    assert!(again.first() > handled.last(), "nothing is handled again");
    assert_eq!(again.last(), Some(&last));
    let now = bus.stats().subscriptions[0].counts;
    assert_eq!(now.acked, counts.acked + again.len() as u64);
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_carried_forward_and_can_be_redriven_from_long_ago() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    fail(&bus, "s", "a.*").await;
    let mut bad = Vec::new();
    for number in 0..5 {
        let receipt = bus.publish(event(&bus, "a.x", &number.to_string())).await;
        bad.push(receipt.unwrap().position);
        fill(&bus, SEGMENT_BYTES).await;
    }
    idle(&bus).await;
    for _ in 0..3 {
        fill(&bus, 10 * SEGMENT_BYTES).await;
        engine.retain().await.unwrap();
    }
    let oldest = bus.stats().kept.oldest;
    assert!(bad.iter().all(|it| *it < oldest));
    close((engine, bus)).await;

    let (engine, bus) = bed.open();
    let letters = bus.dead_letters(all()).await.unwrap();
    let found: Vec<_> = letters
        .iter()
        .map(|it| (it.position, &it.event.data[..]))
        .collect();
    assert_eq!(found[4], (bad[4], &b"4"[..]));
    assert_eq!(found.len(), 5);
    let by = || By {
        author: "me".to_owned(),
        reason: "mended".to_owned(),
    };
    let discard = Repair::Discard(by());
    bus.ledgers().repair("s", &bad[..1], discard).await.unwrap();
    let got = handle(&bus, "s", "a.*").await;
    let redrive = Repair::Redrive {
        delay: Duration::ZERO,
        spacing: Duration::ZERO,
        by: by(),
    };
    bus.ledgers().repair("s", &bad[1..], redrive).await.unwrap();
    idle(&bus).await;
    assert_eq!(*got.lock().unwrap(), bad[1..]);
    let before = positions(&bus).await;
    assert!(bad[1..].iter().all(|it| before.contains(it)));
    // What they held on to goes with the next that is dropped.
    fill(&bus, 10 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    let after = positions(&bus).await;
    assert!(bad.iter().all(|it| !after.contains(it)));
    assert!(after[0] >= bus.stats().kept.oldest);
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_subscription_has_not_looked_at_is_kept_and_it_is_told_until_it_is_removed() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    let behind = handle(&bus, "behind", "**").await;
    let got = handle(&bus, "s", "**").await;
    let by = |reason: &str| By {
        author: "me".to_owned(),
        reason: reason.to_owned(),
    };
    bus.ledgers()
        .set_pause("behind", Some(PauseUntil::Resumed), by("stuck"))
        .await
        .unwrap();
    fill(&bus, 30 * SEGMENT_BYTES).await;
    while bus
        .stats()
        .subscriptions
        .iter()
        .any(|it| it.name == "s" && it.ahead > 0)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.retain().await.unwrap();
    let all = positions(&bus).await;
    assert_eq!(all.len(), got.lock().unwrap().len(), "all of it is there");
    let kept = bus.stats().kept;
    assert_eq!(kept.holding.len(), 1);
    assert_eq!(kept.holding[0].subscription, "behind");
    assert!(kept.holding[0].bytes > 20 * SEGMENT_BYTES);
    let told = bus.health().issues;
    assert!(
        told.iter()
            .any(|it| it.contains("`behind` has not looked at")),
        "{told:?}"
    );
    close((engine, bus)).await;

    // A restart changes nothing about it.
    let (engine, bus) = bed.open();
    engine.retain().await.unwrap();
    assert_eq!(positions(&bus).await, all);
    assert!(bus.remove("s").await.unwrap());
    engine.retain().await.unwrap();
    assert_eq!(positions(&bus).await, all);
    assert!(bus.remove("behind").await.unwrap());
    engine.retain().await.unwrap();
    assert!(positions(&bus).await.len() < all.len() / 3);
    assert!(bus.stats().kept.holding.is_empty() && bus.health().is_healthy());
    assert!(behind.lock().unwrap().len() < all.len());
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn how_much_is_kept_since_it_is_remembered_is_told() {
    let mut bed = Bed::new();
    bed.settings.deduplication_events = 1_000_000;
    let (engine, bus) = bed.open();
    fill(&bus, 30 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    let kept = bus.stats().kept;
    assert_eq!((kept.oldest, kept.holding.len()), (1, 0));
    // All that is too much, but for a segment that is only in part.
    let too_much = kept.bytes - RETENTION_BYTES;
    assert!(
        (too_much..too_much + SEGMENT_BYTES).contains(&kept.remembered),
        "{kept:?}"
    );
    close((engine, bus)).await;

    bed.settings.deduplication_events = 8;
    let (engine, bus) = bed.open();
    engine.retain().await.unwrap();
    let kept = bus.stats().kept;
    assert!(kept.oldest > 1 && kept.remembered == 0, "{kept:?}");
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_behind_and_comes_back_gets_everything() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    handle(&bus, "behind", "**").await;
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    let last = fill(&bus, 30 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    let got = handle(&bus, "behind", "**").await;
    idle(&bus).await;
    assert_eq!(got.lock().unwrap().last(), Some(&last));
    assert_eq!(got.lock().unwrap().len() as u64, 30 * SEGMENT_BYTES / 300);
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_begins_at_the_oldest_that_is_kept() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    fill(&bus, 30 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    let oldest = bus.stats().kept.oldest;
    assert!(oldest > 100);
    let got = handle(&bus, "s", "**").await;
    idle(&bus).await;
    assert_eq!(got.lock().unwrap()[0], oldest);
    let page = bus.read(1, 1).await.unwrap();
    assert_eq!(page.events[0].0, oldest);
    let filler = bus.subscription("t").pattern("**").start(Start::Latest);
    let filler = filler.handler(|_| async { Ok(()) }).await.unwrap();
    let error = filler.replay(oldest - 1, oldest + 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&oldest.to_string()), "{error}");
    filler
        .replay(oldest, oldest + 1)
        .await
        .unwrap()
        .done()
        .await
        .unwrap();
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_is_carried_forward_with_what_was_done_to_it() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    let got = handle(&bus, "s", "later.*").await;
    let due = |hours| bed.clock.now().after(Duration::from_hours(hours));
    let schedule = async |data: &str, hours| {
        let later = event(&bus, "later.x", data);
        let key = format!("k{data}");
        bus.publish_at(later, due(hours), Some(&key)).await.unwrap();
    };
    schedule("1", 5).await;
    schedule("2", 5).await;
    schedule("3", 5).await;
    fill(&bus, 10 * SEGMENT_BYTES).await;
    assert!(bus.schedules().cancel("k2").await.unwrap());
    assert!(bus.schedules().move_to("k3", due(9)).await.unwrap());
    fill(&bus, 20 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    assert!(bus.stats().kept.oldest > 100);
    close((engine, bus)).await;

    let (engine, bus) = bed.open();
    fill(&bus, 20 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;

    let (engine, bus) = bed.open();
    assert_eq!(bus.schedules().count(), 2);
    let data: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let noted = Arc::clone(&data);
    let again = bus
        .subscription("s")
        .pattern("later.*")
        .start(Start::Earliest);
    let handler = again.handler(move |delivery| {
        noted.lock().unwrap().push(delivery.event.data.to_vec());
        async { Ok(()) }
    });
    handler.await.unwrap();
    tokio::time::sleep(Duration::from_hours(6)).await;
    assert_eq!(*data.lock().unwrap(), [b"1"]);
    tokio::time::sleep(Duration::from_hours(6)).await;
    assert_eq!(*data.lock().unwrap(), [b"1", b"3"]);
    assert!(got.lock().unwrap().is_empty());
    fill(&bus, 20 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    assert_eq!(bus.schedules().count(), 0);
    close((engine, bus)).await;
}

async fn append(engine: &Embedded, saga: &str, record: u8, is_last: bool) {
    let batch = SagaBatch {
        keys: Vec::new(),
        saga: saga.to_owned(),
        records: vec![vec![record].into()],
        events: Vec::new(),
        is_start: false,
        is_last,
    };
    SagaStore::append(engine, vec![batch]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sagas_that_have_not_ended_are_carried_forward_and_those_that_have_are_not() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    for (saga, record, is_last) in [("a", 1, false), ("b", 1, false), ("a", 2, true)] {
        append(&engine, saga, record, is_last).await;
    }
    fill(&bus, 20 * SEGMENT_BYTES).await;
    append(&engine, "b", 2, false).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    let sagas = engine.load().await.unwrap();
    assert_eq!(sagas.len(), 1);
    assert_eq!(sagas[0].saga, "b");
    assert_eq!(sagas[0].records, [vec![1], vec![2]]);
    close((engine, bus)).await;
}

/// An orchestrator over an engine of the bed. The step `fails` is refused, and `first` cannot be taken back.
async fn sagas(bed: &Bed, engine: &Arc<Embedded>) -> Sagas {
    let handlers = Handlers::new()
        .handle("s", "first", |_| async { Ok::<(), StepError>(()) })
        .handle("s", "fails", |_| async {
            Err::<(), _>(StepError::Reject("no room".to_owned()))
        })
        .compensate("s", "undo_first", |_| async {
            Err(StepError::Reject("broken".to_owned()))
        });
    let store = Arc::clone(engine) as Arc<dyn SagaStore>;
    let builder = Sagas::builder(store, Arc::clone(&bed.clock));
    builder.handlers(handlers).open().await.unwrap()
}

fn first() -> Step {
    let step = Step::new("first").service("s");
    step.compensated_by("undo_first")
}

/// Starts a saga that completes.
async fn completed(sagas: &Sagas) -> SagaId {
    let definition = Definition::from_steps("one", vec![first()]).unwrap();
    let id = sagas.start(&definition, saga::Start::new("1")).await;
    let id = id.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    id
}

/// Starts a saga whose compensation gets stuck.
async fn stuck(sagas: &Sagas) -> SagaId {
    let fails = Step::new("fails").service("s").after("first");
    let definition = Definition::from_steps("two", vec![first(), fails]).unwrap();
    let id = sagas.start(&definition, saga::Start::new("1")).await;
    let id = id.unwrap();
    while sagas.status(&id).unwrap().status != Status::CompensationStuck {
        tokio::task::yield_now().await;
    }
    id
}

/// Lets what nobody needs be dropped, and closes all.
async fn retain_and_close(sagas: Sagas, (engine, bus): (Arc<Embedded>, Bus)) {
    sagas.shutdown(Duration::from_secs(5)).await;
    fill(&bus, 20 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_behind_the_last_of_a_saga_keeps_no_log_from_opening() {
    for is_dropped_before in [false, true] {
        let bed = Bed::new();
        let (mut engine, mut bus) = bed.open();
        let orchestrator = sagas(&bed, &engine).await;
        let over = completed(&orchestrator).await;
        let open = stuck(&orchestrator).await;
        if is_dropped_before {
            retain_and_close(orchestrator, (engine, bus)).await;
            (engine, bus) = bed.open();
        } else {
            orchestrator.shutdown(Duration::from_secs(5)).await;
        }
        let late = Record::new(bed.clock.now(), Fact::CompensationResumed);
        let batch = SagaBatch {
            keys: Vec::new(),
            saga: over.to_string(),
            records: vec![late.encode().unwrap()],
            events: Vec::new(),
            is_start: false,
            is_last: false,
        };
        SagaStore::append(&*engine, vec![batch]).await.unwrap();
        close((engine, bus)).await;

        let (engine, bus) = bed.open();
        let orchestrator = sagas(&bed, &engine).await;
        let shown = orchestrator.unreadable();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].id, over.as_str());
        let status = orchestrator.status(&open).unwrap().status;
        assert_eq!(status, Status::CompensationStuck);
        retain_and_close(orchestrator, (engine, bus)).await;

        let (engine, bus) = bed.open();
        let orchestrator = sagas(&bed, &engine).await;
        // Dropped with the rest of its saga; without that it stays and is shown.
        let left = usize::from(is_dropped_before);
        assert_eq!(orchestrator.unreadable().len(), left);
        let status = orchestrator.status(&open).unwrap().status;
        assert_eq!(status, Status::CompensationStuck);
        completed(&orchestrator).await;
        orchestrator.shutdown(Duration::from_secs(5)).await;
        close((engine, bus)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_was_given_up_is_kept_until_its_time_is_over_and_dropped_then() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    let orchestrator = sagas(&bed, &engine).await;
    let id = stuck(&orchestrator).await;
    orchestrator.abandon(&id, "by hand").await.unwrap();
    retain_and_close(orchestrator, (engine, bus)).await;

    let (engine, bus) = bed.open();
    let orchestrator = sagas(&bed, &engine).await;
    assert_eq!(orchestrator.history()[0].status, Status::Failed);
    // Five minutes after its end it leaves the memory, and its store is told.
    tokio::time::sleep(Duration::from_mins(11)).await;
    let error = orchestrator.status(&id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let stored = engine.load().await.unwrap().remove(0);
    let last = Record::decode(stored.records.last().unwrap()).unwrap();
    assert_eq!(last.fact, Fact::Closed);
    retain_and_close(orchestrator, (engine, bus)).await;

    let (engine, bus) = bed.open();
    assert!(engine.load().await.unwrap().is_empty());
    close((engine, bus)).await;
}

/// What sagas that events start are given.
const SAMPLE: &str = r#"{"sampleId":"S-1"}"#;

/// Starts a saga of one step for each `sample.created`.
async fn trigger(bus: &Bus, orchestrator: &Sagas) {
    let definition = Definition::from_steps("one", vec![first()]).unwrap();
    trigger_of(bus, orchestrator, definition).await;
}

/// The same of any definition.
async fn trigger_of(bus: &Bus, orchestrator: &Sagas, definition: Definition) {
    let subscription = bus.subscription("one").pattern("sample.*");
    let subscription = subscription.start(Start::Earliest);
    let started = |_: &Event| Ok(Some(saga::Start::new(SAMPLE)));
    let trigger = orchestrator.started_by(subscription, definition, started);
    drop(trigger.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_key_outlives_its_saga_and_the_records_of_that_for_thirty_days() {
    let bed = Bed::new();
    let (mut engine, mut bus) = bed.open();
    let mut orchestrator = sagas(&bed, &engine).await;
    let definition = Definition::from_steps("one", vec![first()]).unwrap();
    let fails = Step::new("fails").service("s").after("first");
    let two = Definition::from_steps("two", vec![first(), fails]).unwrap();
    let keyed = |key: &str| saga::Start::new("1").keyed(key);
    let done = orchestrator
        .start(&definition, keyed("done"))
        .await
        .unwrap();
    orchestrator.wait(&done).await.unwrap();
    // One that leaves effects behind is over for good when its time in memory is.
    let given_up = orchestrator.start(&two, keyed("given up")).await.unwrap();
    while orchestrator.status(&given_up).unwrap().status != Status::CompensationStuck {
        tokio::task::yield_now().await;
    }
    orchestrator.abandon(&given_up, "by hand").await.unwrap();
    // One that an event starts.
    trigger(&bus, &orchestrator).await;
    let created = event(&bus, "sample.created", "1");
    bus.publish(created.clone()).await.unwrap();
    idle(&bus).await;
    assert_eq!(orchestrator.stats().started, 3);
    completed(&orchestrator).await;
    tokio::time::sleep(Duration::from_mins(11)).await;
    assert_eq!(orchestrator.stats().remembered_keys, 3);

    // What is left of them is carried from one beginning of the log to the next.
    for _ in 0..2 {
        retain_and_close(orchestrator, (engine, bus)).await;
        (engine, bus) = bed.open();
        let left = engine.load().await.unwrap();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left.iter().all(|saga| saga.records.is_empty()));
        orchestrator = sagas(&bed, &engine).await;
        assert_eq!(orchestrator.stats().remembered_keys, 3);
        for (key, id) in [("done", &done), ("given up", &given_up)] {
            let again = orchestrator.start(&definition, keyed(key)).await.unwrap();
            assert_eq!(again, *id);
        }
        trigger(&bus, &orchestrator).await;
        let receipt = bus.publish(created.clone()).await.unwrap();
        assert!(!receipt.duplicate, "the log has forgotten it");
        idle(&bus).await;
        assert_eq!(orchestrator.stats().started, 0);
        assert!(orchestrator.active().is_empty() && orchestrator.history().is_empty());
    }
    orchestrator.shutdown(Duration::from_secs(5)).await;
    close((engine, bus)).await;

    tokio::time::sleep(Duration::from_hours(30 * 24)).await;
    let (engine, bus) = bed.open();
    let orchestrator = sagas(&bed, &engine).await;
    retain_and_close(orchestrator, (engine, bus)).await;
    let (engine, bus) = bed.open();
    assert!(engine.load().await.unwrap().is_empty());
    let orchestrator = sagas(&bed, &engine).await;
    let other = orchestrator
        .start(&definition, keyed("done"))
        .await
        .unwrap();
    assert_ne!(other, done);
    orchestrator.shutdown(Duration::from_secs(5)).await;
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_starts_that_attached_outlive_their_saga_and_the_records_of_that_as_its_own_does()
 {
    let bed = Bed::new();
    let (mut engine, mut bus) = bed.open();
    let mut orchestrator = sagas(&bed, &engine).await;
    let mut key = ConcurrencyKey::new("sample {sampleId}");
    key.on_conflict = OnConflict::Attach;
    let builder = Definition::builder("one").options(Options {
        concurrency_key: Some(key),
        ..Options::default()
    });
    let waits = Step::new("w").signal("go");
    let definition = builder.step(waits).build().unwrap();
    let keyed = |key: &str| saga::Start::new(SAMPLE).keyed(key);
    let holder = orchestrator.start(&definition, keyed("first")).await;
    let holder = holder.unwrap();
    let second = orchestrator.start_or_find(&definition, keyed("second"));
    let attached = Started {
        id: holder.clone(),
        earlier: Some(Earlier::Attached { is_other: false }),
    };
    assert_eq!(second.await.unwrap(), attached);
    // An event, too, that comes again later.
    trigger_of(&bus, &orchestrator, definition.clone()).await;
    let created = event(&bus, "sample.created", "1");
    bus.publish(created.clone()).await.unwrap();
    idle(&bus).await;
    assert_eq!(orchestrator.stats().started, 1);
    let signal = Signal {
        name: "go".to_owned(),
        key: None,
        payload: "1".into(),
        by: By::new("ann", "measured"),
        approval: None,
    };
    orchestrator.signal(&holder, signal).await.unwrap();
    orchestrator.wait(&holder).await.unwrap();
    let third = orchestrator.start(&definition, keyed("second")).await;
    assert_eq!(third.unwrap(), holder);

    // Once with its records still there, then with its keys alone.
    for is_dropped in [false, true, true] {
        if is_dropped {
            retain_and_close(orchestrator, (engine, bus)).await;
        } else {
            orchestrator.shutdown(Duration::from_secs(5)).await;
            close((engine, bus)).await;
        }
        (engine, bus) = bed.open();
        let left = engine.load().await.unwrap();
        assert!(left.iter().all(|saga| saga.saga == holder.as_str()));
        let keys = left.iter().filter(|saga| saga.records.is_empty());
        // The first one is with the last record while that is there.
        assert_eq!(keys.count(), 2 + usize::from(is_dropped));
        assert_eq!(left.len(), 3);
        orchestrator = sagas(&bed, &engine).await;
        let remembered = orchestrator.stats().remembered_keys;
        assert_eq!(remembered, if is_dropped { 3 } else { 0 });
        for key in ["first", "second"] {
            let again = orchestrator.start(&definition, keyed(key)).await.unwrap();
            assert_eq!(again, holder);
        }
        trigger_of(&bus, &orchestrator, definition.clone()).await;
        bus.publish(created.clone()).await.unwrap();
        idle(&bus).await;
        assert_eq!(orchestrator.stats().started, 0);
        assert!(orchestrator.active().is_empty());
    }
    orchestrator.shutdown(Duration::from_secs(5)).await;
    close((engine, bus)).await;

    tokio::time::sleep(Duration::from_hours(30 * 24)).await;
    (engine, bus) = bed.open();
    orchestrator = sagas(&bed, &engine).await;
    retain_and_close(orchestrator, (engine, bus)).await;
    (engine, bus) = bed.open();
    assert!(engine.load().await.unwrap().is_empty());
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_is_dropped_when_its_time_is_over() {
    let mut bed = Bed::new();
    bed.settings.retention_bytes = u64::MAX;
    bed.settings.retention_time = Duration::from_hours(48);
    let (engine, bus) = bed.open();
    handle(&bus, "s", "**").await;
    fill(&bus, 10 * SEGMENT_BYTES).await;
    idle(&bus).await;
    engine.retain().await.unwrap();
    assert_eq!(bus.stats().kept.oldest, 1);
    tokio::time::sleep(Duration::from_hours(47)).await;
    assert_eq!(bus.stats().kept.oldest, 1);
    // Nothing comes, and it is looked for all the same.
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert!(bus.stats().kept.oldest > 100);
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_are_remembered_are_kept_so_that_they_are_known_after_a_restart() {
    let mut bed = Bed::new();
    bed.settings.deduplication_events = 500;
    let (engine, bus) = bed.open();
    fill(&bus, 20 * SEGMENT_BYTES).await;
    let known = event(&bus, "a.x", "1");
    let first = bus.publish(known.clone()).await.unwrap();
    fill(&bus, 15 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    assert!(bus.stats().kept.oldest > 10);
    let again = bus.publish(known).await.unwrap();
    assert_eq!((again.position, again.duplicate), (first.position, true));
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_would_forget_what_is_to_be_remembered_are_refused() {
    let settings = Settings {
        retention_time: Duration::from_hours(1),
        ..Settings::default()
    };
    let error = Embedded::on(Arc::new(MemoryDisk::default()), &settings, clock()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`retention_time`"));
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_over_keeps_its_dead_letters_and_nothing_else() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    fail(&bus, "s", "a.*").await;
    let position = bus.publish(event(&bus, "a.x", "1")).await.unwrap().position;
    idle(&bus).await;
    let failing = bus.subscription("t").pattern("a.*").start(Start::Earliest);
    let failing = failing
        .retry(Retry::times(0))
        .handler(|_| async { Err(HandlerError::permanent("bad")) })
        .await
        .unwrap();
    idle(&bus).await;
    failing
        .replay(position, position + 1)
        .await
        .unwrap()
        .done()
        .await
        .unwrap();
    assert_eq!(bus.stats().dead_letters, 3);
    for _ in 0..2 {
        fill(&bus, 20 * SEGMENT_BYTES).await;
        engine.retain().await.unwrap();
        let kept = bus.stats().kept;
        assert!(
            kept.oldest > position && kept.holding.is_empty(),
            "{kept:?}"
        );
        assert_eq!(bus.stats().queue, 0);
    }
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    fill(&bus, 20 * SEGMENT_BYTES).await;
    let before = bus.stats().kept.oldest;
    engine.retain().await.unwrap();
    assert!(bus.stats().kept.oldest > before);
    assert_eq!((bus.stats().dead_letters, bus.stats().queue), (3, 0));
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_grows_without_an_event_has_a_bound_too_and_subscriptions_begin_within_it() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    bus.publish(event(&bus, "a.x", "1")).await.unwrap();
    let due = bed.clock.now().after(Duration::from_hours(10));
    let schedule = async |count| {
        for number in 0..count {
            let key = format!("k{number}");
            let later = event(&bus, "later.x", &format!("\"{}\"", "x".repeat(200)));
            bus.publish_at(later, due, Some(&key)).await.unwrap();
            assert!(bus.schedules().cancel(&key).await.unwrap());
        }
    };
    schedule(600).await;
    engine.retain().await.unwrap();
    let oldest = bus.stats().kept.oldest;
    assert!(oldest > 100);
    for (name, start) in [
        ("earliest", Start::Earliest),
        ("latest", Start::Latest),
        ("at", Start::At(1)),
    ] {
        let subscription = bus.subscription(name).pattern("**").start(start);
        subscription.handler(|_| async { Ok(()) }).await.unwrap();
    }
    // Nobody is woken by what is no event, and nobody holds it.
    schedule(600).await;
    engine.retain().await.unwrap();
    let kept = bus.stats().kept;
    assert!(kept.oldest > oldest && kept.holding.is_empty(), "{kept:?}");
    let last = bus.publish(event(&bus, "a.x", "2")).await.unwrap().position;
    idle(&bus).await;
    for subscription in bus.stats().subscriptions {
        assert_eq!(subscription.counts.acked, 1, "{last} {subscription:?}");
    }
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_wrong_for_years_drops_nothing_that_is_remembered() {
    let mut bed = Bed::new();
    bed.settings.deduplication_events = 10_000;
    bed.settings.retention_bytes = u64::MAX;
    let known = {
        let (engine, bus) = bed.open();
        let known = event(&bus, "a.x", "1");
        bus.publish(known.clone()).await.unwrap();
        fill(&bus, 5 * SEGMENT_BYTES).await;
        close((engine, bus)).await;
        known
    };
    let years = bed.clock.now().after(Duration::from_hours(20 * 366 * 24));
    bed.clock = Arc::new(sagabus::clock::TestClock::new(years, 9));
    let (engine, bus) = bed.open();
    fill(&bus, 5 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    assert!(bus.publish(known.clone()).await.unwrap().duplicate);
    // It is forgotten after its time, although nothing comes, and dropped then.
    tokio::time::sleep(Duration::from_hours(25)).await;
    assert!(bus.stats().kept.oldest > 100);
    assert!(!bus.publish(known).await.unwrap().duplicate);
    close((engine, bus)).await;
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_dropped_a_subscription_begins_with_the_first_event() {
    let bed = Bed::new();
    let (engine, bus) = bed.open();
    // What is left would be larger than what is dropped.
    fail(&bus, "s", "a.*").await;
    for _ in 0..200 {
        let large = event(&bus, "a.x", &format!("\"{}\"", "x".repeat(200)));
        bus.publish(large).await.unwrap();
    }
    idle(&bus).await;
    fill(&bus, 4 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    let oldest = bus.stats().kept.oldest;
    fill(&bus, 2 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    assert_eq!(bus.stats().kept.oldest, oldest, "it was not worth while");
    let got = handle(&bus, "t", "**").await;
    idle(&bus).await;
    let first = bus.read(oldest, 1).await.unwrap().events[0].0;
    assert_eq!(got.lock().unwrap()[0], first);
    close((engine, bus)).await;
}

#[tokio::test]
async fn whoever_waits_for_dropping_may_go_and_it_is_done_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut bed = Bed::new();
    bed.clock = Arc::new(sagabus::SystemClock);
    bed.disk = Arc::new(RealDisk::new(folder.path()).unwrap());
    let (engine, bus) = bed.open();
    fail(&bus, "dead", "a.*").await;
    let bad = bus.publish(event(&bus, "a.x", "1")).await.unwrap().position;
    for _ in 0..40 {
        let events: Vec<Event> = (0..20)
            .map(|_| event(&bus, "filler.x", &format!("\"{}\"", "x".repeat(200))))
            .collect();
        bus.publish_batch(events).await.unwrap();
        for _ in 0..4 {
            let retain = std::pin::pin!(engine.retain());
            tokio::select! {
                biased;
                outcome = retain => outcome.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    engine.retain().await.unwrap();
    assert!(bus.stats().kept.oldest > 100);
    close((engine, bus)).await;
    let (engine, bus) = bed.open();
    let letters = bus.dead_letters(all()).await.unwrap();
    assert_eq!((letters.len(), letters[0].position), (1, bad));
    close((engine, bus)).await;
}

/// A log of several segments that nobody needs and that may all be dropped from now on, on a disk that has no room.
async fn full(disk: &FaultDisk) -> (Bed, Vec<u64>) {
    let mut bed = Bed::new();
    bed.clock = Arc::new(sagabus::SystemClock);
    bed.disk = Arc::new(disk.clone());
    bed.settings.retention_bytes = u64::MAX;
    let (engine, bus) = bed.open();
    fill(&bus, 10 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    let all = positions(&bus).await;
    close((engine, bus)).await;
    bed.settings.retention_bytes = RETENTION_BYTES;
    disk.faults.is_full.store(true, Ordering::SeqCst);
    (bed, all)
}

/// As [`fill`], by somebody who repeats what was refused for want of room, as the error says.
async fn fill_when_there_is_room(bus: &Bus, bytes: u64) {
    for _ in 0..bytes / 300 {
        let filler = event(bus, "filler.x", &format!("\"{}\"", "x".repeat(200)));
        while let Err(error) = bus.publish(filler.clone()).await {
            assert_eq!(error.kind(), ErrorKind::Full);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_mended_by_dropping_into_the_room_that_is_kept_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(folder.path());
    let (bed, all) = full(&disk).await;
    let before = bed.bytes();
    let (engine, bus) = bed.open();
    engine.retain().await.unwrap();
    let kept = bus.stats().kept;
    assert!(kept.oldest > all[0] && kept.fault.is_none(), "{kept:?}");
    assert!(bed.bytes() < before - 4 * SEGMENT_BYTES);
    let left = positions(&bus).await;
    assert!(all.ends_with(&left) && !left.is_empty(), "{left:?}");
    close((engine, bus)).await;
    // What stands for them reads as any other; the room is kept anew as soon as there is some.
    assert!(files(folder.path(), "reserve.tmp").is_empty());
    let (engine, bus) = bed.open();
    assert_eq!(positions(&bus).await, left);
    disk.faults.is_full.store(false, Ordering::SeqCst);
    fill_when_there_is_room(&bus, 10 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    assert_eq!(files(folder.path(), "reserve.tmp").len(), 1);
    close((engine, bus)).await;
}

#[tokio::test]
async fn room_that_is_there_again_is_found_before_anybody_is_refused_for_want_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(folder.path());
    let (bed, _) = full(&disk).await;
    // The one of before is no sign of room.
    disk.remove("spare.tmp").unwrap();
    let (engine, bus) = bed.open();
    disk.faults.is_full.store(false, Ordering::SeqCst);
    while files(folder.path(), "spare.tmp").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fill(&bus, 3 * SEGMENT_BYTES).await;
    close((engine, bus)).await;
}

#[tokio::test]
async fn where_what_is_left_does_not_fit_into_the_room_that_is_kept_nothing_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(folder.path());
    let mut bed = Bed::new();
    bed.clock = Arc::new(sagabus::SystemClock);
    bed.disk = Arc::new(disk.clone());
    bed.settings.retention_bytes = u64::MAX;
    let (engine, bus) = bed.open();
    fail(&bus, "dead", "a.*").await;
    for number in 0..20 {
        let bad = event(&bus, "a.x", &number.to_string());
        bus.publish(bad).await.unwrap();
    }
    idle(&bus).await;
    fill(&bus, 10 * SEGMENT_BYTES).await;
    engine.retain().await.unwrap();
    close((engine, bus)).await;
    bed.settings.retention_bytes = RETENTION_BYTES;
    disk.faults.is_full.store(true, Ordering::SeqCst);
    let (engine, bus) = bed.open();
    let error = engine.retain().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(files(folder.path(), "reserve.tmp").len(), 1);
    assert_eq!(bus.dead_letters(all()).await.unwrap().len(), 20);
    // With fewer of them it does.
    let query = sagabus::transport::DeadLetterQuery::all();
    let by = By::new("me", "a test");
    bus.letters().discard(&query, &by).await.unwrap();
    engine.retain().await.unwrap();
    assert!(bus.stats().kept.oldest > 100);
    close((engine, bus)).await;
}

#[tokio::test]
async fn where_there_is_no_room_to_drop_nothing_is_health_says_so_and_all_can_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(folder.path());
    let (bed, all) = full(&disk).await;
    disk.remove("reserve.tmp").unwrap();
    let (engine, bus) = bed.open();
    let error = engine.retain().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    let told = bus.health().issues;
    assert!(told.iter().any(|it| it.contains("cannot be")), "{told:?}");
    assert_eq!(positions(&bus).await, all);
    let got = handle(&bus, "s", "**").await;
    disk.faults.is_full.store(false, Ordering::SeqCst);
    idle(&bus).await;
    let mut got = got.lock().unwrap().clone();
    got.sort_unstable();
    assert_eq!(got, all, "it begins with the first");
    engine.retain().await.unwrap();
    let kept = bus.stats().kept;
    assert!(kept.oldest > all[0] && kept.fault.is_none(), "{kept:?}");
    close((engine, bus)).await;
}

/// Files of the log in a directory, by what their names end with.
fn files(directory: &Path, suffix: &str) -> Vec<String> {
    let names = RealDisk::new(directory).unwrap().list().unwrap();
    let mut names: Vec<_> = names
        .into_iter()
        .filter(|it| it.ends_with(suffix))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn on_a_real_disk_the_log_has_a_bound_too_and_a_missing_beginning_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut bed = Bed::new();
    bed.clock = Arc::new(sagabus::SystemClock);
    let disk = FaultDisk::new(folder.path());
    bed.disk = Arc::new(disk.clone());
    let (engine, bus) = bed.open();
    let got = handle(&bus, "s", "**").await;
    fail(&bus, "dead", "a.*").await;
    let bad = bus.publish(event(&bus, "a.x", "1")).await.unwrap().position;
    for _ in 0..4 {
        let events: Vec<Event> = (0..200)
            .map(|_| event(&bus, "filler.x", &format!("\"{}\"", "x".repeat(200))))
            .collect();
        for some in events.chunks(20) {
            bus.publish_batch(some.to_vec()).await.unwrap();
        }
        idle(&bus).await;
        engine.retain().await.unwrap();
    }
    let bytes = bed.bytes();
    assert!(bytes < RETENTION_BYTES + 8 * SEGMENT_BYTES, "{bytes} bytes");
    assert_eq!(got.lock().unwrap().len(), 801);
    let used_again = disk.faults.used_again.load(Ordering::SeqCst);
    assert!(
        used_again > 3,
        "{used_again} dropped segments are used again"
    );
    close((engine, bus)).await;
    let compacted = files(folder.path(), ".compacted");
    assert_eq!(compacted.len(), 1);
    let (engine, bus) = bed.open();
    assert_eq!(files(folder.path(), ".compacted"), compacted);
    let letters = bus.dead_letters(all()).await.unwrap();
    assert_eq!(letters[0].position, bad);
    close((engine, bus)).await;

    std::fs::remove_file(folder.path().join(&compacted[0])).unwrap();
    let error = Embedded::on(Arc::clone(&bed.disk), &bed.settings, Arc::clone(&bed.clock));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("before it are missing"),
        "{error}"
    );
}
