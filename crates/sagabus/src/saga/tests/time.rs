//! Time limits: of the saga, of its turn, of all attempts of a step, of the silence of a handler, of a compensation.

use std::time::Duration;

use super::bed::{Act, Bed, define, input, settled, step};
use super::store::TestStore;
use crate::ledger::By;
use crate::saga::definition::Options;
use crate::saga::{
    Action, Definition, Handlers, InFlight, OnInDoubt, SagaId, Sagas, Status, Step, StepContext,
    StepError, StepPhase,
};

fn limited(steps: Vec<Step>, options: Options) -> Definition {
    let builder = Definition::builder("saga").options(options);
    let builder = steps.into_iter().fold(builder, |all, step| all.step(step));
    builder.build().unwrap()
}

fn deadline(steps: Vec<Step>, limit: Duration) -> Definition {
    let options = Options {
        deadline: Some(limit),
        ..Options::default()
    };
    limited(steps, options)
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_saga_beyond_its_deadline_is_taken_back() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfter(100_000)]);
    let slow = step("b").after("a").timeout(Duration::from_secs(200));
    let definition = deadline(vec![step("a"), slow], 10 * SECOND);
    let began = tokio::time::Instant::now();
    let status = bed.run(&definition).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(
        status.error.as_deref(),
        Some("saga was not done within 10s")
    );
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    assert!(began.elapsed() >= 10 * SECOND && began.elapsed() < 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_from_the_start_of_the_saga_over_restarts_and_pauses() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang; 9]);
    let slow = step("a").timeout(Duration::from_secs(300));
    let definition = deadline(vec![slow], 100 * SECOND);
    let sagas = bed.open().await;
    let began = tokio::time::Instant::now();
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    let took = began.elapsed();
    assert!(took >= 100 * SECOND && took < 107 * SECOND, "{took:?}");

    // What is paused misses it, and sees it when it goes on.
    let by = || By::new("ann", "");
    let id = sagas.start(&definition, input()).await.unwrap();
    sagas.operate(&id, Action::Pause, by()).await.unwrap();
    tokio::time::sleep(150 * SECOND).await;
    assert_eq!(sagas.status(&id).unwrap().status, Status::Paused);
    assert_eq!(sagas.health().issues, ["1 sagas are beyond their deadline"]);
    sagas.resume(&id, by()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn behind_the_pivot_a_deadline_is_only_told_of() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfter(20_000)]);
    let steps = vec![step("a").pivot(), step("b").after("a")];
    let sagas = bed.open().await;
    let definition = deadline(steps, 10 * SECOND);
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(15 * SECOND).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.status, Status::Executing);
    assert!(status.deadline.is_some());
    assert_eq!(sagas.health().issues, ["1 sagas are beyond their deadline"]);
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert!(sagas.health().healthy);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_no_limit_of_taking_back() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::DoAfter(20_000)]);
    let steps = vec![step("a"), step("b").after("a")];
    let status = bed.run(&deadline(steps, 10 * SECOND)).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.steps[0].compensation_attempts, 1);
    assert!(status.error.unwrap().contains("`b` failed"));
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_too_long_for_its_turn_is_cancelled_and_never_runs() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(25_000)]);
    let options = Options {
        queue_timeout: Some(10 * SECOND),
        ..Options::default()
    };
    let definition = limited(vec![step("a")], options);
    let sagas = bed.open().await;
    let first = sagas.start(&definition, input()).await.unwrap();
    let late = sagas.start(&definition, input()).await.unwrap();
    let began = tokio::time::Instant::now();
    let status = sagas.wait(&late).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(status.error.as_deref(), Some("waited for its turn for 10s"));
    assert_eq!(began.elapsed(), 10 * SECOND);
    assert_eq!(sagas.stats().queued, 0);
    // The one that had its turn is not touched by it.
    assert_eq!(sagas.wait(&first).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_step_and_their_delays_have_one_limit() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Retry; 99]);
    let tried = step("b").after("a").retries(99).step_deadline(10 * SECOND);
    let began = tokio::time::Instant::now();
    let status = bed.run(&define(vec![step("a"), tried])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(
        status.steps[1].error.as_deref(),
        Some("not done within 10s")
    );
    assert_eq!(bed.world.effects(), ["a", "undo_a"]);
    assert!(began.elapsed() < 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_in_flight_at_the_limit_of_its_step_is_told_to_stop_and_in_doubt() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    let slow = step("a").timeout(60 * SECOND).step_deadline(10 * SECOND);
    let began = tokio::time::Instant::now();
    let status = bed.run(&define(vec![slow])).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["undo_a"]);
    assert!(began.elapsed() < 12 * SECOND);
}

