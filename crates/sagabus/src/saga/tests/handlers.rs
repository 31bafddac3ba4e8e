//! How handlers are found, and what they are given.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use super::bed::{Bed, define, input, step};
use super::store::TestStore;
use crate::error::{Error, ErrorKind};
use crate::event::EventId;
use crate::saga::handlers::BindError;
use crate::saga::{
    Definition, Handlers, Output, Sagas, Start, Status, Step, StepContext, StepError,
};

async fn nothing(_: StepContext) -> Result<Output, StepError> {
    Ok(().into())
}

fn bind(handlers: &Handlers, step: Step) -> Result<(), BindError> {
    let definition = Definition::from_steps("s", vec![step]).unwrap();
    handlers.bind(&definition).map(|_| ())
}

#[test]
fn a_handler_is_found_by_service_and_action_then_by_action_then_by_step_id() {
    let by_service = Handlers::new().handle("lab", "update_status", nothing);
    let by_action = Handlers::new().handle("", "update_status", nothing);
    let by_id = Handlers::new().handle("", "update_sample_status", nothing);
    let step = || {
        Step::new("update_sample_status")
            .service("lab")
            .action("update_status")
    };
    bind(&by_service, step()).unwrap();
    bind(&by_action, step()).unwrap();
    bind(&by_id, step()).unwrap();
    assert_eq!(
        bind(&by_service, step().service("office"))
            .unwrap_err()
            .to_string(),
        "step `update_sample_status` has no handler for `office/update_status`"
    );
}

