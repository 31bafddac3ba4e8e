//! Binds the steps of the services to the sagas that call them.

use std::future::Future;

use ai_service::AiService;
use audit_service::AuditService;
use nanopore::steps::{StepCall, UndoCall};
use sagabus::event::Cause;
use sagabus::saga::{CallContext, CompensationContext, Handlers, Output, StepContext, StepError};
use sagabus::{Error, Result};
use sample_service::SampleService;
use serde_json::Value;

const SAMPLES: &str = "sample-service";
const AI: &str = "ai-service";
const AUDIT: &str = "audit-service";

/// All handlers of this process. The step named `fail_at` fails before it does anything.
pub(crate) fn handlers(
    samples: &SampleService,
    ai: &AiService,
    audit: &AuditService,
    fail_at: Option<String>,
) -> Handlers {
    let plan = Failing(fail_at);
    let handlers = Handlers::new();
    let handlers = step(
        handlers,
        &plan,
        (SAMPLES, "validate_sample"),
        samples,
        |service, call, _| async move { service.validate_sample(call).await },
    );
    let handlers = step(
        handlers,
        &plan,
        (AI, "process_pdf"),
        ai,
        |service, call, _| async move { service.process_pdf(call).await },
    );
    let handlers = step(
        handlers,
        &plan,
        (SAMPLES, "update_status"),
        samples,
        |service, call, context| async move {
            let extraction: Value = context.output_as("process_pdf").map_err(not_given)?;
            service.update_status(call, extraction).await
        },
    );
    let handlers = step(
        handlers,
        &plan,
        (AUDIT, "create_audit_log"),
        audit,
        |service, call, context| async move {
            let results: Value = context
                .output_as("update_sample_status")
                .map_err(not_given)?;
            service.create_audit_log(call, results).await
        },
    );
    let handlers = undo(
        handlers,
        (SAMPLES, "revert_validation"),
        samples,
        |service, call| async move { service.revert_validation(call).await },
    );
    let handlers = undo(
        handlers,
        (AI, "cleanup_processing"),
        ai,
        |service, call| async move { service.cleanup_processing(call).await },
    );
    undo(
        handlers,
        (SAMPLES, "revert_status"),
        samples,
        |service, call| async move { service.revert_status(call).await },
    )
}

/// Which step is to fail on request.
#[derive(Clone)]
struct Failing(Option<String>);

impl Failing {
    fn check(&self, step_id: &str) -> Result<(), StepError> {
        match &self.0 {
            Some(step) if step == step_id => Err(StepError::Reject(format!(
                "step `{step_id}` was told to fail (--fail-at)"
            ))),
            _ => Ok(()),
        }
    }
}

fn step<S, F, Fut>(
    handlers: Handlers,
    failing: &Failing,
    (service, action): (&str, &str),
    state: &S,
    act: F,
) -> Handlers
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, StepCall, StepContext) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value>> + Send + 'static,
{
    let (state, failing) = (state.clone(), failing.clone());
    handlers.handle(service, action, move |context: StepContext| {
        let (state, act, failing) = (state.clone(), act.clone(), failing.clone());
        async move {
            failing.check(context.step_id())?;
            let call = StepCall {
                key: context.key(),
                cause: cause(&context),
                input: context.input_as()?,
            };
            let output = act(state, call, context).await?;
            Ok::<Output, StepError>(output.into())
        }
    })
}

fn undo<S, F, Fut>(
    handlers: Handlers,
    (service, action): (&str, &str),
    state: &S,
    act: F,
) -> Handlers
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, UndoCall) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value>> + Send + 'static,
{
    let state = state.clone();
    handlers.compensate(service, action, move |context: CompensationContext| {
        let (state, act) = (state.clone(), act.clone());
        async move {
            let call = UndoCall {
                forward_key: context.step_key(),
                cause: cause(&context),
                reason: context.reason().to_owned(),
                input: context.input_as()?,
            };
            act(state, call).await?;
            Ok::<(), StepError>(())
        }
    })
}

fn cause(context: &CallContext) -> Cause {
    Cause {
        correlation_id: context.correlation_id().to_owned(),
        causation_id: context.causation_id().cloned(),
    }
}

fn not_given(error: StepError) -> Error {
    Error::invalid(error.to_string())
}
