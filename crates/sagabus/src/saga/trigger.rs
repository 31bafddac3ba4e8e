//! Sagas that events start: each event one saga, however often it is delivered.

use std::sync::Arc;

use super::Definition;
use super::id::SagaId;
use super::orchestrator::{Sagas, Start};
use crate::bus::{Delivery, HandlerError, Subscription, SubscriptionBuilder};
use crate::error::Result;
use crate::event::Event;

impl Sagas {
    /// Starts a saga of `definition` for each event of the subscription for which `start` gives what it is started with.
    ///
    /// An event starts one saga: after a redelivery, a replay, a redrive and a restart it is the same. The saga's id is made
    /// of the subscription's name and the event's id, and so is its idempotency key, which is remembered as that of any
    /// saga: while the log holds the saga, and for [30 days](crate::saga_store::KEYS_KEPT) after its end, the newest
    /// [`Settings::keys_max`](super::Settings) of them. An event that comes again after that starts a saga with the same id, whose
    /// steps have the same keys and whose events have the same ids. Where the definition has it attach to a saga, that one keeps
    /// the key.
    ///
    /// The event is acked when the first record of the saga is durable. The saga is caused by the event, and has the event's
    /// correlation id, or else the event's id, where `start` gives none. It is of the event's trace.
    ///
    /// # Errors
    /// `Invalid` when a step of the definition has no handler; otherwise as [`SubscriptionBuilder::handler`]. What
    /// [`Sagas::start`] refuses for good makes a dead letter, and the rest is tried again.
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn started_by<F>(
        &self,
        subscription: SubscriptionBuilder,
        definition: Definition,
        start: F,
    ) -> Result<Subscription>
    where
        F: Fn(&Event) -> Result<Option<Start>, HandlerError> + Send + Sync + 'static,
    {
        self.check_handlers(&definition)?;
        let (sagas, start) = (self.clone(), Arc::new(start));
        let started = move |delivery: Delivery| {
            let (sagas, start) = (sagas.clone(), Arc::clone(&start));
            let definition = definition.clone();
            async move {
                let Some(chosen) = start(&delivery.event)? else {
                    return Ok(());
                };
                let chosen = of_event(chosen, &delivery)?;
                sagas.start(&definition, chosen).await?;
                Ok(())
            }
        };
        subscription.handler(started).await
    }
}

fn of_event(start: Start, delivery: &Delivery) -> Result<Start> {
    let event = &delivery.event;
    let id = SagaId::derived(&[&delivery.subscription, event.id.as_str()])?;
    let correlation_id = event.correlation_id.as_ref();
    let correlation_id = correlation_id.map_or_else(|| event.id.to_string(), ToString::to_string);
    Ok(start
        .keyed(format!("event/{id}"))
        .caused_by(event.id.clone())
        .correlated_unless_it_is(correlation_id)
        .traced_unless_it_is(delivery.trace())
        .identified(id))
}
