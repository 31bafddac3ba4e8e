//! Steps of a service, done as orchestrators ask for them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::payload::{ReplyStatus, SERVICE, StepReplied, StepRequested, StepStopped};
use crate::bus::{Bus, Delivery, Emit, HandlerError, Subscription};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::event::{EventId, Payload};
use crate::saga::handlers::{
    Asked, CallContext, CompensationContext, Handlers, StepContext, StepError, checked, guarded,
};
use crate::transport::Start;

/// How long a handler may go on that was told to stop: as long as an orchestrator waits for it
/// ([`Settings::drain_grace`](crate::saga::Settings::drain_grace)).
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Longest attempt: as long as the bus lets a handler run, with time for the reply.
const ATTEMPT_MAX: Duration = Duration::from_secs(24 * 3600 - 60);
/// As long as the bus lets a handler run.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Steps at work at a time, as many as sagas are active unless it is set otherwise.
const CONCURRENCY: usize = 100;

impl Handlers {
    /// Does the steps of `service` that orchestrators ask for who have it [elsewhere](Self::elsewhere). Each attempt has one
    /// reply, stored in one commit with the ack of its request where the engine can
    /// ([`Property::EmitWithAck`](crate::transport::Property::EmitWithAck)). A handler that the end of the process cuts off
    /// is called again with the same key and attempt; it has the time until its deadline, a day at most, and is told to stop
    /// then, or when its saga turns back. An action that has no handler, or none of the version that is asked for, is
    /// answered with [`StepError::Retry`].
    ///
    /// The subscription is `saga-steps/SERVICE`; 100 steps are at work at a time. A request that comes after its deadline is
    /// not done.
    ///
    /// # Errors
    /// `Invalid` when a handler is registered twice; otherwise as
    /// [`SubscriptionBuilder::handler`](crate::bus::SubscriptionBuilder::handler).
    ///
    /// # Cancel safety
    /// As there.
    pub async fn serve(self, bus: &Bus, service: &str) -> Result<Subscription> {
        self.check()?;
        let name = service.to_owned();
        let is_asked = move |event: &crate::Event| event.metadata.get(SERVICE) == Some(&name);
        let server = Arc::new(Server {
            service: service.to_owned(),
            handlers: self,
            clock: Arc::clone(bus.clock()),
            since: bus.clock().now(),
            at_work: Mutex::default(),
        });
        bus.subscription(&format!("saga-steps/{service}"))
            .pattern(StepRequested::TYPE)
            .pattern(StepStopped::TYPE)
            .filter_fn(&format!("service is {service}"), is_asked)
            .start(Start::Earliest)
            .timeout(HANDLER_TIMEOUT)
            .concurrency(CONCURRENCY)
            .handler_emitting(move |delivery: Delivery| {
                let server = Arc::clone(&server);
                async move { server.take(delivery).await }
            })
            .await
    }
}

/// Saga, step, attempt, and whether it is the compensation.
type Attempt = (String, String, u32, bool);

struct Server {
    service: String,
    handlers: Handlers,
    clock: Arc<dyn Clock>,
    /// When it began. What was asked before may have been done by somebody whose end handed it back.
    since: Timestamp,
    /// How to stop the handlers that are at work.
    at_work: Mutex<HashMap<Attempt, CancellationToken>>,
}

/// Takes an attempt out of those at work, however its handler ends.
struct AtWork<'a> {
    server: &'a Server,
    attempt: Attempt,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.server.at_work().remove(&self.attempt);
    }
}

