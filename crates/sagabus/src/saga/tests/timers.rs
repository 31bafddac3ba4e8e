//! The time that a saga keeps: set clocks, long waits, many timers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::bed::{Act, Bed, define, input, settled, step};
use super::store::TestStore;
use crate::clock::{Clock, TestClock, Timestamp};
use crate::saga::{Definition, Query, SagaId, Sagas, Status, Step, StepPhase};

/// A clock whose wall time can be set while its monotone time goes on.
#[derive(Debug)]
struct SetClock {
    steady: Arc<TestClock>,
    shift_ms: AtomicI64,
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let shift = self.shift_ms.load(Ordering::SeqCst);
        Timestamp::from_milliseconds(self.steady.now().milliseconds().saturating_add(shift))
    }

    fn elapsed(&self) -> Duration {
        self.steady.elapsed()
    }

    fn random(&self) -> u64 {
        self.steady.random()
    }
}

const HOUR_MS: i64 = 3_600_000;

async fn open(bed: &Bed, clock: &Arc<SetClock>) -> Sagas {
    let store = TestStore::new(&bed.disk, None);
    let builder = Sagas::builder(store, Arc::clone(clock) as Arc<dyn Clock>);
    let builder = builder.settings(bed.settings.clone());
    builder.handlers(bed.handlers()).open().await.unwrap()
}

fn set_clock(bed: &Bed) -> Arc<SetClock> {
    Arc::new(SetClock {
        steady: Arc::clone(&bed.clock),
        shift_ms: AtomicI64::new(0),
    })
}

fn waits(id: &str, seconds: u64) -> Step {
    Step::new(id).timer(Duration::from_secs(seconds))
}

/// How long the step took, by the monotone clock.
async fn time_until_over(bed: &Bed, sagas: &Sagas, id: &SagaId) -> Duration {
    let began = bed.clock.elapsed();
    assert_eq!(sagas.wait(id).await.unwrap().status, Status::Completed);
    bed.clock.elapsed() - began
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_by_an_hour_makes_no_timer_early_or_late() {
    for shift in [-HOUR_MS, HOUR_MS] {
        let bed = Bed::new();
        let clock = set_clock(&bed);
        bed.world.script("a", &[Act::Retry]);
        let sagas = open(&bed, &clock).await;
        let retried = step("a").retries(1).retry_delay(Duration::from_secs(10));
        let definition = define(vec![retried, waits("w", 100).after("a")]);
        let id = sagas.start(&definition, input()).await.unwrap();
        let began = bed.clock.elapsed();
        tokio::time::sleep(Duration::from_secs(5)).await;
        clock.shift_ms.store(shift, Ordering::SeqCst);
        while sagas.status(&id).unwrap().steps[1].phase != StepPhase::Waiting {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        clock.shift_ms.store(0, Ordering::SeqCst);
        time_until_over(&bed, &sagas, &id).await;
        let took = bed.clock.elapsed() - began;
        // Half of the delay before a retry is drawn by lot.
        assert!(took >= Duration::from_secs(105), "{shift}: {took:?}");
        assert!(took <= Duration::from_secs(112), "{shift}: {took:?}");
        sagas.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_saga_ends_though_its_clock_shows_the_ends_of_time() {
    for shift in [i64::MIN, i64::MAX] {
        let bed = Bed::new();
        let clock = set_clock(&bed);
        clock.shift_ms.store(shift, Ordering::SeqCst);
        bed.world.script("a", &[Act::Retry, Act::Reject]);
        let sagas = open(&bed, &clock).await;
        let retried = step("a").retries(1).retry_delay(Duration::from_secs(10));
        let definition = define(vec![waits("w", 100), retried.after("w")]);
        let id = sagas.start(&definition, input()).await.unwrap();
        assert_eq!(settled(&sagas, &id).await.status, Status::Compensated);
        let took = bed.clock.elapsed();
        assert!(took <= Duration::from_secs(112), "{shift}: {took:?}");
        assert_eq!(sagas.search(&Query::default()).unwrap().sagas.len(), 1);
        sagas.shutdown(Duration::ZERO).await;
        let sagas = open(&bed, &clock).await;
        assert!(sagas.status(&id).is_ok_and(|saga| saga.ended_at.is_some()));
        sagas.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_clock_that_was_set_back_makes_no_timer_longer_than_it_is() {
    let bed = Bed::new();
    let clock = set_clock(&bed);
    let sagas = open(&bed, &clock).await;
    let definition = define(vec![waits("w", 100)]);
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    sagas.shutdown(Duration::ZERO).await;
    clock.shift_ms.store(-HOUR_MS, Ordering::SeqCst);
    let sagas = open(&bed, &clock).await;
    let took = time_until_over(&bed, &sagas, &id).await;
    assert_eq!(took.as_secs(), 100);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_a_year_is_over_after_a_year_and_not_before() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let year = 366 * 24 * 3_600;
    let definition = define(vec![waits("month", 25 * 24 * 3_600), waits("year", year)]);
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(25 * 24 * 3_600 + 1)).await;
    let phases = |sagas: &Sagas| -> Vec<StepPhase> {
        let steps = sagas.status(&id).unwrap().steps;
        steps.iter().map(|step| step.phase).collect()
    };
    assert_eq!(phases(&sagas), [StepPhase::Completed, StepPhase::Waiting]);
    tokio::time::sleep(Duration::from_secs(year - 25 * 24 * 3_600 - 3)).await;
    assert_eq!(phases(&sagas), [StepPhase::Completed, StepPhase::Waiting]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_timers_of_one_saga_are_over_each_at_its_time() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    // Set in one order, due in another.
    let seconds = |at: u64| 1 + at * 7 % 1_000;
    let steps = (0..1_000).map(|at| waits(&format!("w{at}"), seconds(at)));
    let definition = Definition::from_steps("many", steps.collect()).unwrap();
    let began = bed.clock.now();
    let id = sagas.start(&definition, input()).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    for (at, step) in (0..).zip(&status.steps) {
        let took = step.ended_at.unwrap().since(began);
        assert_eq!(took.as_secs(), seconds(at), "{}", step.id);
    }
    sagas.shutdown(Duration::ZERO).await;
}
