//! The saga steps of the audit service.

use std::sync::Arc;

use nanopore::events::audit::{Category, Outcome, Severity};
use nanopore::steps::{StepCall, read};
use sagabus::sqlite::barrier::{self, Call, Forward};
use sagabus::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::merkle::hex;
use crate::model::{Act, More};
use crate::service::{AuditService, alerts, record};

/// The service that runs sagas, as the source of its events.
const ORCHESTRATOR: &str = "saga-orchestrator";

/// What the saga is started with: it is about a submission, or about one sample.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SagaInput {
    submission_id: Option<String>,
    sample_id: Option<String>,
    user_id: Option<String>,
}

impl SagaInput {
    /// What was worked on: its kind, its id, and what the entry says was done.
    fn resource(&self) -> Result<(&'static str, &str, &'static str)> {
        match (&self.submission_id, &self.sample_id) {
            (Some(id), None) => Ok(("submission", id, "submission.processed")),
            (None, Some(id)) => Ok(("sample", id, "sample.processed")),
            (None, None) | (Some(_), Some(_)) => Err(Error::invalid(
                "input must name a `submissionId` or a `sampleId`, and not both",
            )),
        }
    }
}

impl AuditService {
    /// Step `create_audit_log`: one entry that says what the saga did, with the outputs of its steps as details.
    ///
    /// An entry is never taken back, so the step has no compensation.
    ///
    /// # Errors
    /// `Invalid` for an input that does not fit.
    ///
    /// # Cancel safety
    /// The step has its whole effect or none.
    pub async fn create_audit_log(&self, call: StepCall, results: Value) -> Result<Value> {
        let input: SagaInput = read("input", &call.input)?;
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                let now = clock.now();
                let once = Call::new(&call.key, now).fenced(call.fence);
                if let Forward::Repeat(output) = barrier::forward(tx, &once)? {
                    return Ok((output, vec![]));
                }
                let (resource, resource_id, action) = input.resource()?;
                let details = json!({"step": call.key, "input": call.input, "results": results});
                let act = Act {
                    event_id: None,
                    time: now,
                    service: ORCHESTRATOR.to_owned(),
                    action: action.to_owned(),
                    actor_id: input.user_id.clone(),
                    actor_email: None,
                    resource: resource.to_owned(),
                    resource_id: Some(resource_id.to_owned()),
                    outcome: Outcome::Success,
                    severity: Severity::Info,
                    category: Category::DataModification,
                    correlation_id: Some(call.cause.correlation_id),
                    causation_id: call.cause.causation_id.map(|id| id.to_string()),
                    more: More::default(),
                    details: details.to_string().into_bytes(),
                };
                let (recorded, events) = record(tx, &act, &alerts(tx), &*clock)?;
                let output = json!({
                    "auditId": recorded.id,
                    "sequence": recorded.sequence,
                    "entryHash": hex(&recorded.leaf),
                });
                barrier::done(tx, &once, &output)?;
                Ok((output, events))
            })
            .await
    }
}
