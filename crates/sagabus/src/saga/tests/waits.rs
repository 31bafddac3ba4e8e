//! Each saga and each step says what it waits for.

use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step};
use super::store::TestStore;
use crate::clock::Timestamp;
use crate::ledger::By;
use crate::saga::{
    Action, ConcurrencyKey, Definition, Handlers, OnTimeout, Options, Order, Query, SagaId,
    SagaStatus, Sagas, Step, Waits,
};

async fn started(bed: &Bed, definition: &Definition) -> (Sagas, SagaId) {
    let sagas = bed.open().await;
    let id = sagas.start(definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    (sagas, id)
}

/// What the saga waits for, and each of its steps; nothing is `-`.
fn told(status: &SagaStatus) -> Vec<String> {
    let text = |waits: &Option<Waits>| {
        let waits = waits.as_ref().map(ToString::to_string);
        waits.unwrap_or_else(|| "-".to_owned())
    };
    let steps = status.steps.iter().map(|step| text(&step.waits));
    std::iter::once(text(&status.waits)).chain(steps).collect()
}

fn operator(reason: &str) -> String {
    format!("for an operator: {reason}")
}

#[tokio::test(start_paused = true)]
async fn a_step_says_which_steps_signal_person_or_time_it_waits_for() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(1_000)]);
    let definition = define(vec![
        step("a"),
        Step::new("s").signal("measured").after("a"),
        Step::new("p")
            .approval("lab-manager")
            .waits_at_most(Duration::from_secs(3_600), OnTimeout::Fail)
            .after("a"),
        Step::new("t").timer(Duration::from_secs(60)).after("a"),
        step("b").after("s").after("p").after("t").after("a"),
    ]);
    let (sagas, id) = started(&bed, &definition).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(
        told(&status),
        [
            "-",
            "-",
            "for a",
            "for a",
            "for a",
            "for s, p, t and 1 more"
        ]
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = sagas.status(&id).unwrap();
    let began = status.steps[2].started_at.unwrap();
    let answer = "for the answer of somebody in the role `lab-manager` until";
    let (hour, minute) = (Duration::from_secs(3_600), Duration::from_secs(60));
    assert_eq!(
        told(&status),
        [
            "for the signal `measured`".to_owned(),
            "-".to_owned(),
            "for the signal `measured`".to_owned(),
            format!("{answer} {}", began.after(hour)),
            format!("for the time {}", began.after(minute)),
            "for s, p, t".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_between_attempts_says_when_the_next_one_is() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Retry]);
    bed.world.script("b", &[Act::DoAfter(500)]);
    let (sagas, id) = started(&bed, &define(vec![step("a").retries(1), step("b")])).await;
    let status = sagas.status(&id).unwrap();
    // As long as a step is at work, the saga waits for nothing.
    assert_eq!(status.waits, None);
    let Some(Waits::Attempt(at)) = status.steps[0].waits else {
        panic!("{status:?}");
    };
    assert!(at > status.started_at, "{status:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.waits, Some(Waits::Attempt(at)));
    settled(&sagas, &id).await;
    assert_eq!(told(&sagas.status(&id).unwrap()), ["-", "-", "-"]);
}

#[tokio::test(start_paused = true)]
async fn a_saga_in_the_queue_waits_for_its_turn_and_a_paused_one_for_an_operator() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    bed.world.script("a", &[Act::DoAfter(1_000)]);
    let (sagas, first) = started(&bed, &chain(&["a", "b"])).await;
    let second = sagas.start(&chain(&["a", "b"]), input()).await.unwrap();
    let status = sagas.status(&second).unwrap();
    assert_eq!(told(&status), ["for its turn", "for its turn", "for a"]);

    let by = By::new("ann", "a look first");
    sagas.operate(&first, Action::Pause, by).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let paused = operator("an operator paused it");
    let status = sagas.status(&first).unwrap();
    assert_eq!(told(&status), [paused.as_str(), "-", &paused]);
    assert_eq!(status.operated[0].by.author, "ann");
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_for_its_key_says_who_has_it_and_why_that_one_does_not_go_on() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(1_000)]);
    let keyed = |steps: Vec<Step>, limit: u32| {
        let mut key = ConcurrencyKey::new("{sampleId}");
        key.limit = limit;
        let options = Options {
            concurrency_key: Some(key),
            ..Options::default()
        };
        let builder = Definition::builder("keyed").options(options);
        let steps = steps.into_iter();
        steps
            .fold(builder, |builder, step| builder.step(step))
            .build()
            .unwrap()
    };
    let measured = || Step::new("s").signal("measured").after("a");
    let (sagas, first) = started(&bed, &keyed(vec![step("a"), measured()], 1)).await;
    let second = sagas
        .start(&keyed(vec![step("b"), step("c").after("b")], 1), input())
        .await
        .unwrap();
    let all = |text: &str| [text.to_owned(), text.to_owned(), "for b".to_owned()];
    // A step of the one that has it is at work.
    let has = format!("for its key: saga `{first}` has it");
    assert_eq!(told(&sagas.status(&second).unwrap()), all(&has));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = format!("{has} and waits for the signal `measured`");
    assert_eq!(told(&sagas.status(&second).unwrap()), all(&waits));
    let by = || By::new("ann", "a look first");
    sagas.operate(&first, Action::Pause, by()).await.unwrap();
    let paused = format!("{has} and waits {}", operator("an operator paused it"));
    // Wherever it is looked at.
    let found = sagas.search(&Query::default()).unwrap().sagas;
    let found = found.iter().find(|saga| saga.id == second).unwrap();
    assert_eq!(told(found), all(&paused));
    assert_eq!(told(&sagas.active()[1]), all(&paused));
    // The end of the one that has it is the turn of the next.
    sagas
        .operate(&first, Action::Terminate, by())
        .await
        .unwrap();
    settled(&sagas, &second).await;

    // Where more than one may have it, the others are counted.
    let pair = keyed(vec![Step::new("s").signal("measured")], 2);
    let (sagas, first) = started(&Bed::new(), &pair).await;
    sagas.start(&pair, input()).await.unwrap();
    let third = sagas.start(&pair, input()).await.unwrap();
    let waits = sagas.status(&third).unwrap().waits.unwrap().to_string();
    let both = format!("for its key: saga `{first}` has it (and 1 more) and waits");
    assert_eq!(waits, format!("{both} for the signal `measured`"));
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_lacks_a_handler_names_it() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang]);
    let (sagas, id) = started(&bed, &chain(&["a", "b"])).await;
    sagas.shutdown(Duration::ZERO).await;
    let clock = bed.clock.clone();
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), clock);
    let sagas = builder.handlers(Handlers::new()).open().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let told = told(&sagas.status(&id).unwrap());
    assert!(told[0].starts_with("for a handler: "), "{told:?}");
    assert!(told[0].contains("svc/a"), "{told:?}");
    assert_eq!(told[1], told[0], "{told:?}");
    assert_eq!(told[2], "for a", "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_taken_back_says_what_comes_before_it() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::DoAfterDeaf(2_000)]);
    bed.world.script("d", &[Act::Reject]);
    bed.world.script("undo_b", &[Act::Reject]);
    let definition = define(vec![
        step("a"),
        step("b").after("a"),
        step("c").after("b"),
        step("d").after("b"),
    ]);
    let (sagas, id) = started(&bed, &definition).await;
    // `c` was told to stop and is awaited.
    let handlers = "for the handlers of c to end";
    let status = sagas.status(&id).unwrap();
    assert_eq!(told(&status), [handlers, handlers, handlers, "-", "-"]);
    let status = settled(&sagas, &id).await;
    assert_eq!(
        told(&status),
        [
            operator("a compensation cannot be done"),
            "for b to be taken back first".to_owned(),
            operator("its compensation failed for good"),
            "-".to_owned(),
            "-".to_owned(),
        ]
    );
    let by = By::new("ann", "gone anyway");
    let skip = Action::Skip {
        step: "b".to_owned(),
    };
    sagas.operate(&id, skip, by).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert!(told(&status).iter().all(|it| it == "-"), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn in_parallel_only_what_follows_from_a_step_comes_before_it() {
    let bed = Bed::new();
    bed.world.script("d", &[Act::Reject]);
    bed.world.script("undo_b", &[Act::DoAfterDeaf(1_000)]);
    bed.world
        .script("undo_c", &[Act::Retry, Act::DoAfterDeaf(5_000)]);
    let options = Options {
        compensation: Order::Parallel,
        ..Options::default()
    };
    let builder = Definition::builder("parallel").options(options);
    let builder = builder.step(step("a")).step(step("b").after("a"));
    let builder = builder
        .step(step("c"))
        .step(step("d").after("b").after("c"));
    let (sagas, id) = started(&bed, &builder.build().unwrap()).await;
    let status = sagas.status(&id).unwrap();
    let told = told(&status);
    assert_eq!(told[0], "-", "{told:?}");
    assert_eq!(told[1], "for b to be taken back first");
    assert_eq!(told[2], "-", "{told:?}");
    assert!(told[3].starts_with("for its next attempt at "), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_stuck_behind_the_pivot_waits_for_an_operator() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    let definition = define(vec![
        step("a").pivot(),
        Step::new("b").service("svc").after("a"),
        Step::new("c").service("svc").after("b"),
    ]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    let status = settled(&sagas, &id).await;
    let stuck = operator("it failed for good behind the pivot");
    let whole = operator("a step behind the pivot failed for good");
    assert_eq!(told(&status), [whole.as_str(), "-", &stuck, "for b"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_things_that_operators_did_are_shown_and_no_more() {
    let bed = Bed::new();
    let definition = define(vec![Step::new("w").signal("measured")]);
    let (sagas, id) = started(&bed, &definition).await;
    for time in 0..40 {
        let action = match time % 2 {
            0 => Action::Pause,
            _ => Action::Resume,
        };
        let by = By::new("ann", &format!("time {time}"));
        sagas.operate(&id, action, by).await.unwrap();
    }
    let status = sagas.status(&id).unwrap();
    let reasons: Vec<&str> = status
        .operated
        .iter()
        .map(|it| it.by.reason.as_str())
        .collect();
    assert_eq!(reasons.len(), crate::saga::machine::OPERATED_MAX);
    assert_eq!((reasons[0], reasons[31]), ("time 8", "time 39"));
    let times: Vec<Timestamp> = status.operated.iter().map(|it| it.at).collect();
    assert!(times.is_sorted());
}
