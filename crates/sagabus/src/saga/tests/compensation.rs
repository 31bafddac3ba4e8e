//! Backward: order, retries, and what happens when taking back fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step, told};
use super::store::TestStore;
use crate::error::ErrorKind;
use crate::saga::{
    Compensate, Definition, EffectClass, Handlers, Options, Order, PlainErrors, Sagas, Status,
    Step, StepError, StepPhase, TurnedBackBy,
};

#[tokio::test(start_paused = true)]
async fn a_failed_step_compensates_the_steps_before_it_in_reverse_order() {
    let bed = Bed::new();
    bed.world.script("d", &[Act::Reject]);
    let status = bed.run(&chain(&["a", "b", "c", "d"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(
        bed.world.effects(),
        ["a", "b", "c", "undo_c", "undo_b", "undo_a"]
    );
    assert_eq!(status.steps[0].phase, StepPhase::Compensated);
}

#[tokio::test(start_paused = true)]
async fn compensation_follows_the_order_of_execution_and_not_of_the_definition() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let definition = define(vec![step("b").after("a"), step("a"), step("c").after("b")]);
    bed.run(&definition).await;
    assert_eq!(bed.world.effects(), ["a", "b", "undo_b", "undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_without_compensation_has_nothing_to_take_back() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let neutral = Step::new("b").service("svc").after("a");
    let status = bed
        .run(&define(vec![step("a"), neutral, step("c").after("b")]))
        .await;
    assert_eq!(bed.world.effects(), ["a", "b", "undo_a"]);
    assert_eq!(status.steps[1].phase, StepPhase::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_failing_compensation_is_tried_again() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Retry, Act::InDoubt]);
    let status = bed.run(&chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.calls()[2..], ["undo_a#1", "undo_a#2", "undo_a#3"]);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_that_keeps_failing_is_stuck_and_never_called_compensated() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    bed.world.script("undo_b", &[Act::Retry; 9]);
    let status = bed.run(&chain(&["a", "b", "c"])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[1].phase, StepPhase::CompensationStuck);
    assert_eq!(status.steps[1].error.as_deref(), Some("undo_b is busy"));
    assert_eq!(bed.world.count("undo_a"), 0);
    let told = told(&bed.disk);
    assert_eq!(told.last().unwrap(), "compensation_failed b");
    assert!(!told.contains(&"compensation_completed".to_owned()));
    assert!(!told.contains(&"failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_compensation_times_out_and_is_stuck() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Hang; 3]);
    let limited = step("a").timeout(Duration::from_millis(50));
    let status = bed.run(&define(vec![limited, step("b").after("a")])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[0].compensation_attempts, 3);
    assert_eq!(
        status.steps[0].error.as_deref(),
        Some("timed out after 50ms")
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_compensation_is_stuck_at_once() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    let status = bed.run(&chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[0].compensation_attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_compensation_is_a_failed_attempt() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Panic]);
    let status = bed.run(&chain(&["a", "b"])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.steps[0].compensation_attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_have_a_stuck_compensation_tried_again() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    // The second series has all its attempts again.
    bed.world.script("undo_b", &[Act::Retry; 5]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a", "b", "c"]), input())
        .await
        .unwrap();
    assert_eq!(settled(&sagas, &id).await.status, Status::CompensationStuck);
    assert_eq!(sagas.stats().stuck, 1);
    assert_eq!(sagas.stats().active, 0);
    assert_eq!(sagas.health().issues, ["1 sagas have a stuck compensation"]);
    sagas.retry_compensation(&id).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "b", "undo_b", "undo_a"]);
    assert!(sagas.health().healthy);
    let again = sagas.retry_compensation(&id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn only_a_stuck_saga_can_be_retried_or_given_up() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    let error = sagas.abandon(&id, "tired").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = sagas.retry_compensation(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_that_is_given_up_has_failed() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    settled(&sagas, &id).await;
    let status = sagas.abandon(&id, "cleaned up by hand").await.unwrap();
    assert_eq!(status.status, Status::Failed);
    assert_eq!(
        status.error.as_deref(),
        Some("step `b` failed: b is refused")
    );
    assert_eq!(
        (status.unsettled, status.inconsistent),
        (vec!["a".to_owned()], true)
    );
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Failed);
    assert_eq!(told(&bed.disk)[6..], ["compensation_failed a", "failed"]);
    assert_eq!(sagas.stats().failed, 1);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_stays_stuck_after_a_restart_until_an_operator_acts() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Reject]);
    bed.run(&chain(&["a", "b"])).await;
    let sagas = bed.open().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let status = sagas.active().remove(0);
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(bed.world.count("undo_a"), 0);
    sagas.retry_compensation(&status.id).await.unwrap();
    assert_eq!(
        sagas.wait(&status.id).await.unwrap().status,
        Status::Compensated
    );
    assert_eq!(bed.world.count("undo_a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_compensation_counts_as_active_beyond_the_limit() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("b", &[Act::Reject]);
    bed.world
        .script("undo_a", &[Act::Reject, Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let stuck = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    settled(&sagas, &stuck).await;
    bed.world.script("c", &[Act::DoAfter(200)]);
    let running = sagas.start(&chain(&["c"]), input()).await.unwrap();
    sagas.retry_compensation(&stuck).await.unwrap();
    assert_eq!((sagas.stats().active, sagas.stats().stuck), (2, 0));
    sagas.wait(&stuck).await.unwrap();
    assert_eq!(sagas.stats().active, 1);
    sagas.wait(&running).await.unwrap();
    assert_eq!(sagas.stats().active, 0);
}

fn parallel(steps: Vec<Step>) -> Definition {
    let options = Options {
        compensation: Order::Parallel,
        ..Options::default()
    };
    let builder = Definition::builder("saga").options(options);
    let builder = steps.into_iter().fold(builder, |all, step| all.step(step));
    builder.build().unwrap()
}

/// `a`, behind it `b` and `c`, and `d` behind `b` by way of a step with nothing to take back.
fn branches() -> Definition {
    parallel(vec![
        step("a"),
        step("b").after("a"),
        step("c").after("a"),
        Step::new("n").service("svc").action("e").after("b"),
        step("d").after("n"),
        step("f").after("d").after("c"),
    ])
}

#[tokio::test(start_paused = true)]
async fn in_parallel_a_step_waits_for_all_that_follows_from_it_at_any_distance() {
    let bed = Bed::new();
    bed.world.script("f", &[Act::Reject]);
    bed.world.script("undo_d", &[Act::DoAfter(300)]);
    bed.world.script("undo_c", &[Act::DoAfter(200)]);
    let began = tokio::time::Instant::now();
    let status = bed.run(&branches()).await;
    assert_eq!(status.status, Status::Compensated);
    // `c` and `d` at once; `b` after `d`, though the step between them has nothing to take back.
    let effects = bed.world.effects();
    assert_eq!(effects[5..], ["undo_c", "undo_d", "undo_b", "undo_a"]);
    assert!(began.elapsed() < Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn in_parallel_a_stuck_step_lets_those_finish_that_are_not_before_it() {
    let bed = Bed::new();
    bed.world.script("f", &[Act::Reject]);
    bed.world.script("undo_c", &[Act::Reject]);
    bed.world.script("undo_d", &[Act::DoAfter(200)]);
    let sagas = bed.open().await;
    let id = sagas.start(&branches(), input()).await.unwrap();
    let status = settled(&sagas, &id).await;
    assert_eq!(status.status, Status::CompensationStuck);
    let effects = bed.world.effects();
    assert_eq!(effects[5..], ["undo_d", "undo_b"]);
    assert_eq!(status.unsettled, ["a", "c"]);
    sagas.retry_compensation(&id).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.effects()[7..], ["undo_c", "undo_a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn compensations_in_parallel_that_are_cut_off_are_run_again_with_their_keys() {
    let bed = Bed::new();
    bed.world.script("f", &[Act::Reject]);
    bed.world.script("undo_c", &[Act::Hang]);
    bed.world.script("undo_d", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&branches(), input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    let count = |key: &str| bed.world.keys().iter().filter(|it| **it == key).count();
    assert_eq!(count(&format!("{id}/c/undo")), 2);
    assert_eq!(count(&format!("{id}/d/undo")), 2);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_taken_back_when_completed_when_in_doubt_or_always_as_it_says() {
    // What the step does, and which of the three take it back.
    for (act, taken_back) in [
        (Act::Do, [true, true, true]),
        (Act::InDoubt, [false, true, true]),
        (Act::Reject, [false, false, true]),
    ] {
        let policies = [
            Compensate::Completed,
            Compensate::CompletedOrInDoubt,
            Compensate::Always,
        ];
        for (policy, expected) in policies.into_iter().zip(taken_back) {
            let bed = Bed::new();
            bed.world.script("a", &[act]);
            bed.world.script("b", &[Act::Reject]);
            let own = step("a").compensate(policy);
            let status = bed.run(&define(vec![own, step("b").after("a")])).await;
            assert_eq!(status.status, Status::Compensated);
            let is = bed.world.count("undo_a") == 1;
            assert_eq!(is, expected, "{act:?} {policy:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compensation_can_have_its_own_time_limit_and_tries() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::Hang; 9]);
    let own = step("a")
        .timeout(Duration::from_secs(60))
        .compensation_timeout(Duration::from_millis(70))
        .compensation_retries(1);
    let status = bed.run(&define(vec![own, step("b").after("a")])).await;
    assert_eq!(status.status, Status::CompensationStuck);
    assert_eq!(status.steps[0].compensation_attempts, 2);
    let error = status.steps[0].error.as_deref();
    assert_eq!(error, Some("timed out after 70ms"));
}

#[tokio::test(start_paused = true)]
async fn a_plain_error_leaves_no_effect_or_a_doubt_as_the_definition_says() {
    for (plain_errors, undone) in [(PlainErrors::NoEffect, 0), (PlainErrors::InDoubt, 1)] {
        let bed = Bed::new();
        bed.world.script("a", &[Act::Retry]);
        let options = Options {
            plain_errors,
            ..Options::default()
        };
        let builder = Definition::builder("saga").options(options);
        let status = bed.run(&builder.step(step("a")).build().unwrap()).await;
        assert_eq!(status.status, Status::Compensated);
        assert_eq!(bed.world.count("undo_a"), undone);
    }
}

#[tokio::test(start_paused = true)]
async fn a_compensation_gets_cause_and_effect_class() {
    let seen: Arc<Mutex<Vec<(TurnedBackBy, EffectClass)>>> = Arc::default();
    let bed = Bed::new();
    let mut handlers = Handlers::new()
        .handle("svc", "a", |_| async { Ok(()) })
        .handle("svc", "b", |_| async {
            Err::<(), _>(StepError::InDoubt("?".to_owned()))
        })
        .handle("svc", "c", |_| async {
            Err::<(), _>(StepError::Reject("no".to_owned()))
        });
    for id in ["undo_a", "undo_b", "undo_c"] {
        let seen = Arc::clone(&seen);
        handlers = handlers.compensate("svc", id, move |context| {
            let seen = Arc::clone(&seen);
            async move {
                let told = (context.cause(), context.effect());
                seen.lock().unwrap().push(told);
                Ok(())
            }
        });
    }
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    for failing in ["b", "c"] {
        let own = step(failing).after("a").compensate(Compensate::Always);
        let definition = define(vec![step("a"), own]);
        let id = sagas.start(&definition, input()).await.unwrap();
        sagas.wait(&id).await.unwrap();
    }
    let by = |step: &str| TurnedBackBy::Step(step.to_owned());
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (by("b"), EffectClass::Unknown),
            (by("b"), EffectClass::Applied),
            (by("c"), EffectClass::None),
            (by("c"), EffectClass::Applied),
        ]
    );
}
