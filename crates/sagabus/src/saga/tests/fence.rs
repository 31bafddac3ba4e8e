//! The epoch of an orchestrator as a fencing token: what handlers see, and answers that come from outside.

use std::time::Duration;

use bytes::Bytes;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use super::play::Play;
use crate::error::ErrorKind;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    self, Answer, Answered, AttemptResult, Command, Flight, Input, Phase, Stage,
};
use crate::saga::record::{Effect, Fact, Outcome};
use crate::saga::{OnInDoubt, SagaId, Sagas, Status};

fn success() -> Answered {
    Answered::Step(Ok(Bytes::from_static(b"1")))
}

fn failure() -> Answered {
    Answered::Step(Err(StepError::Reject("it was refused".to_owned())))
}

/// Gives an answer as a worker would.
fn answer(
    play: &mut Play,
    step: &str,
    (attempt, epoch): (u32, u64),
    result: Answered,
) -> Result<Vec<Fact>, ErrorKind> {
    let answer = Answer {
        step: step.to_owned(),
        attempt,
        epoch,
        result,
    };
    let refusal = machine::answer_refusal(&play.state, &play.facts(), &answer);
    let facts = play.give(Input::Answered(answer));
    match refusal {
        None => Ok(facts),
        Some(refusal) => {
            assert_eq!(facts, [], "refused, and nothing is stored");
            Err(refusal.kind)
        }
    }
}

/// Another process goes on.
fn next_process(play: &mut Play) {
    play.epoch += 1;
    play.restart();
    // Its handlers hand the work on and do not wait.
    play.in_flight.clear();
    play.compensating.clear();
}

/// `a` was asked by the first process and again by the second.
fn asked_again() -> Play {
    let mut play = Play::begun(&define(vec![step("a").retries(2), step("b").after("a")]));
    next_process(&mut play);
    assert_eq!((play.step("a").attempts, play.step("a").epoch), (2, 2));
    play
}

/// `a` and `b` are in doubt; `b` was to be taken back by the first process and again by the second.
fn taken_back_again() -> Play {
    let mut play = Play::begun(&define(vec![step("a"), step("b")]));
    let unknown = || Answered::Step(Err(StepError::InDoubt("?".to_owned())));
    play.in_flight.clear();
    answer(&mut play, "a", (1, 1), unknown()).unwrap();
    answer(&mut play, "b", (1, 1), unknown()).unwrap();
    next_process(&mut play);
    let back = &play.step("b").compensation;
    assert_eq!((back.attempts, back.epoch), (2, 2));
    play
}

#[test]
fn a_success_of_an_old_epoch_is_refused() {
    let mut play = asked_again();
    let fenced = Err(ErrorKind::Fenced);
    assert_eq!(answer(&mut play, "a", (1, 1), success()), fenced);
    // Also where it claims to be of the last attempt, or of an epoch that has not been.
    assert_eq!(answer(&mut play, "a", (2, 1), success()), fenced);
    assert_eq!(answer(&mut play, "a", (2, 3), success()), fenced);
    assert!(play.has("a", &Phase::Started));
    // The one that was asked last decides.
    let facts = answer(&mut play, "a", (2, 2), success()).unwrap();
    assert!(matches!(facts[0], Fact::StepSucceeded { attempt: 2, .. }));
    assert_eq!(answer(&mut play, "a", (1, 1), success()), fenced);
    play.check();
}

#[test]
fn a_failure_of_an_old_epoch_is_refused() {
    let mut play = asked_again();
    let fenced = Err(ErrorKind::Fenced);
    assert_eq!(answer(&mut play, "a", (1, 1), failure()), fenced);
    assert_eq!(answer(&mut play, "a", (2, 1), failure()), fenced);
    assert!(play.has("a", &Phase::Started));
    let facts = answer(&mut play, "a", (2, 2), failure()).unwrap();
    assert!(matches!(facts[0], Fact::StepFailed { attempt: 2, .. }));
    play.check();
}

