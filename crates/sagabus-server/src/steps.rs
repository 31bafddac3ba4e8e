//! The sagas that the program ships, what starts them, what they are told, and the handlers of all services.

use std::time::Duration;

use nanopore::events::ai::ExtractionReviewed;
use nanopore::events::sample::SampleCreated;
use sagabus::saga::{Definition, Handlers, OnTimeout, Start, Step, StepContext, StepError};
use sagabus::{Bus, Error, Event, HandlerError, Payload, Result, Sagas};
use serde_json::json;

use crate::services::{Served, Service, Services};

pub(crate) mod qc;

/// The action of a step that is to fail, to show what then happens.
const FAIL: &str = "fail_on_request";

/// The subscription whose events start sagas of entered samples.
const ENTERED: &str = "pdf-processing";
/// The subscription whose events start sagas of forms that a person has decided about.
const REVIEWED: &str = "reviewed-forms";

/// The sagas that the program ships: none of which a step is of a service that is not here.
#[derive(Debug)]
pub(crate) struct Shipped {
    /// What becomes of a submitted form.
    pub(crate) submission: Option<Definition>,
    /// What becomes of a sample that is entered with its form.
    entry: Option<Definition>,
    /// What becomes of a form that a person has looked at.
    reviewed: Option<Definition>,
    /// What becomes of a sample whose quality control failed.
    decision: Option<Definition>,
    /// The names of the others.
    left_out: Vec<String>,
    served: Served,
}

impl Shipped {
    /// Those that the services here do. The step named `fail_at` of those that read a form fails before it does anything. A
    /// decision is waited for during `decision_time` before that is told.
    pub(crate) fn new(
        fail_at: Option<&str>,
        decision_time: Duration,
        served: &Served,
    ) -> Result<Self> {
        let mut left_out = Vec::new();
        let mut if_done = |definition: Definition| {
            let is_done = served.does(&definition);
            if !is_done {
                left_out.push(definition.name().to_owned());
            }
            is_done.then_some(definition)
        };
        Ok(Self {
            submission: if_done(shipped(nanopore::sagas::SAMPLE_PROCESSING, fail_at)?),
            entry: if_done(shipped(nanopore::sagas::PDF_PROCESSING, fail_at)?),
            reviewed: if_done(shipped(nanopore::sagas::REVIEWED_FORM, fail_at)?),
            decision: if_done(decision(decision_time)?),
            left_out,
            served: served.clone(),
        })
    }

    fn all(&self) -> impl Iterator<Item = &Definition> {
        let all = [
            &self.submission,
            &self.entry,
            &self.reviewed,
            &self.decision,
        ];
        all.into_iter().flatten()
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Definition> {
        if let Some(found) = self.all().find(|it| it.name() == name) {
            return Ok(found);
        }
        if self.left_out.iter().any(|it| it == name) {
            let refusal = self.served.refusal();
            let text = format!("`{name}` has steps of services that are {refusal}");
            return Err(Error::not_found(text));
        }
        let names: Vec<String> = self.all().map(|it| format!("`{}`", it.name())).collect();
        let named = match names.as_slice() {
            [] => String::new(),
            names => format!(", or use {}", names.join(" or ")),
        };
        let name = name.escape_debug();
        let text = format!("no definition is named `{name}`; give `steps`{named}");
        Err(Error::not_found(text))
    }

    /// How many subscriptions start these sagas and tell them something.
    pub(crate) fn listeners(&self) -> usize {
        let starts = [&self.entry, &self.reviewed, &self.decision];
        let tells = usize::from(self.decision.is_some());
        starts.into_iter().flatten().count() + tells
    }

    /// Has the events that are about them start them and tell them.
    pub(crate) async fn listen(&self, sagas: &Sagas, bus: &Bus) -> Result<()> {
        if let Some(definition) = &self.entry {
            start_for_entries(sagas, bus, definition).await?;
        }
        if let Some(definition) = &self.reviewed {
            start_for_reviewed(sagas, bus, definition).await?;
        }
        if let Some(definition) = &self.decision {
            qc::start_for_failures(sagas, bus, definition).await?;
            qc::tell_decisions(sagas, bus).await?;
        }
        Ok(())
    }

    /// Says in the log what is not here, and what follows from that.
    pub(crate) fn tell_what_is_left_out(&self) {
        let served = &self.served;
        if served.is_all() {
            return;
        }
        let services: Vec<&str> = served.left_out().map(Service::name).collect();
        tracing::warn!(
            served = %served,
            not_served = services.join(", "),
            not_started = self.left_out.join(", "),
            "these services are not here: their routes answer 404, what they are to hear waits in the log, and sagas wait at \
             steps of theirs"
        );
        if !served.has(Service::Audit) {
            tracing::warn!("who looks at data is not recorded: the audit trail is not here");
        }
    }
}

/// Whether what becomes of a submitted form is done by these services.
pub(crate) fn takes_forms(served: &Served) -> bool {
    let definition = Definition::from_yaml(nanopore::sagas::SAMPLE_PROCESSING);
    definition.is_ok_and(|it| served.does(&it))
}

/// Starts the saga of each sample that is entered with its form: once for its event, also over restarts.
///
/// A sample that was made of a submitted form has been through the saga of the submission, which read the form; its event
/// names none, and starts nothing.
async fn start_for_entries(sagas: &Sagas, bus: &Bus, definition: &Definition) -> Result<()> {
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
async fn start_for_reviewed(sagas: &Sagas, bus: &Bus, definition: &Definition) -> Result<()> {
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

/// The handlers of all services that are here.
pub(crate) fn handlers(services: &Services) -> Handlers {
    Service::ALL
        .into_iter()
        .filter(|it| services.served().has(*it))
        .fold(services.handlers(), |handlers, service| {
            handlers.handle(service.name(), FAIL, |context: StepContext| {
                let text = format!("step `{}` was told to fail (--fail-at)", context.step_id());
                std::future::ready(Err::<(), _>(StepError::Reject(text)))
            })
        })
}
