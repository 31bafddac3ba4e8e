//! How a subscription is described and held.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Bus;
use super::dispatch::{Dispatch, Plan};
use super::handler::{Delivery, Handler, HandlerError};
use super::settle::Policy;
use crate::error::{Error, Result};
use crate::event::{Event, Payload};
use crate::pattern::Pattern;
use crate::retry::Retry;
use crate::transport::{Filter, Start, SubscriptionSpec};

/// Longest name of a subscription, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Most handlers of one subscription at a time.
const CONCURRENCY_MAX: usize = 1024;

/// Describes a subscription; [`SubscriptionBuilder::handler`] starts it.
#[must_use = "a subscription starts with its handler"]
pub struct SubscriptionBuilder {
    bus: Bus,
    name: String,
    patterns: Vec<String>,
    start: Option<Start>,
    filter: Option<Filter>,
    retry: Retry,
    keeps_dead_letters: bool,
    timeout: Duration,
    concurrency: usize,
}

impl fmt::Debug for SubscriptionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionBuilder")
            .field("name", &self.name)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}

impl SubscriptionBuilder {
    pub(super) fn new(bus: Bus, name: &str) -> Self {
        let retry = bus.settings().retry();
        Self {
            bus,
            name: name.to_owned(),
            patterns: Vec::new(),
            start: None,
            filter: None,
            retry,
            keeps_dead_letters: true,
            timeout: Duration::from_secs(30),
            concurrency: 16,
        }
    }

    /// Wants events of types that fit; may be called several times, an event that fits twice is delivered once.
    pub fn pattern(mut self, pattern: &str) -> Self {
        self.patterns.push(pattern.to_owned());
        self
    }

    /// Where the subscription begins when its name is new. There is no default: it is a decision about the past.
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// Of those, only events for which `filter` is true. Asked once, before the first attempt; it costs no attempt.
    /// A filter that panics makes a dead letter, so that nothing passes by unseen.
    pub fn filter(mut self, filter: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// When failed deliveries are tried again; the settings of the bus say it otherwise.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Whether events that are given up are kept as dead letters (yes, unless said otherwise).
    pub fn dead_letters(mut self, keep: bool) -> Self {
        self.keeps_dead_letters = keep;
        self
    }

    /// How long one attempt may take (1 ms – 24 h, 30 s unless said otherwise); longer is a failure, and the
    /// handler's future is dropped.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many handlers may run at a time (1–1,024, 16 unless said otherwise). With 1, first attempts are in order.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// Starts the subscription with a handler that gets the payload as its type. A payload that does not fit is a
    /// dead letter at once.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn on<P, H, F>(self, handler: H) -> Result<Subscription>
    where
        P: Payload,
        H: Fn(P, Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.pattern(P::TYPE)
            .handler(move |delivery: Delivery| {
                let handler = Arc::clone(&handler);
                async move {
                    let payload = delivery
                        .event
                        .payload::<P>()
                        .map_err(|error| HandlerError::permanent(error.chain()))?;
                    handler(payload, delivery).await
                }
            })
            .await
    }

    /// Starts the subscription.
    ///
    /// # Errors
    /// `Invalid` when the name, a pattern, the start or a limit is missing or wrong. `Conflict` when a subscription of
    /// this name runs. `Full` when there are too many. `Closed` when the bus is shut down.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the subscription's name known but not running; start it again.
    pub async fn handler<H, F>(self, handler: H) -> Result<Subscription>
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let spec = self.spec()?;
        let plan = Plan {
            name: self.name.as_str().into(),
            handler: Handler::new(handler),
            policy: Policy {
                retry: self.retry,
                keeps_dead_letters: self.keeps_dead_letters,
            },
            timeout: self.timeout,
            concurrency: self.concurrency,
        };
        let dispatch = Arc::new(Dispatch::new(plan, Arc::clone(self.bus.clock())));
        let admission = self.bus.admit(&self.name, &dispatch)?;
        let member = self.bus.inner.transport.join(spec).await?;
        dispatch.start(member);
        admission.keep();
        Ok(Subscription {
            name: self.name,
            bus: self.bus,
            dispatch,
        })
    }

    fn spec(&self) -> Result<SubscriptionSpec> {
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "subscription name must have 1 to {NAME_BYTES_MAX} bytes and no control characters"
            )));
        }
        if self.patterns.is_empty() {
            return Err(Error::invalid(format!(
                "subscription `{name}` has no pattern"
            )));
        }
        let patterns: Result<Vec<Pattern>> =
            self.patterns.iter().map(|it| Pattern::new(it)).collect();
        let Some(start) = self.start else {
            return Err(Error::invalid(format!(
                "subscription `{name}` does not say where it starts: `Earliest`, `Latest` or `At`"
            )));
        };
        if self.retry.attempts_max == 0 {
            return Err(Error::invalid(format!(
                "subscription `{name}` has `attempts_max` 0; the least is 1"
            )));
        }
        if !(Duration::from_millis(1)..=Duration::from_hours(24)).contains(&self.timeout) {
            return Err(Error::invalid(format!(
                "subscription `{name}` has a `timeout` outside 1 ms to 24 h"
            )));
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return Err(Error::invalid(format!(
                "subscription `{name}` has a `concurrency` outside 1 to {CONCURRENCY_MAX}"
            )));
        }
        Ok(SubscriptionSpec {
            name: name.clone(),
            patterns: patterns?,
            start,
            filter: self.filter.clone(),
        })
    }
}

/// A running subscription. Dropping the handle does not stop it.
#[derive(Debug)]
pub struct Subscription {
    name: String,
    bus: Bus,
    dispatch: Arc<Dispatch>,
}

impl Subscription {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops it: fetches nothing more, lets running handlers finish until `deadline`, cuts the rest and says how many
    /// those were. Its deliveries are kept; a subscription of the same name goes on with them.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it stopping; its name stays taken until the bus is shut down.
    pub async fn stop(self, deadline: Duration) -> usize {
        let end = tokio::time::Instant::now() + deadline;
        let cut = self.dispatch.finish(end).await;
        self.bus.dismiss(&self.name);
        cut
    }
}
