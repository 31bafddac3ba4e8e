//! Steps that are done for each item of a list.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::bed::{Act, Bed, define, input, settled, step};
use super::play::{Play, ok};
use crate::error::ErrorKind;
use crate::saga::definition::{ITEMS_MAX, Options};
use crate::saga::handlers::StepError;
use crate::saga::machine::{Action, AttemptResult, CompensationPhase, Phase, Stage, State};
use crate::saga::record::{Effect, Fact, Outcome, Record};
use crate::saga::{Definition, Handlers, Order, Status, Step, StepPhase};

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// `a`, then `b` for each item of what `a` returned, then `c`.
fn listed() -> Definition {
    let list = step("b")
        .after("a")
        .for_each_of("a", "")
        .at_a_time(number(2));
    define(vec![step("a"), list, step("c").after("b")])
}

fn returns(json: &str) -> AttemptResult {
    AttemptResult::Ok(Bytes::copy_from_slice(json.as_bytes()))
}

/// The items of `b` are under way.
fn begun(list: &str) -> Play {
    let mut play = Play::begun(&listed());
    play.end("a", returns(list));
    play
}

fn named(step: &str) -> String {
    step.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_step_is_done_for_each_item_and_its_output_is_the_list_of_theirs() {
    let bed = Bed::new();
    // The last item is done first.
    bed.world.script("b[0]", &[Act::DoAfter(30)]);
    bed.world.script("b[1]", &[Act::Retry, Act::DoAfter(20)]);
    let list = step("b").after("a").retries(1).for_each("/items");
    let definition = define(vec![step("a"), list, step("c").after("b")]);
    let status = bed.run(&definition).await;
    assert_eq!(status.status, Status::Completed);
    let ids: Vec<&str> = status.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "b[0]", "b[1]", "b[2]"]);
    assert!(
        status
            .steps
            .iter()
            .all(|it| it.phase == StepPhase::Completed)
    );
    let output = |at: usize| -> serde_json::Value {
        serde_json::from_slice(status.steps[at].output.as_ref().unwrap()).unwrap()
    };
    let expected = serde_json::json!([
        {"done": "b", "attempt": 1, "item": 10},
        {"done": "b", "attempt": 2, "item": 20},
        {"done": "b", "attempt": 1, "item": 30},
    ]);
    assert_eq!(output(1), expected);
    assert_eq!(output(4), expected[1]);
    let effects = ["a", "b[2]", "b[0]", "b[1]", "c"];
    assert_eq!(bed.world.effects(), effects);
}

#[tokio::test(start_paused = true)]
async fn each_item_has_a_key_of_its_own_for_all_attempts_and_its_compensation() {
    let bed = Bed::new();
    bed.world.script("b[1]", &[Act::Retry]);
    bed.world.script("c", &[Act::Reject]);
    let list = step("b").retries(1).for_each("/items").at_a_time(number(1));
    let status = bed.run(&define(vec![list, step("c").after("b")])).await;
    assert_eq!(status.status, Status::Compensated);
    let saga = &status.id;
    let keys = [
        "b[0]",
        "b[1]",
        "b[1]",
        "b[2]",
        "c",
        "b[2]/undo",
        "b[1]/undo",
        "b[0]/undo",
    ];
    let keys: Vec<String> = keys.iter().map(|key| format!("{saga}/{key}")).collect();
    assert_eq!(bed.world.keys(), keys);
}