impl Server {
    fn at_work(&self) -> MutexGuard<'_, HashMap<Attempt, CancellationToken>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, delivery: Delivery) -> Result<Emit, HandlerError> {
        if delivery.event.event_type.as_str() == StepStopped::TYPE {
            let stopped: StepStopped = delivery.payload()?;
            let attempt = (stopped.saga_id, stopped.step_id, stopped.attempt, false);
            if let Some(cancelled) = self.at_work().get(&attempt) {
                cancelled.cancel();
            }
            return Ok(Emit::none());
        }
        let request: StepRequested = delivery.payload()?;
        let correlation_id = delivery.event.correlation_id.as_deref().unwrap_or_default();
        let (id, correlation_id) = (delivery.event.id.clone(), correlation_id.to_owned());
        let is_first = delivery.attempt == 1 && delivery.event.time >= self.since;
        let result = self.run(&request, id, &correlation_id).await;
        let result = match request.compensation {
            None if !is_first => result.map_err(doubtful),
            _ => result,
        };
        Ok(Emit::of(&self.reply(request, result)))
    }

    fn reply(&self, request: StepRequested, result: Result<Bytes, StepError>) -> StepReplied {
        // What a handler returned is checked to be JSON, so this fails for none.
        let written = result.and_then(|json| {
            serde_json::from_slice(&json)
                .map_err(|error| StepError::InDoubt(format!("output is not JSON: {error}")))
        });
        let (status, output, error) = match written {
            Ok(output) => (ReplyStatus::Succeeded, Some(output), None),
            Err(StepError::Retry(error)) => (ReplyStatus::Retry, None, Some(error)),
            Err(StepError::Reject(error)) => (ReplyStatus::Rejected, None, Some(error)),
            Err(StepError::InDoubt(error)) => (ReplyStatus::InDoubt, None, Some(error)),
        };
        StepReplied {
            is_compensation: request.compensation.is_some(),
            saga_id: request.saga_id,
            step_id: request.step_id,
            service: self.service.clone(),
            attempt: request.attempt,
            fence: request.fence,
            status,
            output,
            error: error.map(crate::saga::machine::clipped),
        }
    }

    async fn run(
        &self,
        request: &StepRequested,
        id: EventId,
        correlation_id: &str,
    ) -> Result<Bytes, StepError> {
        let left = request.deadline.since(self.clock.now()).min(ATTEMPT_MAX);
        if left.is_zero() {
            let text = "the time of the attempt was over before it began";
            return Err(StepError::Retry(text.to_owned()));
        }
        let cancelled = CancellationToken::new();
        let attempt = (
            request.saga_id.clone(),
            request.step_id.clone(),
            request.attempt,
            request.compensation.is_some(),
        );
        self.at_work().insert(attempt.clone(), cancelled.clone());
        let _at_work = AtWork {
            server: self,
            attempt,
        };
        let clock = Arc::clone(&self.clock);
        let call = CallContext::asked(request, id, correlation_id, cancelled.clone(), clock)?;
        // An item of a list has the handler of its step.
        let step_id = request.step_id.split('[').next().unwrap_or_default();
        let asked = Asked {
            service: &self.service,
            step: step_id,
            version: request.version,
        };
        match &request.compensation {
            None => {
                let handler = self.handlers.step(asked, &request.action)?;
                let context = StepContext::asked(call);
                within(left, &cancelled, guarded(move || handler(context)))
                    .await
                    .and_then(checked)
            }
            Some(back) => {
                let handler = self.handlers.compensation(asked, &request.action)?;
                let context = CompensationContext::asked(call, back);
                let work = guarded(move || handler(context));
                let done = within(left, &cancelled, work).await;
                done.map(|()| Bytes::from_static(b"null"))
            }
        }
    }
}

/// A handler that is called again knows nothing of what it did before it was cut off.
fn doubtful(error: StepError) -> StepError {
    match error {
        StepError::Retry(text) | StepError::Reject(text) | StepError::InDoubt(text) => {
            StepError::InDoubt(text)
        }
    }
}

/// Waits for a handler until its time is over or it is told to stop, and then for a little longer.
async fn within<T>(
    limit: Duration,
    cancelled: &CancellationToken,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let mut work = pin!(work);
    let why = tokio::select! {
        biased;
        result = &mut work => return result,
        () = cancelled.cancelled() => "stopped before it had ended",
        () = sleep(limit) => "timed out",
    };
    cancelled.cancel();
    match timeout(STOP_GRACE, work).await {
        Ok(result) => result,
        Err(_) => Err(StepError::InDoubt(why.to_owned())),
    }
}
