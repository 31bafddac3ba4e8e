//! Binds the service to the orchestrator and to the bus.

use std::time::Duration;

use nanopore::steps::{StepCall, UndoCall};
use sagabus::saga::{Handlers, StepError};
use sagabus::{Bus, Delivery, HandlerError, Result, Start};

use crate::consumer::{CONSUMER, PATTERNS};
use crate::service::SampleService;
use crate::steps::Asking;

/// The service of these steps in a saga's definition.
const SERVICE: &str = "sample-service";
/// The step whose output has the form.
const EXTRACTION_STEP: &str = "process_pdf";
/// The step that waits for a decision, until a deadline.
const DECISION_STEP: &str = "decision";
/// What the data of the step that asks say of the deadline, in milliseconds.
const DECISION_TIME: &str = "decisionTimeMs";
/// The deadline where nothing is said, as in the definition.
const DECISION_TIME_DEFAULT: Duration = Duration::from_hours(14 * 24);

impl SampleService {
    /// Adds the service's steps and compensations to `handlers`.
    #[must_use]
    pub fn bind(&self, handlers: Handlers) -> Handlers {
        let validate = self.clone();
        let revert_validation = self.clone();
        let update = self.clone();
        let revert_status = self.clone();
        let handlers = self.bind_reviewed(handlers);
        let handlers = self.bind_qc(handlers);
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

    /// The steps of the saga of a sample whose quality control failed.
    fn bind_qc(&self, handlers: Handlers) -> Handlers {
        let request = self.clone();
        let withdraw = self.clone();
        let note = self.clone();
        let confirm = self.clone();
        let carry_out = self.clone();
        handlers
            .handle(SERVICE, "request_decision", move |context| {
                let service = request.clone();
                async move {
                    let data = context.data().and_then(|it| it.get(DECISION_TIME));
                    let time = data.and_then(serde_json::Value::as_u64);
                    let asking = Asking {
                        saga_id: context.saga_id().to_string(),
                        time: time.map_or(DECISION_TIME_DEFAULT, Duration::from_millis),
                    };
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.request_decision(call, asking).await?)
                }
            })
            .compensate(SERVICE, "withdraw_request", move |context| {
                let service = withdraw.clone();
                async move {
                    service.withdraw_request(UndoCall::of(&context)?).await?;
                    Ok(())
                }
            })
            .handle(SERVICE, "note_deadline", move |context| {
                let service = note.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    let answer = context.output_as(DECISION_STEP)?;
                    Ok::<_, StepError>(service.note_deadline(call, answer).await?)
                }
            })
            .handle(SERVICE, "confirm_decision", move |context| {
                let service = confirm.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.confirm_decision(call).await?)
                }
            })
            .handle(SERVICE, "carry_out_decision", move |context| {
                let service = carry_out.clone();
                async move {
                    let call = StepCall::of(&context)?;
                    Ok::<_, StepError>(service.carry_out_decision(call).await?)
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
