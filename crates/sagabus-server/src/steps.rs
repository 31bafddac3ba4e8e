//! The sagas that the program ships, what starts them, what they are told, and the handlers of all services.

use std::time::Duration;

use ai_service::AiService;
use audit_service::AuditService;
use nanopore::events::ai::ExtractionReviewed;
use nanopore::events::sample::SampleCreated;
use sagabus::saga::{Definition, Handlers, OnTimeout, Start, Step, StepContext, StepError};
use sagabus::{Bus, Error, Event, HandlerError, Payload, Result, Sagas};
use sample_service::SampleService;
use serde_json::json;

pub(crate) mod qc;

/// The action of a step that is to fail, to show what then happens.
const FAIL: &str = "fail_on_request";

/// The subscription whose events start sagas of entered samples.
const ENTERED: &str = "pdf-processing";
/// The subscription whose events start sagas of forms that a person has decided about.
const REVIEWED: &str = "reviewed-forms";

/// The sagas that the program ships.
#[derive(Debug)]
pub(crate) struct Shipped {
    /// What becomes of a submitted form.
    pub(crate) submission: Definition,
    /// What becomes of a sample that is entered with its form.
    pub(crate) entry: Definition,
    /// What becomes of a form that a person has looked at.
    pub(crate) reviewed: Definition,
    /// What becomes of a sample whose quality control failed.
    pub(crate) decision: Definition,
}

impl Shipped {
    /// All of them. The step named `fail_at` of those that read a form fails before it does anything. A decision is waited for
    /// during `decision_time` before that is told.
    pub(crate) fn new(fail_at: Option<&str>, decision_time: Duration) -> Result<Self> {
        Ok(Self {
            submission: shipped(nanopore::sagas::SAMPLE_PROCESSING, fail_at)?,
            entry: shipped(nanopore::sagas::PDF_PROCESSING, fail_at)?,
            reviewed: shipped(nanopore::sagas::REVIEWED_FORM, fail_at)?,
            decision: decision(decision_time)?,
        })
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Definition> {
        let all = [
            &self.submission,
            &self.entry,
            &self.reviewed,
            &self.decision,
        ];
        all.into_iter().find(|it| it.name() == name).ok_or_else(|| {
            let names = all.map(|it| format!("`{}`", it.name())).join(" or ");
            let name = name.escape_debug();
            let text = format!("no definition is named `{name}`; give `steps`, or use {names}");
            Error::not_found(text)
        })
    }
}

/// Starts the saga of each sample that is entered with its form: once for its event, also over restarts.
///
/// A sample that was made of a submitted form has been through the saga of the submission, which read the form; its event
/// names none, and starts nothing.
pub(crate) async fn start_for_entries(
    sagas: &Sagas,
    bus: &Bus,
    definition: &Definition,
) -> Result<()> {
    let created = bus
        .subscription(ENTERED)
        .pattern(SampleCreated::TYPE)
        .start(sagabus::Start::Earliest);
    sagas
        .started_by(created, definition.clone(), start_of_entry)
        .await?;
    Ok(())
}

/// Starts the saga of each form that a person has decided about: once for its event, also over restarts.
pub(crate) async fn start_for_reviewed(
    sagas: &Sagas,
    bus: &Bus,
    definition: &Definition,
) -> Result<()> {
    let reviewed = bus
        .subscription(REVIEWED)
        .pattern(ExtractionReviewed::TYPE)
        .start(sagabus::Start::Earliest);
    sagas
        .started_by(reviewed, definition.clone(), start_of_reviewed)
        .await?;
    Ok(())
}

fn start_of_reviewed(event: &Event) -> Result<Option<Start>, HandlerError> {
    let reviewed: ExtractionReviewed = event.payload()?;
    let mut input = json!({"extractionResultId": reviewed.extraction_result_id});
    let (name, id) = match (reviewed.submission_id, reviewed.sample_id) {
        (Some(id), _) => ("submissionId", id),
        (None, Some(id)) => ("sampleId", id),
        // A document that was read for itself: nothing is made of it.
        (None, None) => return Ok(None),
    };
    if let Some(fields) = input.as_object_mut() {
        fields.insert(name.to_owned(), id.clone().into());
        fields.insert("userId".to_owned(), json!(reviewed.user_id));
    }
    Ok(Some(Start::new(input.to_string()).attribute(name, id)))
}

fn start_of_entry(event: &Event) -> Result<Option<Start>, HandlerError> {
    let created: SampleCreated = event.payload()?;
    let (Some(file_id), Some(file_name)) = (created.file_id, created.file_name) else {
        return Ok(None);
    };
    let input = json!({
        "sampleId": created.sample_id,
        "userId": created.user_id,
        "fileId": file_id,
        "fileName": file_name,
    });
    let start = Start::new(input.to_string()).attribute("sampleId", created.sample_id);
    Ok(Some(start))
}

/// The saga that waits for a decision, with the time that the settings give it.
fn decision(time: Duration) -> Result<Definition> {
    let definition = shipped(nanopore::sagas::QC_DECISION, None)?;
    let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let steps = definition.steps().iter().cloned();
    let steps = steps.map(|mut step| match step.id.as_str() {
        "request_decision" => {
            step.data = Some(json!({"decisionTimeMs": time_ms}));
            step
        }
        "decision" => step.waits_at_most(time, OnTimeout::Complete),
        _ => step,
    });
    Definition::from_steps(definition.name(), steps.collect()).map_err(|error| {
        Error::invalid("a saga of the program is not defined well").with_source(error)
    })
}

fn shipped(yaml: &str, fail_at: Option<&str>) -> Result<Definition> {
    let wrong =
        |error| Error::invalid("a saga of the program is not defined well").with_source(error);
    let definition = Definition::from_yaml(yaml).map_err(wrong)?;
    let Some(fail_at) = fail_at else {
        return Ok(definition);
    };
    let mut steps = definition.steps().to_vec();
    let Some(step) = steps.iter_mut().find(|step| step.id == fail_at) else {
        let known: Vec<&str> = steps_of(&definition);
        return Err(Error::invalid(format!(
            "there is no step `{fail_at}`; the steps are {}",
            known.join(", ")
        )));
    };
    FAIL.clone_into(&mut step.action);
    Definition::from_steps(definition.name(), steps).map_err(wrong)
}

fn steps_of(definition: &Definition) -> Vec<&str> {
    definition
        .steps()
        .iter()
        .map(|step: &Step| step.id.as_str())
        .collect()
}

/// The handlers of all services.
pub(crate) fn handlers(samples: &SampleService, ai: &AiService, audit: &AuditService) -> Handlers {
    let handlers = audit.bind(ai.bind(samples.bind(Handlers::new())));
    ["sample-service", "ai-service", "audit-service"]
        .into_iter()
        .fold(handlers, |handlers, service| {
            handlers.handle(service, FAIL, |context: StepContext| {
                let text = format!("step `{}` was told to fail (--fail-at)", context.step_id());
                std::future::ready(Err::<(), _>(StepError::Reject(text)))
            })
        })
}