/// A step whose handler gives a sign of life every second, so often.
async fn beats(signs: u32) -> Status {
    let bed = Bed::new();
    let handler = move |context: StepContext| async move {
        for _ in 0..signs {
            tokio::time::sleep(SECOND).await;
            context.heartbeat();
        }
        if signs < 9 {
            std::future::pending::<()>().await;
        }
        Ok::<(), StepError>(())
    };
    let handlers =
        Handlers::new()
            .handle("svc", "a", handler)
            .compensate("svc", "undo_a", |_| async { Ok(()) });
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    let watched = step("a").heartbeat(3 * SECOND).timeout(60 * SECOND);
    let began = tokio::time::Instant::now();
    let id = sagas.start(&define(vec![watched]), input()).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    if status.status == Status::Compensated {
        let error = status.steps[0].error.as_deref();
        assert_eq!(error, Some("gave no sign of life for 3s"));
        let silent_from = SECOND * signs;
        assert!(began.elapsed() < silent_from + 5 * SECOND);
    }
    super::invariants::check(&bed.disk);
    status.status
}

#[tokio::test(start_paused = true)]
async fn a_handler_without_a_sign_of_life_has_timed_out() {
    assert_eq!(beats(0).await, Status::Compensated);
    assert_eq!(beats(5).await, Status::Compensated);
    assert_eq!(beats(20).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn attempts_overlap_only_where_the_step_says_so() {
    for overlaps in [false, true] {
        let mut bed = Bed::new();
        bed.settings.abort_grace = Duration::from_secs(10);
        bed.world.script("a", &[Act::Hang, Act::DoAfter(10)]);
        let quick = step("a")
            .timeout(Duration::from_millis(50))
            .retries(1)
            .retry_delay(Duration::from_millis(1));
        let own = if overlaps { quick.overlap() } else { quick };
        let sagas = bed.open().await;
        sagas.start(&define(vec![own]), input()).await.unwrap();
        tokio::time::sleep(SECOND).await;
        let calls = bed.world.calls();
        assert_eq!(calls.len(), if overlaps { 2 } else { 1 });
        tokio::time::sleep(20 * SECOND).await;
        assert_eq!(sagas.stats().completed, 1);
        super::invariants::check(&bed.disk);
    }
}

/// Cancels a saga whose step needs so long; returns how long the end took, and the effects.
async fn cancelled(in_flight: InFlight, step: Step) -> (Duration, Vec<String>) {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfterDeaf(20_000)]);
    let sagas = bed.open().await;
    let id = sagas.start(&define(vec![step]), input()).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let began = tokio::time::Instant::now();
    let action = Action::Cancel { in_flight };
    sagas
        .operate(&id, action, By::new("ann", "x"))
        .await
        .unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Cancelled);
    super::invariants::check(&bed.disk);
    (began.elapsed(), bed.world.effects())
}

