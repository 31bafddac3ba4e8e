//! Whether the process lives, and whether it can work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::App;

/// How long a service's database may take to answer: who asks whether the program is ready must not wait with it.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// The process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// Ready, or 503 with the reasons. What is only to be looked at stands beside them.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let services = &app.system.services;
    let bus = app.system.bus.health();
    let sagas = app.system.sagas.health();
    let mut issues = bus.issues;
    // With a long line that is not full, work is still taken.
    let mut warnings = sagas.warnings;
    if !services.served().is_all() {
        let waiting = sagas.issues.iter().filter(|it| is_of_waiting(it));
        warnings.extend(waiting.cloned());
    }
    let told = sagas.issues.into_iter();
    issues.extend(told.filter(|issue| !warnings.contains(issue)));
    for (service, outbox) in services.outboxes() {
        let service = service.name();
        match tokio::time::timeout(ANSWER_LIMIT, outbox.counts()).await {
            Ok(Ok(counts)) if counts.refused > 0 => issues.push(format!(
                "{service}: {} events were refused by the bus and wait for an operator",
                counts.refused
            )),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                issues.push(format!("{service}: its database does not answer: {error}"));
            }
            Err(_) => issues.push(format!(
                "{service}: its database does not answer within {} s",
                ANSWER_LIMIT.as_secs()
            )),
        }
    }
    let (status, word) = if issues.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let mut body = json!({
        "status": word,
        "issues": issues,
        "warnings": warnings,
        "durability": app.system.bus.capabilities().durability.as_str(),
        "activeSagas": sagas.active_sagas,
        "completedSagas": sagas.completed_sagas,
    });
    if let (Ok(ai), Some(body)) = (services.ai(), body.as_object_mut()) {
        body.insert("pdfWorker".to_owned(), json!(ai.confinement()));
    }
    (status, Json(body))
}

/// Whether it is told of sagas that wait, as they do at steps of services that are not here.
fn is_of_waiting(issue: &str) -> bool {
    const WAITING: [&str; 3] = [
        " sagas lack a handler in this process",
        " sagas appear to be stuck",
        " sagas have come no further for ",
    ];
    WAITING.iter().any(|it| issue.contains(it))
}
