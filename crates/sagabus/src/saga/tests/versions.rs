//! Handlers of versions: each step has those of its own, and sagas in flight keep them.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::bed::{Bed, define, input};
use super::store::TestStore;
use crate::ledger::By;
use crate::saga::handlers::BindError;
use crate::saga::{
    CompensationContext, Definition, Handlers, Sagas, Signal, Status, Step, StepContext, StepError,
};

type Calls = Arc<Mutex<Vec<String>>>;

fn version(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// Handlers of `lab` that note what they are called, such as `weigh 2`.
fn lab(calls: &Calls, name: &str) -> Handlers {
    let note = |action: &str| {
        let (calls, text) = (Arc::clone(calls), format!("{action} {name}"));
        move || calls.lock().unwrap().push(text.clone())
    };
    let (weigh, unweigh) = (note("weigh"), note("unweigh"));
    Handlers::new()
        .handle("lab", "weigh", move |_: StepContext| {
            weigh();
            std::future::ready(Ok::<(), StepError>(()))
        })
        .compensate("lab", "unweigh", move |_: CompensationContext| {
            unweigh();
            std::future::ready(Ok(()))
        })
}

/// What always stands beside them.
fn rest() -> Handlers {
    Handlers::new().handle("lab", "file", |_: StepContext| {
        std::future::ready(Err::<(), _>(StepError::Reject("full".to_owned())))
    })
}

fn first_and_second(calls: &Calls) -> Handlers {
    let first = lab(calls, "1").of_version(version(1));
    rest()
        .and(first)
        .and(lab(calls, "2").of_version(version(2)))
}

async fn open(bed: &Bed, handlers: Handlers) -> Sagas {
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    builder.handlers(handlers).open().await.unwrap()
}

fn weigh(id: &str) -> Step {
    let step = Step::new(id).service("lab").action("weigh");
    step.compensated_by("unweigh")
}

/// Waits for somebody, then weighs, then fails and takes back.
fn waiting(of: Option<NonZeroU32>) -> Definition {
    let mut weigh = weigh("weigh").after("go");
    weigh.version = of;
    let file = Step::new("file").service("lab").after("weigh");
    define(vec![Step::new("go").signal("go"), weigh, file])
}

fn go() -> Signal {
    Signal {
        name: "go".to_owned(),
        key: None,
        payload: Bytes::from_static(b"1"),
        by: By::new("ann", "it is ready"),
        approval: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_with_a_version_has_the_handlers_of_that_version_and_no_others() {
    let (bed, calls) = (Bed::new(), Calls::default());
    let handlers = first_and_second(&calls).and(lab(&calls, "without"));
    let sagas = open(&bed, handlers).await;
    let definition = define(vec![
        weigh("a").version(version(2)),
        weigh("b").after("a"),
        weigh("c").version(version(1)).after("b"),
        Step::new("file").service("lab").after("c"),
    ]);
    let id = sagas.start(&definition, input()).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    assert_eq!(
        *calls.lock().unwrap(),
        [
            "weigh 2",
            "weigh without",
            "weigh 1",
            "unweigh 1",
            "unweigh without",
            "unweigh 2",
        ]
    );
    let versions = status.steps.iter().map(|step| step.version);
    let versions: Vec<_> = versions.collect();
    assert_eq!(versions, [Some(version(2)), None, Some(version(1)), None]);
    super::invariants::check(&bed.disk);
}

fn missing(handlers: &Handlers, step: Step) -> String {
    handlers
        .bind(&define(vec![step]))
        .map(drop)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_version_that_no_handler_has_is_missing_and_those_that_there_are_are_named() {
    let calls = Calls::default();
    let both = first_and_second(&calls);
    let plain = lab(&calls, "without");
    let text = |which: &str| format!("step `a` has no handler for `lab/weigh`{which}");
    for (handlers, step, which) in [
        (
            &both,
            weigh("a").version(version(3)),
            " of version 3, only of version 1, 2",
        ),
        (
            &both,
            weigh("a"),
            " without a version, only of version 1, 2",
        ),
        (
            &plain,
            weigh("a").version(version(3)),
            " of version 3, only one without a version",
        ),
        (
            &plain.clone().and(both.clone()),
            weigh("a").version(version(u32::MAX)),
            " of version 4294967295, only of version 1, 2 and without one",
        ),
        (&rest(), weigh("a").version(version(1)), " of version 1"),
        (&rest(), weigh("a"), ""),
    ] {
        assert_eq!(missing(handlers, step), text(which));
    }
    // Only what does it has the version, and nothing that takes it back.
    let half = Handlers::new().handle("lab", "weigh", |_: StepContext| async { Ok(()) });
    let half = half.of_version(version(3)).and(both);
    assert_eq!(
        missing(&half, weigh("a").version(version(3))),
        "step `a` has no compensation handler for `lab/unweigh` of version 3, only of version 1, 2"
    );
    // Also where a handler is found by the action or the id alone.
    let anywhere = |name: &str| {
        let handlers = Handlers::new().handle("", name, |_: StepContext| async { Ok(()) });
        handlers.of_version(version(1))
    };
    for name in ["weigh", "a"] {
        let step = || Step::new("a").service("lab").action("weigh");
        let handlers = anywhere(name);
        let found = handlers.bind(&define(vec![step().version(version(1))]));
        assert!(found.is_ok(), "{name}");
        let expected = text(" of version 2, only of version 1");
        assert_eq!(missing(&handlers, step().version(version(2))), expected);
    }
}

#[test]
fn two_handlers_of_one_version_are_an_error_and_of_two_versions_are_none() {
    let calls = Calls::default();
    let twice = |handlers: Handlers| handlers.check().unwrap_err().to_string();
    let two = || lab(&calls, "2").of_version(version(2));
    let expected = "handler `lab/weigh of version 2` is registered twice";
    assert_eq!(twice(two().and(two())), expected);
    // What gets a version that is taken already.
    assert_eq!(
        twice(two().and(lab(&calls, "again")).of_version(version(2))),
        expected
    );
    first_and_second(&calls).check().unwrap();
    // What is of a version stays so.
    let kept = two().of_version(version(3));
    assert!(
        kept.bind(&define(vec![weigh("a").version(version(2))]))
            .is_ok()
    );

    let of = |name: &str, number| {
        let handlers = Handlers::new().handle("", name, |_: StepContext| async { Ok(()) });
        handlers.of_version(version(number))
    };
    let step = || Step::new("a").action("act").version(version(1));
    let ambiguous = of("act", 1).and(of("a", 1)).bind(&define(vec![step()]));
    assert!(matches!(
        ambiguous.map(drop),
        Err(BindError::Ambiguous { .. })
    ));
    let apart = of("act", 1).and(of("a", 2)).bind(&define(vec![step()]));
    assert!(apart.is_ok());
}

#[tokio::test(start_paused = true)]
async fn sagas_in_flight_keep_their_version_while_new_ones_have_the_new_one() {
    let (bed, calls) = (Bed::new(), Calls::default());
    let before = rest().and(lab(&calls, "1").of_version(version(1)));
    let sagas = open(&bed, before).await;
    let old = sagas.start(&waiting(Some(version(1))), input()).await;
    let old = old.unwrap();
    let refused = sagas.start(&waiting(Some(version(2))), input()).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "step `weigh` has no handler for `lab/weigh` of version 2, only of version 1"
    );
    sagas.shutdown(Duration::ZERO).await;

    let sagas = open(&bed, first_and_second(&calls)).await;
    let new = sagas.start(&waiting(Some(version(2))), input()).await;
    let new = new.unwrap();
    for id in [&new, &old] {
        sagas.signal(id, go()).await.unwrap();
        let status = sagas.wait(id).await.unwrap();
        assert_eq!(status.status, Status::Compensated, "{status:?}");
    }
    assert_eq!(
        *calls.lock().unwrap(),
        ["weigh 2", "unweigh 2", "weigh 1", "unweigh 1"]
    );
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_removed_too_early_parks_its_sagas_until_it_is_back() {
    let (bed, calls) = (Bed::new(), Calls::default());
    let sagas = open(&bed, first_and_second(&calls)).await;
    let old = sagas.start(&waiting(Some(version(1))), input()).await;
    let old = old.unwrap();
    sagas.shutdown(Duration::ZERO).await;

    let only_second = rest().and(lab(&calls, "2").of_version(version(2)));
    let sagas = open(&bed, only_second).await;
    let new = sagas.start(&waiting(Some(version(2))), input()).await;
    let new = new.unwrap();
    for id in [&old, &new] {
        sagas.signal(id, go()).await.unwrap();
    }
    // The others go on; it fails nothing, and is told of.
    assert_eq!(sagas.wait(&new).await.unwrap().status, Status::Compensated);
    let status = sagas.status(&old).unwrap();
    assert_eq!(status.status, Status::Executing);
    let lacks = "step `weigh` has no handler for `lab/weigh` of version 1, only of version 2";
    assert_eq!(status.parked.as_deref(), Some(lacks));
    let waits = status.waits.unwrap().to_string();
    assert!(waits.contains("of version 1"), "{waits}");
    assert!(!sagas.health().healthy);
    assert_eq!(*calls.lock().unwrap(), ["weigh 2", "unweigh 2"]);
    sagas.shutdown(Duration::ZERO).await;

    let sagas = open(&bed, first_and_second(&calls)).await;
    let status = sagas.wait(&old).await.unwrap();
    assert_eq!(status.status, Status::Compensated, "{status:?}");
    assert_eq!(calls.lock().unwrap()[2..], ["weigh 1", "unweigh 1"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_version_may_come_later_where_the_step_is_bound_late() {
    let (bed, calls) = (Bed::new(), Calls::default());
    let definition = define(vec![weigh("a").version(version(2)).late_binding()]);
    let sagas = open(&bed, lab(&calls, "1").of_version(version(1))).await;
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(sagas.status(&id).unwrap().parked.is_some());
    sagas.shutdown(Duration::ZERO).await;
    let sagas = open(&bed, first_and_second(&calls)).await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(*calls.lock().unwrap(), ["weigh 2"]);
}

#[test]
fn a_version_is_a_whole_number_from_one_and_without_one_the_hash_stays() {
    let read = |version: &str| {
        let json =
            format!(r#"{{"name":"s","steps":[{{"id":"a","action":"a","version":{version}}}]}}"#);
        Definition::from_json(json.as_bytes()).map_err(|error| error.to_string())
    };
    for wrong in ["0", "-1", "4294967296", "1.5", r#""1""#] {
        let error = read(wrong).unwrap_err();
        assert!(error.contains("steps[0].version"), "{wrong}: {error}");
    }
    let plain = define(vec![Step::new("a")]);
    let plain = Definition::from_steps("s", plain.steps().to_vec()).unwrap();
    assert_eq!(read("null").unwrap().hash(), plain.hash());
    let written = |number| read(&format!("{number}")).unwrap();
    for number in [1, u32::MAX] {
        let built = Step::new("a").version(version(number));
        let built = Definition::from_steps("s", vec![built]).unwrap();
        assert_eq!(written(number).hash(), built.hash());
        assert_ne!(built.hash(), plain.hash());
        let changes = built.changes_from(&plain);
        let shown = format!("{changes:?}");
        assert!(shown.contains(r#"["version"]"#), "{shown}");
    }
    // Only what has a handler can have one of a version.
    let child = || Step::new("c").child(plain.clone()).version(version(2));
    let refused = Definition::from_steps("s", vec![child()]).unwrap_err();
    assert_eq!(refused.place.path, "steps[0].version");
    Definition::from_steps("s", vec![child().compensated_by("back")]).unwrap();
    let timer = Step::new("t")
        .timer(Duration::from_secs(1))
        .version(version(2));
    assert!(Definition::from_steps("s", vec![timer]).is_err());
}
