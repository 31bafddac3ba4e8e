//! Who runs when: a queue or none, priorities, concurrency keys, and what passes the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use crate::clock::Clock;
use crate::engines::embedded::Embedded;
use crate::error::ErrorKind;
use crate::saga::definition::Options;
use crate::saga::handlers::StepError;
use crate::saga::{
    ConcurrencyKey, Definition, Earlier, Handlers, OnConflict, Priority, SagaId, Sagas, Settings,
    Start, Status, Step, StepContext,
};
use crate::saga_store::SagaStore;

/// The sagas whose step `a` was called, in order, by their place in `ids`.
fn order(bed: &Bed, ids: &[SagaId]) -> Vec<usize> {
    let keys = bed.world.keys();
    let of = |key: &String| {
        let id = key.strip_suffix("/a")?;
        ids.iter().position(|other| other.as_str() == id)
    };
    keys.iter().filter_map(of).collect()
}

fn keyed(key: ConcurrencyKey) -> Definition {
    let options = Options {
        concurrency_key: Some(key),
        ..Options::default()
    };
    let builder = Definition::builder("keyed").options(options);
    builder.step(step("a")).build().unwrap()
}

fn of_sample(on_conflict: OnConflict) -> Definition {
    keyed(ConcurrencyKey {
        on_conflict,
        ..ConcurrencyKey::new("sample {sampleId}")
    })
}