#[test]
fn two_handlers_that_fit_equally_are_an_error() {
    let handlers = Handlers::new()
        .handle("", "act", nothing)
        .handle("", "a", nothing);
    let error = bind(&handlers, Step::new("a").action("act")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "step `a` has two handlers: one for its id and one for `act`"
    );
    // The service's own handler leaves no doubt.
    let handlers = handlers.handle("lab", "act", nothing);
    bind(&handlers, Step::new("a").service("lab").action("act")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_registered_twice_stops_the_open() {
    let bed = Bed::new();
    let handlers = Handlers::new()
        .handle("lab", "a", nothing)
        .handle("lab", "a", nothing);
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let error = builder.handlers(handlers).open().await.unwrap_err();
    assert_eq!(error.to_string(), "handler `lab/a` is registered twice");
}

#[test]
fn errors_of_the_bus_become_step_errors_by_kind() {
    for kind in [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Conflict] {
        assert!(matches!(Error::new(kind, "x").into(), StepError::Reject(_)));
    }
    let busy = Error::new(ErrorKind::Transient, "x");
    assert!(matches!(busy.into(), StepError::Retry(_)));
    let full = Error::new(ErrorKind::Full, "x");
    assert!(matches!(full.into(), StepError::Unavailable(_)));
    assert!(matches!(Error::closed("x").into(), StepError::InDoubt(_)));
}

#[tokio::test(start_paused = true)]
async fn a_step_sees_the_outputs_of_its_ancestors_only() {
    let bed = Bed::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let handlers = bed
        .handlers()
        .handle("watch", "look", move |context: StepContext| {
            let sink = Arc::clone(&sink);
            async move {
                let fields: serde_json::Value =
                    serde_json::from_slice(&context.context()?).unwrap();
                let input: serde_json::Value = context.input_as()?;
                let output: serde_json::Value = context.output_as("a")?;
                sink.lock().unwrap().push((fields, input, output));
                assert!(context.output("x").is_none());
                assert!(matches!(
                    context.output_as::<u8>("x"),
                    Err(StepError::Reject(_))
                ));
                assert_eq!(context.data().unwrap()["limit"], 3);
                assert_eq!(context.correlation_id(), "corr-1");
                assert_eq!(context.step_id(), "c");
                assert!(context.causation_id().is_some());
                assert_eq!(
                    context.deadline().since(context.clock().now()).as_secs(),
                    30
                );
                Ok(())
            }
        });
    let look = Step::new("c").service("watch").action("look").after("b");
    let look = look.data(serde_json::json!({"limit": 3}));
    let steps = vec![
        step("a"),
        step("b").after("a"),
        Step::new("d").service("svc"),
        look,
    ];
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    let start = Start::new(r#"{"n":1}"#).correlated("corr-1");
    let start = start.caused_by(EventId::new("e-1").unwrap());
    let id = sagas.start(&define(steps), start).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Completed, "{:?}", status.error);
    let (fields, input, output) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(input, serde_json::json!({"n": 1}));
    assert_eq!(output, serde_json::json!({"done": "a", "attempt": 1}));
    assert_eq!(
        fields,
        serde_json::json!({
            "n": 1,
            "a_result": {"done": "a", "attempt": 1},
            "b_result": {"done": "b", "attempt": 1},
        })
    );
}

#[tokio::test(start_paused = true)]
async fn keys_are_the_same_for_all_attempts_and_differ_between_step_and_compensation() {
    let bed = Bed::new();
    bed.world.script("a", &[super::bed::Act::Retry]);
    bed.world.script("b", &[super::bed::Act::Reject]);
    bed.world.script("undo_a", &[super::bed::Act::Retry]);
    let definition = define(vec![step("a").retries(1), step("b").after("a")]);
    let status = bed.run(&definition).await;
    let (a, b) = (format!("{}/a", status.id), format!("{}/b", status.id));
    let undo = format!("{a}/undo");
    assert_eq!(bed.world.keys(), [a.clone(), a, b, undo.clone(), undo]);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_gets_the_output_or_none_when_in_doubt_and_the_reason() {
    let bed = Bed::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let handlers = bed.handlers().compensate("lab", "undo", move |context| {
        let output = context.step_output().cloned();
        let seen = (context.step_key(), output, context.reason().to_owned());
        sink.lock().unwrap().push(seen);
        async { Ok(()) }
    });
    let handlers = handlers
        .handle("lab", "good", |_| async { Ok(serde_json::json!(7)) })
        .handle("lab", "bad", |_| async {
            Err::<(), _>(StepError::InDoubt("lost".to_owned()))
        });
    let steps = vec![
        Step::new("good").service("lab").compensated_by("undo"),
        Step::new("bad")
            .service("lab")
            .compensated_by("undo")
            .after("good"),
    ];
    let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
    let sagas = builder.handlers(handlers).open().await.unwrap();
    let id = sagas.start(&define(steps), input()).await.unwrap();
    sagas.wait(&id).await.unwrap();
    let reason = "step `bad` failed: lost".to_owned();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (format!("{id}/bad"), None, reason.clone()),
            (format!("{id}/good"), Some("7".into()), reason),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_not_json_or_too_large_leaves_the_step_in_doubt() {
    for (output, text) in [
        (bytes::Bytes::from_static(b"{"), "output is not JSON"),
        (
            vec![b'1'; 300_000].into(),
            "output has 300000 bytes, more than 262144",
        ),
    ] {
        let bed = Bed::new();
        let handlers = bed.handlers().handle("lab", "a", move |_| {
            let output = output.clone();
            async move { Ok(output) }
        });
        let builder = Sagas::builder(TestStore::new(&bed.disk, None), bed.clock.clone());
        let sagas = builder.handlers(handlers).open().await.unwrap();
        let definition = define(vec![step("a").service("lab").compensated_by("a")]);
        assert!(sagas.start(&definition, input()).await.is_err());
        let definition = define(vec![Step::new("a").service("lab")]);
        let id = sagas.start(&definition, input()).await.unwrap();
        let status = sagas.wait(&id).await.unwrap();
        let error = status.steps[0].error.clone().unwrap();
        assert!(error.starts_with(text), "{error}");
    }
}

/// What spans say of themselves, one line each.
#[derive(Clone, Default)]
struct SpanNotes(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for SpanNotes {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "saga step"
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        let mut lines = self.0.lock().unwrap();
        lines.push(fields.0);
        tracing::span::Id::from_u64(lines.len() as u64)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, span: &tracing::span::Id) {
        let mut lines = self.0.lock().unwrap();
        let line = usize::try_from(span.into_u64()).unwrap() - 1;
        if !lines[line].starts_with("entered") {
            lines[line].insert_str(0, "entered");
        }
    }
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_run_in_a_span_that_says_which_it_is() {
    let bed = Bed::new();
    let notes = SpanNotes::default();
    let _here = tracing::subscriber::set_default(notes.clone());
    bed.world.script("a", &[super::bed::Act::Retry]);
    bed.world.script("b", &[super::bed::Act::Reject]);
    let definition = define(vec![step("a").retries(1), step("b").after("a")]);
    let sagas = bed.open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let start = input().traced(trace.parse().unwrap());
    let id = sagas.start(&definition, start).await.unwrap();
    let status = sagas.wait(&id).await.unwrap();
    assert_eq!(status.status, Status::Compensated);
    let lines = notes.0.lock().unwrap().clone();
    let said = lines
        .iter()
        .map(|line| line.split_once(" traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    let said: Vec<&str> = said.map(|it| it.unwrap().0).collect();
    let line =
        |step: &str, attempt: u32| format!("entered saga_id={id} step_id={step} attempt={attempt}");
    assert_eq!(
        said,
        [line("a", 1), line("a", 2), line("b", 1), line("a", 1)]
    );
}
