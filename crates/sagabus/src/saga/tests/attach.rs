//! Starts that are taken for the saga that has their concurrency key: it keeps their idempotency keys.

use std::time::Duration;

use super::bed::{Act, Bed, chain, settled};
use super::play::Play;
use super::store::{Fault, TestStore};
use crate::error::ErrorKind;
use crate::saga::definition::Options;
use crate::saga::machine::{ATTACHED_MAX, Action, Input, attach_refusal};
use crate::saga::record::Fact;
use crate::saga::{ConcurrencyKey, Definition, Earlier, OnConflict, SagaId, Sagas, Start, Started};

fn of_sample(on_conflict: OnConflict) -> Definition {
    with_steps(on_conflict, &["a"])
}

fn with_steps(on_conflict: OnConflict, ids: &[&str]) -> Definition {
    let options = Options {
        concurrency_key: Some(ConcurrencyKey {
            on_conflict,
            ..ConcurrencyKey::new("sample {sampleId}")
        }),
        ..Options::default()
    };
    let builder = Definition::builder("keyed").options(options);
    let steps = chain(ids).steps().to_vec();
    let builder = steps.into_iter().fold(builder, |all, step| all.step(step));
    builder.build().unwrap()
}

fn sample(key: &str) -> Start {
    Start::new(r#"{"sampleId":"S-1"}"#).keyed(key)
}

async fn attach(sagas: &Sagas, key: &str) -> Started {
    let definition = of_sample(OnConflict::Attach);
    sagas.start_or_find(&definition, sample(key)).await.unwrap()
}

fn attached(id: &SagaId) -> Started {
    attached_to(id, false)
}

fn attached_to(id: &SagaId, is_other: bool) -> Started {
    Started {
        id: id.clone(),
        earlier: Some(Earlier::Attached { is_other }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_attached_is_the_same_saga_when_that_is_over_and_after_a_restart() {
    let mut bed = Bed::new();
    bed.settings.cleanup_interval = Duration::from_secs(60);
    bed.world.script("a", &[Act::DoAfter(10_000)]);
    let sagas = bed.open().await;
    let first = attach(&sagas, "first").await;
    assert_eq!(first.earlier, None);
    let same = attached(&first.id);
    for _ in 0..2 {
        assert_eq!(attach(&sagas, "second").await, same);
    }
    // Whatever it orders, as with the key of any saga; and what it orders otherwise is told, also of a first one.
    let more = Start::new(r#"{"sampleId":"S-1","more":1}"#).keyed("third");
    let attaches = of_sample(OnConflict::Attach);
    let other = sagas.start_or_find(&attaches, more).await.unwrap();
    assert_eq!(other, attached_to(&first.id, true));
    let tell_apart = async |sagas: &Sagas| {
        assert_eq!(attach(sagas, "second").await, same);
        let other = attached_to(&first.id, true);
        let found = sagas.start_or_find(&chain(&["b"]), sample("second")).await;
        assert_eq!(found.unwrap(), other);
        let found = sagas.find_start("second").await.unwrap();
        assert_eq!(found, Some(other));
    };
    tell_apart(&sagas).await;
    settled(&sagas, &first.id).await;
    tell_apart(&sagas).await;
    sagas.shutdown(Duration::ZERO).await;

    let sagas = bed.open().await;
    tell_apart(&sagas).await;
    let of_first = attach(&sagas, "first").await;
    assert_eq!(of_first.earlier, Some(Earlier::Keyed { is_other: false }));
    tokio::time::sleep(Duration::from_secs(150)).await;
    let forgotten = attach(&sagas, "second").await;
    assert_eq!(
        (forgotten.id, forgotten.earlier),
        (first.id, Some(Earlier::Forgotten))
    );
    assert_eq!(bed.world.calls(), ["a#1"]);
    assert_eq!(bed.disk.stored().len(), 1);
    sagas.shutdown(Duration::ZERO).await;
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_start_without_a_key_attaches_and_leaves_nothing_behind() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(100)]);
    let sagas = bed.open().await;
    let first = attach(&sagas, "first").await;
    let appends = bed.disk.appends();
    let definition = of_sample(OnConflict::Attach);
    let start = || Start::new(r#"{"sampleId":"S-1"}"#);
    let same = sagas.start_or_find(&definition, start()).await.unwrap();
    assert_eq!(same, attached(&first.id));
    assert_eq!(bed.disk.appends(), appends);
    settled(&sagas, &first.id).await;
    let next = sagas.start_or_find(&definition, start()).await.unwrap();
    assert_eq!(next.earlier, None);
    sagas.shutdown(Duration::ZERO).await;
}

/// Starts of two keys at the same time as the end of the saga that has the concurrency key, so many turns later.
#[tokio::test(start_paused = true)]
async fn a_start_that_comes_at_the_end_of_the_other_saga_is_done_once_whichever_it_is() {
    let mut ends = [0; 2];
    let longer = with_steps(OnConflict::Attach, &["a", "b", "c"]);
    for turns in 0..30 {
        let bed = Bed::new();
        let sagas = bed.open().await;
        let first = sagas.start_or_find(&longer, sample("first")).await;
        let first = first.unwrap();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let unlike = chain(&["b"]);
        let (one, other) = tokio::join!(
            attach(&sagas, "second"),
            sagas.start_or_find(&unlike, sample("second")),
        );
        let other = other.unwrap();
        assert_eq!(one.id, other.id, "after {turns} turns");
        ends[usize::from(one.id == first.id)] += 1;
        sagas.wait(&one.id).await.unwrap();
        assert_eq!(attach(&sagas, "second").await.id, one.id);
        let stored = bed.disk.stored().len();
        assert_eq!(stored, 1 + usize::from(one.id != first.id));
        sagas.shutdown(Duration::ZERO).await;
        super::invariants::check(&bed.disk);
    }
    assert!(ends.iter().all(|ends| *ends > 0), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_attaches_while_its_store_fails_is_told_so_and_a_repeat_is_done_once() {
    for fault in [Fault::Before, Fault::After, Fault::Full] {
        let bed = Bed::new();
        bed.world.script("a", &[Act::DoAfter(10_000)]);
        // The start, then the key of the other one.
        let store = TestStore::new(&bed.disk, Some((1, fault)));
        let sagas = bed.open_on(store).await;
        let first = attach(&sagas, "first").await;
        let definition = of_sample(OnConflict::Attach);
        let second = sagas.start_or_find(&definition, sample("second")).await;
        // For want of room it waits, as all that a saga stores does.
        assert_eq!(second.is_ok(), fault == Fault::Full, "{fault:?}");
        sagas.shutdown(Duration::ZERO).await;

        let sagas = bed.open().await;
        assert_eq!(attach(&sagas, "second").await, attached(&first.id));
        settled(&sagas, &first.id).await;
        assert_eq!(attach(&sagas, "second").await, attached(&first.id));
        assert_eq!(bed.disk.stored().len(), 1, "{fault:?}");
        sagas.shutdown(Duration::ZERO).await;
        super::invariants::check(&bed.disk);
    }
}

/// Gives the key of a start to a saga that is played by hand, and says what was recorded.
fn give(play: &mut Play, key: &str) -> Vec<Fact> {
    play.give(Input::Attach { key: key.into() })
}

fn kept(key: &str) -> [Fact; 1] {
    [Fact::Attached {
        key: key.to_owned(),
    }]
}

#[test]
fn a_saga_keeps_the_keys_of_so_many_starts_and_no_more() {
    let mut play = Play::begun(&chain(&["a"]));
    for number in 0..ATTACHED_MAX {
        let key = number.to_string();
        assert!(attach_refusal(&play.state, &key).is_none());
        assert_eq!(give(&mut play, &key), kept(&key));
    }
    assert_eq!(give(&mut play, "7"), [], "it has it");
    assert!(attach_refusal(&play.state, "7").is_none());
    let refusal = attach_refusal(&play.state, "more").unwrap();
    assert_eq!(refusal.kind, ErrorKind::Full);
    assert_eq!(
        refusal.text,
        "it has the `idempotencyKey` of 1000 starts that it was taken for, as many as may be"
    );
    assert_eq!(give(&mut play, "more"), []);
    play.check();
    play.succeed("a");
    let refusal = attach_refusal(&play.state, "more").unwrap();
    assert_eq!(refusal.kind, ErrorKind::Conflict);
    assert_eq!(refusal.text, "it is over");
    assert_eq!(give(&mut play, "more"), []);
    assert!(attach_refusal(&play.state, "7").is_none());
}

#[test]
fn a_start_that_attaches_changes_nothing_of_what_is_to_be_done() {
    let mut waits = Play::queued(&chain(&["a"]));
    let mut runs = Play::begun(&chain(&["a", "b"]));
    let mut paused = Play::begun(&chain(&["a", "b"]));
    paused.operate(Action::Pause);
    let mut back = Play::begun(&chain(&["a", "b"]));
    back.succeed("a");
    back.reject("b");
    let mut stuck = back.clone();
    stuck.not_taken_back("a");
    for play in [&mut waits, &mut runs, &mut paused, &mut back, &mut stuck] {
        let before = play.state.clone();
        play.now = play.now.after(Duration::from_secs(9));
        assert_eq!(give(play, "k"), kept("k"));
        assert_eq!(play.commands, []);
        let state = &play.state;
        assert_eq!((state.stage, state.paused), (before.stage, before.paused));
        assert_eq!(state.steps, before.steps);
        assert_eq!(state.recorded_at, before.recorded_at, "it came no further");
        play.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_beyond_the_keys_that_a_saga_keeps_is_refused_until_that_is_over() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(10_000)]);
    let sagas = bed.open().await;
    let first = attach(&sagas, "first").await;
    for number in 0..ATTACHED_MAX {
        attach(&sagas, &number.to_string()).await;
    }
    let definition = of_sample(OnConflict::Attach);
    let more = || sagas.start_or_find(&definition, sample("more"));
    let error = more().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(
        error.to_string(),
        format!(
            "saga `{}` stays as it is: it has the `idempotencyKey` of 1000 starts that it was taken for, as many as may be",
            first.id
        )
    );
    assert_eq!(attach(&sagas, "7").await, attached(&first.id));
    settled(&sagas, &first.id).await;
    assert_eq!(more().await.unwrap().earlier, None);
    sagas.shutdown(Duration::ZERO).await;
}