fn sample(id: &str) -> Start {
    Start::new(format!(r#"{{"sampleId":"{id}"}}"#))
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_start_beyond_the_limit_is_refused_and_nothing_is_stored() {
    let mut bed = Bed::new();
    bed.settings.active_max = 2;
    bed.settings.queued_max = 0;
    bed.world.script("a", &[Act::DoAfter(100); 2]);
    let sagas = bed.open().await;
    for _ in 0..2 {
        sagas.start(&chain(&["a"]), input()).await.unwrap();
    }
    let error = sagas.start(&chain(&["a"]), input()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(bed.disk.stored().len(), 2);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_goes_first_and_age_raises_those_that_wait() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.settings.priority_age = Duration::from_secs(60);
    bed.world.script("a", &[Act::DoAfter(25_000); 30]);
    let sagas = bed.open().await;
    let definition = chain(&["a"]);
    let first = sagas.start(&definition, input()).await.unwrap();
    let mut ids = vec![first];
    for priority in [Priority::Low, Priority::Normal, Priority::High] {
        let start = input().priority(priority);
        ids.push(sagas.start(&definition, start).await.unwrap());
    }
    // There is always an urgent one that waits: every 20 seconds one comes, and each takes 25.
    for _ in 0..13 {
        let start = input().priority(Priority::Urgent);
        ids.push(sagas.start(&definition, start).await.unwrap());
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    for id in &ids {
        settled(&sagas, id).await;
    }
    let order = order(&bed, &ids);
    let place = |of: usize| order.iter().position(|it| *it == of).unwrap();
    // Each waits for the urgent ones of the next 60, 120 and 180 seconds, and for no more.
    let (low, normal, high) = (place(1), place(2), place(3));
    let before = |own: usize| order[..own].iter().filter(|it| **it >= 4).count();
    assert_eq!(
        (before(high), before(normal), before(low)),
        (3, 6, 9),
        "{order:?}"
    );
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_says_how_urgent_it_is_or_else_its_definition_also_after_a_restart() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::Hang]);
    let of = |priority| {
        let options = Options {
            priority,
            ..Options::default()
        };
        let builder = Definition::builder("p").options(options);
        builder.step(step("a")).build().unwrap()
    };
    let sagas = bed.open().await;
    let mut ids = Vec::new();
    for (definition, start) in [
        (of(Priority::Low), input()),
        (of(Priority::Low), input()),
        (of(Priority::Normal), input()),
        (of(Priority::High), input().priority(Priority::Normal)),
        (of(Priority::Low), input().priority(Priority::Urgent)),
        (of(Priority::High), input()),
    ] {
        ids.push(sagas.start(&definition, start).await.unwrap());
    }
    let shown = |sagas: &Sagas| -> Vec<&str> {
        let all = ids.iter().map(|id| sagas.status(id).unwrap().priority);
        all.map(Priority::as_str).collect()
    };
    let words = ["low", "low", "normal", "normal", "urgent", "high"];
    assert_eq!(shown(&sagas), words);
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(shown(&sagas), words);
    for id in &ids {
        settled(&sagas, id).await;
    }
    // The first one had begun, so it goes on before all others.
    assert_eq!(order(&bed, &ids), [0, 0, 4, 5, 2, 3, 1]);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn sagas_with_one_key_wait_for_each_other() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(100); 4]);
    let sagas = bed.open().await;
    let definition = of_sample(OnConflict::Queue);
    let mut ids = Vec::new();
    for id in ["S-1", "S-1", "S-2", "S-1"] {
        ids.push(sagas.start(&definition, sample(id)).await.unwrap());
    }
    // Another definition has the same text as its key.
    let other = keyed(ConcurrencyKey::new("sample {/sampleId}"));
    ids.push(sagas.start(&other, sample("S-2")).await.unwrap());
    let stats = sagas.stats();
    assert_eq!((stats.active, stats.queued), (2, 3));
    assert_eq!(
        sagas.status(&ids[1]).unwrap().concurrency_key.as_deref(),
        Some("sample S-1")
    );
    let began = bed.clock.elapsed();
    for id in &ids {
        settled(&sagas, id).await;
    }
    assert_eq!(order(&bed, &ids).len(), 5);
    let took = bed.clock.elapsed() - began;
    assert!(
        took >= Duration::from_millis(200),
        "one after the other: {took:?}"
    );
    let mut of_first = order(&bed, &ids);
    of_first.retain(|it| [0, 1, 3].contains(it));
    assert_eq!(of_first, [0, 1, 3]);
    for wrong in [
        r#"{"sampleId":null}"#,
        r#"{"sampleId":""}"#,
        "{}",
        "[1]",
        r#"{"sampleId":{}}"#,
    ] {
        let refused = sagas.start(&definition, Start::new(wrong)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{wrong}");
    }
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn as_many_sagas_with_one_key_run_as_its_limit_says() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(100); 5]);
    let sagas = bed.open().await;
    let definition = keyed(ConcurrencyKey {
        limit: 2,
        ..ConcurrencyKey::new("{sampleId}")
    });
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(sagas.start(&definition, sample("S-1")).await.unwrap());
    }
    for waiting in [3, 1, 0] {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(sagas.stats().queued, waiting);
        tokio::time::sleep(Duration::from_millis(95)).await;
    }
    for id in &ids {
        settled(&sagas, id).await;
    }
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_held_refuses_attaches_or_cancels_as_the_definition_says() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(10_000)]);
    let sagas = bed.open().await;
    let first = sagas
        .start(&of_sample(OnConflict::Queue), sample("S-1"))
        .await
        .unwrap();
    let reject = of_sample(OnConflict::Reject);
    let error = sagas.start(&reject, sample("S-1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let attach = of_sample(OnConflict::Attach);
    let same = sagas.start_or_find(&attach, sample("S-1")).await.unwrap();
    assert_eq!(
        (same.id, same.earlier),
        (first.clone(), Some(Earlier::Attached { is_other: true }))
    );
    assert_eq!(bed.disk.stored().len(), 1, "nothing is stored for both");
    let cancel = of_sample(OnConflict::CancelExisting);
    let next = sagas.start(&cancel, sample("S-1")).await.unwrap();
    assert_eq!(settled(&sagas, &next).await.status, Status::Completed);
    let before = sagas.status(&first).unwrap();
    assert_eq!(before.status, Status::Cancelled);
    let reason = before.operated[0].by.reason.clone();
    assert!(reason.contains(next.as_str()), "{reason}");
    // With nobody there each of them begins.
    for definition in [&reject, &attach, &cancel] {
        let id = sagas.start(definition, sample("S-1")).await.unwrap();
        assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    }
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn keys_are_held_over_a_restart_and_by_stuck_sagas() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang, Act::Do, Act::InDoubt]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    let queue = of_sample(OnConflict::Queue);
    let first = sagas.start(&queue, sample("S-1")).await.unwrap();
    let second = sagas.start(&queue, sample("S-1")).await.unwrap();
    let cancel = of_sample(OnConflict::CancelExisting);
    let apart = sagas.start(&queue, sample("S-2")).await.unwrap();
    settled(&sagas, &apart).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    let stuck = settled(&sagas, &first).await;
    assert_eq!(stuck.status, Status::CompensationStuck);
    assert_eq!(sagas.status(&second).unwrap().status, Status::Queued);
    assert_eq!(sagas.stats().queued, 1);
    // What is stuck has turned back, so that it is not cancelled; what waits is.
    let third = sagas.start(&cancel, sample("S-1")).await.unwrap();
    assert_eq!(settled(&sagas, &second).await.status, Status::Cancelled);
    assert_eq!(sagas.status(&third).unwrap().status, Status::Queued);
    sagas.abandon(&first, "by hand").await.unwrap();
    assert_eq!(settled(&sagas, &third).await.status, Status::Completed);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_saga_that_is_cancelled_leaves_the_line_to_its_key() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    let queue = of_sample(OnConflict::Queue);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sagas.start(&queue, sample("S-1")).await.unwrap());
    }
    sagas.cancel(&ids[1], "not needed").await.unwrap();
    assert_eq!(sagas.stats().queued, 1);
    assert_eq!(settled(&sagas, &ids[2]).await.status, Status::Completed);
    assert_eq!(order(&bed, &ids), [0, 2]);
    assert_eq!((sagas.stats().active, sagas.stats().queued), (0, 0));
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_goes_on_beyond_the_limit_before_what_waits() {
    let mut bed = Bed::new();
    bed.settings.active_max = 5;
    bed.world.script("a", &[Act::Hang; 5]);
    let sagas = bed.open().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(sagas.start(&chain(&["a"]), input()).await.unwrap());
    }
    let start = input().priority(Priority::Urgent);
    ids.push(sagas.start(&chain(&["a"]), start).await.unwrap());
    sagas.shutdown(Duration::ZERO).await;
    // Fewer may run now.
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(100); 6]);
    let sagas = bed.open().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((sagas.stats().active, sagas.stats().queued), (5, 1));
    for id in &ids {
        settled(&sagas, id).await;
    }
    let order = order(&bed, &ids);
    assert_eq!(order.last(), Some(&5), "{order:?}");
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_compensations_passes_the_limit() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("b", &[Act::Reject; 50]);
    bed.world.script("undo_a", &[Act::Reject; 50]);
    let sagas = bed.open().await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
        assert_eq!(settled(&sagas, &id).await.status, Status::CompensationStuck);
        ids.push(id);
    }
    assert_eq!(sagas.stats().active, 0, "what is stuck holds no slot");
    bed.world.script("c", &[Act::Hang]);
    sagas.start(&chain(&["c"]), input()).await.unwrap();
    bed.world.script("undo_a", &[Act::DoAfter(100); 50]);
    for id in &ids {
        sagas.retry_compensation(id).await.unwrap();
    }
    assert_eq!(sagas.stats().active, 51);
    for id in &ids {
        assert_eq!(settled(&sagas, id).await.status, Status::Compensated);
    }
    assert_eq!(sagas.stats().active, 1);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_told_how_long_sagas_waited() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(2_000), Act::Hang]);
    let sagas = bed.open().await;
    for _ in 0..3 {
        sagas.start(&chain(&["a"]), input()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let waits = sagas.stats().waits;
    assert_eq!(
        (waits.count, waits.sum.as_secs(), waits.max.as_secs()),
        (2, 2, 2)
    );
    assert_eq!((waits.buckets[0], waits.buckets[4]), (1, 1));
    sagas.shutdown(Duration::ZERO).await;
    // Time in which no process ran counts.
    tokio::time::sleep(Duration::from_secs(100)).await;
    let sagas = bed.open().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waits = sagas.stats().waits;
    assert_eq!((waits.count, waits.max.as_secs()), (1, 110));
    sagas.shutdown(Duration::ZERO).await;
}

/// How many handlers are at work, and how many were at most.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_sagas_a_hundred_run_at_one_time_and_all_are_run() {
    const SAGAS: u64 = 10_000;
    let bed = Bed::new();
    let clock = Arc::clone(&bed.clock) as Arc<dyn Clock>;
    let crowd = Arc::new(Crowd::default());
    let counted = Arc::clone(&crowd);
    let handlers = Handlers::new()
        .handle("svc", "a", move |context: StepContext| {
            let crowd = Arc::clone(&counted);
            async move {
                let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
                crowd.most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                crowd.now.fetch_sub(1, Ordering::SeqCst);
                match context.input_as::<u64>()? % 100 {
                    0 => Err(StepError::InDoubt("who knows".to_owned())),
                    _ => Ok(()),
                }
            }
        })
        .compensate("svc", "undo_a", |_| async {
            Err::<(), _>(StepError::Reject("it stays".to_owned()))
        });
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let settings = Settings {
        finished_max: 20_000,
        cleanup_interval: Duration::from_secs(24 * 3_600),
        ..Settings::default()
    };
    let sagas = Sagas::builder(engine as Arc<dyn SagaStore>, clock)
        .settings(settings)
        .handlers(handlers)
        .open()
        .await
        .unwrap();
    let definition = define(vec![Step::new("a").service("svc").compensated_by("undo_a")]);
    let mut ids = Vec::new();
    for number in 0..SAGAS {
        let priority = Priority::ALL[usize::try_from(number % 4).unwrap()];
        let start = Start::new(number.to_string()).priority(priority);
        ids.push(sagas.start(&definition, start).await.unwrap());
    }
    let mut ends = [0_u64; 2];
    for id in &ids {
        match settled(&sagas, id).await.status {
            Status::Completed => ends[0] += 1,
            Status::CompensationStuck => ends[1] += 1,
            other => panic!("{id} is {other}"),
        }
    }
    assert_eq!(ends, [SAGAS - SAGAS / 100, SAGAS / 100]);
    assert_eq!(crowd.most.load(Ordering::SeqCst), 100);
    let stats = sagas.stats();
    assert_eq!((stats.active, stats.queued, stats.stuck), (0, 0, 100));
    assert_eq!(stats.waits.count, SAGAS);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn health_and_counts_tell_of_what_is_old_idle_and_late() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    // One comes further every four minutes, and one hangs.
    let timers = (0..3).map(|at| {
        let wait = Step::new(format!("w{at}")).timer(Duration::from_secs(240));
        match at {
            0 => wait,
            _ => wait.after(format!("w{}", at - 1)),
        }
    });
    let slow = step("b").timeout(Duration::from_secs(3_600)).after("w2");
    let going = timers.chain([slow, step("c").timeout(Duration::from_secs(3_600))]);
    bed.world.script("c", &[Act::Hang]);
    bed.world.script("b", &[Act::Hang]);
    sagas
        .start(&define(going.collect()), input())
        .await
        .unwrap();
    let hangs = define(vec![step("a").timeout(Duration::from_secs(3_600))]);
    sagas.start(&hangs, input()).await.unwrap();
    assert!(sagas.health().healthy);
    tokio::time::sleep(Duration::from_secs(400)).await;
    let stats = sagas.stats();
    assert_eq!((stats.old, stats.idle, stats.poisoned), (2, 1, 0));
    let issues = sagas.health().issues;
    assert_eq!(
        issues,
        [
            "2 sagas appear to be stuck",
            "1 sagas have come no further for 300s"
        ]
    );
    sagas.shutdown(Duration::ZERO).await;
}
