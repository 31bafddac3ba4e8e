//! Starting: what is refused before anything is stored, and what a key promises.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, step};
use super::store::{Fault, TestStore};
use crate::error::ErrorKind;
use crate::saga::definition::Options;
use crate::saga::{ConcurrencyKey, Definition, Earlier, Start, Status, Step};

#[tokio::test(start_paused = true)]
async fn a_saga_without_handlers_is_refused_before_anything_is_stored() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    for (step, text) in [
        (
            Step::new("z").service("svc"),
            "step `z` has no handler for `svc/z`",
        ),
        (
            step("b").compensated_by("undo_z"),
            "step `b` has no compensation handler for `svc/undo_z`",
        ),
    ] {
        let definition = define(vec![super::bed::step("a"), step.after("a")]);
        let error = sagas.start(&definition, input()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(bed.disk.appends(), 0);
    assert_eq!(bed.world.calls(), [] as [String; 0]);
    assert_eq!(sagas.stats().started, 0);
}

#[tokio::test(start_paused = true)]
async fn input_and_names_beyond_their_limits_are_refused() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    for (start, text) in [
        (
            Start::new("{"),
            "`input` is not taken: it ends too early, line 1, column 1",
        ),
        (
            Start::new(vec![b'1'; 262_145]),
            "saga `input` has 262145 bytes, more than 262144",
        ),
        (
            Start::new("1").correlated("x".repeat(256)),
            "saga `correlationId` must have 1 to 255 bytes",
        ),
        (
            Start::new("1").keyed(""),
            "saga `idempotencyKey` must have 1 to 255 bytes",
        ),
    ] {
        let error = sagas.start(&chain(&["a"]), start).await.unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(bed.disk.appends(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_start_with_one_key_is_the_same_saga() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let definition = chain(&["a", "b"]);
    let (one, two) = tokio::join!(
        sagas.start(&definition, input().keyed("k")),
        sagas.start(&definition, input().keyed("k")),
    );
    let id = one.unwrap();
    assert_eq!(two.unwrap(), id);
    sagas.wait(&id).await.unwrap();
    let again = sagas.start(&definition, input().keyed("k")).await.unwrap();
    assert_eq!(again, id);
    let other = sagas
        .start(&definition, input().keyed("other"))
        .await
        .unwrap();
    assert_ne!(other, id);
    sagas.wait(&other).await.unwrap();
    assert_eq!(bed.world.count("a"), 2);
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(
        sagas.start(&definition, input().keyed("k")).await.unwrap(),
        id
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_says_that_it_is_the_saga_of_an_earlier_one_and_whether_that_was_of_something_else()
{
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(10);
    let sagas = bed.open().await;
    let definition = chain(&["a", "b"]);
    let keyed = |input: &'static str| Start::new(input).keyed("k");
    let first = sagas
        .start_or_find(&definition, keyed(r#"{"a":1,"b":2}"#))
        .await
        .unwrap();
    assert_eq!(first.earlier, None);
    let same = Earlier::Keyed { is_other: false };
    let other = Earlier::Keyed { is_other: true };
    for (definition, input, expected) in [
        (&definition, r#"{"a":1,"b":2}"#, same),
        (&definition, r#"{ "b": 2, "a": 1 }"#, same),
        (&definition, r#"{"a":1,"b":3}"#, other),
        (&chain(&["a", "c"]), r#"{"a":1,"b":2}"#, other),
        // Nobody does `z` any more.
        (&chain(&["a", "z"]), r#"{"a":1,"b":2}"#, other),
    ] {
        let again = sagas.start_or_find(definition, keyed(input)).await.unwrap();
        assert_eq!(again.id, first.id);
        assert_eq!(again.earlier, Some(expected), "{input}");
    }
    sagas.wait(&first.id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    let again = sagas.start_or_find(&definition, keyed("1")).await.unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(again.earlier, Some(Earlier::Forgotten));
    assert_eq!(bed.world.calls(), ["a#1", "b#1"]);
    sagas.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_finds_its_saga_whatever_else_is_wrong_with_it() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let definition = chain(&["a"]);
    let first = sagas.start(&definition, input().keyed("k")).await.unwrap();
    let of_key = Definition::builder("chain").options(Options {
        concurrency_key: Some(ConcurrencyKey::new("{runId}")),
        ..Options::default()
    });
    let of_key = of_key.step(step("a")).build().unwrap();
    for (definition, start, is_other) in [
        (&definition, Start::new("{"), true),
        (&definition, Start::new(vec![b'1'; 262_145]), true),
        (&definition, input().attribute("", "x"), false),
        (&definition, input().correlated(""), false),
        (&of_key, input(), true),
        (&chain(&["z"]), Start::new("{"), true),
    ] {
        let keyed = |key: &str| start.clone().keyed(key);
        let error = sagas.start(definition, keyed("new")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let again = sagas.start_or_find(definition, keyed("k")).await.unwrap();
        let earlier = Some(Earlier::Keyed { is_other });
        assert_eq!((&again.id, again.earlier), (&first, earlier));
        // A key that is none finds nothing.
        let error = sagas.start(definition, keyed("")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    sagas.shutdown(Duration::ZERO).await;
    assert_eq!(bed.disk.stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_room_refuses_the_start_and_takes_a_later_one() {
    let bed = Bed::new();
    let sagas = bed
        .open_on(TestStore::new(&bed.disk, Some((0, Fault::Full))))
        .await;
    let definition = chain(&["a"]);
    let (one, two) = tokio::join!(
        sagas.start(&definition, input().keyed("k")),
        sagas.start(&definition, input().keyed("k")),
    );
    assert_eq!(one.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(two.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(sagas.stats().active, 0);
    assert!(sagas.active().is_empty());
    let id = sagas.start(&definition, input().keyed("k")).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_saga_waits_when_its_store_has_no_room_on_the_way() {
    let bed = Bed::new();
    let sagas = bed
        .open_on(TestStore::new(&bed.disk, Some((1, Fault::Full))))
        .await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "b"]);
    assert!(sagas.health().healthy);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_or_acknowledged_after_the_store_has_stopped() {
    let bed = Bed::new();
    let store = TestStore::new(&bed.disk, Some((1, Fault::Before)));
    let sagas = bed.open_on(store).await;
    let id = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.world.calls(), ["a#1"]);
    let health = sagas.health();
    assert_eq!(health.issues, ["Saga store has stopped: store has stopped"]);
    let error = sagas.start(&chain(&["a"]), input()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    let error = sagas.cancel(&id, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    // What is shown is what is durable.
    assert_eq!(
        sagas.status(&id).unwrap().steps[0].phase,
        crate::saga::StepPhase::Executing
    );
}

#[tokio::test(start_paused = true)]
async fn the_shown_state_is_the_fold_of_the_log() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Retry, Act::Reject]);
    let definition = define(vec![step("a"), step("b").after("a").retries(2)]);
    let status = bed.run(&definition).await;
    let stored = bed.disk.stored().remove(0);
    let state = super::invariants::fold(&stored.saga, &bed.disk.records()[0]);
    let folded = crate::saga::SagaStatus::of(&state, &[], &[]);
    assert_eq!(format!("{folded:?}"), format!("{status:?}"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_store_refuses_does_not_stop_the_others() {
    let bed = Bed::new();
    let sagas = bed
        .open_on(TestStore::new(&bed.disk, Some((0, Fault::Invalid))))
        .await;
    let definition = chain(&["a"]);
    let error = sagas.start(&definition, input()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let id = sagas.start(&definition, input()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert!(sagas.health().healthy);
}
