//! Sagas that events start: each event one saga, however often it is delivered.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Definition;
use super::id::SagaId;
use super::orchestrator::{Sagas, Start};
use crate::bus::{Delivery, HandlerError, Subscription, SubscriptionBuilder};
use crate::error::Result;
use crate::event::{Event, EventId};

impl Sagas {
    /// Starts a saga of `definition` for each event of the subscription for which `start` gives what it is started with.
    ///
    /// An event starts one saga: after a redelivery, a replay, a redrive and a restart it is the same. The saga's id is made
    /// of the subscription's name and the event's id, and so is its idempotency key, which is remembered as that of any
    /// saga: while the log holds the saga, and until the process ends, [`Settings::keys_max`](super::Settings) of them. An
    /// event that comes again after its saga was dropped from the log and the process was started anew starts a saga with the
    /// same id, whose steps have the same keys and whose events have the same ids.
    ///
    /// The event is acked when the first record of the saga is durable. The saga is caused by the event, and has the event's
    /// correlation id, or else the event's id, where `start` gives none.
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
                let chosen = of_event(chosen, &delivery.subscription, &delivery.event)?;
                sagas.start(&definition, chosen).await?;
                Ok(())
            }
        };
        subscription.handler(started).await
    }
}

fn of_event(start: Start, subscription: &str, event: &Event) -> Result<Start> {
    let id = derived_id(subscription, &event.id)?;
    let correlation_id = event.correlation_id.as_ref();
    let correlation_id = correlation_id.map_or_else(|| event.id.to_string(), ToString::to_string);
    Ok(start
        .keyed(format!("event/{id}"))
        .caused_by(event.id.clone())
        .correlated_unless_it_is(correlation_id)
        .identified(id))
}

/// A UUID made from what the saga follows from (version 8, RFC 9562).
fn derived_id(subscription: &str, event: &EventId) -> Result<SagaId> {
    let mut hash = Sha256::new();
    for part in [subscription, event.as_str()] {
        // With its length first, no part can run into the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    id.hyphenated().to_string().parse()
}
