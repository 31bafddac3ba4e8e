//! Another definition for a saga in flight.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;

use super::bed::{Act, Bed, chain, define, input, step};
use super::play::Play;
use super::store::{Fault, TestStore};
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::machine::{Action, Input, Misfit, Phase, Stage, State};
use crate::saga::record::{Fact, Outcome, Record, Verb};
use crate::saga::{ConcurrencyKey, Definition, Options, Signal, Status, Step};

fn by() -> By {
    By::new("ann", "a new version")
}

fn migrate(definition: &Definition) -> Action {
    Action::Migrate {
        definition: definition.clone(),
    }
}

/// A step that is not taken back.
fn plain(id: &str) -> Step {
    Step::new(id).service("svc")
}

#[tokio::test(start_paused = true)]
async fn a_saga_in_flight_goes_on_with_another_definition_where_what_it_has_begun_is_the_same() {
    let bed = Bed::new();
    let wait = || Step::new("w").signal("go").after("a");
    let old = define(vec![step("a"), wait(), step("b").after("w")]);
    // In another order, with a step less and two more, one of them before what waits.
    let new = define(vec![
        step("d").after("c"),
        step("c").after("w").after("e"),
        wait(),
        step("a"),
        step("e").after("a"),
    ]);
    let sagas = bed.open().await;
    let id = sagas.start(&old, input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    // Something of it may be in flight at any time.
    let busy = sagas.migrate(&id, &new, by()).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Conflict);
    sagas.operate(&id, Action::Pause, by()).await.unwrap();
    let status = sagas.migrate(&id, &new, by()).await.unwrap();
    assert_eq!(status.definition, new.hash());
    let operated = status.operated.last().unwrap();
    assert_eq!((operated.verb, &operated.by), (Verb::Migrate, &by()));
    let steps: Vec<&str> = status.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(steps, ["d", "c", "w", "a", "e"]);
    // The same again changes nothing.
    let appends = bed.disk.appends();
    sagas.migrate(&id, &new, by()).await.unwrap();
    assert_eq!(bed.disk.appends(), appends);
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.status(&id).unwrap().definition, new.hash());
    sagas.resume(&id, by()).await.unwrap();
    let signal = Signal {
        name: "go".to_owned(),
        key: None,
        payload: Bytes::from_static(b"1"),
        by: by(),
        approval: None,
    };
    sagas.signal(&id, signal).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "e", "c", "d"]);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_for_its_turn_begins_with_the_other_definition() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(1_000)]);
    let sagas = bed.open().await;
    sagas.start(&chain(&["a"]), input()).await.unwrap();
    let id = sagas.start(&chain(&["b", "c"]), input()).await.unwrap();
    let new = chain(&["d", "b"]);
    sagas.migrate(&id, &new, by()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "d", "b"]);
    let unknown = define(vec![Step::new("nobody")]);
    let error = sagas.migrate(&id, &unknown, by()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let over = sagas.migrate(&id, &chain(&["e"]), by()).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Conflict);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn what_changes_a_step_that_has_begun_is_refused_and_names_it() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Retry]);
    let sagas = bed.open().await;
    let old = define(vec![step("a"), step("b").after("a").retries(1), step("c")]);
    let id = sagas.start(&old, input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    sagas.operate(&id, Action::Pause, by()).await.unwrap();
    let step_name = |id: &str| id.to_owned();
    let named = Definition::from_steps("other", old.steps().to_vec()).unwrap();
    let pivot = define(vec![
        step("a"),
        step("b").after("a").retries(1),
        step("c"),
        step("d").pivot(),
        step("e"),
    ]);
    for (new, misfit) in [
        (
            named,
            Some(Misfit::Name {
                name: step_name("other"),
            }),
        ),
        (
            define(vec![step("a"), step("c")]),
            Some(Misfit::Removed {
                step: step_name("b"),
            }),
        ),
        (
            define(vec![step("a"), step("b").after("a").retries(2), step("c")]),
            Some(Misfit::Changed {
                step: step_name("b"),
                fields: vec!["retryAttempts".to_owned()],
            }),
        ),
        (
            define(vec![plain("a"), step("b").after("a").retries(1), step("c")]),
            Some(Misfit::Changed {
                step: step_name("a"),
                fields: vec!["compensationAction".to_owned()],
            }),
        ),
        (
            Definition::builder(old.name())
                .options(Options {
                    concurrency_key: Some(ConcurrencyKey::new("{sampleId}")),
                    ..Options::default()
                })
                .step(step("a"))
                .step(step("b").after("a").retries(1))
                .step(step("c"))
                .build()
                .unwrap(),
            Some(Misfit::ConcurrencyKey),
        ),
        (pivot, None),
    ] {
        let appends = bed.disk.appends();
        let answer = sagas.migrate(&id, &new, by()).await;
        match misfit {
            Some(misfit) => {
                let error = answer.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
                let source = error.source().and_then(|it| it.downcast_ref::<Misfit>());
                assert_eq!(source, Some(&misfit));
                assert_eq!(bed.disk.appends(), appends);
            }
            None => drop(answer.unwrap()),
        }
    }
    // The delay before the next attempt of `b` goes on under its new definition.
    sagas.resume(&id, by()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    let effects = bed.world.effects();
    assert_eq!(effects.last().map(String::as_str), Some("d"));
    assert_eq!(bed.world.count("b"), 1);
    super::invariants::check(&bed.disk);
}

#[test]
fn a_step_that_has_begun_never_waits_for_one_that_comes_before_it_only_now() {
    let pivot = || step("b").after("a").pivot();
    let mut play = Play::begun(&define(vec![step("a"), pivot(), step("c").after("b")]));
    play.succeed("a");
    play.succeed("b");
    play.operate(Action::Pause);
    play.succeed("c");
    // A pivot starts after all that does not follow from it, and this one is over.
    let new = define(vec![step("a"), pivot(), step("c").after("b"), step("d")]);
    let misfit = play.state.misfit(&new).unwrap();
    let (step_id, needed) = ("b".to_owned(), "d".to_owned());
    assert_eq!(
        misfit,
        Misfit::TooLate {
            step: step_id,
            needed
        }
    );
    assert!(play.refusal(&migrate(&new)).is_some());
    let behind = step("d").after("c");
    let new = define(vec![behind, step("a"), pivot(), step("c").after("b")]);
    assert_eq!(play.state.misfit(&new), None);
    play.operate(migrate(&new));
    play.operate(Action::Resume);
    play.succeed("d");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn items_of_a_list_stay_what_they_are() {
    let list = || step("b").after("a").for_each_of("a", "");
    let mut play = Play::begun(&define(vec![step("a"), list(), step("c").after("b")]));
    play.end(
        "a",
        crate::saga::machine::AttemptResult::Ok(Bytes::from_static(b"[1,2]")),
    );
    play.operate(Action::Pause);
    play.succeed("b[0]");
    let new = define(vec![
        step("e").after("b"),
        step("f").after("e"),
        list(),
        step("a"),
    ]);
    let refused = play.refusal(&migrate(&new)).unwrap();
    assert_eq!(refused.kind, ErrorKind::Conflict, "an item is in flight");
    play.end("b[1]", super::play::ok());
    play.operate(migrate(&new));
    assert_eq!(play.position("b[1]"), 5);
    assert_eq!(play.state.item(5), Some(&Bytes::from_static(b"2")));
    play.restart();
    play.operate(Action::Resume);
    assert!(play.has("b", &Phase::Succeeded(Bytes::from_static(b"[1,1]"))));
    play.succeed("e");
    play.reject("f");
    for id in ["e", "b[1]", "b[0]", "a"] {
        play.taken_back(id);
    }
    assert!(play.is(Stage::Ended(Outcome::Compensated)));
    play.check();
}

#[test]
fn a_saga_that_is_stuck_behind_its_pivot_is_helped_by_another_definition() {
    let mut play = Play::begun(&define(vec![step("a").pivot(), step("b").after("a")]));
    play.succeed("a");
    play.reject("b");
    let new = define(vec![
        step("c").after("a"),
        step("a").pivot(),
        step("b").after("a"),
    ]);
    play.operate(migrate(&new));
    assert!(play.is(Stage::Running));
    play.give(Input::Begin);
    play.succeed("c");
    assert!(play.is(Stage::ForwardStuck));
    play.operate(Action::Retry { step: None });
    play.succeed("b");
    assert!(play.is(Stage::Ended(Outcome::Completed)));
    play.check();
}

#[test]
fn what_has_turned_back_or_is_over_keeps_its_definition() {
    let new = chain(&["a", "b", "c"]);
    let old = Definition::from_steps("chain", vec![step("a"), step("b").after("a")]).unwrap();
    let mut play = Play::begun(&old);
    play.succeed("a");
    play.reject("b");
    assert!(play.is(Stage::Backward));
    assert_eq!(
        play.refusal(&migrate(&new)).unwrap().kind,
        ErrorKind::Conflict
    );
    play.taken_back("a");
    assert_eq!(
        play.refusal(&migrate(&new)).unwrap().kind,
        ErrorKind::Conflict
    );
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_another_one_only_when_that_is_durable() {
    let (old, new) = (chain(&["a", "b"]), chain(&["a", "c"]));
    for fault in [Fault::Before, Fault::After] {
        let bed = Bed::new();
        let store = TestStore::new(&bed.disk, Some((3, fault)));
        let sagas = bed.open_on(store).await;
        bed.world.script("a", &[Act::DoAfter(20)]);
        let id = sagas.start(&old, input()).await.unwrap();
        sagas.operate(&id, Action::Pause, by()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        // Started, paused, `a` done: this is the fourth.
        assert!(sagas.migrate(&id, &new, by()).await.is_err());
        sagas.shutdown(Duration::ZERO).await;
        let sagas = bed.open().await;
        let is_new = sagas.status(&id).unwrap().definition == new.hash();
        assert_eq!(is_new, fault == Fault::After);
        sagas.resume(&id, by()).await.unwrap();
        assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
        let last = if is_new { "c" } else { "b" };
        assert_eq!(bed.world.effects(), ["a", last]);
        super::invariants::check(&bed.disk);
    }
}

#[test]
fn a_log_whose_other_definition_does_not_fit_is_corrupt() {
    let mut play = Play::begun(&chain(&["a", "b"]));
    play.succeed("a");
    play.operate(Action::Pause);
    play.succeed("b");
    let fold = |records: &[Record]| {
        let read = |json: &Bytes| Ok(Definition::from_pinned(json)?);
        let mut state = State::first("saga".parse().unwrap(), &records[0], read)?;
        records[1..].iter().try_for_each(|it| state.replay(it))
    };
    let migrated = |definition: &Definition, hash| {
        let fact = Fact::Migrated {
            definition: definition.to_json(),
            hash,
            by: by(),
        };
        let mut records = play.records.clone();
        records.push(Record::new(play.now, fact));
        fold(&records)
    };
    let new = chain(&["a", "b", "c"]);
    migrated(&new, new.hash().0).unwrap();
    let other = chain(&["a"]);
    for (definition, hash) in [(&new, [7; 32]), (&other, other.hash().0)] {
        let error = migrated(definition, hash).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
