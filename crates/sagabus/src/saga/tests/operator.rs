//! What operators do: each verb in each state as the table says, durable before it is answered, with who and why.

use std::time::Duration;

use bytes::Bytes;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use super::play::Play;
use super::store::TestStore;
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::handlers::StepError;
use crate::saga::machine::{AttemptResult, Phase, Stage};
use crate::saga::record::{Fact, Outcome, Verb};
use crate::saga::{Action, Handlers, InFlight, SagaStatus, Sagas, Status, StepPhase};

pub(super) fn by() -> By {
    By::new("ann", "so it is")
}

const OUTPUT: &[u8] = b"7";

fn cancel() -> Action {
    Action::Cancel {
        in_flight: InFlight::Signal,
    }
}

/// The verbs on the step `b`, in the order of the table below.
pub(super) fn actions() -> [Action; 11] {
    let step = || "b".to_owned();
    [
        cancel(),
        Action::Retry { step: None },
        Action::Retry { step: Some(step()) },
        Action::Skip { step: step() },
        Action::ForceDone { step: step() },
        Action::Complete {
            step: step(),
            output: Bytes::from_static(OUTPUT),
        },
        Action::Abandon,
        Action::Recompensate { step: step() },
        Action::Pause,
        Action::Resume,
        Action::Terminate,
    ]
}

fn in_doubt() -> AttemptResult {
    AttemptResult::Err(StepError::InDoubt("?".to_owned()))
}

/// `a`, then `b`, which may be tried again once.
fn pair() -> Play {
    let definition = define(vec![step("a"), step("b").after("a").retries(1)]);
    let mut play = Play::begun(&definition);
    play.succeed("a");
    play
}

/// `a` is the pivot, and `b` follows.
fn behind_the_pivot() -> Play {
    let definition = define(vec![step("a").pivot(), step("b").after("a").retries(1)]);
    let mut play = Play::begun(&definition);
    play.succeed("a");
    play
}

fn backward() -> Play {
    let mut play = pair();
    play.end("b", in_doubt());
    play.due("b");
    play.end("b", in_doubt());
    assert_eq!(play.compensating, [1]);
    play
}

fn stuck() -> Play {
    let mut play = backward();
    play.not_taken_back("b");
    play
}

fn forward_stuck() -> Play {
    let mut play = behind_the_pivot();
    play.end("b", in_doubt());
    play.due("b");
    play.reject("b");
    play
}

fn operated(mut play: Play, action: Action) -> Play {
    play.operate(action);
    play
}

