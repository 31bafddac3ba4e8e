//! Binds the service's steps to an orchestrator.

use std::sync::Arc;

use nanopore::steps::{StepCall, UndoCall};
use sagabus::saga::{Handlers, StepError};

use crate::service::AiService;

/// The service's name in saga definitions.
const SERVICE: &str = "ai-service";

impl AiService {
    /// Adds the service's steps and compensations to `handlers`.
    #[must_use]
    pub fn bind(&self, handlers: Handlers) -> Handlers {
        let process = self.clone();
        let cleanup = self.clone();
        let reviewed = self.clone();
        handlers
            .handle(SERVICE, "process_pdf", move |context| {
                let service = process.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    // Progress is seen in the job.
                    let quiet = Arc::new(|_| {});
                    Ok::<_, StepError>(service.process_pdf(call, quiet).await?)
                }
            })
            .handle(SERVICE, "take_reviewed", move |context| {
                let service = reviewed.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.take_reviewed(call).await?)
                }
            })
            .compensate(SERVICE, "cleanup_processing", move |context| {
                let service = cleanup.clone();
                async move {
                    service.cleanup_processing(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
    }
}
