//! Binds the service to the orchestrator and to the bus.

use nanopore::steps::{StepCall, UndoCall};
use sagabus::saga::{Handlers, StepError};
use sagabus::{Bus, Delivery, HandlerError, Result, Start};

use crate::consumer::{CONSUMER, PATTERNS};
use crate::service::SampleService;

/// The service of these steps in a saga's definition.
const SERVICE: &str = "sample-service";
/// The step whose output has the form.
const EXTRACTION_STEP: &str = "process_pdf";

impl SampleService {
    /// Adds the service's steps and compensations to `handlers`.
    #[must_use]
    pub fn bind(&self, handlers: Handlers) -> Handlers {
        let validate = self.clone();
        let revert_validation = self.clone();
        let update = self.clone();
        let revert_status = self.clone();
        let handlers = self.bind_reviewed(handlers);
        self.bind_entry(handlers)
            .handle(SERVICE, "validate_sample", move |context| {
                let service = validate.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.validate_sample(call).await?)
                }
            })
            .compensate(SERVICE, "revert_validation", move |context| {
                let service = revert_validation.clone();
                async move {
                    service.revert_validation(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
            .handle(SERVICE, "update_status", move |context| {
                let service = update.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    let extraction = context.output_as(EXTRACTION_STEP)?;
                    Ok::<_, StepError>(service.update_status(call, extraction).await?)
                }
            })
            .compensate(SERVICE, "revert_status", move |context| {
                let service = revert_status.clone();
                async move {
                    service.revert_status(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
    }

    /// The steps of the saga of one sample that was entered with its form.
    fn bind_entry(&self, handlers: Handlers) -> Handlers {
        let validate = self.clone();
        let revert_entry = self.clone();
        let accept = self.clone();
        let revert_acceptance = self.clone();
        handlers
            .handle(SERVICE, "validate_entry", move |context| {
                let service = validate.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.validate_entry(call).await?)
                }
            })
            .compensate(SERVICE, "revert_entry", move |context| {
                let service = revert_entry.clone();
                async move {
                    service.revert_entry(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
            .handle(SERVICE, "accept_entry", move |context| {
                let service = accept.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    let extraction = context.output_as(EXTRACTION_STEP)?;
                    Ok::<_, StepError>(service.accept_entry(call, extraction).await?)
                }
            })
            .compensate(SERVICE, "revert_acceptance", move |context| {
                let service = revert_acceptance.clone();
                async move {
                    service.revert_acceptance(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
    }

    /// The steps of the saga of a form that a person has looked at.
    fn bind_reviewed(&self, handlers: Handlers) -> Handlers {
        let validate = self.clone();
        let revert = self.clone();
        let take = self.clone();
        let revert_taken = self.clone();
        handlers
            .handle(SERVICE, "validate_reviewed", move |context| {
                let service = validate.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.validate_reviewed(call).await?)
                }
            })
            .compensate(SERVICE, "revert_reviewed", move |context| {
                let service = revert.clone();
                async move {
                    service.revert_reviewed(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
            .handle(SERVICE, "take_reviewed_form", move |context| {
                let service = take.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    let extraction = context.output_as(EXTRACTION_STEP)?;
                    Ok::<_, StepError>(service.take_reviewed_form(call, extraction).await?)
                }
            })
            .compensate(SERVICE, "revert_reviewed_form", move |context| {
                let service = revert_taken.clone();
                async move {
                    service
                        .revert_reviewed_form(UndoCall::of(&context)?)
                        .await?;
                    Ok(())
                }
            })
    }

    /// Subscribes the service to the events of others, under its durable name.
    ///
    /// # Errors
    /// As [`sagabus::bus::SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`sagabus::bus::SubscriptionBuilder::handler`].
    pub async fn subscribe(&self, bus: &Bus) -> Result<sagabus::bus::Subscription> {
        let mut subscription = bus.subscription(CONSUMER).start(Start::Earliest);
        for pattern in PATTERNS {
            subscription = subscription.pattern(pattern);
        }
        let service = self.clone();
        subscription
            .handler(move |delivery: Delivery| {
                let service = service.clone();
                async move { Ok::<_, HandlerError>(service.consume(&delivery.event).await?) }
            })
            .await
    }
}