/// A state, what it is called, and per verb `do`, `done` or what the refusal says.
pub(super) struct Row {
    pub(super) name: &'static str,
    state: Play,
    pub(super) cells: [&'static str; 11],
}

const WAITS: &str = "it waits for its turn";
const OVER: &str = "it is over";
const NOT_OVER: &str = "it is not over";
const NOT_PAUSED: &str = "it is not paused";
const NOT_STUCK: &str = "it is not stuck";
const NONE_STUCK: &str = "no step of it is stuck";
const NOT_FAILED: &str = "the step has not failed";
const NOT_BACK: &str = "it has not turned back; complete the step with an output";
const BACK: &str = "it has turned back";
const FLIES: &str = "the step is in flight";
const PIVOT: &str = "it has passed its pivot and can only be brought to its end";
const CALM: &str = "its compensation is not stuck";
const CALM_STEP: &str = "the compensation of the step has not failed";
const FLIES_BACK: &str = "the compensation of the step is in flight";

#[rustfmt::skip]
pub(super) fn table() -> Vec<Row> {
    let row = |name, state, cells| Row { name, state, cells };
    let backoff = || { let mut play = pair(); play.end("b", in_doubt()); play };
    let completed = || { let mut play = pair(); play.succeed("b"); play };
    vec![
        //   cancel, retry, retry b, skip b, force b, complete b, abandon, recompensate b, pause, resume, terminate
        row("queued", Play::queued(&chain(&["a", "b"])),
            ["do", WAITS, WAITS, WAITS, WAITS, WAITS, NOT_STUCK, NOT_OVER, WAITS, NOT_PAUSED, "do"]),
        row("before the step", Play::begun(&chain(&["a", "b"])),
            ["do", NONE_STUCK, NOT_FAILED, "do", NOT_BACK, "do", NOT_STUCK, NOT_OVER, "do", NOT_PAUSED, "do"]),
        row("step in flight", pair(),
            ["do", NONE_STUCK, NOT_FAILED, FLIES, NOT_BACK, FLIES, NOT_STUCK, NOT_OVER, "do", NOT_PAUSED, "do"]),
        row("step waits for its next attempt", backoff(),
            ["do", NONE_STUCK, "do", "do", NOT_BACK, "do", NOT_STUCK, NOT_OVER, "do", NOT_PAUSED, "do"]),
        row("paused", operated(backoff(), Action::Pause),
            ["do", NONE_STUCK, "do", "do", NOT_BACK, "do", NOT_STUCK, NOT_OVER, "done", "do", "do"]),
        row("behind the pivot", behind_the_pivot(),
            [PIVOT, NONE_STUCK, NOT_FAILED, FLIES, NOT_BACK, FLIES, NOT_STUCK, NOT_OVER, "do", NOT_PAUSED, "do"]),
        row("forward stuck", forward_stuck(),
            [PIVOT, "do", "do", "do", NOT_BACK, "do", "do", NOT_OVER, "it is stuck", NOT_PAUSED, "do"]),
        row("compensation in flight", backward(),
            ["done", CALM, CALM_STEP, FLIES_BACK, FLIES_BACK, BACK, NOT_STUCK, NOT_OVER, "do", NOT_PAUSED, "do"]),
        row("compensation paused", operated(backward(), Action::Pause),
            ["done", CALM, CALM_STEP, FLIES_BACK, FLIES_BACK, BACK, NOT_STUCK, NOT_OVER, "done", "do", "do"]),
        row("stuck", stuck(),
            ["done", "do", "do", "do", "do", BACK, "do", NOT_OVER, "it is stuck", NOT_PAUSED, "do"]),
        row("completed", completed(),
            ["done", OVER, OVER, OVER, OVER, OVER, OVER, "it ended with nothing left to repair", OVER, OVER, OVER]),
        row("given up", operated(stuck(), Action::Abandon),
            ["done", OVER, OVER, OVER, OVER, OVER, "done", "do", OVER, OVER, OVER]),
        row("given up behind the pivot", operated(forward_stuck(), Action::Abandon),
            ["done", OVER, OVER, OVER, OVER, OVER, "done", "it has passed its pivot", OVER, OVER, OVER]),
        row("terminated", operated(pair(), Action::Terminate),
            ["done", OVER, OVER, OVER, OVER, OVER, OVER, "do", OVER, OVER, "done"]),
    ]
}

#[test]
fn each_verb_in_each_state_is_done_or_refused_as_the_table_says() {
    for row in table() {
        for (action, expected) in actions().into_iter().zip(row.cells) {
            let mut play = row.state.clone();
            let refusal = play.refusal(&action);
            let facts = play.operate(action.clone());
            let is = match (&refusal, facts.first()) {
                (Some(refusal), None) => refusal.text.as_str(),
                (None, None) => "done",
                (None, Some(Fact::Operated { by: who, .. })) => {
                    assert_eq!(*who, by());
                    "do"
                }
                other => panic!("{}: {action:?} gives {other:?}", row.name),
            };
            assert_eq!(is, expected, "{}: {action:?}", row.name);
            play.check();
        }
    }
}

/// Brings a saga as far as it comes when all succeeds from now on.
fn play_out(play: &mut Play) {
    for _ in 0..50 {
        if play.state.paused.is_some() {
            play.operate(Action::Resume);
        } else if let Some(flight) = play.in_flight.first().copied() {
            play.end_attempt(flight.step, flight.attempt, super::play::ok());
        } else if let Some(&step) = play.compensating.first() {
            let id = play.state.step_id(step).into_owned();
            play.taken_back(&id);
        } else if let Some(at) = (0..play.state.steps.len())
            .find(|&at| matches!(play.state.steps[at].phase, Phase::Backoff { .. }))
        {
            let id = play.state.step_id(at).into_owned();
            play.due(&id);
        } else if matches!(play.state.stage, Stage::Stuck | Stage::ForwardStuck) {
            play.operate(Action::Retry { step: None });
        } else {
            break;
        }
    }
}

#[test]
fn a_verb_holds_or_was_never_given_when_the_process_ends_after_or_before_its_record() {
    for row in table() {
        for (action, expected) in actions().into_iter().zip(row.cells) {
            if expected != "do" {
                continue;
            }
            let name = format!("{}: {action:?}", row.name);
            // After: what it did is in the records, and it cannot be done again to another effect.
            let mut after = row.state.clone();
            after.operate(action.clone());
            let (stage, verb) = (after.state.stage, after.state.operated.clone());
            after.restart();
            assert_eq!(after.state.operated, verb, "{name}");
            let is_final = matches!(stage, Stage::Ended(_));
            assert!(!is_final || after.state.stage == stage, "{name}");
            after.operate(action.clone());
            play_out(&mut after);
            let is_over = matches!(after.state.stage, Stage::Ended(_));
            assert!(is_over || row.name == "queued", "{name}");
            after.check();
            // Before: as if it had not been asked for, and asking again does it.
            let mut before = row.state.clone();
            before.restart();
            before.operate(action);
            play_out(&mut before);
            before.check();
        }
    }
}

async fn run_until(sagas: &Sagas, bed: &Bed, calls: usize) {
    while bed.world.calls().len() < calls {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _stats = sagas.stats();
}

/// The phases of all steps.
fn phases(status: &SagaStatus) -> Vec<StepPhase> {
    status.steps.iter().map(|step| step.phase).collect()
}

#[tokio::test(start_paused = true)]
async fn a_paused_saga_starts_nothing_records_what_is_in_flight_and_goes_on_when_resumed() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    run_until(&sagas, &bed, 1).await;
    let status = sagas.operate(&id, Action::Pause, by()).await.unwrap();
    assert_eq!(status.status, Status::Paused);
    assert_eq!(status.paused.as_deref(), Some("an operator paused it"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(phases(&status), [StepPhase::Completed, StepPhase::Pending]);
    assert_eq!(bed.world.calls(), ["a#1"]);
    // It holds no slot, and is no fault.
    assert_eq!(sagas.stats().active, 0);
    assert!(sagas.health().healthy);
    // It stays so over a restart.
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.status(&id).unwrap().status, Status::Paused);
    let status = sagas.resume(&id, by()).await.unwrap();
    let operated = status.operated.last().unwrap();
    assert_eq!((operated.verb, &operated.by), (Verb::Resume, &by()));
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "b"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_terminated_saga_ends_at_once_and_says_what_is_left() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::DoAfterDeaf(5_000)]);
    let sagas = bed.open().await;
    let id = sagas
        .start(&chain(&["a", "b", "c"]), input())
        .await
        .unwrap();
    run_until(&sagas, &bed, 2).await;
    let status = sagas.operate(&id, Action::Terminate, by()).await.unwrap();
    assert_eq!(status.status, Status::Terminated);
    assert!(status.inconsistent);
    assert_eq!(status.unsettled, ["a", "b"]);
    assert_eq!(status.error.as_deref(), Some("so it is"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Its handler was dropped, and nothing is taken back by itself.
    assert_eq!(bed.world.effects(), ["a"]);
    assert_eq!(
        (sagas.stats().terminated, sagas.stats().inconsistent),
        (1, 1)
    );
    // By hand, step by step, also after a restart.
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    for (step, left) in [("b", vec!["a"]), ("a", vec![])] {
        let step = step.to_owned();
        let action = Action::Recompensate { step };
        sagas.operate(&id, action, by()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(sagas.status(&id).unwrap().unsettled, left);
    }
    let status = sagas.status(&id).unwrap();
    assert_eq!(
        (status.status, status.inconsistent),
        (Status::Terminated, false)
    );
    assert_eq!(bed.world.effects(), ["a", "undo_b", "undo_a"]);
    let action = Action::Recompensate {
        step: "a".to_owned(),
    };
    let again = sagas.operate(&id, action, by()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_terminated_saga_that_did_nothing_leaves_nothing() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    sagas.start(&chain(&["a"]), input()).await.unwrap();
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    let status = sagas.operate(&id, Action::Terminate, by()).await.unwrap();
    assert_eq!(status.status, Status::Terminated);
    assert!(!status.inconsistent && status.unsettled.is_empty());
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_saga_that_is_over_is_answered_as_the_table_says() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    run_until(&sagas, &bed, 1).await;
    // Who asks again, since the answer was lost, gets it.
    for _ in 0..2 {
        let status = sagas.operate(&id, Action::Terminate, by()).await.unwrap();
        assert_eq!(status.status, Status::Terminated);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let refused = async |action| sagas.operate(&id, action, by()).await.unwrap_err();
    let of = |step: &str| Action::Skip {
        step: step.to_owned(),
    };
    assert_eq!(refused(of("x")).await.kind(), ErrorKind::NotFound);
    let error = refused(of("a")).await;
    assert_eq!(
        (error.kind(), error.to_string()),
        (
            ErrorKind::Conflict,
            format!("saga `{id}` stays as it is: it is over")
        )
    );
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_or_forced_compensation_lets_those_before_it_go_on() {
    for force in [false, true] {
        let bed = Bed::new();
        bed.world.script("c", &[Act::Reject]);
        bed.world.script("undo_b", &[Act::Reject]);
        let sagas = bed.open().await;
        let id = sagas
            .start(&chain(&["a", "b", "c"]), input())
            .await
            .unwrap();
        assert_eq!(settled(&sagas, &id).await.status, Status::CompensationStuck);
        let step = "b".to_owned();
        let (action, phase) = match force {
            true => (Action::ForceDone { step }, StepPhase::CompensationForced),
            false => (Action::Skip { step }, StepPhase::CompensationSkipped),
        };
        sagas.operate(&id, action, by()).await.unwrap();
        let status = sagas.wait(&id).await.unwrap();
        assert_eq!(status.status, Status::Compensated);
        assert_eq!(status.steps[1].phase, phase);
        assert_eq!(bed.world.effects(), ["a", "b", "undo_a"]);
        let operated = status.operated.last().unwrap();
        assert_eq!(operated.step.as_deref(), Some("b"));
        assert_eq!(operated.by, by());
        super::invariants::check(&bed.disk);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_can_be_tried_at_once_completed_or_skipped() {
    let output = Bytes::from_static(br#"{"by":"hand"}"#);
    let step_id = || "b".to_owned();
    for (action, effects, phase) in [
        (
            Action::Retry {
                step: Some(step_id()),
            },
            &["a", "b", "c"][..],
            StepPhase::Completed,
        ),
        (
            Action::Complete {
                step: step_id(),
                output: output.clone(),
            },
            &["a", "c"],
            StepPhase::Completed,
        ),
        (
            Action::Skip { step: step_id() },
            &["a", "c"],
            StepPhase::Skipped,
        ),
    ] {
        let bed = Bed::new();
        bed.world.script("b", &[Act::Retry]);
        let sagas = bed.open().await;
        let slow = step("b")
            .after("a")
            .retries(1)
            .retry_delay(Duration::from_secs(3_600));
        let definition = define(vec![step("a"), slow, step("c").after("b")]);
        let id = sagas.start(&definition, input()).await.unwrap();
        run_until(&sagas, &bed, 2).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let began = tokio::time::Instant::now();
        sagas.operate(&id, action.clone(), by()).await.unwrap();
        let status = sagas.wait(&id).await.unwrap();
        assert_eq!(status.status, Status::Completed);
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!(bed.world.effects(), effects);
        assert_eq!(status.steps[1].phase, phase);
        if matches!(action, Action::Complete { .. }) {
            assert_eq!(status.steps[1].output.as_ref(), Some(&output));
        }
        super::invariants::check(&bed.disk);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_says_is_checked_before_anything_is_stored() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    let appends = bed.disk.appends();
    let complete = |output: &'static [u8]| Action::Complete {
        step: "b".to_owned(),
        output: Bytes::from_static(output),
    };
    let skip = |step: &str| Action::Skip {
        step: step.to_owned(),
    };
    for (action, who, kind) in [
        (complete(b"{"), by(), ErrorKind::Invalid),
        (skip("b"), By::new(&"x".repeat(256), ""), ErrorKind::Invalid),
        (skip("x"), by(), ErrorKind::NotFound),
        (skip("a"), by(), ErrorKind::Conflict),
    ] {
        let error = sagas.operate(&id, action, who).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(bed.disk.appends(), appends);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_does_is_durable_with_who_and_why_when_it_is_answered() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    let in_flight = InFlight::Abandon;
    sagas
        .operate(&id, Action::Cancel { in_flight }, by())
        .await
        .unwrap();
    let records = &bed.disk.records()[0];
    let operated = records.iter().position(|record| {
        matches!(&record.fact, Fact::Operated { verb: Verb::Cancel, by: who, .. } if *who == by())
    });
    let turned = records
        .iter()
        .position(|record| matches!(record.fact, Fact::TurnedBack { .. }));
    assert_eq!(turned, operated.map(|at| at + 1));
}

#[tokio::test(start_paused = true)]
async fn a_parked_saga_takes_verbs_and_its_other_branches_go_on() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang; 2]);
    bed.world.script("b", &[Act::Hang; 2]);
    let sagas = bed.open().await;
    let definition = || define(vec![step("a"), step("b"), step("c").after("a").after("b")]);
    let skipped = sagas.start(&definition(), input()).await.unwrap();
    let cancelled = sagas.start(&definition(), input()).await.unwrap();
    run_until(&sagas, &bed, 4).await;
    sagas.shutdown(Duration::ZERO).await;
    // A process without `a`, but with what takes it back.
    let mut handlers = Handlers::new();
    for id in ["b", "c"] {
        handlers = handlers.handle("svc", id, |_| async { Ok(()) });
    }
    for id in ["undo_a", "undo_b", "undo_c"] {
        handlers = handlers.compensate("svc", id, |_| async { Ok(()) });
    }
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for id in [&skipped, &cancelled] {
        let status = sagas.status(id).unwrap();
        let lacks = "step `a` has no handler for `svc/a`";
        assert_eq!(status.parked.as_deref(), Some(lacks));
        let phases = phases(&status);
        assert_eq!(phases[1..], [StepPhase::Completed, StepPhase::Pending]);
    }
    assert_eq!((sagas.stats().parked, sagas.stats().active), (2, 0));
    let action = Action::Skip {
        step: "a".to_owned(),
    };
    sagas.operate(&skipped, action, by()).await.unwrap();
    let status = sagas.wait(&skipped).await.unwrap();
    assert_eq!(status.status, Status::Completed);
    assert_eq!(status.parked, None);
    sagas.operate(&cancelled, cancel(), by()).await.unwrap();
    let status = sagas.wait(&cancelled).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(status.steps[0].phase, StepPhase::Compensated);
    super::invariants::check(&bed.disk);
}

#[test]
fn a_verb_on_a_closed_saga_stores_nothing() {
    let mut play = pair();
    play.succeed("b");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    for action in actions() {
        assert_eq!(play.operate(action), []);
    }
}
