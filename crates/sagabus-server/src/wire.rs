//! JSON of the HTTP interface for things of the library, which has no JSON of its own.

use sagabus::ledger::{Counts, Exhausted, Order, Pause, Repaired};
use sagabus::saga::{SagaStatus, StepStatus};
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

/// A saga with its steps. Outputs are left out: they may hold personal data.
pub(crate) fn saga(saga: &SagaStatus) -> Value {
    let steps: Vec<Value> = saga.steps.iter().map(step).collect();
    json!({
        "id": saga.id.as_str(),
        "name": saga.name,
        "status": saga.status.as_str(),
        "startedAt": saga.started_at,
        "endedAt": saga.ended_at,
        "correlationId": saga.correlation_id,
        "currentStep": saga.current_step,
        "error": saga.error,
        "parked": saga.parked,
        "paused": saga.paused,
        "deadline": saga.deadline,
        "inconsistent": saga.inconsistent,
        "unsettled": saga.unsettled,
        "operated": saga.operated.as_ref().map(|it| json!({
            "verb": it.verb.as_str(),
            "step": it.step,
            "author": it.by.author,
            "reason": it.by.reason,
            "at": it.at,
        })),
        "steps": steps,
    })
}

fn step(step: &StepStatus) -> Value {
    json!({
        "id": step.id,
        "name": step.name,
        "service": step.service,
        "action": step.action,
        "status": step.phase.as_str(),
        "attempts": step.attempts,
        "startedAt": step.started_at,
        "endedAt": step.ended_at,
        "durationMs": step.duration.map(|it| it.as_secs_f64() * 1000.0),
        "error": step.error,
        "compensationAttempts": step.compensation_attempts,
    })
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
