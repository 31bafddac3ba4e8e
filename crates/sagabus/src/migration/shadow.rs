//! Subscriptions of a migration: one that has the effect, and one that only looks.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::comparison::Comparison;
use super::phase::Way;
use crate::bus::{CatchPanic, Delivery, HandlerError, Subscription, SubscriptionBuilder};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ledger::Exhausted;
use crate::retry::Retry;
use crate::transport::OnFilterError;

/// Events that the bus leads, and those that were never routed.
const LED_BY_BUS: &str = "(NOT (EXISTS migrationleader)) OR (migrationleader != 'old')";
/// Events that the old way leads.
const LED_BY_OLD: &str = "EXISTS migrationleader AND migrationleader = 'old'";
/// Time in which the call of a shadow's handler is ended by the shadow, before the bus would.
const MARGIN: Duration = Duration::from_secs(1);

impl SubscriptionBuilder {
    /// Only events that have their effect on the bus: those that the old way leads are skipped, as its handler has them.
    /// Another filter of the subscription holds too.
    ///
    /// # Errors
    /// `Invalid` when the filters together pass a limit.
    pub fn led_by_bus(self) -> Result<Self> {
        self.and_filter(Filter::sql(LED_BY_BUS)?)
    }

    /// Starts a subscription whose handler has no effect that counts: it gets the events that have their effect on the
    /// old way, and answers with what it would do, in words. Answers, errors, panics and calls that take too long are
    /// noted in `comparison`; all are acked. There is no retry, no dead letter, and no error in the numbers of the bus.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`], and `Invalid` when the filters together pass a limit.
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn shadow<H, F>(self, comparison: &Comparison, handler: H) -> Result<Subscription>
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, HandlerError>> + Send + 'static,
    {
        let limit = self.call_limit();
        if limit <= MARGIN {
            return Err(Error::invalid(format!(
                "a shadow has a `timeout` of {limit:?}; the least is more than {MARGIN:?}"
            )));
        }
        let limit = limit - MARGIN;
        let (comparison, handler) = (comparison.clone(), Arc::new(handler));
        self.and_filter(Filter::sql(LED_BY_OLD)?)?
            .retry(Retry::never())
            .dead_letters(false)
            .exhausted(Exhausted::SkipAhead)
            .on_filter_error(OnFilterError::Skip)
            .handler(move |delivery: Delivery| {
                let (comparison, handler) = (comparison.clone(), Arc::clone(&handler));
                async move {
                    let event = delivery.event.id.clone();
                    let call = CatchPanic::new(|| Box::pin(handler(delivery)));
                    let outcome = match tokio::time::timeout(limit, call).await {
                        Ok(Ok(answer)) => answer.map_err(|error| error.to_string()),
                        Ok(Err(panic)) => Err(format!("panic: {panic}")),
                        Err(_) => Err(format!("the handler ran longer than {limit:?}")),
                    };
                    comparison.note(Way::Bus, &event, outcome);
                    Ok(())
                }
            })
            .await
    }
}
