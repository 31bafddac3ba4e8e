//! A failed quality control starts a saga, once; what was decided is told to it.

use nanopore::events::qc::{DecisionMade, DecisionWithdrawn};
use nanopore::events::sample::SampleProcessingFailed;
use nanopore::sample::{QcDecision, Stage};
use sagabus::ledger::By;
use sagabus::saga::{Definition, SagaId, Signal, Start};
use sagabus::{Bus, Delivery, ErrorKind, Event, HandlerError, Payload, Result, Sagas};
use serde_json::{Value, json};

/// The subscription whose events start these sagas.
const FAILED: &str = "qc-failures";
/// The subscription that tells them what was decided.
const DECIDED: &str = "qc-decisions";
/// The signal that they wait for.
const SIGNAL: &str = "qc_decision";

/// Starts the saga of each sample whose quality control failed: once for its event, also over restarts.
pub(super) async fn start_for_failures(
    sagas: &Sagas,
    bus: &Bus,
    definition: &Definition,
) -> Result<()> {
    let failed = bus
        .subscription(FAILED)
        .pattern(SampleProcessingFailed::TYPE)
        .start(sagabus::Start::Earliest);
    sagas
        .started_by(failed, definition.clone(), start_of_failure)
        .await?;
    Ok(())
}

fn start_of_failure(event: &Event) -> Result<Option<Start>, HandlerError> {
    let failed: SampleProcessingFailed = event.payload()?;
    let mut stages = Stage::ALL.into_iter();
    let stage = stages.find(|it| it.title() == failed.processing_step);
    let Some(stage) = stage.filter(|it| QcDecision::is_asked(*it)) else {
        return Ok(None);
    };
    let input = json!({
        "decisionId": event.id.to_string(),
        "sampleId": failed.sample_id,
        "userId": failed.user_id,
        "stage": stage,
        "error": failed.error,
    });
    let start = Start::new(input.to_string()).attribute("sampleId", failed.sample_id);
    Ok(Some(start))
}

/// Tells each saga what was decided, or that nothing is to be decided any more. It may be told again: the first time counts.
pub(super) async fn tell_decisions(sagas: &Sagas, bus: &Bus) -> Result<()> {
    let sagas = sagas.clone();
    bus.subscription(DECIDED)
        .pattern(DecisionMade::TYPE)
        .pattern(DecisionWithdrawn::TYPE)
        .start(sagabus::Start::Earliest)
        .handler(move |delivery: Delivery| {
            let sagas = sagas.clone();
            async move { tell(&sagas, &delivery.event).await }
        })
        .await?;
    Ok(())
}

async fn tell(sagas: &Sagas, event: &Event) -> Result<(), HandlerError> {
    let (saga, by, payload) = if event.event_type.as_str() == DecisionMade::TYPE {
        let made: DecisionMade = event.payload()?;
        let payload = json!({"decision": made.decision, "author": made.author});
        (made.saga_id, By::new(&made.author, &made.reason), payload)
    } else {
        let withdrawn: DecisionWithdrawn = event.payload()?;
        let by = By::new(&withdrawn.user_id, &withdrawn.reason);
        (withdrawn.saga_id, by, json!({"decision": Value::Null}))
    };
    let saga: SagaId = saga.parse()?;
    let signal = Signal {
        name: SIGNAL.to_owned(),
        key: Some(event.id.to_string()),
        payload: payload.to_string().into(),
        by,
        approval: None,
    };
    match sagas.signal(&saga, signal).await {
        Ok(_) => Ok(()),
        // It was told otherwise already, has ended, or was taken back by an operator: there is nobody to tell.
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
            tracing::warn!(saga_id = %saga, error = error.chain(), "a decision was not waited for");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
