//! The time that a saga keeps: set clocks, long waits, many timers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::bed::{Act, Bed, define, input, settled, step};
use super::store::TestStore;
use crate::clock::{Clock, TestClock, Timestamp};
use crate::saga::record::{Fact, Record};
use crate::saga::{Definition, Query, SagaId, Sagas, Settings, Status, Step, StepPhase};

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

/// When the clock is set, in milliseconds from the beginning, and by how much it is then ahead. In between no two times look alike.
const SETS: [(u64, i64); 4] = [
    (0, 0),
    (250_000, HOUR_MS),
    (500_000, -HOUR_MS),
    (750_000, 0),
];
/// When the process ends, and when the next one begins.
const DOWN: (u64, u64) = (800_000, 820_000);
/// All timers are over by then.
const OVER: u64 = 1_100_000;

/// The time of a record from the beginning, whatever the clock showed.
fn steady_ms(began: Timestamp, at: Timestamp) -> u64 {
    let shown = at.milliseconds() - began.milliseconds();
    let parts = SETS.iter().enumerate();
    let mut fits = parts.filter_map(|(part, (from, shift))| {
        let upto = SETS.get(part + 1).map_or(OVER, |(next, _)| *next);
        let steady = u64::try_from(shown - shift).ok()?;
        (*from..=upto).contains(&steady).then_some(steady)
    });
    fits.next()
        .unwrap_or_else(|| panic!("nothing happens at {shown}"))
}

/// So many sagas with so many timers each, all at once, over set clocks and a restart: none is early, lost or late.
async fn run_timers(sagas_count: u64, timers: u64) {
    let mut bed = Bed::new();
    let count = usize::try_from(sagas_count).unwrap();
    bed.settings = Settings {
        active_max: count,
        finished_max: count,
        cleanup_interval: Duration::from_millis(OVER),
        ..bed.settings.clone()
    };
    let clock = set_clock(&bed);
    let (began, start) = (clock.now(), tokio::time::Instant::now());
    let sagas = open(&bed, &clock).await;
    let nothing = sagas.held();
    // Set in one order, due in another, over a quarter of an hour.
    let due = |at: u64| 30_000 + at * 7_919_001 % 870_000;
    let wait = |at: u64| Step::new(format!("w{at}")).timer(Duration::from_millis(due(at)));
    let definition = Definition::from_steps("many", (0..timers).map(wait).collect()).unwrap();
    for at in 0..sagas_count {
        sagas.start(&definition, input()).await.unwrap();
        if at % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    assert_eq!(sagas.active().len(), count);
    let until = |ms: u64| tokio::time::sleep_until(start + Duration::from_millis(ms));
    for (at, shift) in SETS {
        until(at).await;
        clock.shift_ms.store(shift, Ordering::SeqCst);
    }
    until(DOWN.0).await;
    assert!(sagas.shutdown(Duration::ZERO).await > 0);
    drop(sagas);
    until(DOWN.1).await;
    let sagas = open(&bed, &clock).await;
    until(OVER).await;
    let mut looked_at = 0;
    for records in bed.disk.records() {
        looked_at += check_timers(began, &records, due);
    }
    assert_eq!(looked_at, sagas_count * timers);
    // What is over has left the memory with its timers.
    tokio::time::sleep(Duration::from_millis(2 * OVER)).await;
    assert_eq!(sagas.held(), nothing);
    sagas.shutdown(Duration::ZERO).await;
}

/// Looks at each timer of one saga; returns how many there are.
fn check_timers(began: Timestamp, records: &[Record], due: impl Fn(u64) -> u64) -> u64 {
    let created = steady_ms(began, records[0].at);
    let (mut count, mut last) = (0, 0);
    for record in records {
        let Fact::StepSucceeded { step, .. } = record.fact else {
            continue;
        };
        let (due, at) = (created + due(u64::from(step)), steady_ms(began, record.at));
        if (DOWN.0..=DOWN.1).contains(&due) {
            // It was due while there was no process.
            assert!((DOWN.0..=DOWN.1 + 2).contains(&at), "{due} {at}");
        } else {
            assert!((due..=due + 2).contains(&at), "{due} {at}");
            assert!(last <= due, "one that was due before comes after");
            last = due;
        }
        count += 1;
    }
    assert!(matches!(
        records.last().unwrap().fact,
        Fact::Closed | Fact::Ended { .. }
    ));
    count
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_timers_are_over_each_at_its_time_over_set_clocks_and_a_restart() {
    run_timers(200, 100).await;
}

#[tokio::test(start_paused = true)]
async fn a_million_timers_are_over_each_at_its_time_over_set_clocks_and_a_restart() {
    if std::env::var_os("RUN_SLOW").is_none() {
        println!("skipped: set RUN_SLOW to wait for a million timers");
        return;
    }
    run_timers(10_000, 100).await;
}
