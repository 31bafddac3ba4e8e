//! What is told about sagas: each of the nine events, once, with what it needs and nothing that is private.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bed::{Act, Bed, chain, define, input, settled, step, told};
use crate::error::ErrorKind;
use crate::event::{Event, EventId, Payload};
use crate::saga::definition::{EVENT_INPUT_BYTES_MAX, EVENT_INPUT_PARTS_MAX, Options};
use crate::saga::events::{
    CompensationCompleted, CompensationFailed, CompensationStarted, SagaCompleted, SagaFailed,
    SagaStarted, StepCompleted, StepFailed, StepStarted, TYPES,
};
use crate::saga::{Definition, Sagas, Start, Status, Step};
use crate::schema::Registry;

fn of<P: Payload>(bed: &Bed) -> Vec<(Event, P)> {
    let events = bed.disk.events().into_iter();
    let of_type = events.filter(|event| event.event_type.as_str() == P::TYPE);
    of_type
        .map(|event| {
            let payload = event.payload().unwrap();
            (event, payload)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_completed_saga_tells_of_every_step() {
    let bed = Bed::new();
    bed.run(&chain(&["a", "b"])).await;
    assert_eq!(
        told(&bed.disk),
        [
            "started",
            "step_started a",
            "step_completed a",
            "step_started b",
            "step_completed b",
            "completed"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_compensated_saga_tells_so_and_that_it_failed() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.run(&chain(&["a", "b"])).await;
    assert_eq!(
        told(&bed.disk)[4..],
        [
            "step_failed b",
            "compensation_started b",
            "compensation_completed",
            "failed"
        ]
    );
    let (_, failed) = of::<SagaFailed>(&bed).remove(0);
    assert_eq!(failed.status, "compensated");
    assert_eq!(failed.error, "step `b` failed: b is refused");
}

#[tokio::test(start_paused = true)]
async fn every_one_of_the_nine_events_is_emitted() {
    let bed = Bed::new();
    bed.run(&chain(&["a"])).await;
    bed.world.script("b", &[Act::Reject, Act::Reject]);
    bed.run(&chain(&["a", "b"])).await;
    bed.world.script("undo_a", &[Act::Reject]);
    bed.run(&chain(&["a", "b"])).await;
    let events = bed.disk.events();
    let types: BTreeSet<&str> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    assert_eq!(
        types.into_iter().collect::<Vec<_>>(),
        [
            "saga.compensation_completed",
            "saga.compensation_failed",
            "saga.compensation_started",
            "saga.completed",
            "saga.failed",
            "saga.started",
            "saga.step_completed",
            "saga.step_failed",
            "saga.step_started",
        ]
    );
    let (_, stuck) = of::<CompensationFailed>(&bed).remove(0);
    assert_eq!(
        (stuck.step_id.as_str(), stuck.status.as_str()),
        ("a", "compensation_stuck")
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_told_with_its_error_attempt_and_duration() {
    let bed = Bed::new();
    bed.world.script("a", &[Act::Hang, Act::Retry]);
    let definition = define(vec![
        step("a").retries(1).timeout(Duration::from_millis(40)),
    ]);
    bed.run(&definition).await;
    let failures: Vec<StepFailed> = of(&bed).into_iter().map(|(_, payload)| payload).collect();
    let shown: Vec<_> = failures
        .iter()
        .map(|failed| {
            (
                failed.status.as_str(),
                failed.attempt,
                failed.error.as_str(),
                failed.duration_ms,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("executing", 1, "timed out after 40ms", 40),
            ("compensating", 2, "a is busy", 0),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn events_hold_neither_the_input_nor_the_outputs() {
    let bed = Bed::new();
    bed.world.script("b", &[Act::Reject]);
    bed.run(&chain(&["a", "b"])).await;
    for event in bed.disk.events() {
        let text = std::str::from_utf8(&event.data).unwrap();
        assert!(!text.contains("p4ss") && !text.contains("secret"), "{text}");
        assert!(!text.contains("done") && !text.contains("result"), "{text}");
    }
}

/// `a`, `b` and what events carry of the input.
fn telling(pointers: &[&str]) -> Definition {
    let options = Options {
        event_input: pointers.iter().map(|it| (*it).to_owned()).collect(),
        ..Options::default()
    };
    let builder = Definition::builder("told").options(options);
    let builder = builder.step(step("a")).step(step("b").after("a"));
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_carry_the_parts_of_the_input_that_the_definition_names_and_nothing_else() {
    let bed = Bed::new();
    let definition = telling(&["/sampleId", "/items/1", "/missing/part"]);
    bed.run(&definition).await;
    bed.world.script("b", &[Act::Reject, Act::Reject]);
    bed.run(&definition).await;
    bed.world.script("undo_a", &[Act::Reject]);
    bed.run(&definition).await;
    let mut types = BTreeSet::new();
    for event in bed.disk.events() {
        let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        let parts = serde_json::json!({"/items/1": 20, "/sampleId": "S-1"});
        assert_eq!(data["input"], parts, "{data}");
        assert!(!data.to_string().contains("p4ss"), "{data}");
        types.insert(event.event_type.as_str().to_owned());
    }
    assert_eq!(types.len(), TYPES.len());
    // Over a restart it is the same: the definition is stored with the saga.
    let bed = Bed::new();
    bed.world.script("b", &[Act::Hang]);
    let sagas = bed.open().await;
    let id = sagas.start(&definition, input()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sagas.shutdown(Duration::ZERO).await;
    let sagas = bed.open().await;
    sagas.wait(&id).await.unwrap();
    let (_, completed) = of::<SagaCompleted>(&bed).remove(0);
    assert_eq!(completed.input["/sampleId"], "S-1");
}

#[tokio::test(start_paused = true)]
async fn parts_of_the_input_that_are_too_much_for_events_are_refused_at_the_start() {
    let bed = Bed::new();
    let sagas = bed.open().await;
    let definition = telling(&["/text"]);
    let start = |length: usize| {
        let text = "x".repeat(length);
        Start::new(serde_json::json!({ "text": text }).to_string())
    };
    // With its name and quotes it is as much as may be.
    let room = EVENT_INPUT_BYTES_MAX - r#"{"/text":""}"#.len();
    let error = sagas.start(&definition, start(room + 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("more than 4096"), "{error}");
    assert_eq!(bed.disk.stored().len(), 0);
    let id = sagas.start(&definition, start(room)).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
}

#[test]
fn what_events_are_to_carry_is_named_by_different_pointers_and_not_too_many() {
    let read = |pointers: &serde_json::Value| {
        let json = serde_json::json!({
            "name": "s", "steps": [{"id": "a", "action": "a"}], "eventInput": pointers,
        });
        Definition::from_json(json.to_string().as_bytes())
    };
    let many: Vec<String> = (0..=EVENT_INPUT_PARTS_MAX)
        .map(|at| format!("/{at}"))
        .collect();
    for wrong in [
        serde_json::json!(["sampleId"]),
        serde_json::json!([""]),
        serde_json::json!(["/a~2"]),
        serde_json::json!(["/a", "/a"]),
        serde_json::json!(many),
    ] {
        let error = read(&wrong).unwrap_err();
        assert_eq!(error.place.path, "eventInput", "{wrong}");
    }
    let full = serde_json::json!(many[1..]);
    let definition = read(&full).unwrap();
    assert_eq!(definition.options().event_input, many[1..]);
    // What names nothing is what was there before the field was.
    let without = read(&serde_json::json!([])).unwrap();
    let plain = Definition::from_steps("s", vec![Step::new("a")]).unwrap();
    assert_eq!(without.hash(), plain.hash());
}

#[tokio::test(start_paused = true)]
async fn outputs_are_told_where_the_settings_say_so() {
    let mut bed = Bed::new();
    bed.settings.publish_results = true;
    bed.run(&chain(&["a"])).await;
    let (_, completed) = of::<StepCompleted>(&bed).remove(0);
    assert_eq!(
        completed.result.unwrap(),
        serde_json::json!({"done": "a", "attempt": 1})
    );
}

#[tokio::test(start_paused = true)]
async fn events_carry_subject_correlation_and_cause() {
    let bed = Bed::new();
    bed.world.script("c", &[Act::Reject]);
    let sagas = bed.open().await;
    let start = input()
        .correlated("corr")
        .caused_by(EventId::new("sample-1").unwrap());
    let definition = define(vec![step("a"), step("b"), step("c").after("a").after("b")]);
    let id = sagas.start(&definition, start).await.unwrap();
    settled(&sagas, &id).await;
    let events = bed.disk.events();
    for event in &events {
        assert_eq!(event.subject.as_deref(), Some(id.as_str()));
        assert_eq!(event.correlation_id.as_deref(), Some("corr"));
        assert_eq!(event.source, "saga-orchestrator");
    }
    let name = |id: &EventId| {
        let at = events.iter().position(|event| event.id == *id);
        at.map_or_else(|| id.to_string(), |at| told(&bed.disk)[at].clone())
    };
    let causes: Vec<String> = events
        .iter()
        .map(|event| event.causation_id.as_ref().map_or_else(String::new, name))
        .collect();
    assert_eq!(
        causes,
        [
            "sample-1",               // started
            "started",                // step_started a
            "started",                // step_started b
            "step_started a",         // step_completed a
            "step_started b",         // step_completed b
            "step_completed b",       // step_started c
            "step_started c",         // step_failed c
            "step_failed c",          // compensation_started
            "compensation_started c", // compensation_completed
            "compensation_completed", // failed
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiting_saga_says_that_it_is_queued() {
    let mut bed = Bed::new();
    bed.settings.active_max = 1;
    let sagas = bed.open().await;
    let definition = chain(&["a"]);
    let (one, two) = tokio::join!(
        sagas.start(&definition, input()),
        sagas.start(&definition, input()),
    );
    sagas.wait(&one.unwrap()).await.unwrap();
    sagas.wait(&two.unwrap()).await.unwrap();
    let started: BTreeSet<String> = of::<SagaStarted>(&bed)
        .into_iter()
        .map(|(_, payload)| payload.status)
        .collect();
    let words = ["queued", "started"].map(str::to_owned);
    assert_eq!(started, BTreeSet::from(words));
    assert_eq!(of::<StepStarted>(&bed).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_would_not_fit_an_event_stays_in_the_log() {
    let bed = Bed::new();
    let handlers = bed.handlers().handle("lab", "a", |_| async {
        let numbers = vec!["1e5"; 30_000].join(",");
        Ok(bytes::Bytes::from(format!("[{numbers}]")))
    });
    let store = super::store::TestStore::new(&bed.disk, None);
    let settings = crate::saga::Settings {
        publish_results: true,
        ..bed.settings.clone()
    };
    let builder = Sagas::builder(store, bed.clock.clone());
    let builder = builder.settings(settings).handlers(handlers);
    let sagas = builder.open().await.unwrap();
    let definition = define(vec![Step::new("a").service("lab")]);
    let id = sagas.start(&definition, input()).await.unwrap();
    assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
    let (_, completed) = of::<StepCompleted>(&bed).remove(0);
    assert_eq!(completed.result, None);
}

/// Every type with its golden file: what is on the wire for good.
const GOLDEN: [(&str, &str); 9] = [
    ("saga.started", include_str!("golden/saga.started.json")),
    (
        "saga.step_started",
        include_str!("golden/saga.step_started.json"),
    ),
    (
        "saga.step_completed",
        include_str!("golden/saga.step_completed.json"),
    ),
    (
        "saga.step_failed",
        include_str!("golden/saga.step_failed.json"),
    ),
    ("saga.completed", include_str!("golden/saga.completed.json")),
    ("saga.failed", include_str!("golden/saga.failed.json")),
    (
        "saga.compensation_started",
        include_str!("golden/saga.compensation_started.json"),
    ),
    (
        "saga.compensation_completed",
        include_str!("golden/saga.compensation_completed.json"),
    ),
    (
        "saga.compensation_failed",
        include_str!("golden/saga.compensation_failed.json"),
    ),
];

fn written_again<P: Payload>(golden: &str) -> String {
    let payload: P = serde_json::from_str(golden).unwrap();
    assert_eq!(payload.subject().as_deref(), Some("i"));
    serde_json::to_string(&payload).unwrap()
}

#[test]
fn every_event_has_a_fixed_form_that_its_check_takes() {
    let again: [fn(&str) -> String; 9] = [
        written_again::<SagaStarted>,
        written_again::<StepStarted>,
        written_again::<StepCompleted>,
        written_again::<StepFailed>,
        written_again::<SagaCompleted>,
        written_again::<SagaFailed>,
        written_again::<CompensationStarted>,
        written_again::<CompensationCompleted>,
        written_again::<CompensationFailed>,
    ];
    for (((file, golden), again), (name, check)) in GOLDEN.iter().zip(again).zip(TYPES) {
        assert_eq!(*file, name);
        let golden = golden.trim_end();
        assert_eq!(again(golden), golden, "{name}");
        check(golden.as_bytes()).unwrap();
        let error = check(br#"{"sagaId":"i"}"#).unwrap_err();
        assert!(
            error.chain().contains("sagaName"),
            "{name}: {}",
            error.chain()
        );
    }
}

#[test]
fn the_json_schemas_of_saga_events_take_their_golden_forms() {
    let registry = crate::saga::events::register(Registry::builder())
        .build()
        .unwrap();
    // And the four between orchestrators and services.
    assert_eq!(registry.types().len(), TYPES.len() + 4);
    for ((_, golden), (name, _)) in GOLDEN.iter().zip(TYPES) {
        let schema = registry.versions(name)[0].schema.clone().unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let golden: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(golden).unwrap();
        assert!(validator.is_valid(&golden.clone().into()), "{name}");
        for field in schema["required"].as_array().unwrap() {
            let mut without = golden.clone();
            without.remove(field.as_str().unwrap()).unwrap();
            assert!(
                !validator.is_valid(&without.into()),
                "{name} without {field}"
            );
        }
        for (field, value) in &golden {
            let mut wrong = golden.clone();
            let other = if value.is_string() {
                1.into()
            } else {
                "x".into()
            };
            wrong.insert(field.clone(), other);
            // `result` may be anything.
            assert!(
                field == "result" || !validator.is_valid(&wrong.into()),
                "{name} {field}"
            );
        }
    }
}
