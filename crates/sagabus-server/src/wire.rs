//! JSON of the HTTP interface for things of the library, which has no JSON of its own.

use std::time::Duration;

use sagabus::ledger::{Counts, Exhausted, Order, Pause, Repaired};
use sagabus::saga::{OperatedStatus, SagaStatus, SignalStatus, Status, StepStatus};
use sagabus::schema::{Registry, VersionInfo, asyncapi};
use sagabus::transport::LedgerView;
use serde_json::{Value, json};

/// Where deliveries are, one entry a state: `matched` is the sum of all others.
pub(crate) fn states(counts: &Counts) -> [(&'static str, u64); 10] {
    [
        ("matched", counts.matched),
        ("acked", counts.acked),
        ("filtered", counts.filtered),
        ("skipped", counts.skipped),
        ("discarded", counts.discarded),
        ("expired", counts.expired),
        ("ready", counts.ready),
        ("leased", counts.leased),
        ("waiting", counts.waiting),
        ("dead", counts.dead),
    ]
}

/// A subscription with its deliveries.
pub(crate) fn subscription(view: &LedgerView) -> Value {
    let order = match view.order {
        Order::Unordered => "unordered",
        Order::PerKey => "perKey",
        Order::Strict => "strict",
    };
    let exhausted = match view.exhausted {
        Exhausted::SkipAhead => "skipAhead",
        Exhausted::ParkKey => "parkKey",
        Exhausted::Pause => "pause",
    };
    let counts: serde_json::Map<String, Value> = states(&view.counts)
        .into_iter()
        .map(|(state, count)| (state.to_owned(), count.into()))
        .collect();
    json!({
        "name": view.subscription,
        "patterns": view.patterns,
        "filter": view.filter,
        "order": order,
        "exhausted": exhausted,
        "members": view.members,
        "pause": view.pause.as_ref().map(pause),
        "isStalled": view.is_stalled,
        "ahead": view.ahead,
        "counts": counts,
        "parked": view.counts.parked,
        "filterErrors": view.counts.filter_errors,
        "isConserved": view.counts.is_conserved(),
    })
}

/// What somebody did to deliveries.
pub(crate) fn repaired(repaired: &Repaired) -> Value {
    json!({
        "number": repaired.number,
        "at": repaired.at,
        "act": repaired.act.as_str(),
        "author": repaired.by.author,
        "reason": repaired.by.reason,
        "positions": repaired.positions,
    })
}

fn pause(pause: &Pause) -> Value {
    json!({
        "since": pause.at,
        "author": pause.by.author,
        "reason": pause.by.reason,
        "until": pause.until,
    })
}

/// How much of a saga is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    /// Neither its input nor the outputs of its steps: they may hold personal data.
    Nothing,
    /// Both.
    Outputs,
}

/// A saga with its steps.
pub(crate) fn saga(saga: &SagaStatus, include: Include) -> Value {
    let steps: Vec<Value> = saga.steps.iter().map(step).collect();
    let results = saga.steps.iter().filter(|it| it.attempts > 0);
    let results: serde_json::Map<String, Value> = results
        .map(|it| (it.id.clone(), result(it, include)))
        .collect();
    let ended = |status| (saga.status == status).then_some(saga.ended_at).flatten();
    let ended_back = ended(Status::Compensated).or(ended(Status::Cancelled));
    let mut shown = json!({
        "id": saga.id.as_str(),
        "name": saga.name,
        "definition": saga.definition.to_string(),
        "status": saga.status.as_str(),
        "startedAt": saga.started_at,
        "endedAt": saga.ended_at,
        "completedAt": ended(Status::Completed),
        "failedAt": ended(Status::Failed),
        "compensatedAt": ended_back,
        "correlationId": saga.correlation_id,
        "parent": saga.parent.as_ref().map(ToString::to_string),
        "attributes": saga.attributes,
        "priority": saga.priority.as_str(),
        "concurrencyKey": saga.concurrency_key,
        "currentStep": saga.current_step,
        "error": saga.error,
        "turnedBackBy": saga.turned_back_by,
        "parked": saga.parked,
        "paused": saga.paused,
        "deadline": saga.deadline,
        "inconsistent": saga.inconsistent,
        "unsettled": saga.unsettled,
        "operated": saga.operated.iter().map(operated).collect::<Vec<_>>(),
        "signals": saga.signals.iter().map(signal).collect::<Vec<_>>(),
        "waits": saga.waits.as_ref().map(ToString::to_string),
        "steps": steps,
        "stepResults": results,
    });
    if let (Include::Outputs, Some(fields)) = (include, shown.as_object_mut()) {
        fields.insert("context".to_owned(), context(saga));
    }
    shown
}

