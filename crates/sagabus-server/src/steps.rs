//! The saga of a submission, and the handlers of all services for it.

use ai_service::AiService;
use audit_service::AuditService;
use sagabus::saga::{Definition, Handlers, Step, StepContext, StepError};
use sagabus::{Error, Result};
use sample_service::SampleService;

/// The action of a step that is to fail, to show what then happens.
const FAIL: &str = "fail_on_request";

/// What becomes of a submitted form. The step named `fail_at` fails before it does anything.
pub(crate) fn processing(fail_at: Option<&str>) -> Result<Definition> {
    let wrong =
        |error| Error::invalid("the processing saga is not defined well").with_source(error);
    let definition = Definition::from_yaml(nanopore::sagas::SAMPLE_PROCESSING).map_err(wrong)?;
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
