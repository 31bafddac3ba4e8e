//! Binds the service to the orchestrator and to the bus.

use std::time::Duration;

use nanopore::steps::StepCall;
use sagabus::saga::{Handlers, StepError};
use sagabus::transport::OnFilterError;
use sagabus::{Bus, Delivery, HandlerError, Result, Start};
use serde_json::{Map, Value};

use crate::consumer::{CONSUMER, PATTERNS, wants};
use crate::service::AuditService;

/// Most events that go into the trail in one transaction: many, so that the trail keeps up with many sagas that write to the
/// same file, and not more, since who looks at something waits behind it for the entry of that. Each takes about 0.1 ms.
const EVENTS_MAX: usize = 32;
/// The service of this step in a saga's definition.
const SERVICE: &str = "audit-service";
/// The steps whose outputs go into the entry. What was read from the document stays where it is kept.
const STEPS: [&str; 2] = ["validate_sample", "update_sample_status"];

impl AuditService {
    /// Adds the service's step to `handlers`.
    #[must_use]
    pub fn bind(&self, handlers: Handlers) -> Handlers {
        let service = self.clone();
        handlers.handle(SERVICE, "create_audit_log", move |context| {
            let service = service.clone();
            async move {
                let call = StepCall::of(&context)?;
                let mut results = Map::new();
                for step in STEPS {
                    if context.output(step).is_some() {
                        results.insert(step.to_owned(), context.output_as::<Value>(step)?);
                    }
                }
                Ok::<_, StepError>(service.create_audit_log(call, results.into()).await?)
            }
        })
    }

    /// Subscribes the service to every event but its own and signs of life, under its durable name.
    ///
    /// # Errors
    /// As [`sagabus::bus::SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`sagabus::bus::SubscriptionBuilder::handler`].
    pub async fn subscribe(&self, bus: &Bus) -> Result<sagabus::bus::Subscription> {
        let mut subscription = bus
            .subscription(CONSUMER)
            .start(Start::Earliest)
            // One group at a time: the trail has the order of the log, but for what had to be tried again.
            .concurrency(1)
            .filter_fn("neither its own nor signs of life", wants)
            .on_filter_error(OnFilterError::Deliver);
        for pattern in PATTERNS {
            subscription = subscription.pattern(pattern);
        }
        let service = self.clone();
        subscription
            .handler_of_many(
                EVENTS_MAX,
                Duration::ZERO,
                move |deliveries: Vec<Delivery>| {
                    let service = service.clone();
                    async move {
                        let events = deliveries.iter().map(|it| it.event.as_ref());
                        match service.consume_all(events).await {
                            Ok(()) => deliveries.iter().map(|_| Ok(())).collect(),
                            Err(error) if deliveries.len() == 1 => {
                                vec![Err(HandlerError::from(error))]
                            }
                            // No answer for each: then each is taken alone.
                            Err(_) => Vec::new(),
                        }
                    }
                },
            )
            .await
    }
}
