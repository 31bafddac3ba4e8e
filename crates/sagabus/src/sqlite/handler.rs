//! Handlers whose effect, whose mark in the inbox and whose events are one transaction.

use std::sync::Arc;

use rusqlite::Transaction;

use super::{Database, Outbox, inbox};
use crate::bus::{Bus, Delivery, Emit, HandlerError, Subscription, SubscriptionBuilder};
use crate::error::{Error, Result};
use crate::planted::{self, DeliveryBug};

impl From<rusqlite::Error> for HandlerError {
    fn from(error: rusqlite::Error) -> Self {
        Error::from(error).into()
    }
}

impl SubscriptionBuilder {
    /// Starts the subscription with a handler whose effect happens once per event: `work` runs in a transaction of the
    /// outbox's database that also marks the event as taken, and writes the events that `work` answers with to the
    /// outbox. Where it fails, nothing of it is there, the mark neither. A delivery that comes again, since its ack was
    /// lost, is acked without a call for as long as the inbox remembers ([`inbox::REMEMBERED`]).
    ///
    /// The work of a handler that ran into its time limit may still be committed; the next attempt then finds its mark.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn handler_tx<W>(self, outbox: &Outbox, work: W) -> Result<Subscription>
    where
        W: Fn(&Transaction<'_>, &Delivery) -> Result<Emit, HandlerError> + Send + Sync + 'static,
    {
        let (outbox, work, bus) = (outbox.clone(), Arc::new(work), self.bus().clone());
        self.handler(move |delivery: Delivery| {
            let (outbox, work, bus) = (outbox.clone(), Arc::clone(&work), bus.clone());
            async move {
                let database = outbox.database().clone();
                let is_unmarked = planted::has(DeliveryBug::MarkForgotten);
                let is_marked = planted::has(DeliveryBug::MarkBeforeEffect);
                if is_marked && !mark_alone(&database, &bus, &delivery).await? {
                    return Ok(());
                }
                let once = move |tx: &Transaction<'_>| -> Result<(), HandlerError> {
                    let now = bus.clock().now();
                    let consumer = &delivery.subscription;
                    if !(is_unmarked
                        || is_marked
                        || inbox::first_time(tx, consumer, &delivery.event.id, now)?)
                    {
                        return Ok(());
                    }
                    for event in work(tx, &delivery)?.into_events(&delivery, now)? {
                        // What the bus would refuse later is a fault of the handler now.
                        bus.check(&event)?;
                        outbox.publish(tx, &event)?;
                    }
                    Ok(())
                };
                database.call(once).await
            }
        })
        .await
    }
}

/// See [`DeliveryBug::MarkBeforeEffect`].
async fn mark_alone(database: &Database, bus: &Bus, delivery: &Delivery) -> Result<bool> {
    let (now, delivery) = (bus.clock().now(), delivery.clone());
    let mark = move |tx: &Transaction<'_>| {
        inbox::first_time(tx, &delivery.subscription, &delivery.event.id, now)
    };
    database.call(mark).await
}