#[tokio::test(start_paused = true)]
async fn handlers_in_flight_are_awaited_told_or_left_as_the_cancel_says() {
    let slow = || step("a").timeout(60 * SECOND);
    let (took, effects) = cancelled(InFlight::Wait, slow()).await;
    assert_eq!(effects, ["a", "undo_a"]);
    assert!(took >= 19 * SECOND);
    let (took, effects) = cancelled(InFlight::Signal, slow()).await;
    assert_eq!(effects, ["undo_a"]);
    assert!(took >= 5 * SECOND && took < 6 * SECOND, "{took:?}");
    let (took, effects) = cancelled(InFlight::Abandon, slow()).await;
    assert_eq!(effects, ["undo_a"]);
    assert!(took < SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_handler_is_awaited_longer_than_its_own_limit() {
    let short = || step("a").timeout(3 * SECOND);
    for in_flight in [InFlight::Wait, InFlight::Signal] {
        let (took, effects) = cancelled(in_flight, short()).await;
        assert_eq!(effects, ["undo_a"]);
        assert!(took < 4 * SECOND, "{in_flight:?} {took:?}");
    }
}

/// A saga that is cut off in its step `b`, opened again.
async fn cut_off(bed: &Bed, policy: OnInDoubt) -> (Sagas, SagaId) {
    bed.world.script("b", &[Act::Hang]);
    let own = step("b").after("a").on_in_doubt(policy);
    let sagas = bed.open().await;
    let definition = define(vec![step("a"), own]);
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(SECOND).await;
    sagas.shutdown(Duration::ZERO).await;
    (bed.open().await, id)
}

#[tokio::test(start_paused = true)]
async fn a_step_that_was_cut_off_is_run_again_taken_back_or_left_to_an_operator() {
    let bed = Bed::new();
    let (sagas, id) = cut_off(&bed, OnInDoubt::Retry).await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "b"]);

    let bed = Bed::new();
    let (sagas, id) = cut_off(&bed, OnInDoubt::Compensate).await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "undo_b#1", "undo_a#1"]);
    super::invariants::check(&bed.disk);

    let bed = Bed::new();
    let (sagas, id) = cut_off(&bed, OnInDoubt::Park).await;
    tokio::time::sleep(SECOND).await;
    let status = sagas.status(&id).unwrap();
    let why = "step `b` was cut off by the end of the process";
    assert_eq!(status.status, Status::Paused);
    assert_eq!(status.paused.as_deref(), Some(why));
    let issue = "1 sagas are paused: a step was cut off that asks for an operator then";
    assert_eq!(sagas.health().issues, [issue]);
    // It happened, an operator found; or it did not, and is run.
    let by = || By::new("ann", "looked");
    let complete = Action::Complete {
        step: "b".to_owned(),
        output: "1".into(),
    };
    sagas.operate(&id, complete, by()).await.unwrap();
    sagas.resume(&id, by()).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed);
    assert_eq!(status.steps[1].phase, StepPhase::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1"]);
    super::invariants::check(&bed.disk);

    let bed = Bed::new();
    let (sagas, id) = cut_off(&bed, OnInDoubt::Park).await;
    sagas.resume(&id, by()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "b#2"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_may_start_without_a_handler_of_a_step_that_is_bound_late() {
    let bed = Bed::new();
    let late = Step::new("later").service("svc").after("a").late_binding();
    let definition = define(vec![step("a"), late]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let status = sagas.status(&id).unwrap();
    let lacks = "step `later` has no handler for `svc/later`";
    assert_eq!(status.parked.as_deref(), Some(lacks));
    assert_eq!(bed.world.effects(), ["a"]);
    sagas.shutdown(Duration::ZERO).await;
    let handlers = bed.handlers();
    let handlers = handlers.handle("svc", "later", |_| async { Ok(()) });
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_settles_leaves_no_timer_behind() {
    let bed = Bed::new();
    let own = step("a").step_deadline(3_600 * SECOND);
    let definition = deadline(vec![own], 7_200 * SECOND);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    assert_eq!(sagas.shutdown(3_600 * SECOND).await, 0);
    assert!(began.elapsed() < SECOND);
}