#[test]
fn an_answer_of_a_compensation_of_an_old_epoch_is_refused() {
    let mut play = taken_back_again();
    let done = || Answered::Compensation(Ok(()));
    let fenced = Err(ErrorKind::Fenced);
    assert_eq!(answer(&mut play, "b", (1, 1), done()), fenced);
    assert_eq!(answer(&mut play, "b", (2, 1), done()), fenced);
    answer(&mut play, "b", (2, 2), done()).unwrap();
    play.compensating.clear();
    answer(&mut play, "a", (1, 2), done()).unwrap();
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn an_answer_of_an_epoch_that_was_not_followed_by_another_counts_after_a_restart() {
    // Nobody has asked for `a` again: what it did is known from this answer alone.
    let mut play = taken_back_again();
    let facts = answer(&mut play, "a", (1, 1), success()).unwrap();
    let late = |fact: &Fact| {
        matches!(
            fact,
            Fact::LateResult {
                output: Some(_),
                ..
            }
        )
    };
    assert!(late(&facts[0]), "{facts:?}");
    play.check();
}

#[test]
fn an_answer_from_outside_needs_an_attempt_that_is_made_outside() {
    let mut play = Play::begun(&chain(&["a", "b"]));
    // Its handler is at work here, and answers itself.
    let conflict = Err(ErrorKind::Conflict);
    assert_eq!(answer(&mut play, "a", (1, 1), success()), conflict);
    let not_found = Err(ErrorKind::NotFound);
    assert_eq!(answer(&mut play, "x", (1, 1), success()), not_found);
    assert_eq!(answer(&mut play, "a", (2, 1), success()), not_found);
    assert_eq!(answer(&mut play, "a", (0, 1), success()), not_found);
    let waits = define(vec![crate::saga::Step::new("a").signal("go")]);
    let mut play = Play::begun(&waits);
    assert_eq!(answer(&mut play, "a", (1, 1), success()), conflict);
    // Twice is once.
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.in_flight.clear();
    assert_eq!(answer(&mut play, "a", (1, 1), success()).unwrap().len(), 2);
    assert_eq!(answer(&mut play, "a", (1, 1), success()), Ok(vec![]));
    assert_eq!(answer(&mut play, "a", (1, 1), failure()), Ok(vec![]));
    play.check();
}

async fn begun(bed: &Bed, sagas: &Sagas, calls: usize) {
    while bed.world.calls().len() < calls {
        assert!(sagas.stats().active > 0);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn of(step: &str, attempt: u32, epoch: u64, result: Answered) -> Answer {
    Answer {
        step: step.to_owned(),
        attempt,
        epoch,
        result,
    }
}

#[tokio::test(start_paused = true)]
async fn the_epoch_is_given_to_handlers_and_grows_with_each_start() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang, Act::Hang, Act::Reject]);
    bed.world.script("b", &[Act::Do]);
    let definition = define(vec![step("b"), step("a").after("b")]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    begun(&bed, &sagas, 2).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    begun(&bed, &sagas, 3).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(settled(&sagas, &id).await.status, Status::Compensated);
    sagas.shutdown(Duration::ZERO).await;
    let calls = ["b#1", "a#1", "a#2", "a#3", "undo_a#1", "undo_b#1"];
    assert_eq!(bed.world.calls(), calls);
    let fences = bed.world.fences();
    assert_eq!(fences[0], fences[1], "one process has one");
    assert!(fences[1] < fences[2] && fences[2] < fences[3], "{fences:?}");
    assert_eq!(fences[3..], [fences[3]; 3]);
    // What is stored says which.
    let records = bed.disk.records();
    let stored = records[0].iter().filter_map(|record| match record.fact {
        Fact::StepStarted { epoch, .. } | Fact::CompensationStarted { epoch, .. } => epoch,
        _ => None,
    });
    assert_eq!(stored.collect::<Vec<_>>(), fences);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_an_old_epoch_is_fenced_and_counted_and_one_of_this_is_taken() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang, Act::Hang]);
    let slow = step("a").timeout(Duration::from_secs(1));
    let definition = define(vec![
        slow.retries(1).retry_delay(Duration::from_secs(20)),
        step("b").after("a"),
    ]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    begun(&bed, &sagas, 1).await;
    let old = bed.world.fences()[0];
    // Its handler is at work here.
    let refused = sagas.answer(&id, of("a", 1, old, success())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    sagas.shutdown(Duration::ZERO).await;

    let sagas = bed.open().await;
    begun(&bed, &sagas, 2).await;
    let now = bed.world.fences()[1];
    let refused = sagas.answer(&id, of("a", 1, old, success())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
    let refused = sagas.answer(&id, of("a", 2, old, failure())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(sagas.stats().fenced, 2);
    let refused = sagas.answer(
        &id,
        of("a", 2, now, Answered::Step(Ok(Bytes::from_static(b"{")))),
    );
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Invalid);
    // Its handler is dropped after its timeout, and what it did becomes known from elsewhere.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let status = sagas.answer(&id, of("a", 2, now, success())).await.unwrap();
    assert_eq!(status.steps[0].output.as_deref(), Some(b"1".as_slice()));
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    // Nothing is stored of one that comes again when all is over; an old one is still told so.
    let appends = bed.disk.appends();
    sagas.answer(&id, of("a", 2, now, success())).await.unwrap();
    let refused = sagas.answer(&id, of("a", 1, old, success())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(sagas.stats().fenced, 3);
    assert_eq!(bed.disk.appends(), appends);
    let unknown: SagaId = "nobody".parse().unwrap();
    let refused = sagas.answer(&unknown, of("a", 1, now, success())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_end_is_recorded_where_something_is_left_to_repair() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    bed.world.script("undo_a", &[Act::Reject]);
    let sagas = bed.open().await;
    let definition = define(vec![step("a").timeout(Duration::from_secs(1))]);
    let id = sagas.start(&definition, input()).await.unwrap();
    assert_eq!(settled(&sagas, &id).await.status, Status::CompensationStuck);
    sagas.abandon(&id, "by hand").await.unwrap();
    let epoch = bed.world.fences()[0];
    let status = sagas
        .answer(&id, of("a", 1, epoch, success()))
        .await
        .unwrap();
    assert!(status.inconsistent);
    assert_eq!(sagas.stats().late_effects, 1);
    let issues = sagas.health().issues;
    assert_eq!(issues, ["1 sagas had an effect that came to light late"]);
    sagas.shutdown(Duration::ZERO).await;
    let last = bed.disk.records().concat().pop().unwrap().fact;
    let late = Fact::LateResult {
        step: 0,
        attempt: 1,
        output: Some(Bytes::from_static(b"1")),
        effect: Effect::Unknown,
        error: None,
    };
    assert_eq!(last, late);
}

/// Two steps at a time, the second in a service elsewhere, of a process that has ended.
fn cut_off_elsewhere() -> Play {
    let definition = define(vec![
        step("a").on_in_doubt(OnInDoubt::Compensate),
        step("b"),
    ]);
    let mut play = Play::queued(&definition);
    play.elsewhere = vec![1];
    play.give(Input::Begin);
    play.restart();
    play
}

#[test]
fn what_a_service_elsewhere_may_still_do_is_waited_for_before_anything_is_taken_back() {
    let mut play = cut_off_elsewhere();
    assert!(play.is(Stage::Backward) && play.compensating.is_empty());
    assert!(play.has("b", &Phase::Started), "it is not cut off");
    let waits = |play: &Play| {
        let flight = Flight {
            step: 1,
            attempt: 1,
        };
        let is_stop =
            |it: &Command| matches!(it, Command::Stop { flight: told, .. } if *told == flight);
        play.in_flight == [flight] && play.commands.iter().filter(|it| is_stop(it)).count() == 1
    };
    assert!(waits(&play), "{:?}", play.commands);
    // Another restart changes nothing.
    play.restart();
    assert!(waits(&play), "{:?}", play.commands);
    play.in_flight.clear();
    answer(&mut play, "b", (1, 1), success()).unwrap();
    assert_eq!(play.compensating, [1], "it was done, and started last");
    play.taken_back("b");
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn a_service_elsewhere_that_does_not_answer_is_taken_back_as_one_that_may_have_done_it() {
    let mut play = cut_off_elsewhere();
    play.end("b", AttemptResult::Abandoned);
    assert!(play.has("b", &Phase::Failed(Effect::Unknown)));
    assert_eq!(play.compensating, [1]);
}