#[tokio::test(start_paused = true)]
async fn items_and_their_compensations_are_given_their_item_and_output() {
    let bed = Bed::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = Arc::clone(&seen);
    let handlers = Handlers::new()
        .handle("", "list", async |_| {
            Ok(Bytes::from_static(
                br#"{"of":{"a/b":[[],["x", 12345678901234567890123]]}}"#,
            ))
        })
        .handle("", "do", async |context| {
            if context.step_id() == "do[1]" {
                return Ok(serde_json::json!(7));
            }
            assert!(context.output("list").is_some());
            let item: String = context.item_as()?;
            Ok(serde_json::json!(format!("did {item}")))
        })
        .handle("", "fail", async |context| {
            let done: Vec<serde_json::Value> = context.output_as("do")?;
            assert!(context.item().is_none());
            assert!(context.item_as::<u32>().is_err());
            assert_eq!(done, ["did x".into(), serde_json::json!(7)]);
            Err::<(), _>(StepError::Reject("no".to_owned()))
        })
        .compensate("", "back", move |context| {
            let note = Arc::clone(&note);
            async move {
                // As it was written, to the last digit.
                let item = String::from_utf8(context.item().unwrap().to_vec()).unwrap();
                let output = context.step_output().cloned().unwrap();
                let output = String::from_utf8(output.to_vec()).unwrap();
                note.lock().unwrap().push(format!("{item} {output}"));
                Ok(())
            }
        });
    let list = Step::new("do").after("list").compensated_by("back");
    let list = list.for_each_of("list", "/of/a~1b/1");
    let definition = define(vec![Step::new("list"), list, Step::new("fail").after("do")]);
    let builder = crate::saga::Sagas::builder(
        super::store::TestStore::new(&bed.disk, None),
        Arc::clone(&bed.clock) as Arc<dyn crate::Clock>,
    );
    let sagas = builder.handlers(handlers).open().await.unwrap();
    let id = sagas.start(&definition, input()).await.unwrap();
    let status = settled(&sagas, &id).await;
    assert_eq!(status.status, Status::Compensated);
    assert_eq!(status.error.as_deref(), Some("step `fail` failed: no"));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, ["12345678901234567890123 7", "\"x\" \"did x\""]);
    super::invariants::check(&bed.disk);
}