/// What an operator did to a saga.
fn operated(operated: &OperatedStatus) -> Value {
    json!({
        "verb": operated.verb.as_str(),
        "step": operated.step,
        "author": operated.by.author,
        "reason": operated.by.reason,
        "at": operated.at,
    })
}

/// What a saga was told.
fn signal(signal: &SignalStatus) -> Value {
    json!({
        "name": signal.name,
        "approved": signal.approved,
        "author": signal.by.author,
        "reason": signal.by.reason,
    })
}

fn step(step: &StepStatus) -> Value {
    json!({
        "id": step.id,
        "name": step.name,
        "service": step.service,
        "action": step.action,
        "compensationAction": step.compensation_action,
        "version": step.version,
        "dependencies": step.dependencies,
        "child": step.child.as_ref().map(ToString::to_string),
        "timeout": step.timeout.map(|it| it.as_millis()),
        "status": step.phase.as_str(),
        "attempts": step.attempts,
        "startedAt": step.started_at,
        "endedAt": step.ended_at,
        "durationMs": step.duration.map(milliseconds),
        "error": step.error,
        "compensationAttempts": step.compensation_attempts,
        "waits": step.waits.as_ref().map(ToString::to_string),
    })
}

/// What became of a step that was started.
fn result(step: &StepStatus, include: Include) -> Value {
    let mut shown = json!({
        "stepId": step.id,
        "status": step.phase.as_str(),
        "error": step.error,
        "executionTime": step.duration.map(milliseconds),
        "retryCount": step.attempts.saturating_sub(1),
    });
    if let (Include::Outputs, Some(fields)) = (include, shown.as_object_mut()) {
        let output = step.output.as_deref().map(parsed);
        fields.insert("result".to_owned(), output.into());
    }
    shown
}

/// The input with the outputs beside its fields, as a step sees them.
fn context(saga: &SagaStatus) -> Value {
    let mut context = match parsed(&saga.input) {
        Value::Object(fields) => fields,
        other => serde_json::Map::from_iter([("input".to_owned(), other)]),
    };
    for step in &saga.steps {
        if let Some(output) = &step.output {
            context.insert(format!("{}_result", step.id), parsed(output));
        }
    }
    Value::Object(context)
}

/// JSON that was checked when it was stored.
fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The registered event types with their versions.
pub(crate) fn event_types(registry: &Registry) -> Value {
    let types: Vec<Value> = registry
        .types()
        .into_iter()
        .map(|event_type| {
            let versions = registry.versions(event_type);
            let names: Vec<String> = versions.iter().map(|it| it.version.to_string()).collect();
            json!({
                "type": event_type,
                "source": versions.last().and_then(|it| it.source),
                "versions": names,
            })
        })
        .collect();
    json!({ "schemas": types })
}

/// One event type, with the JSON Schema of each version.
pub(crate) fn event_type(registry: &Registry, event_type: &str) -> Option<Value> {
    let versions = registry.versions(event_type);
    let newest = versions.last()?;
    let source = newest.source;
    let versions: Vec<Value> = versions.iter().map(version).collect();
    Some(json!({ "type": event_type, "source": source, "versions": versions }))
}

fn version(info: &VersionInfo) -> Value {
    json!({
        "version": info.version.to_string(),
        "isUpcast": info.is_upcast,
        "schema": info.schema,
    })
}

/// All event types as an AsyncAPI document.
pub(crate) fn asyncapi(registry: &Registry) -> Value {
    let info = asyncapi::Info {
        title: "sagabus",
        version: env!("CARGO_PKG_VERSION"),
        description: "Events of nanopore sample tracking: samples, reading of forms, sagas and the audit trail.",
        host: "127.0.0.1:8080",
        path: "/api/events",
    };
    asyncapi::document(registry, &info)
}
