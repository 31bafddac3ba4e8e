//! JSON of the HTTP interface for things of the library, which has no JSON of its own.

use sagabus::saga::{SagaStatus, StepStatus};
use serde_json::{Value, json};

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