#[test]
fn so_many_items_are_under_way_at_one_time_and_no_more() {
    let mut play = begun("[1,2,3,4,5]");
    let ids = |play: &Play| -> Vec<String> {
        let flights = play.in_flight.iter();
        flights
            .map(|it| play.state.step_id(it.step).into_owned())
            .collect()
    };
    assert_eq!(ids(&play), ["b[0]", "b[1]"]);
    play.succeed("b[1]");
    assert_eq!(ids(&play), ["b[0]", "b[2]"]);
    // After a restart those that were cut off are run again, and no others with them.
    play.restart();
    assert_eq!(ids(&play), ["b[0]", "b[2]"]);
    for id in ["b[2]", "b[0]", "b[3]", "b[4]"] {
        assert!(ids(&play).len() <= 2);
        assert!(!play.has("b", &Phase::Succeeded(Bytes::from_static(b"[1,1,1,1,1]"))));
        play.succeed(id);
    }
    assert!(play.has("b", &Phase::Succeeded(Bytes::from_static(b"[1,1,1,1,1]"))));
    assert_eq!(ids(&play), ["c"]);
    play.succeed("c");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn an_item_that_fails_fails_its_step_and_what_the_others_did_is_taken_back() {
    let mut play = begun("[1,2,3,4]");
    play.succeed("b[0]");
    play.end(
        "b[1]",
        AttemptResult::Err(StepError::Reject("no".to_owned())),
    );
    // The one in flight is awaited, and what it did is taken back; the one after it is never begun.
    assert!(play.is(Stage::Backward));
    play.succeed("b[2]");
    assert!(play.has("b", &Phase::Failed(Effect::None)));
    assert!(play.has("b[3]", &Phase::NotRun));
    for id in ["b[2]", "b[0]", "a"] {
        assert_eq!(play.compensating, [play.position(id)]);
        play.taken_back(id);
    }
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    let error = play.state.error.as_deref();
    assert_eq!(error, Some("step `b[1]` failed: no"));
    play.check();
}

#[test]
fn an_empty_list_is_done_at_once() {
    let mut play = Play::begun(&listed());
    let facts = play.end("a", returns("[]"));
    assert!(matches!(facts[2], Fact::Spread { step: 1, count: 0 }));
    assert!(play.has("b", &Phase::Succeeded(Bytes::from_static(b"[]"))));
    play.succeed("c");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn what_is_no_list_and_a_list_that_is_too_long_fail_their_step_without_an_effect() {
    let full = format!("[{}1]", "1,".repeat(ITEMS_MAX));
    for (list, error) in [
        ("{\"a\":1}", "there is no list at `` in the output of `a`"),
        ("null", "there is no list at `` in the output of `a`"),
        (
            full.as_str(),
            "the list at `` in the output of `a` has 1001 items, and a saga may have 1000, 0 of which it has",
        ),
    ] {
        let mut play = begun(list);
        assert_eq!(play.step("b").error.as_deref(), Some(error));
        assert!(play.has("b", &Phase::Failed(Effect::None)));
        play.taken_back("a");
        assert!(play.is(Stage::Ended(Outcome::Compensated)));
        play.check();
    }
    let most = format!("[{}1]", "1,".repeat(ITEMS_MAX - 1));
    let play = begun(&most);
    assert_eq!(play.state.steps.len(), 3 + ITEMS_MAX);
    assert_eq!(play.position("b[999]"), 3 + 999);
    for id in ["b[1000]", "b[01]", "b[+1]", "b[", "b[]", "a[0]", "x[0]"] {
        assert_eq!(play.state.position_of(id), None, "{id}");
    }
}

#[test]
fn outputs_that_one_list_cannot_hold_leave_their_item_in_doubt() {
    let mut play = begun("[1,2]");
    let half = format!("\"{}\"", "x".repeat(140 * 1024));
    play.end("b[0]", returns(&half));
    play.end("b[1]", returns(&half));
    assert!(play.has("b[1]", &Phase::Failed(Effect::Unknown)));
    for id in ["b[1]", "b[0]", "a"] {
        play.taken_back(id);
    }
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn in_parallel_all_items_are_taken_back_at_once_and_before_what_their_step_depends_on() {
    let options = Options {
        compensation: Order::Parallel,
        ..Options::default()
    };
    let builder = Definition::builder("s").options(options);
    let list = step("b").after("a").for_each_of("a", "");
    let builder = builder.step(step("a")).step(list);
    let steps = builder
        .step(step("c").after("b"))
        .step(step("d").after("c"));
    let mut play = Play::begun(&steps.build().unwrap());
    play.end("a", returns("[1,2]"));
    for id in ["b[0]", "b[1]", "c"] {
        play.succeed(id);
    }
    play.end("d", AttemptResult::Err(StepError::Reject("no".to_owned())));
    for ids in [&["c"][..], &["b[0]", "b[1]"], &["a"]] {
        let mut due: Vec<usize> = ids.iter().map(|id| play.position(id)).collect();
        due.sort_unstable();
        let mut compensating = play.compensating.clone();
        compensating.sort_unstable();
        assert_eq!(compensating, due);
        ids.iter().for_each(|id| play.taken_back(id));
    }
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

/// `a` is the pivot, then `b` for each item.
fn behind_the_pivot() -> Play {
    let list = step("b").after("a").for_each_of("a", "");
    let mut play = Play::begun(&define(vec![step("a").pivot(), list, step("c").after("b")]));
    play.end("a", returns("[1,2,3]"));
    play.succeed("b[0]");
    play.reject("b[1]");
    // The other one goes on.
    assert!(play.is(Stage::Running));
    play.reject("b[2]");
    assert!(play.is(Stage::ForwardStuck));
    play
}

#[test]
fn an_operator_names_an_item_by_its_id() {
    let mut play = behind_the_pivot();
    for action in [
        Action::Skip { step: named("b") },
        Action::Complete {
            step: named("b"),
            output: Bytes::from_static(b"[]"),
        },
        Action::Retry {
            step: Some(named("b")),
        },
    ] {
        assert_eq!(play.refusal(&action).unwrap().kind, ErrorKind::Conflict);
    }
    let unknown = Action::Skip {
        step: named("b[3]"),
    };
    assert_eq!(play.refusal(&unknown).unwrap().kind, ErrorKind::NotFound);
    play.operate(Action::Retry {
        step: Some(named("b[1]")),
    });
    play.reject("b[1]");
    play.operate(Action::Complete {
        step: named("b[1]"),
        output: Bytes::from_static(b"{\"n\":2}"),
    });
    assert!(play.is(Stage::ForwardStuck));
    play.operate(Action::Skip {
        step: named("b[2]"),
    });
    let list = Bytes::from_static(b"[1,{\"n\":2},null]");
    assert!(play.has("b", &Phase::Succeeded(list)));
    play.succeed("c");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn a_compensation_of_one_item_that_is_stuck_is_settled_by_its_id() {
    let mut play = begun("[1,2]");
    play.succeed("b[0]");
    play.succeed("b[1]");
    play.reject("c");
    play.not_taken_back("b[1]");
    assert!(play.is(Stage::Stuck));
    play.operate(Action::ForceDone {
        step: named("b[1]"),
    });
    play.taken_back("b[0]");
    play.taken_back("a");
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    let forced = play.step("b[1]").compensation.phase;
    assert_eq!(forced, CompensationPhase::Forced);
    play.check();
}

#[test]
fn a_list_behind_the_pivot_that_is_none_is_completed_by_an_operator() {
    let list = step("b").after("a").for_each_of("a", "/x");
    let mut play = Play::begun(&define(vec![step("a").pivot(), list, step("c").after("b")]));
    play.end("a", ok());
    assert!(play.is(Stage::ForwardStuck));
    play.operate(Action::Retry { step: None });
    assert!(play.is(Stage::ForwardStuck));
    play.operate(Action::Complete {
        step: named("b"),
        output: Bytes::from_static(b"[]"),
    });
    play.succeed("c");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn before_the_pivot_a_list_with_compensations_is_not_completed_as_a_whole() {
    let mut play = Play::begun(&listed());
    let action = Action::Complete {
        step: named("b"),
        output: Bytes::from_static(b"[]"),
    };
    assert_eq!(play.refusal(&action).unwrap().kind, ErrorKind::Conflict);
    play.operate(Action::Skip { step: named("b") });
    play.end("a", returns("[1]"));
    play.succeed("c");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
}

#[test]
fn a_paused_list_starts_no_item_and_one_without_a_handler_none_at_all() {
    let mut play = begun("[1,2,3]");
    play.operate(Action::Pause);
    play.succeed("b[0]");
    play.succeed("b[1]");
    assert!(play.in_flight.is_empty());
    play.operate(Action::Resume);
    assert_eq!(play.in_flight.len(), 1);
    play.check();

    let mut play = Play::begun(&listed());
    play.missing = vec![1];
    play.end("a", returns("[1,2]"));
    assert!(play.in_flight.is_empty());
    assert!(play.has("b", &Phase::Pending));
    // Nor do items that are there already, once the handler is gone.
    let mut play = begun("[1,2]");
    play.missing = vec![1];
    play.restart();
    assert!(play.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_is_cancelled_takes_back_the_items_that_were_done() {
    let bed = Bed::new();
    bed.world.script("b[2]", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    let list = step("b").for_each("/items");
    let id = sagas.start(&define(vec![list]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.current_step.as_deref(), Some("b"));
    sagas.cancel(&id, "changed my mind").await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Cancelled);
    assert_eq!(
        bed.world.effects(),
        ["b[0]", "b[1]", "undo_b[1]", "undo_b[0]"]
    );
    super::invariants::check(&bed.disk);
}

#[test]
fn a_log_with_another_number_of_items_is_corrupt() {
    let mut records = begun("[1,2,3]").records;
    let spread = |it: &Record| matches!(it.fact, Fact::Spread { .. });
    let at = records.iter().position(spread).unwrap();
    records.truncate(at + 1);
    let fold = |records: &[Record]| {
        let read = |json: &Bytes| Ok(Definition::from_pinned(json)?);
        let mut state = State::first("saga".parse().unwrap(), &records[0], read)?;
        records[1..].iter().try_for_each(|it| state.replay(it))
    };
    fold(&records).unwrap();
    let again = records[at].clone();
    let twice = [records.clone(), vec![again]].concat();
    assert_eq!(fold(&twice).unwrap_err().kind(), ErrorKind::Corrupt);
    records[at].fact = Fact::Spread { step: 1, count: 2 };
    assert_eq!(fold(&records).unwrap_err().kind(), ErrorKind::Corrupt);
    records[at].fact = Fact::Spread { step: 2, count: 3 };
    assert_eq!(fold(&records).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_list_that_leads_nowhere_is_refused() {
    let refused = |steps: Vec<Step>| {
        let error = Definition::from_steps("s", steps).unwrap_err();
        (error.place.path.clone(), error.fault.to_string())
    };
    for pointer in ["items", "/a~", "/a~2", &"/a".repeat(501)] {
        let text = "`forEach.from` of step `b` must be a JSON pointer such as `/samples`";
        let expected = ("steps[0].forEach".to_owned(), text.to_owned());
        assert_eq!(refused(vec![step("b").for_each(pointer)]), expected);
    }
    for (list, steps) in [
        ("x", vec![step("b").for_each_of("x", "")]),
        ("b", vec![step("b").for_each_of("b", "")]),
        ("c", vec![step("b").for_each_of("c", ""), step("c")]),
    ] {
        let text = format!("step `b` reads the output of `{list}`, which is not before it");
        assert_eq!(refused(steps).1, text);
    }
    // At any distance.
    let far = step("c").after("b").for_each_of("a", "/x");
    define(vec![step("a"), step("b").after("a"), far]);
    let waits = Step::new("w").signal("x").for_each("/x");
    assert!(refused(vec![waits]).1.contains("waits and is not run"));
    let none =
        r#"{"name":"s","steps":[{"id":"a","action":"a","forEach":{"from":"","concurrency":0}}]}"#;
    let error = Definition::from_json(none.as_bytes()).unwrap_err();
    assert!(
        error.to_string().contains("steps[0].forEach.concurrency"),
        "{error}"
    );
}
