//! Steps that wait: for a signal, for a person, for the time.

use std::time::Duration;

use bytes::Bytes;

use super::bed::{Act, Bed, define, input, step};
use super::play::Play;
use crate::error::ErrorKind;
use crate::ledger::By;
use crate::saga::machine::{Input, Stage, Timer};
use crate::saga::record::{Fact, Outcome};
use crate::saga::{
    Action, Approval, Definition, OnTimeout, SagaId, Sagas, Signal, Status, Step, StepPhase,
};

const MINUTE: Duration = Duration::from_secs(60);

fn by() -> By {
    By::new("ann", "looked at it")
}

fn signal(name: &str, key: Option<&str>) -> Signal {
    Signal {
        name: name.to_owned(),
        key: key.map(str::to_owned),
        payload: Bytes::from_static(br#"{"n":1}"#),
        by: by(),
        approval: None,
    }
}

/// `a`, then the waiting step, then `b`.
fn around(wait: Step) -> Definition {
    let id = wait.id.clone();
    define(vec![step("a"), wait.after("a"), step("b").after(id)])
}

async fn started(bed: &Bed, definition: &Definition) -> (Sagas, SagaId) {
    let sagas = bed.open().await;
    let id = sagas.start(definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    (sagas, id)
}

#[tokio::test(start_paused = true)]
async fn a_step_waits_for_its_signal_and_hands_on_the_payload() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    let definition = around(Step::new("w").signal("measured"));
    let (sagas, id) = started(&bed, &definition).await;
    let status = sagas.status(&id).unwrap();
    assert_eq!(status.steps[1].phase, StepPhase::Waiting);
    assert_eq!(status.current_step.as_deref(), Some("w"));
    // However long it takes: it holds no slot and is no fault.
    tokio::time::sleep(MINUTE * 60 * 24 * 30).await;
    assert_eq!(sagas.stats().active, 0);
    assert!(sagas.health().healthy);
    // Nor does a restart change anything.
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    sagas.signal(&id, signal("measured", None)).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed);
    let output = status.steps[1].output.as_deref();
    assert_eq!(output, Some(&br#"{"n":1}"#[..]));
    assert_eq!(bed.world.calls(), ["a#1", "b#1"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn what_stands_before_the_step_that_its_kept_signal_ends_is_started_too() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::DoAfter(100)]);
    let definition = define(vec![
        step("b").after("w"),
        step("a"),
        Step::new("w").after("a").signal("measured"),
    ]);
    let (sagas, id) = started(&bed, &definition).await;
    sagas.signal(&id, signal("measured", None)).await.unwrap();
    let waited = tokio::time::timeout(MINUTE, sagas.wait(&id)).await;
    assert_eq!(waited.unwrap().unwrap().status, Status::Completed);
    assert_eq!(bed.world.calls(), ["a#1", "b#1"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_wins_and_a_repeat_is_the_same() {
    let bed = Bed::new();
    let two = define(vec![
        Step::new("w").signal("measured"),
        Step::new("v").signal("weighed"),
    ]);
    let (sagas, id) = started(&bed, &two).await;
    let told = |key| sagas.signal(&id, signal("measured", key));
    told(Some("k")).await.unwrap();
    let appends = bed.disk.appends();
    told(Some("k")).await.unwrap();
    assert_eq!(bed.disk.appends(), appends);
    for key in [Some("other"), None] {
        let error = told(key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    let error = sagas.signal(&id, signal("unknown", None)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let mut wrong = signal("weighed", None);
    wrong.payload = Bytes::from_static(b"{");
    let error = sagas.signal(&id, wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    sagas.signal(&id, signal("weighed", None)).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    let over = sagas.signal(&id, signal("measured", None)).await;
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Conflict);
    // Whose answer was lost asks again, also when all is over by then.
    told(Some("k")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_signal_before_its_step_is_kept_over_a_restart() {
    let bed = Bed::new();
    bed.world.script("a", &[super::bed::Act::Hang]);
    let definition = around(Step::new("w").signal("measured"));
    let (sagas, id) = started(&bed, &definition).await;
    sagas.signal(&id, signal("measured", None)).await.unwrap();
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    assert_eq!(bed.world.effects(), ["a", "b"]);
    super::invariants::check(&bed.disk);
}

#[test]
fn a_signal_and_what_follows_from_it_are_one_batch() {
    let definition = around(Step::new("w").signal("measured"));
    let mut play = Play::begun(&definition);
    play.succeed("a");
    let facts = play.give(Input::Signal(signal("measured", None)));
    assert!(matches!(facts[0], Fact::Signalled { .. }));
    assert!(matches!(facts[1], Fact::StepSucceeded { step: 1, .. }));
    assert!(matches!(facts[2], Fact::StepStarted { step: 2, .. }));
    play.check();
}

#[test]
fn of_a_signal_and_the_end_of_waiting_the_first_decides() {
    let waits = Step::new("w")
        .signal("measured")
        .waits_at_most(MINUTE, OnTimeout::Fail);
    let definition = around(waits);
    let wait = |play: &Play| Input::Elapsed(Timer::Wait(play.position("w")));
    let mut play = Play::begun(&definition);
    play.succeed("a");
    play.give(Input::Signal(signal("measured", None)));
    let late = wait(&play);
    assert_eq!(play.give(late), []);
    play.succeed("b");
    assert!(play.is(Stage::Ended(Outcome::Completed)));

    let mut play = Play::begun(&definition);
    play.succeed("a");
    let first = wait(&play);
    assert!(!play.give(first).is_empty());
    assert_eq!(play.give(Input::Signal(signal("measured", None))), []);
    assert_eq!(play.compensating, [0]);
    play.check();
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_in_time_fails_or_completes_the_step_as_it_says() {
    for (on_timeout, end) in [
        (OnTimeout::Fail, Status::Compensated),
        (OnTimeout::Complete, Status::Completed),
    ] {
        let bed = Bed::new();
        let waits = Step::new("w")
            .approval("lead")
            .waits_at_most(MINUTE, on_timeout);
        let began = tokio::time::Instant::now();
        let (sagas, id) = started(&bed, &around(waits)).await;
        // The time goes on while no process runs.
        tokio::time::sleep(MINUTE / 2).await;
        sagas.shutdown(Duration::ZERO).await;
        let sagas = bed.open().await;
        let status = sagas.wait(&id).await.unwrap();
        assert_eq!(status.status, end);
        let took = began.elapsed();
        assert!(took >= MINUTE && took < MINUTE * 2, "{took:?}");
        if end == Status::Compensated {
            let error = status.steps[1].error.as_deref();
            assert_eq!(error, Some("nobody answered within 60s"));
        }
        super::invariants::check(&bed.disk);
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_in_the_role_says_yes_or_no() {
    for approved in [true, false] {
        let bed = Bed::new();
        let definition = around(Step::new("w").approval("lab-manager"));
        let (sagas, id) = started(&bed, &definition).await;
        let answer = |role: &str| Approval {
            approved,
            role: role.to_owned(),
        };
        let guest = sagas.approve(&id, "w", answer("guest"), by()).await;
        assert_eq!(guest.unwrap_err().kind(), ErrorKind::Conflict);
        let nobody = By::new("", "x");
        let unsigned = sagas.approve(&id, "w", answer("lab-manager"), nobody).await;
        assert_eq!(unsigned.unwrap_err().kind(), ErrorKind::Invalid);
        // A plain signal is no approval.
        let plain = sagas.signal(&id, signal("w", None)).await;
        assert_eq!(plain.unwrap_err().kind(), ErrorKind::NotFound);
        sagas
            .approve(&id, "w", answer("lab-manager"), by())
            .await
            .unwrap();
        let status = sagas.wait(&id).await.unwrap();
        if approved {
            assert_eq!(status.status, Status::Completed);
            let output = status.steps[1].output.clone().unwrap();
            let output: serde_json::Value = serde_json::from_slice(&output).unwrap();
            assert_eq!(
                (&output["approved"], &output["by"]),
                (&true.into(), &"ann".into())
            );
        } else {
            assert_eq!(status.status, Status::Compensated);
            let error = status.steps[1].error.as_deref();
            assert_eq!(error, Some("refused by ann: looked at it"));
        }
        super::invariants::check(&bed.disk);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_waits_so_long_over_restarts_and_calls_nobody() {
    let bed = Bed::new();
    let began = tokio::time::Instant::now();
    let (sagas, id) = started(&bed, &around(Step::new("w").timer(MINUTE * 60))).await;
    tokio::time::sleep(MINUTE * 20).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    let took = began.elapsed();
    assert!(took >= MINUTE * 60 && took < MINUTE * 61, "{took:?}");
    assert_eq!(bed.world.calls(), ["a#1", "b#1"]);
    super::invariants::check(&bed.disk);
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_can_be_cancelled_terminated_completed_and_skipped() {
    let complete = Action::Complete {
        step: "w".to_owned(),
        output: Bytes::from_static(b"2"),
    };
    let skip = Action::Skip {
        step: "w".to_owned(),
    };
    for (action, end, left) in [
        (
            Action::Cancel {
                in_flight: Default::default(),
            },
            Status::Cancelled,
            false,
        ),
        (Action::Terminate, Status::Terminated, true),
        (complete, Status::Completed, false),
        (skip, Status::Completed, false),
    ] {
        let bed = Bed::new();
        let definition = around(Step::new("w").signal("measured"));
        let (sagas, id) = started(&bed, &definition).await;
        sagas.operate(&id, action, by()).await.unwrap();
        let status = sagas.wait(&id).await.unwrap();
        assert_eq!((status.status, status.inconsistent), (end, left));
        assert_eq!(sagas.stats().active, 0);
        super::invariants::check(&bed.disk);
    }
}

#[test]
fn a_step_that_waits_has_nothing_that_goes_with_a_handler() {
    let refused = |step: Step| {
        let error = Definition::from_steps("s", vec![step]).unwrap_err();
        error.to_string()
    };
    let bare = || Step::new("w").signal("measured");
    for (step, field) in [
        (bare().compensated_by("undo"), "compensationAction"),
        (bare().retries(1), "retryAttempts"),
        (bare().timeout(MINUTE), "timeout"),
        (bare().service("svc"), "service"),
        (bare().data(1.into()), "data"),
        (bare().overlap(), "overlap"),
    ] {
        let text = format!(
            "step `w` waits and is not run: `{field}` is too much, it has `name`, `dependencies` and `pivot` only"
        );
        assert_eq!(refused(step), text);
    }
    for (field, value, goes_with_child) in [
        ("service", "\"x\"", true),
        ("action", "\"x\"", false),
        ("compensationAction", "\"x\"", true),
        ("version", "1", false),
        ("timeout", "1", false),
        ("retryAttempts", "1", false),
        ("retryDelay", "1", false),
        ("data", "1", true),
        ("compensate", "\"always\"", true),
        ("onInDoubt", "\"park\"", false),
        ("compensationTimeout", "1", true),
        ("compensationRetryAttempts", "1", true),
        ("stepDeadline", "1", false),
        ("queueTimeout", "1", false),
        ("heartbeat", "1", false),
        ("overlap", "true", false),
        ("lateBinding", "true", true),
        ("forEach", "{\"from\":\"\"}", true),
    ] {
        let inner = r#"{"name":"c","steps":[{"id":"a","action":"a"}]}"#;
        for (wait, is_taken) in [
            (r#""signal":{"name":"n"}"#.to_owned(), false),
            (r#""timer":{"for":5}"#.to_owned(), false),
            (
                format!(r#""child":{{"definition":{inner}}}"#),
                goes_with_child,
            ),
        ] {
            let json = format!(r#"{{"name":"s","steps":[{{"id":"w",{wait},"{field}":{value}}}]}}"#);
            let read = Definition::from_json(json.as_bytes());
            let at = read.err().map(|error| error.place.path);
            let expected = (!is_taken).then(|| format!("steps[0].{field}"));
            assert_eq!(at, expected, "{json}");
        }
    }
    let text = "`timer.for` of step `w` must be 1 millisecond to 366 days";
    assert_eq!(refused(Step::new("w").timer(Duration::ZERO)), text);
    assert_eq!(refused(Step::new("w").timer(Duration::MAX)), text);
    let long = bare().waits_at_most(MINUTE * 60 * 24 * 367, OnTimeout::Fail);
    let text = "`signal.timeout` of step `w` must be 1 millisecond to 366 days";
    assert_eq!(refused(long), text);
    let yaml = "
name: s
steps:
  - {id: w, signal: {name: measured, timeout: 1m, onTimeout: complete}}
  - {id: v, approval: {role: lab-manager}, dependencies: [w]}
  - {id: u, timer: {for: 2h}, dependencies: [v]}
";
    let definition = Definition::from_yaml(yaml).unwrap();
    let built = [
        bare().waits_at_most(MINUTE, OnTimeout::Complete),
        Step::new("v").approval("lab-manager").after("w"),
        Step::new("u").timer(MINUTE * 120).after("v"),
    ];
    assert_eq!(definition.steps(), built);
    let again = Definition::from_json(&definition.to_json()).unwrap();
    assert_eq!(again.hash(), definition.hash());
    let both = "
name: s
steps:
  - {id: w, signal: {name: measured}, timer: {for: 1s}}
";
    let error = Definition::from_yaml(both).unwrap_err().to_string();
    let text = "line 4, column 39: definition does not fit at `steps[0].timer`: is too much beside `signal`: a step has one of `signal`, `approval`, `timer`, `child`";
    assert_eq!(error, text);
}
