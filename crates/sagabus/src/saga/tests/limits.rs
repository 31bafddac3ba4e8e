//! Bounds: how many run, how many wait, how long they are remembered.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, told};
use super::store::TestStore;
use crate::error::ErrorKind;
use crate::event::DATA_BYTES_MAX;
use crate::saga::machine::HELD_BYTES_MAX;
use crate::saga::{Handlers, SagaId, Sagas, Status, Step, StepPhase};

async fn start_many(sagas: &Sagas, count: usize) -> Vec<SagaId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(sagas.start(&chain(&["a"]), input()).await.unwrap());
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn sagas_beyond_the_limit_wait_for_their_turn_in_order() {
    let mut bed = Bed::new();
    bed.settings.active_max = 3;
    bed.world.script("a", &[Act::DoAfter(100); 10]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((sagas.stats().active, sagas.stats().queued), (3, 7));
    assert_eq!(bed.world.calls().len(), 3);
    assert_eq!(sagas.status(&ids[3]).unwrap().status, Status::Queued);
    assert_eq!(
        sagas.health().issues,
        ["High number of active sagas: 10, more than 3"]
    );
    for id in &ids {
        assert_eq!(sagas.wait(id).await.unwrap().status, Status::Completed);
    }
    let mut keys: Vec<String> = ids.iter().map(|id| format!("{id}/a")).collect();
    let mut seen = bed.world.keys();
    // Three at a time; within one moment the order is open.
    seen.chunks_mut(3).for_each(<[String]>::sort);
    keys.chunks_mut(3).for_each(<[String]>::sort);
    assert_eq!(seen, keys);
    assert_eq!((sagas.stats().active, sagas.stats().completed), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn waiting_sagas_survive_a_restart() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 3).await;
    assert_eq!(sagas.shutdown(Duration::ZERO).await, 3);
    let sagas = bed.open().await;
    for id in &ids {
        assert_eq!(sagas.wait(id).await.unwrap().status, Status::Completed);
    }
    assert_eq!(bed.world.count("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_saga_can_be_cancelled_and_never_runs() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 3).await;
    let status = sagas.cancel(&ids[1], "not needed").await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(sagas.wait(&ids[2]).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.count("a"), 2);
    assert_eq!(bed.world.count("undo_a"), 0);
    assert_eq!(sagas.stats().queued, 0);
    let told = told(&bed.disk);
    assert_eq!(told.iter().filter(|event| *event == "failed").count(), 1);
    assert!(!told.contains(&"compensation_started".to_owned()));
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_are_refused_as_full() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.settings.queued_max = 2;
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    start_many(&sagas, 3).await;
    let error = sagas.start(&chain(&["a"]), input()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(bed.disk.stored().len(), 3);
    // That is more than a long line.
    let health = sagas.health();
    assert_eq!(
        health.issues,
        [
            "2 sagas wait for their turn, as many as may: no other is started",
            "High number of active sagas: 3, more than 1"
        ]
    );
    assert_eq!(health.warnings, health.issues[1..]);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_holds_no_slot() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn finished_sagas_leave_the_memory_but_their_keys_stay() {
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(10);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a"]), input().keyed("k"))
        .await
        .unwrap();
    sagas.wait(&id).await.unwrap();
    assert_eq!(sagas.history().len(), 1);
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(sagas.history().len(), 0);
    assert_eq!(sagas.status(&id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        sagas
            .start(&chain(&["a"]), input().keyed("k"))
            .await
            .unwrap(),
        id
    );
    assert_eq!(bed.world.count("a"), 1);
    assert_eq!(sagas.stats().completed, 1);
    // The same after a restart.
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.history().len(), 0);
    assert_eq!(
        sagas
            .start(&chain(&["a"]), input().keyed("k"))
            .await
            .unwrap(),
        id
    );
}

#[tokio::test(start_paused = true)]
async fn after_their_time_nothing_of_finished_sagas_is_in_memory_but_their_keys() {
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(10);
    bed.settings.service_limits = vec!["svc=50".parse().unwrap()];
    bed.settings.keys_max = 500;
    // `RUN_SLOW=1` lets a hundred thousand go by.
    let rounds = std::env::var_os("RUN_SLOW").map_or(10, |_| 1_000);
    let sagas = bed.open().await;
    let nothing = sagas.held();
    for round in 0..rounds {
        let mut ids = Vec::new();
        for number in 0..100 {
            let start = input().keyed(format!("order {round:05}/{number:02}"));
            let start = start.attribute("round", round.to_string());
            ids.push(sagas.start(&chain(&["a"]), start).await.unwrap());
        }
        for id in &ids {
            sagas.wait(id).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(25)).await;
        let held = sagas.held();
        let keys = (100 * (round + 1)).min(500);
        assert_eq!(held, crate::saga::orchestrator::Held { keys, ..nothing });
        bed.disk.forget();
    }
    let bytes = sagas.key_bytes();
    println!(
        "{} sagas: 0 held, {bytes} bytes of a key each",
        rounds * 100
    );
    // The text of the key and that of the id, and where each stands.
    assert!(bytes <= 500, "{bytes}");
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn finished_sagas_in_memory_have_a_bound_and_the_oldest_go_first() {
    let mut bed = Bed::new();
    bed.settings.finished_max = 2;
    let sagas = bed.open().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        let start = input().keyed(format!("k{number}"));
        let id = sagas.start(&chain(&["a"]), start).await.unwrap();
        sagas.wait(&id).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        ids.push(id);
    }
    let kept = |sagas: &Sagas| -> Vec<SagaId> {
        sagas.history().into_iter().map(|saga| saga.id).collect()
    };
    assert_eq!(kept(&sagas), ids[2..]);
    assert_eq!(sagas.stats().completed, 4);
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(kept(&sagas), ids[2..]);
    let again = sagas
        .start(&chain(&["a"]), input().keyed("k0"))
        .await
        .unwrap();
    assert_eq!(again, ids[0]);
}

#[tokio::test(start_paused = true)]
async fn remembered_keys_have_a_bound_and_the_oldest_go_first() {
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(10);
    bed.settings.keys_max = 1;
    let sagas = bed.open().await;
    let definition = chain(&["a"]);
    let old = sagas
        .start(&definition, input().keyed("old"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let new = sagas
        .start(&definition, input().keyed("new"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(
        sagas
            .start(&definition, input().keyed("new"))
            .await
            .unwrap(),
        new
    );
    assert_ne!(
        sagas
            .start(&definition, input().keyed("old"))
            .await
            .unwrap(),
        old
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_active_saga_makes_health_complain() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Retry; 100]);
    let sagas = bed.open().await;
    let definition = super::bed::define(vec![super::bed::step("a").retries(99)]);
    sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert!(sagas.health().healthy);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let health = sagas.health();
    assert_eq!(health.issues, ["1 sagas appear to be stuck"]);
    assert_eq!(health.active_sagas, 1);
}

#[tokio::test(start_paused = true)]
async fn settings_that_leave_nothing_to_do_are_refused() {
    let mut settings = crate::saga::Settings::default();
    settings.validate().unwrap();
    settings.active_max = 0;
    assert_eq!(
        settings.validate().unwrap_err().to_string(),
        "saga setting `active_max` is zero"
    );
}

#[tokio::test(start_paused = true)]
async fn an_output_beyond_what_one_saga_may_hold_leaves_its_step_in_doubt() {
    let bed = Bed::new();
    // With its quotes as large as an output may be.
    let handlers = Handlers::new().handle("big", "fill", |_| async {
        Ok(serde_json::json!("x".repeat(DATA_BYTES_MAX - 2)))
    });
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    let fits = HELD_BYTES_MAX / DATA_BYTES_MAX;
    let steps = (0..fits + 3).map(|at| {
        let step = Step::new(format!("s{at}")).service("big").action("fill");
        match at {
            0 => step,
            _ => step.after(format!("s{}", at - 1)),
        }
    });
    let id = sagas
        .start(&define(steps.collect()), input())
        .await
        .unwrap();
    let status = sagas.wait(&id).await.unwrap();
    // The input takes room too, so that one output less fits.
    let last = fits - 1;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(
        status.error,
        Some(format!(
            "step `s{last}` failed: saga has no room for an output of {DATA_BYTES_MAX} bytes"
        ))
    );
    let outputs = status.steps.iter().filter_map(|step| step.output.as_ref());
    assert_eq!(
        outputs.map(bytes::Bytes::len).sum::<usize>(),
        last * DATA_BYTES_MAX
    );
    assert_eq!(status.steps[last].phase, StepPhase::Failed);
    assert_eq!(status.steps[last + 1].phase, StepPhase::NotRun);
    super::invariants::check(&bed.disk);
}
