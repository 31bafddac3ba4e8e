//! A saga of three steps in three services: what each failure takes back, in reverse order.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::saga::{CompensationContext, Definition, Handlers, Start, StepContext, StepError};
use sagabus::{Result, Sagas, SystemClock};
use serde::Deserialize;

const SAGA: &str = "
name: sampleProcessingSaga
steps:
- id: reserve_resources
  name: Reserve Processing Resources
  service: resource-service
  action: reserve_resources
  compensationAction: release_resources
  timeout: 30000
  retryAttempts: 2
- id: process_sample
  name: Process Sample
  service: processing-service
  action: process_sample
  compensationAction: cleanup_processing
  timeout: 300000
  retryAttempts: 1
  dependencies: [reserve_resources]
- id: update_results
  name: Update Results
  service: sample-service
  action: update_results
  compensationAction: revert_results
  timeout: 15000
  dependencies: [process_sample]
";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    sample_id: String,
    fail_at: Option<String>,
}

async fn work(context: StepContext) -> Result<String, StepError> {
    let order: Order = context.input_as()?;
    if order.fail_at.as_deref() == Some(context.step_id()) {
        println!("  {} fails", context.step_id());
        return Err(StepError::Reject("out of reagents".to_owned()));
    }
    println!("  {} of {}", context.step_id(), order.sample_id);
    Ok(context.step_id().to_owned())
}

async fn take_back(context: CompensationContext) -> Result<(), StepError> {
    println!("  {} is taken back", context.step_id());
    Ok(())
}

/// Handlers for every step of the definition.
fn handlers(definition: &Definition) -> Handlers {
    let steps = definition.steps().iter();
    steps.fold(Handlers::new(), |handlers, step| {
        let handlers = handlers.handle(&step.service, &step.action, async |context| {
            let output = work(context).await?;
            sagabus::saga::Output::json(&output)
        });
        match &step.compensation_action {
            Some(action) => handlers.compensate(&step.service, action, take_back),
            None => handlers,
        }
    })
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let definition = Definition::from_yaml(SAGA)?;
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(clock.clone())?);
    let sagas = Sagas::builder(engine, clock).handlers(handlers(&definition));
    let sagas = sagas.open().await?;
    let steps = definition.steps().iter().map(|step| Some(step.id.as_str()));
    for fail_at in std::iter::once(None).chain(steps) {
        println!("{}:", fail_at.unwrap_or("all goes well"));
        let input = serde_json::json!({ "sampleId": "S-1", "failAt": fail_at });
        let id = sagas
            .start(&definition, Start::new(input.to_string()))
            .await?;
        let saga = sagas.wait(&id).await?;
        let results = saga.steps.iter().filter(|step| step.output.is_some());
        println!(
            "  {}, {} of {} steps done",
            saga.status,
            results.count(),
            saga.steps.len()
        );
        if let Some(error) = saga.error {
            println!("  {error}");
        }
    }
    sagas.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
