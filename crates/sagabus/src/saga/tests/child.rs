//! Steps that are sagas of their own.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

use super::bed::{Act, Bed, define, input, settled, step};
use super::play::Play;
use super::store::{Fault, TestStore};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::handlers::StepError;
use crate::saga::machine::{Action, AttemptResult, ChildEnd, Command, Input, Phase, Stage};
use crate::saga::record::{Effect, Fact, Outcome, Record};
use crate::saga::{
    ConcurrencyKey, Definition, OnConflict, Options, SagaId, SagaStatus, Sagas, Status, Step,
    StepPhase,
};

fn inner(steps: Vec<Step>) -> Definition {
    Definition::from_steps("inner", steps).unwrap()
}

/// `b`, then `c`.
fn pair() -> Definition {
    inner(vec![step("b"), step("c").after("b")])
}

/// A step that is a saga, with a compensation.
fn child(id: &str, definition: Definition) -> Step {
    let own = Step::new(id).child(definition);
    own.service("svc").compensated_by(format!("undo_{id}"))
}

/// `a`, then `g` as a saga of `b` and `c`, then `d`.
fn around() -> Definition {
    define(vec![
        step("a"),
        child("g", pair()).after("a"),
        step("d").after("g"),
    ])
}

async fn started(bed: &Bed, definition: &Definition) -> (Sagas, SagaId) {
    let sagas = bed.open().await;
    let id = sagas.start(definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    (sagas, id)
}

fn child_of(sagas: &Sagas, id: &SagaId) -> SagaStatus {
    let status = sagas.status(id).unwrap();
    let mut steps = status.steps.iter();
    let child = steps.find_map(|step| step.child.clone()).unwrap();
    sagas.status(&child).unwrap()
}

fn json(bytes: Option<&Bytes>) -> serde_json::Value {
    serde_json::from_slice(bytes.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_a_saga_hands_on_the_outputs_of_its_steps_and_needs_no_slot_meanwhile() {
    let mut bed = Bed::new();
    // The child could never run if its parent held the only slot.
    bed.settings.active_max = 1;
    bed.world.script("b", &[Act::DoAfter(1_000)]);
    let (sagas, id) = started(&bed, &around()).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.steps[1].phase, StepPhase::Waiting);
    let child = child_of(&sagas, &id);
    assert_eq!(child.name, "inner");
    assert_eq!(child.parent.as_ref(), Some(&id));
    assert_eq!(child.correlation_id, status.correlation_id);
    assert_eq!(child.input, status.input);
    assert_eq!(sagas.stats().active, 1);
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed);
    let expected = serde_json::json!({
        "b": {"done": "b", "attempt": 1},
        "c": {"done": "c", "attempt": 1},
    });
    assert_eq!(json(status.steps[1].output.as_ref()), expected);
    assert_eq!(bed.world.effects(), ["a", "b", "c", "d"]);
    assert_eq!(sagas.stats().active, 0);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_child_is_given_what_is_at_its_pointer() {
    for (own, given) in [
        (Step::new("g").child(pair()).given("/items/1"), "20"),
        (
            Step::new("g")
                .child(pair())
                .after("a")
                .given_of("a", "/done"),
            "\"a\"",
        ),
    ] {
        let bed = Bed::new();
        let (sagas, id) = started(&bed, &define(vec![step("a"), own])).await;
        assert_eq!(child_of(&sagas, &id).input, given);
        assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    }
    let nowhere = Step::new("g").child(pair()).after("a").given_of("a", "/x");
    let bed = Bed::new();
    let status = bed.run(&define(vec![step("a"), nowhere])).await;
    assert_eq!(status.status, Status::Compensated);
    let error = status.steps[1].error.as_deref();
    assert_eq!(error, Some("there is nothing at `/x` for its saga"));
    assert_eq!(bed.disk.stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_taken_back_fails_its_step_without_an_effect() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let status = bed.run(&around()).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "b", "undo_b", "undo_a"]);
    let error = status.steps[1].error.clone().unwrap();
    assert!(
        error.ends_with("did not complete: step `c` failed: c is refused"),
        "{error}"
    );
    assert_eq!(status.steps[1].phase, StepPhase::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_completed_is_taken_back_by_the_compensation_of_its_step() {
    let bed = Bed::new();
    bed.world.script("d", &[Act::Reject]);
    let status = bed.run(&around()).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["a", "b", "c", "undo_g", "undo_a"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_leaves_effects_leaves_its_step_in_doubt() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Hang]);
    let (sagas, id) = started(&bed, &around()).await;
    let child = child_of(&sagas, &id).id;
    let by = || By::new("ann", "enough");
    // Leaves first: nothing that its parent is told to do may leave it without one.
    for action in [
        Action::Terminate,
        Action::Skip {
            step: "g".to_owned(),
        },
        Action::Complete {
            step: "g".to_owned(),
            output: Bytes::from_static(b"1"),
        },
    ] {
        let error = sagas.operate(&id, action, by()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(child.as_str()), "{error}");
    }
    sagas
        .operate(&child, Action::Terminate, by())
        .await
        .unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated);
    // Its compensation looks at what the child has left.
    assert_eq!(bed.world.effects(), ["a", "b", "undo_g", "undo_a"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_the_leaves_first_and_each_waits_for_those_inside_it() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::DoAfter(60_000)]);
    bed.world.script("undo_b", &[Act::Retry]);
    let nested = inner(vec![step("e"), child("h", pair()).after("e")]);
    let definition = define(vec![step("a"), child("g", nested).after("a")]);
    let (sagas, id) = started(&bed, &definition).await;
    let middle = child_of(&sagas, &id).id;
    let leaf = child_of(&sagas, &middle).id;
    sagas.cancel(&id, "changed my mind").await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    for inside in [&middle, &leaf] {
        assert_eq!(sagas.status(inside).unwrap().status, Status::Cancelled);
    }
    let effects = ["a", "e", "b", "undo_b", "undo_e", "undo_a"];
    assert_eq!(bed.world.effects(), effects);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_child_behind_its_pivot_is_brought_to_its_end_and_then_taken_back_as_a_whole() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::DoAfter(1_000)]);
    let passed = inner(vec![step("b").pivot(), step("c").after("b")]);
    let (sagas, id) = started(&bed, &define(vec![child("g", passed)])).await;
    sagas.cancel(&id, "changed my mind").await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(bed.world.effects(), ["b", "c", "undo_g"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_turned_back_says_that_it_waits_for_its_child() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let passed = inner(vec![step("b").pivot(), step("c").after("b")]);
    let (sagas, id) = started(&bed, &define(vec![child("g", passed)])).await;
    let stuck = child_of(&sagas, &id);
    assert_eq!(stuck.status, Status::ForwardStuck);
    sagas.cancel(&id, "changed my mind").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.status, Status::Compensating);
    for waits in [&status.waits, &status.steps[0].waits] {
        let told = waits.as_ref().unwrap().to_string();
        assert!(told.contains(stuck.id.as_str()), "{told}");
    }
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_list_can_be_a_saga() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Do, Act::Reject]);
    let list = child("g", pair()).for_each("/items");
    let list = list.at_a_time(NonZeroU32::MIN);
    let (sagas, id) = started(&bed, &define(vec![list])).await;
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(bed.world.effects(), ["b", "c", "b", "undo_b", "undo_g[0]"]);
    let inputs: Vec<Bytes> = sagas
        .history()
        .into_iter()
        .filter(|saga| saga.parent.is_some())
        .map(|saga| saga.input)
        .collect();
    assert_eq!(inputs, ["10", "20"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_sagas_that_go_one_after_the_other_needs_no_slot_meanwhile() {
    let mut bed = Bed::new();
    // The items could never run if the saga of their list held the only slot.
    bed.settings.active_max = 1;
    let list = child("g", pair()).for_each("/items");
    let list = list.at_a_time(NonZeroU32::MIN);
    let (sagas, id) = started(&bed, &define(vec![list])).await;
    let ended = tokio::time::timeout(Duration::from_secs(3_600), sagas.wait(&id)).await;
    assert_eq!(ended.unwrap().unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["b", "c", "b", "c", "b", "c"]);
    assert_eq!(sagas.stats().active, 0);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

/// How the actions go, and after how many milliseconds the saga is cancelled.
type Script = (&'static [(&'static str, &'static [Act])], Option<u64>);

/// Runs `around()` in processes that end at the given appends, then to its end.
async fn swept(bed: &Bed, faults: &[(usize, Fault)], cancel_after: Option<u64>) -> SagaStatus {
    bed.run_through(&around(), faults, cancel_after).await
}

fn check_world(bed: &Bed, status: &SagaStatus, faults: &[(usize, Fault)]) {
    let count = |name: &str| bed.world.count(name);
    assert!(bed.disk.stored().len() <= 2, "{faults:?}");
    for id in ["a", "b", "c", "d"] {
        assert!(count(id) <= 1 + faults.len(), "{faults:?}: {id}");
    }
    let is_done = status.status == Status::Completed;
    if is_done {
        let mut effects = bed.world.effects();
        assert!(!effects.iter().any(|effect| effect.starts_with("undo")));
        effects.dedup();
        assert_eq!(effects, ["a", "b", "c", "d"], "{faults:?}");
        return;
    }
    // What was done is taken back: inside the child, or the child as a whole.
    let taken_back = |id: &str| count(&format!("undo_{id}")) > 0;
    assert!(count("a") == 0 || taken_back("a"), "{faults:?}");
    assert!(
        count("b") == 0 || taken_back("b") || taken_back("g"),
        "{faults:?}"
    );
    assert!(!(taken_back("b") && taken_back("g")), "{faults:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_leaves_parent_and_child_as_they_must_be() {
    let scripts: [Script; 4] = [
        (&[], None),
        (&[("c", &[Act::Reject; 3])], None),
        (&[("d", &[Act::Reject; 3])], None),
        (&[("c", &[Act::DoAfter(50); 3])], Some(10)),
    ];
    for (script, cancel_after) in scripts {
        let bed = || {
            let bed = Bed::new();
            for (action, acts) in script {
                bed.world.script(action, acts);
            }
            bed
        };
        let whole = bed();
        swept(&whole, &[], cancel_after).await;
        let appends = whole.disk.appends();
        assert!(appends >= 5);
        for first in 0..appends {
            for second in [None, Some(0), Some(1), Some(2)] {
                for fault in [Fault::Before, Fault::After] {
                    let mut faults = vec![(first, fault)];
                    faults.extend(second.map(|second| (second, fault)));
                    let bed = bed();
                    let status = swept(&bed, &faults, cancel_after).await;
                    assert!(status.status.is_final(), "{faults:?}");
                    check_world(&bed, &status, &faults);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_over_is_kept_until_its_parent_knows() {
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(1);
    // The process ends before the parent has stored what became of its child.
    let whole = Bed::new();
    whole.run(&around()).await;
    let mut is_shown = false;
    for at in 0..whole.disk.appends() {
        let bed = Bed {
            disk: Default::default(),
            world: Default::default(),
            clock: std::sync::Arc::clone(&bed.clock),
            settings: bed.settings.clone(),
        };
        let store = TestStore::new(&bed.disk, Some((at, Fault::Before)));
        let sagas = bed.open_on(std::sync::Arc::clone(&store)).await;
        let Ok(id) = sagas.start(&around(), input().keyed("once")).await else {
            continue;
        };
        store.crashed.cancelled().await;
        sagas.shutdown(Duration::ZERO).await;
        let is_over = |records: &Vec<Record>| {
            let last = records.last().map(|record| &record.fact);
            matches!(last, Some(Fact::Ended { .. }))
        };
        let is_left = bed.disk.records().get(1).is_some_and(is_over);
        is_shown |= is_left;
        // Long after its time.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let sagas = bed.open().await;
        assert_eq!(settled(&sagas, &id).await.status, Status::Completed);
        if is_left {
            assert_eq!((bed.world.count("b"), bed.world.count("c")), (1, 1));
        }
        sagas.shutdown(Duration::ZERO).await;
        super::invariants::check(&bed.disk);
    }
    assert!(is_shown);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_in_the_log_of_a_child_only_once_its_parent_knows_and_its_time_is_over() {
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(60);
    let (sagas, id) = started(&bed, &around()).await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    let lasts = || -> Vec<bool> {
        let last = |records: Vec<Record>| records.last().unwrap().fact == Fact::Closed;
        bed.disk.records().into_iter().map(last).collect()
    };
    assert_eq!(lasts(), [false, false]);
    tokio::time::sleep(Duration::from_secs(150)).await;
    // That of the parent is over with its end.
    assert_eq!(lasts(), [false, true]);
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert!(sagas.active().is_empty() && sagas.unreadable().is_empty());
    super::invariants::check(&bed.disk);
}

#[test]
fn behind_the_pivot_a_child_that_failed_is_tried_again_as_another_saga() {
    let definition = define(vec![
        step("a").pivot(),
        child("g", pair()).after("a"),
        step("d").after("g"),
    ]);
    let mut play = Play::begun(&definition);
    play.succeed("a");
    let step = play.position("g");
    let first = play.state.child_id(step).unwrap();
    let ended = |attempt, end| Input::ChildEnded { step, attempt, end };
    play.give(ended(1, ChildEnd::TakenBack("no".to_owned())));
    assert!(play.is(Stage::ForwardStuck));
    play.operate(Action::Retry { step: None });
    assert_ne!(play.state.child_id(step).unwrap(), first);
    // What became of the one before is no news.
    assert_eq!(play.give(ended(1, ChildEnd::Completed(Bytes::new()))), []);
    let output = Bytes::from_static(b"{}");
    play.give(ended(2, ChildEnd::Completed(output.clone())));
    assert!(play.has("g", &Phase::Succeeded(output)));
    play.succeed("d");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn what_becomes_of_a_child_is_what_becomes_of_its_step() {
    let text = || "e".to_owned();
    for (end, effect) in [
        (ChildEnd::TakenBack(text()), Effect::None),
        (ChildEnd::NotStarted, Effect::None),
        (ChildEnd::Left(text()), Effect::Unknown),
        (
            ChildEnd::Completed(Bytes::from(vec![b'1'; 17 * 1024 * 1024])),
            Effect::Unknown,
        ),
    ] {
        let mut play = Play::begun(&around());
        play.succeed("a");
        let step = play.position("g");
        let input = Input::ChildEnded {
            step,
            attempt: 1,
            end,
        };
        play.give(input);
        assert!(play.has("g", &Phase::Failed(effect)));
        assert!(play.is(Stage::Backward));
        if effect == Effect::Unknown {
            play.taken_back("g");
        }
        play.taken_back("a");
        assert!(play.is(Stage::Ended(Outcome::Compensated)));
        play.check();
    }
}

#[test]
fn a_saga_that_turns_back_waits_for_its_children_before_anything_is_taken_back() {
    let definition = define(vec![step("a"), child("g", pair()), step("d")]);
    let mut play = Play::begun(&definition);
    play.succeed("a");
    play.end("d", AttemptResult::Err(StepError::Reject("no".to_owned())));
    assert!(play.is(Stage::Backward));
    assert!(play.compensating.is_empty());
    // After a restart too, and the child is still to be cancelled.
    play.restart();
    assert!(play.compensating.is_empty());
    let step = play.position("g");
    let cancel = Command::CancelChild { step };
    assert!(play.commands.contains(&cancel));
    let output = Bytes::from_static(b"{}");
    play.give(Input::ChildEnded {
        step,
        attempt: 1,
        end: ChildEnd::Completed(output),
    });
    play.taken_back("g");
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn a_paused_saga_finds_its_children_again_and_starts_nothing_when_they_are_over() {
    let mut play = Play::begun(&around());
    play.succeed("a");
    play.operate(Action::Pause);
    play.restart();
    let step = play.position("g");
    assert_eq!(play.commands, [Command::Child { step }]);
    play.give(Input::ChildEnded {
        step,
        attempt: 1,
        end: ChildEnd::Completed(Bytes::from_static(b"{}")),
    });
    assert!(play.in_flight.is_empty());
    play.operate(Action::Resume);
    play.succeed("d");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn a_step_that_is_a_saga_has_no_attempts_and_not_too_many_inside_it() {
    let refused = |steps: Vec<Step>| {
        let error = Definition::from_steps("s", steps).unwrap_err();
        (error.place.path.clone(), error.fault.to_string())
    };
    let own = || child("g", pair());
    let own_version = |version| Step {
        version: NonZeroU32::new(version),
        compensation_action: None,
        ..own()
    };
    for (step, field) in [
        (own().retries(1), "retryAttempts"),
        (own().timeout(Duration::from_secs(1)), "timeout"),
        (own().action("x"), "action"),
        (own().overlap(), "overlap"),
        (own_version(2), "version"),
    ] {
        let (path, text) = refused(vec![step]);
        assert_eq!(path, format!("steps[0].{field}"));
        let too_much =
            format!("step `g` is a saga of its own: `{field}` is too much, it has `name`,");
        assert!(text.starts_with(&too_much), "{text}");
    }
    let mut deep = pair();
    for _ in 1..4 {
        deep = inner(vec![child("g", deep)]);
    }
    let text = "step `g` has more than 4 sagas inside each other";
    assert_eq!(refused(vec![child("g", deep)]).1, text);
    let options = Options {
        concurrency_key: Some(ConcurrencyKey {
            key: "{sampleId}".to_owned(),
            limit: 1,
            on_conflict: OnConflict::Queue,
        }),
        ..Options::default()
    };
    let keyed = Definition::builder("inner")
        .options(options)
        .step(step("a"));
    let text = "the saga of step `g` has a `concurrencyKey`; the saga around it can have one";
    assert_eq!(refused(vec![child("g", keyed.build().unwrap())]).1, text);
    let text = "the saga of step `g` has its item as its input, and another one besides";
    assert_eq!(refused(vec![own().for_each("/x").given("/y")]).1, text);
    let text = "`child.from` of step `g` must be a JSON pointer such as `/samples`";
    assert_eq!(refused(vec![own().given("x")]).1, text);
    let text = "step `g` reads the output of `x`, which is not before it";
    assert_eq!(refused(vec![own().given_of("x", "")]).1, text);
    let yaml = "
name: s
steps:
  - id: g
    service: svc
    compensationAction: undo_g
    child:
      definition:
        name: inner
        steps:
          - {id: b, service: svc, action: b, compensationAction: undo_b}
          - {id: c, service: svc, action: c, compensationAction: undo_c, dependencies: [b]}
";
    let definition = Definition::from_yaml(yaml).unwrap();
    let built = Definition::from_steps("s", vec![own()]).unwrap();
    assert_eq!(definition.hash(), built.hash());
    assert_eq!(Definition::from_json(&built.to_json()).unwrap(), built);
    assert_eq!(Definition::from_pinned(&built.to_json()).unwrap(), built);
    let error = Definition::from_yaml(&yaml.replace("[b]", "[x]")).unwrap_err();
    let path = "steps[0].child.definition.steps[1].dependencies[0]";
    assert_eq!(error.place.path, path);
    assert_eq!(error.place.position.unwrap().line, 12);
}

#[tokio::test(start_paused = true)]
async fn a_saga_is_not_started_where_a_step_inside_it_has_no_handler() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let unknown = inner(vec![Step::new("nobody")]);
    let definition = define(vec![step("a"), child("g", unknown).after("a")]);
    let error = sagas.start(&definition, input()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.chain().contains("nobody"), "{}", error.chain());
    assert!(bed.disk.stored().is_empty());
}
