//! What is found in the store at open: no saga is lost, and none keeps the others from going on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::bed::{Bed, chain, input};
use super::first::First;
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::saga::machine::State;
use crate::saga::record::{Fact, Record};
use crate::saga::{Definition, DefinitionError, Earlier, SagaId, Status};
use crate::saga_store::StoredSaga;

/// A saga that was stored with this definition, and has not begun.
fn stored(id: &str, definition: &str, key: Option<&'static str>) -> StoredSaga {
    let definition = Bytes::copy_from_slice(definition.as_bytes());
    let hash = Sha256::digest(&definition).into();
    let first = First {
        idempotency_key: key,
        ..First::pinned(definition, hash)
    };
    let fact = first.fact();
    let record = Record::new(Timestamp::from_milliseconds(1_000), fact);
    StoredSaga {
        key: None,
        saga: id.to_owned(),
        records: vec![record.encode().unwrap()],
    }
}

fn id(text: &str) -> SagaId {
    text.parse().unwrap()
}

const GOOD: &str = r#"{"name":"s","steps":[{"id":"a","service":"svc","action":"a"}]}"#;
const CYCLE: &str =
    r#"{"name":"s","steps":[{"id":"a","service":"svc","action":"a","dependencies":["a"]}]}"#;
const LATER: &str =
    r#"{"name":"s","steps":[{"id":"a","service":"svc","action":"a","later":true}]}"#;

#[tokio::test(start_paused = true)]
async fn a_stored_saga_goes_on_although_its_definition_would_be_refused_today() {
    // Written in another order than today, with a timeout of more than the seven days that may be.
    let definition =
        r#"{"steps":[{"action":"a","id":"a","service":"svc","timeout":604800001}],"name":"s"}"#;
    let refused = Definition::from_json(definition.as_bytes()).unwrap_err();
    assert!(matches!(refused.fault, DefinitionError::TooLong { .. }));
    let bed = Bed::new();
    bed.disk.put(stored("old", definition, None));
    let sagas = bed.open().await;
    let status = sagas.wait(&id("old")).await.unwrap();
    assert_eq!(status.status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a"]);
    assert!(sagas.health().healthy);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_cannot_be_read_is_shown_and_the_others_go_on() {
    let bed = Bed::new();
    bed.disk.put(stored("bad", CYCLE, Some("k")));
    bed.disk.put(stored("later", LATER, None));
    bed.disk.put(stored("good", GOOD, None));
    let before = bed.disk.stored();
    let sagas = bed.open().await;
    let status = sagas.wait(&id("good")).await.unwrap();
    assert_eq!(status.status, Status::Completed);

    let shown = sagas.unreadable();
    let ids: Vec<&str> = shown.iter().map(|saga| saga.id.as_str()).collect();
    assert_eq!(ids, ["bad", "later"]);
    assert_eq!(
        shown[0].reason,
        "steps depend on each other by `dependencies`: a → a"
    );
    assert!(shown[1].reason.contains("later"), "{}", shown[1].reason);
    assert_eq!(
        sagas.health().issues,
        [
            "2 sagas cannot be read, such as `bad`: steps depend on each other by `dependencies`: a → a"
        ]
    );
    let error = sagas.status(&id("bad")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = sagas.cancel(&id("bad"), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);

    // Its key can be read, so a second start with it is still the same saga, and other keys are free.
    let definition = chain(&["a"]);
    let again = sagas.start_or_find(&definition, input().keyed("k"));
    let again = again.await.unwrap();
    let earlier = Some(Earlier::Unreadable);
    assert_eq!((again.id, again.earlier), (id("bad"), earlier));
    let other = sagas.start(&chain(&["a"]), input().keyed("other")).await;
    sagas.wait(&other.unwrap()).await.unwrap();
    sagas.shutdown(Duration::ZERO).await;
    // For a program that can read them, they are as they were.
    for (saga, was) in bed.disk.stored().iter().zip(&before).take(2) {
        assert_eq!(saga.records, was.records);
    }
}

#[tokio::test(start_paused = true)]
async fn no_keyed_saga_is_started_while_the_key_of_a_stored_one_cannot_be_read() {
    let bed = Bed::new();
    let mut newer = stored("newer", GOOD, Some("k"));
    // The second byte of a record is its version.
    let mut bytes = newer.records[0].to_vec();
    bytes[1] = 9;
    newer.records[0] = bytes.into();
    bed.disk.put(newer);
    let sagas = bed.open().await;
    let definition = chain(&["a"]);
    let start = |start| sagas.start(&definition, start);
    let error = start(input().keyed("other")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(
        error.to_string(),
        "saga `newer` cannot be read, and may have this idempotency key"
    );
    assert_eq!(bed.disk.appends(), 0);
    let unkeyed = start(input()).await.unwrap();
    let status = sagas.wait(&unkeyed).await.unwrap();
    assert_eq!(status.status, Status::Completed);
}

/// The record of a start that was taken for a saga, readable or by a program that came later.
fn attached(key: &str, is_readable: bool) -> Bytes {
    let fact = Fact::Attached {
        key: key.to_owned(),
    };
    let record = Record::new(Timestamp::from_milliseconds(2_000), fact);
    let mut bytes = record.encode().unwrap().to_vec();
    if !is_readable {
        bytes[1] = 9;
    }
    bytes.into()
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_cannot_be_read_has_the_keys_of_the_starts_that_were_taken_for_it() {
    for is_readable in [true, false] {
        let bed = Bed::new();
        let definition = Bytes::from_static(CYCLE.as_bytes());
        let hash = Sha256::digest(&definition).into();
        let first = First {
            concurrency_key: Some("c"),
            ..First::pinned(definition, hash)
        };
        let first = Record::new(Timestamp::from_milliseconds(1_000), first.fact());
        bed.disk.put(StoredSaga {
            key: None,
            saga: "bad".to_owned(),
            records: vec![first.encode().unwrap(), attached("k", is_readable)],
        });
        let sagas = bed.open().await;
        let definition = chain(&["a"]);
        let start = |key: &str| sagas.start_or_find(&definition, input().keyed(key));
        if is_readable {
            let again = start("k").await.unwrap();
            let earlier = Some(Earlier::Unreadable);
            assert_eq!((again.id, again.earlier), (id("bad"), earlier));
            assert_eq!(start("other").await.unwrap().earlier, None);
        } else {
            // Its key may be any.
            let error = start("k").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        sagas.shutdown(Duration::ZERO).await;
    }
}

#[test]
fn a_clone_of_a_state_shares_every_step_that_is_not_written_to() {
    let definition = chain(&["a", "b", "c"]);
    let stored = stored(
        "x",
        std::str::from_utf8(&definition.to_json()).unwrap(),
        None,
    );
    let first = Record::decode(&stored.records[0]).unwrap();
    let state = State::first(id("x"), &first, |_| Ok(definition)).unwrap();
    let mut next = state.clone();
    assert_eq!(hash(&next), hash(&state));
    let fact = Fact::StepStarted {
        step: 1,
        attempt: 1,
        epoch: None,
    };
    next.replay(&Record::new(Timestamp::from_milliseconds(2_000), fact))
        .unwrap();
    let shared = state.steps.iter().zip(&next.steps);
    let shared: Vec<bool> = shared.map(|(was, is)| Arc::ptr_eq(was, is)).collect();
    assert_eq!(shared, [true, false, true]);
    assert_eq!(state.steps[1].attempts, 0);
    assert_ne!(next, state);
    assert_ne!(hash(&next), hash(&state));
}

fn hash(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
