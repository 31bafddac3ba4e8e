//! Where a saga stands and why, in its status and in its events; what a step is given; what is tried again by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use super::play::Play;
use super::store::TestStore;
use crate::clock::{Clock, Timestamp};
use crate::event::Payload;
use crate::ledger::By;
use crate::saga::definition::Options;
use crate::saga::events::{CompensationCompleted, CompensationStarted, SagaFailed};
use crate::saga::machine::{Phase, STUCK_RETRIES_MAX, Stage};
use crate::saga::record::{Fact, Outcome};
use crate::saga::{
    Action, Definition, EffectClass, Handlers, Sagas, Status, Step, StepContext, StepError,
    StepPhase, TurnedBackBy,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn by() -> By {
    By::new("ann", "so it is")
}

fn told<P: Payload>(bed: &Bed) -> P {
    let events = bed.disk.events();
    let event = events.iter().find(|it| it.event_type.as_str() == P::TYPE);
    event.unwrap().payload().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_turned_a_saga_back_is_in_its_status_and_its_events() {
    let limited = |deadline| {
        let options = Options {
            deadline,
            ..Options::default()
        };
        let builder = Definition::builder("s").options(options);
        let builder = builder.step(step("a")).step(step("b").after("a"));
        builder.build().unwrap()
    };
    for (cause, act, status) in [
        (
            TurnedBackBy::Step("b".to_owned()),
            Act::Reject,
            Status::Compensated,
        ),
        (TurnedBackBy::Deadline, Act::Hang, Status::Compensated),
        (TurnedBackBy::Cancel, Act::Hang, Status::Cancelled),
    ] {
        let bed = Bed::new();
        bed.world.script("b", &[act]);
        let is_limited = cause == TurnedBackBy::Deadline;
        let definition = limited(is_limited.then_some(Duration::from_secs(2)));
        let sagas = bed.open().await;
        let id = sagas.start(&definition, input()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if cause == TurnedBackBy::Cancel {
            sagas.cancel(&id, "not needed").await.unwrap();
        }
        let ended = sagas.wait(&id).await.unwrap();
        assert_eq!(
            (ended.status, &ended.turned_back_by),
            (status, &Some(cause.clone()))
        );
        let cause = Some(cause);
        assert_eq!(told::<CompensationStarted>(&bed).turned_back_by, cause);
        assert_eq!(told::<CompensationCompleted>(&bed).turned_back_by, cause);
        let failed: SagaFailed = told(&bed);
        assert_eq!(
            (failed.turned_back_by, failed.status),
            (cause, status.to_string())
        );
    }
    // One that an operator ended as it was has not turned back.
    let bed = Bed::new();
    bed.world.script("b", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = sagas.operate(&id, Action::Terminate, by()).await.unwrap();
    assert_eq!(status.turned_back_by, None);
    let failed: SagaFailed = told(&bed);
    assert_eq!(failed.turned_back_by, Some(TurnedBackBy::Operator));
    // What an earlier version told had no cause.
    let old = br#"{"sagaId":"i","sagaName":"n","status":"failed","error":"e","durationMs":1}"#;
    let old: SagaFailed = serde_json::from_slice(old).unwrap();
    assert_eq!(old.turned_back_by, None);
}

type Given = (u32, u64, String, Timestamp);

#[tokio::test(start_paused = true)]
async fn an_attempt_is_started_with_its_number_epoch_key_and_deadline_which_are_stored_before() {
    let bed = Bed::new();
    let given: Arc<Mutex<Vec<Given>>> = Arc::default();
    let open = async || {
        let given = Arc::clone(&given);
        let (disk, clock) = (Arc::clone(&bed.disk), Arc::clone(&bed.clock));
        let handlers = Handlers::new().handle("svc", "a", move |context: StepContext| {
            // What it is told is durable already.
            let records = disk.records().concat();
            let last = records.iter().rev().find_map(|record| match &record.fact {
                Fact::StepStarted { attempt, epoch, .. } => Some((*attempt, *epoch)),
                _ => None,
            });
            assert_eq!(last, Some((context.attempt(), Some(context.fence()))));
            let all = (
                context.attempt(),
                context.fence(),
                context.key(),
                context.deadline(),
            );
            given.lock().unwrap().push(all);
            // Of this attempt, whenever it began.
            assert_eq!(context.deadline(), clock.now().after(HOUR));
            let fails = context.attempt() == 1;
            async move {
                match fails {
                    true => Err(StepError::Retry("busy".to_owned())),
                    false => std::future::pending::<Result<(), StepError>>().await,
                }
            }
        });
        let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
        builder.handlers(handlers).open().await.unwrap()
    };
    let own = Step::new("a").service("svc").retries(3);
    let own = own.timeout(HOUR).retry_delay(Duration::from_secs(60));
    let sagas = open().await;
    let id = sagas.start(&define(vec![own]), input()).await.unwrap();
    let began = sagas.status(&id).unwrap().started_at;
    tokio::time::sleep(Duration::from_secs(61)).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = open().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    sagas.shutdown(Duration::ZERO).await;
    let given = given.lock().unwrap().clone();
    let key = format!("{id}/a");
    let [first, second, third] = <[Given; 3]>::try_from(given).unwrap();
    assert_eq!(
        (first.0, first.2, first.3),
        (1, key.clone(), began.after(HOUR))
    );
    assert_eq!((second.0, &second.2), (2, &key));
    assert!(second.3 > first.3);
    assert_eq!(second.1, first.1);
    // The process after it has a higher epoch and sets a limit of its own.
    assert_eq!((third.0, third.2), (3, key));
    assert!(third.1 > second.1 && third.3 > second.3);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_stops_when_told_to_says_whether_there_was_an_effect() {
    for (is_clean, phase) in [(true, StepPhase::Failed), (false, StepPhase::Compensated)] {
        let bed = Bed::new();
        let handlers = bed
            .handlers()
            .handle("lab", "b", move |context: StepContext| async move {
                context.cancelled().cancelled().await;
                let text = "stopped".to_owned();
                Err::<(), _>(match is_clean {
                    true => StepError::Reject(text),
                    false => StepError::InDoubt(text),
                })
            });
        let handlers = handlers.compensate("lab", "undo_b", |context| async move {
            match context.effect() {
                EffectClass::Unknown => Ok(()),
                known => Err(StepError::Reject(format!("{known:?}"))),
            }
        });
        let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
        let sagas = builder.handlers(handlers).open().await.unwrap();
        let own = Step::new("b")
            .service("lab")
            .compensated_by("undo_b")
            .after("a");
        let definition = define(vec![step("a"), own]);
        let id = sagas.start(&definition, input()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = tokio::time::Instant::now();
        sagas.cancel(&id, "not needed").await.unwrap();
        let ended = sagas.wait(&id).await.unwrap();
        // It said so at once: nobody waited for the grace.
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(ended.status, Status::Cancelled);
        assert_eq!(
            (ended.steps[0].phase, ended.steps[1].phase),
            (StepPhase::Compensated, phase)
        );
        super::invariants::check(&bed.disk);
    }
}

/// A bed whose saga is stuck while `undo_a` is refused, and tried again each hour.
fn stubborn(refusals: usize, again: Option<Duration>) -> Bed {
    let mut bed = Bed::new();
    bed.settings.stuck_retry = again;
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &vec![Act::Reject; refusals]);
    bed
}

#[tokio::test(start_paused = true)]
async fn a_stuck_compensation_is_tried_again_by_itself_after_a_time_where_set() {
    let bed = stubborn(2, Some(HOUR));
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    assert_eq!(settled(&sagas, &id).await.status, Status::CompensationStuck);
    // A restart neither hurries nor forgets it.
    tokio::time::sleep(HOUR / 2).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    tokio::time::sleep(HOUR / 4).await;
    assert_eq!(bed.world.calls(), ["a#1", "b#1", "undo_a#1"]);
    tokio::time::sleep(HOUR / 3).await;
    assert_eq!(bed.world.calls().len(), 4);
    assert_eq!(sagas.status(&id).unwrap().status, Status::CompensationStuck);
    tokio::time::sleep(HOUR).await;
    let ended = sagas.wait(&id).await.unwrap();
    assert_eq!(ended.status, Status::Compensated);
    let operated: Vec<_> = ended
        .operated
        .iter()
        .map(|it| (it.verb.as_str(), &*it.by.author))
        .collect();
    assert_eq!(operated, [("retry", "sagabus"); 2]);
    assert_eq!(
        ended.operated[0].by.reason,
        "tried again by itself after 3600s"
    );
    super::invariants::check(&bed.disk);

    let bed = stubborn(1, None);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    tokio::time::sleep(1_000 * HOUR).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(
        (status.status, status.operated.len()),
        (Status::CompensationStuck, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_stays_stuck_is_tried_again_ten_times_by_itself_and_then_when_an_operator_says_so() {
    let bed = stubborn(100, Some(HOUR));
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    let calls = || {
        bed.world
            .calls()
            .iter()
            .filter(|it| it.starts_with("undo_a"))
            .count()
    };
    tokio::time::sleep(100 * HOUR).await;
    assert_eq!(calls(), 1 + STUCK_RETRIES_MAX);
    assert_eq!(
        sagas.health().issues.last().unwrap(),
        "1 sagas have a stuck compensation"
    );
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    tokio::time::sleep(100 * HOUR).await;
    assert_eq!(calls(), 1 + STUCK_RETRIES_MAX);
    // An operator's word counts anew.
    let action = Action::Retry { step: None };
    sagas.operate(&id, action, by()).await.unwrap();
    tokio::time::sleep(100 * HOUR).await;
    assert_eq!(calls(), 2 * (1 + STUCK_RETRIES_MAX));
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_behind_its_pivot_that_lacks_a_handler_is_told_of_and_goes_on_with_it_or_without() {
    for has_it_again in [true, false] {
        let bed = Bed::new();
        bed.world.script("b", &[Act::Hang]);
        let sagas = bed.open().await;
        let definition = define(vec![
            step("a").pivot(),
            Step::new("b").service("svc").after("a"),
        ]);
        let id = sagas.start(&definition, input()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        sagas.shutdown(Duration::ZERO).await;
        // A process without it: nothing fails, nothing is taken back, and it is told.
        let handlers = Handlers::new().handle("svc", "a", |_| async { Ok(()) });
        let handlers = handlers.compensate("svc", "undo_a", |_| async { Ok(()) });
        let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
        let sagas = builder.handlers(handlers).open().await.unwrap();
        tokio::time::sleep(HOUR).await;
        let status = sagas.status(&id).unwrap();
        let lacks = "step `b` has no handler for `svc/b`";
        assert_eq!(
            (status.parked.as_deref(), status.status),
            (Some(lacks), Status::Executing)
        );
        assert_eq!((sagas.stats().parked, sagas.stats().active), (1, 0));
        let issues = sagas.health().issues;
        assert!(
            issues.contains(&"1 sagas lack a handler in this process".to_owned()),
            "{issues:?}"
        );
        if has_it_again {
            sagas.shutdown(Duration::ZERO).await;
            let sagas = bed.open().await;
            assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
        } else {
            let step = "b".to_owned();
            sagas
                .operate(&id, Action::Skip { step }, by())
                .await
                .unwrap();
            assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
        }
        assert_eq!(bed.world.count("undo_a"), 0);
        super::invariants::check(&bed.disk);
    }
}

/// Every graph of so many steps, with each step as the pivot and with none: how many are taken, each of which ends with all its
/// steps done when all succeed.
fn reach(steps: usize) -> usize {
    let ids = &["a", "b", "c", "d"][..steps];
    let pairs: Vec<(usize, usize)> = (0..steps * steps)
        .map(|at| (at / steps, at % steps))
        .filter(|(from, to)| from != to)
        .collect();
    let mut taken = 0;
    for graph in 0..1_u32 << pairs.len() {
        for pivot in 0..=steps {
            let own = ids.iter().enumerate().map(|(at, id)| {
                let needs = pairs
                    .iter()
                    .enumerate()
                    .filter(|(bit, pair)| pair.1 == at && graph & (1 << bit) != 0);
                let own = needs.fold(Step::new(*id), |step, (_, pair)| step.after(ids[pair.0]));
                match at == pivot {
                    true => own.pivot(),
                    false => own,
                }
            });
            let Ok(definition) = Definition::from_steps("s", own.collect()) else {
                continue;
            };
            taken += 1;
            let mut play = Play::begun(&definition);
            while let Some(flight) = play.in_flight.first().copied() {
                play.end_attempt(flight.step, flight.attempt, super::play::ok());
            }
            assert!(play.is(Stage::Ended(Outcome::Completed)), "{definition:?}");
            let is_done = |id: &&&str| matches!(play.step(id).phase, Phase::Succeeded(_));
            assert_eq!(ids.iter().filter(is_done).count(), steps);
        }
    }
    taken
}

/// A graph is taken only without a circle, and in one without a circle nothing but the steps before it keeps a step from its turn.
#[test]
fn every_step_of_a_definition_that_is_taken_is_reached_when_all_before_it_succeed() {
    // As many as there are acyclic graphs with named nodes: 1, 3, 25, 543.
    for (steps, acyclic) in [(1, 1), (2, 3), (3, 25), (4, 543)] {
        assert_eq!(reach(steps), acyclic * (steps + 1));
    }
}
