//! So many attempts of one service, or of one action of it, at one time and in a second; and how long a step waits for that.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use super::play::Play;
use super::store::{Fault, TestStore};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::handlers::StepError;
use crate::saga::machine::{AttemptResult, Direction, Input, Phase, Stage, Timer, Wanted};
use crate::saga::record::{self, Effect};
use crate::saga::{
    Action, Definition, ForEach, SagaId, Sagas, ServiceLimit, Settings, Status, StepPhase,
};

fn limits(texts: &[&str]) -> Vec<ServiceLimit> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn bed(texts: &[&str]) -> Bed {
    let mut bed = Bed::new();
    bed.settings.service_limits = limits(texts);
    bed
}

async fn start_many(sagas: &Sagas, count: usize, id: &str) -> Vec<SagaId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let definition = define(vec![step(id)]);
        ids.push(sagas.start(&definition, input()).await.unwrap());
    }
    ids
}

/// How often a handler was called.
fn calls(bed: &Bed, action: &str) -> usize {
    let calls = bed.world.calls();
    let of = |call: &&String| call.split('#').next() == Some(action);
    calls.iter().filter(of).count()
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn waits(sagas: &Sagas, id: &SagaId) -> (String, String) {
    let status = sagas.status(id).unwrap();
    let told = |waits: &Option<crate::saga::Waits>| waits.as_ref().map(ToString::to_string);
    let mut steps = status.steps.iter();
    let step = steps.find_map(|step| told(&step.waits));
    (
        told(&status.waits).unwrap_or_default(),
        step.unwrap_or_default(),
    )
}

#[tokio::test(start_paused = true)]
async fn so_many_attempts_of_an_action_run_at_one_time_and_others_are_not_held_up() {
    let bed = bed(&["svc/a=2"]);
    bed.world.script("a", &[Act::DoAfter(100); 6]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 6, "a").await;
    let others = start_many(&sagas, 3, "b").await;
    for done in [2, 4, 6] {
        pass(50).await;
        assert_eq!(calls(&bed, "a"), done);
        assert_eq!(calls(&bed, "b"), 3);
        assert_eq!(sagas.stats().waiting_for_slots, 6 - done);
        pass(51).await;
    }
    for id in ids.iter().chain(&others) {
        assert_eq!(settled(&sagas, id).await.status, Status::Completed);
    }
    let mut keys: Vec<String> = ids.iter().map(|id| format!("{id}/a")).collect();
    let mut seen = bed.world.keys();
    seen.retain(|key| key.ends_with("/a"));
    // Two at a time; within one moment the order is open.
    seen.chunks_mut(2).for_each(<[String]>::sort);
    keys.chunks_mut(2).for_each(<[String]>::sort);
    assert_eq!(seen, keys, "in the order in which they came");
    let waited = sagas.stats().slot_waits;
    assert_eq!(waited.count, 6);
    assert!(waited.sum >= Duration::from_millis(600), "{waited:?}");
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn no_more_steps_of_a_service_begin_in_a_second_than_its_limit_says() {
    let bed = bed(&["svc=@3"]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 8, "a").await;
    pass(10).await;
    assert_eq!(calls(&bed, "a"), 3);
    pass(980).await;
    assert_eq!(calls(&bed, "a"), 3);
    for done in [6, 8] {
        pass(20).await;
        assert_eq!(calls(&bed, "a"), done);
        pass(980).await;
        assert_eq!(calls(&bed, "a"), done);
    }
    for id in &ids {
        assert_eq!(settled(&sagas, id).await.status, Status::Completed);
    }
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_whose_first_steps_have_no_slot_is_under_way_and_says_what_it_waits_for() {
    let mut bed = bed(&["svc/a=1"]);
    bed.settings.active_max = 2;
    bed.world.script("a", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 3, "a").await;
    pass(10).await;
    let slot = "for a slot of svc/a".to_owned();
    let turn = "for its turn".to_owned();
    assert_eq!(waits(&sagas, &ids[0]), (String::new(), String::new()));
    assert_eq!(waits(&sagas, &ids[1]), (slot.clone(), slot));
    assert_eq!(waits(&sagas, &ids[2]), (turn.clone(), turn));
    let of = |id: &SagaId| {
        let status = sagas.status(id).unwrap();
        let step = &status.steps[0];
        (status.status, step.phase, step.attempts)
    };
    assert_eq!(of(&ids[1]), (Status::Started, StepPhase::Pending, 0));
    assert_eq!(of(&ids[2]), (Status::Queued, StepPhase::Pending, 0));
    let stats = sagas.stats();
    assert_eq!(
        (stats.active, stats.queued, stats.waiting_for_slots),
        (2, 1, 1)
    );
    // It can be paused, which one that waits for its turn cannot; its slot goes to others meanwhile.
    let by = By::new("ann", "a look first");
    sagas
        .operate(&ids[1], Action::Pause, by.clone())
        .await
        .unwrap();
    assert_eq!(sagas.stats().waiting_for_slots, 1, "the third has its turn");
    assert_eq!(settled(&sagas, &ids[2]).await.status, Status::Completed);
    assert_eq!(of(&ids[1]).2, 0);
    sagas.operate(&ids[1], Action::Resume, by).await.unwrap();
    assert_eq!(settled(&sagas, &ids[1]).await.status, Status::Completed);
    assert_eq!(of(&ids[1]).2, 1, "waiting cost no attempt");
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_for_a_slot_goes_on_after_a_restart() {
    let bed = bed(&["svc/a=1"]);
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 3, "a").await;
    pass(10).await;
    sagas.shutdown(Duration::ZERO).await;
    bed.world.script("a", &[Act::DoAfter(100); 3]);
    let sagas = bed.open().await;
    for done in 2..=4 {
        pass(50).await;
        assert_eq!(calls(&bed, "a"), done);
        pass(51).await;
    }
    for id in &ids {
        let status = settled(&sagas, id).await;
        assert_eq!(status.status, Status::Completed);
    }
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn steps_of_one_saga_and_retries_wait_for_their_service_too() {
    let bed = bed(&["svc=1", "svc/b=1"]);
    bed.world.script("a", &[Act::Retry, Act::DoAfter(100)]);
    bed.world.script("c", &[Act::DoAfter(10_000)]);
    bed.world.script("b", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let retried = step("a").retries(1).retry_delay(Duration::from_secs(1));
    let definition = define(vec![retried, step("b"), step("c")]);
    let id = sagas.start(&definition, input()).await.unwrap();
    pass(50).await;
    let counts = |bed: &Bed| ["a", "b", "c"].map(|action| calls(bed, action));
    // `b` goes by its own limit. `a` has failed, and `c` has its slot.
    assert_eq!(counts(&bed), [1, 1, 1]);
    pass(9_000).await;
    assert_eq!(counts(&bed), [1, 1, 1], "the retry is due and waits");
    let status = sagas.status(&id).unwrap();
    let waits = status.steps[0].waits.as_ref().unwrap();
    assert_eq!(waits.to_string(), "for a slot of svc/a");
    assert_eq!(status.steps[0].attempts, 1);
    pass(2_000).await;
    assert_eq!(counts(&bed), [2, 1, 1]);
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn items_of_a_list_wait_for_their_service_one_by_one() {
    let bed = bed(&["svc/a=2"]);
    bed.world.script("a[0]", &[Act::DoAfter(100)]);
    bed.world.script("a[1]", &[Act::DoAfter(100)]);
    bed.world.script("a[2]", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let list = crate::saga::Step {
        for_each: Some(ForEach {
            from: "/items".to_owned(),
            step: None,
            concurrency: std::num::NonZeroU32::new(10).unwrap(),
        }),
        ..step("a")
    };
    let id = sagas.start(&define(vec![list]), input()).await.unwrap();
    pass(50).await;
    assert_eq!(bed.world.calls(), ["a[0]#1", "a[1]#1"]);
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    assert_eq!(bed.world.calls().len(), 3);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_needs_a_slot_and_gets_the_next_one() {
    let bed = bed(&["svc=1"]);
    bed.world.script("a", &[Act::DoAfter(100)]);
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("undo_a", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    let others = start_many(&sagas, 2, "c").await;
    pass(150).await;
    let so_far = ["a#1", "b#1", "undo_a#1"];
    assert_eq!(bed.world.calls(), so_far, "the oldest goes first");
    assert_eq!(settled(&sagas, &id).await.status, Status::Compensated);
    for other in &others {
        assert_eq!(settled(&sagas, other).await.status, Status::Completed);
    }
    // Its compensation waits while another saga has the slot.
    bed.world.script("b", &[Act::Reject]);
    bed.world.script("c", &[Act::DoAfter(1_000)]);
    let timed = define(vec![
        step("a"),
        crate::saga::Step::new("t")
            .timer(Duration::from_millis(500))
            .after("a"),
    ]);
    let id = sagas.start(&timed, input()).await.unwrap();
    pass(100).await;
    let other = start_many(&sagas, 1, "c").await;
    pass(100).await;
    sagas.cancel(&id, "not needed").await.unwrap();
    pass(100).await;
    assert_eq!(calls(&bed, "undo_a"), 1);
    assert_eq!(waits(&sagas, &id).1, "for a slot of svc/undo_a");
    assert_eq!(settled(&sagas, &other[0]).await.status, Status::Completed);
    assert_eq!(settled(&sagas, &id).await.status, Status::Cancelled);
    assert_eq!(calls(&bed, "undo_a"), 2);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_free_again_however_an_attempt_ends() {
    let bed = bed(&["svc/a=1"]);
    let timeout = Duration::from_millis(100);
    let definition = define(vec![step("a").timeout(timeout)]);
    let sagas = bed.open().await;
    for act in [
        Act::Do,
        Act::Reject,
        Act::InDoubt,
        Act::Panic,
        Act::Hang,
        Act::DoAfterDeaf(500),
    ] {
        bed.world.script("a", &[act]);
        let id = sagas.start(&definition, input()).await.unwrap();
        let next = sagas.start(&definition, input()).await.unwrap();
        settled(&sagas, &id).await;
        let status = settled(&sagas, &next).await;
        assert_eq!(status.status, Status::Completed, "{act:?}");
    }
    // Cancelled, ended as it is, and both while they wait for it.
    let by = || By::new("ann", "not needed");
    for end in [
        Action::Cancel {
            in_flight: crate::saga::InFlight::Abandon,
        },
        Action::Terminate,
    ] {
        bed.world.script("a", &[Act::Hang]);
        let hangs = define(vec![step("a").timeout(Duration::from_secs(3_600))]);
        let id = sagas.start(&hangs, input()).await.unwrap();
        let waits = sagas.start(&hangs, input()).await.unwrap();
        let next = sagas.start(&hangs, input()).await.unwrap();
        pass(10).await;
        assert_eq!(sagas.stats().waiting_for_slots, 2, "{end:?}");
        sagas.operate(&waits, end.clone(), by()).await.unwrap();
        assert_eq!(sagas.stats().waiting_for_slots, 1, "{end:?}");
        sagas.operate(&id, end.clone(), by()).await.unwrap();
        let status = settled(&sagas, &next).await;
        assert_eq!(status.status, Status::Completed, "{end:?}");
        let (waits, id) = (settled(&sagas, &waits).await, settled(&sagas, &id).await);
        assert_eq!((waits.steps[0].attempts, id.steps[0].attempts), (0, 1));
    }
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_could_not_be_stored_leaves_its_slot() {
    let bed = bed(&["svc/a=1"]);
    let store = TestStore::new(&bed.disk, Some((0, Fault::Full)));
    let sagas = bed.open_on(store).await;
    let error = sagas.start(&chain(&["a"]), input()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    let id = sagas.start(&chain(&["a"]), input()).await.unwrap();
    assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_at_a_restart_passes_the_limit_of_a_service() {
    let mut bed = Bed::new();
    bed.world.script("a", &[Act::Hang; 3]);
    let sagas = bed.open().await;
    let ids = start_many(&sagas, 3, "a").await;
    pass(10).await;
    sagas.shutdown(Duration::ZERO).await;
    bed.settings.service_limits = limits(&["svc=1@1"]);
    bed.world.script("a", &[Act::DoAfter(100); 4]);
    let sagas = bed.open().await;
    pass(10).await;
    assert_eq!(calls(&bed, "a"), 6, "each was run again at once");
    let next = start_many(&sagas, 1, "a").await;
    pass(900).await;
    assert_eq!(calls(&bed, "a"), 6, "and counts");
    for id in ids.iter().chain(&next) {
        assert_eq!(settled(&sagas, id).await.status, Status::Completed);
    }
    assert_eq!(calls(&bed, "a"), 7);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_too_long_for_its_first_attempt_has_failed_without_an_effect() {
    let bed = bed(&["svc/a=1"]);
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    let hangs = define(vec![step("a").timeout(hour)]);
    let holder = sagas.start(&hangs, input()).await.unwrap();
    let limited = step("a").queue_timeout(10 * second).after("b");
    let definition = define(vec![step("b"), limited]);
    let id = sagas.start(&definition, input()).await.unwrap();
    pass(6_000).await;
    assert_eq!(waits(&sagas, &id).1, "for a slot of svc/a");
    // The time goes on over a restart: it is counted from the record that made the step ready.
    sagas.shutdown(Duration::ZERO).await;
    bed.world.script("a", &[Act::Hang]);
    let sagas = bed.open().await;
    pass(3_000).await;
    assert_eq!(sagas.status(&id).unwrap().status, Status::Executing);
    pass(1_100).await;
    let status = settled(&sagas, &id).await;
    assert_eq!(status.status, Status::Compensated);
    let error = "step `a` failed: was ready and did not begin within 10s";
    assert_eq!(status.error.as_deref(), Some(error));
    let took = status.ended_at.unwrap().since(status.started_at);
    assert!((10 * second..11 * second).contains(&took), "{took:?}");
    assert_eq!((status.steps[1].attempts, calls(&bed, "undo_a")), (0, 0));
    assert_eq!(bed.world.count("undo_b"), 1);
    // One that begins in time has no such limit any more.
    let by = By::new("ann", "not needed");
    let next = define(vec![step("a").queue_timeout(10 * second)]);
    bed.world.script("a", &[Act::DoAfter(20_000)]);
    let next = sagas.start(&next, input()).await.unwrap();
    pass(9_000).await;
    sagas.operate(&holder, Action::Terminate, by).await.unwrap();
    assert_eq!(settled(&sagas, &next).await.status, Status::Completed);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

fn wanted(play: &Play, id: &str, direction: Direction) -> Wanted {
    Wanted {
        step: play.position(id),
        direction,
    }
}

/// A saga whose turn has come, and whose steps all need a slot.
fn without_slots(definition: &Definition) -> Play {
    let mut play = Play::queued(definition);
    play.limited = (0..definition.steps().len()).collect();
    play.give(Input::Begin);
    play
}

/// Gives the slots that it waits for.
fn grant(play: &mut Play) -> Vec<record::Fact> {
    play.granted.clone_from(&play.wanting);
    play.give(Input::Begin)
}

#[test]
fn a_turn_without_a_slot_is_a_record_and_a_slot_lets_the_steps_begin() {
    let mut play = without_slots(&define(vec![step("a"), step("b")]));
    assert!(play.is(Stage::Running));
    assert_eq!(play.records.last().unwrap().fact, record::Fact::Begun);
    assert_eq!(play.wanting.len(), 2);
    assert!(play.give(Input::Begin).is_empty(), "nothing new");
    play.granted = vec![wanted(&play, "b", Direction::Forward)];
    play.give(Input::Begin);
    assert!(play.has("a", &Phase::Pending) && play.has("b", &Phase::Started));
    assert_eq!(play.wanting, [wanted(&play, "a", Direction::Forward)]);
    grant(&mut play);
    play.succeed("a");
    play.succeed("b");
    play.check();
}

#[test]
fn a_retry_that_is_due_waits_and_so_does_a_compensation_until_there_is_a_slot() {
    let retried = step("a").retries(1);
    let mut play = without_slots(&define(vec![retried, step("b").after("a")]));
    grant(&mut play);
    play.end("a", AttemptResult::Err(StepError::Retry("busy".to_owned())));
    assert!(play.wanting.is_empty(), "its time has not come");
    assert!(play.due("a").is_empty());
    let again = [wanted(&play, "a", Direction::Forward)];
    assert_eq!(play.wanting, again);
    assert!(play.give(Input::Begin).is_empty());
    assert_eq!(play.wanting, again, "it waits for as long as it takes");
    grant(&mut play);
    play.succeed("a");
    grant(&mut play);
    play.reject("b");
    let back = [wanted(&play, "a", Direction::Backward)];
    assert_eq!(play.wanting, back);
    grant(&mut play);
    play.end_compensation("a", Err(StepError::Retry("busy".to_owned())));
    assert!(play.due("a").is_empty());
    assert_eq!(play.wanting, back);
    grant(&mut play);
    play.taken_back("a");
    assert!(matches!(play.state.stage, Stage::Ended(_)));
    play.check();
}

#[test]
fn of_waiting_too_long_and_a_slot_the_first_decides() {
    let limited = step("a").queue_timeout(Duration::from_secs(1));
    let definition = define(vec![limited]);
    let mut play = without_slots(&definition);
    let timer = Timer::Start(play.position("a"));
    // The slot is there already.
    play.granted.clone_from(&play.wanting);
    play.give(Input::Elapsed(timer));
    assert!(play.has("a", &Phase::Started));
    play.check();
    let mut play = without_slots(&definition);
    play.give(Input::Elapsed(timer));
    assert!(play.has("a", &Phase::Failed(Effect::None)));
    assert!(play.wanting.is_empty());
    play.check();
}

#[test]
fn behind_the_pivot_an_operator_lets_a_step_wait_again_for_as_long_as_it_takes() {
    let limited = step("b").after("a").queue_timeout(Duration::from_secs(1));
    let mut play = without_slots(&define(vec![step("a").pivot(), limited]));
    grant(&mut play);
    play.succeed("a");
    let timer = Timer::Start(play.position("b"));
    play.give(Input::Elapsed(timer));
    assert!(play.is(Stage::ForwardStuck));
    play.operate(Action::Retry { step: None });
    assert!(play.is(Stage::Running));
    assert_eq!(play.wanting, [wanted(&play, "b", Direction::Forward)]);
    assert!(play.give(Input::Elapsed(timer)).is_empty());
    grant(&mut play);
    play.succeed("b");
    play.check();
}

#[test]
fn an_item_is_ready_when_there_is_a_place_for_it() {
    let list = crate::saga::Step {
        for_each: Some(ForEach {
            from: "/l".to_owned(),
            step: None,
            concurrency: std::num::NonZeroU32::MIN,
        }),
        ..step("a").queue_timeout(Duration::from_secs(5))
    };
    let mut play = Play::queued_with(&define(vec![list]), br#"{"l":[1,2]}"#);
    play.limited = vec![0];
    play.give(Input::Begin);
    assert_eq!(play.wanting, [wanted(&play, "a[0]", Direction::Forward)]);
    grant(&mut play);
    play.now = play.now.after(Duration::from_secs(60));
    play.succeed("a[0]");
    let item = play.position("a[1]");
    assert_eq!(play.state.ready_at(item), Some(play.now));
    grant(&mut play);
    play.succeed("a[1]");
    play.check();
}

#[test]
fn a_limit_of_a_service_is_written_as_it_is_read_and_what_makes_no_sense_is_refused() {
    for text in ["ai=4", "ai/read_form=@10", "ai=4@10", "a.b-c/d.e=1@10000"] {
        let limit: ServiceLimit = text.parse().unwrap();
        assert_eq!(limit.to_string(), text);
    }
    for text in [
        "",
        "ai",
        "ai=",
        "ai=0",
        "ai=@0",
        "ai=-1",
        "ai=4@",
        "=4",
        "ai/=4",
        "a i=4",
        "ai=4@10001",
        "ai=4,b=1",
        "ai=99999999999",
    ] {
        // `ai=4@` is the same as `ai=4`.
        match text.parse::<ServiceLimit>() {
            Ok(limit) => assert_eq!((text, limit.to_string().as_str()), ("ai=4@", "ai=4")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{text}"),
        }
    }
    let settings = Settings {
        service_limits: limits(&["ai=1", "ai/x=1", "ai=2"]),
        ..Settings::default()
    };
    let error = settings.validate().unwrap_err().to_string();
    assert!(error.contains("`service_limits`"), "{error}");
    assert!(error.contains("two limits of `ai`"), "{error}");
}
