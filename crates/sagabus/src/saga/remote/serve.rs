//! Steps of a service, done as orchestrators ask for them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::payload::{
    ReplyStatus, SERVICE, StepProgressed, StepReplied, StepRequested, StepStopped,
};
use super::{HEARTBEAT_MIN, SILENCE_GRACE};
use crate::bus::{Bus, Delivery, Emit, HandlerError, Subscription};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::event::{Event, Payload};
use crate::saga::handlers::{
    Asked, CallContext, CompensationContext, Handlers, Served, StepContext, StepError, checked,
    guarded,
};
use crate::transport::{Property, Start};

/// How long a handler may go on that was told to stop, where the orchestrator does not say.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Longest attempt: as long as the bus lets a handler run, with time for the reply.
const ATTEMPT_MAX: Duration = Duration::from_secs(24 * 3600 - 60);
/// As long as the bus lets a handler run.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Steps at work at a time, as many as sagas are active unless it is set otherwise.
const CONCURRENCY: usize = 100;
/// How many signs of life are sent within the time that a handler may be silent: one that is late, or lost, is made up for.
const SIGNS: u32 = 3;

impl Handlers {
    /// Does the steps of `service` that orchestrators ask for who have it [elsewhere](Self::elsewhere). Each attempt has one
    /// reply, stored in one commit with the ack of its request where the engine can
    /// ([`Property::EmitWithAck`]). A handler that the end of the process cuts off
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
        let is_asked = move |event: &Event| event.metadata.get(SERVICE) == Some(&name);
        let server = Arc::new(Server {
            service: service.to_owned(),
            handlers: self,
            bus: bus.clone(),
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
    /// Where signs of life are told of.
    bus: Bus,
    clock: Arc<dyn Clock>,
    /// When it began. What was asked before may have been done by somebody whose end handed it back.
    since: Timestamp,
    /// How to stop the handlers that are at work.
    at_work: Mutex<HashMap<Attempt, Stop>>,
}

/// How to stop a handler.
#[derive(Clone)]
struct Stop {
    cancelled: CancellationToken,
    /// How long it may go on then.
    grace: Arc<OnceLock<Duration>>,
}

impl Stop {
    fn new() -> Self {
        Self {
            cancelled: CancellationToken::new(),
            grace: Arc::default(),
        }
    }

    /// Tells the handler to stop. What was said first holds.
    fn tell(&self, grace_ms: Option<u64>) {
        let _first = self.grace.set(grace(grace_ms));
        self.cancelled.cancel();
    }
}

fn grace(said_ms: Option<u64>) -> Duration {
    said_ms.map_or(STOP_GRACE, Duration::from_millis)
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
    fn at_work(&self) -> MutexGuard<'_, HashMap<Attempt, Stop>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, delivery: Delivery) -> Result<Emit, HandlerError> {
        if delivery.event.event_type.as_str() == StepStopped::TYPE {
            let stopped: StepStopped = delivery.payload()?;
            let attempt = (stopped.saga_id, stopped.step_id, stopped.attempt, false);
            if let Some(stop) = self.at_work().get(&attempt) {
                stop.tell(stopped.grace_ms);
            }
            return Ok(Emit::none());
        }
        let request: StepRequested = delivery.payload()?;
        let is_first = delivery.attempt == 1 && delivery.event.time >= self.since;
        let result = self.run(&request, &delivery).await;
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
            Err(StepError::Unavailable(error)) => (ReplyStatus::Unavailable, None, Some(error)),
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

    async fn run(&self, request: &StepRequested, delivery: &Delivery) -> Result<Bytes, StepError> {
        let left = request.deadline.since(self.clock.now()).min(ATTEMPT_MAX);
        if left.is_zero() {
            let text = "the time of the attempt was over before it began";
            return Err(StepError::Retry(text.to_owned()));
        }
        let stop = Stop::new();
        let attempt = (
            request.saga_id.clone(),
            request.step_id.clone(),
            request.attempt,
            request.compensation.is_some(),
        );
        self.at_work().insert(attempt.clone(), stop.clone());
        let _at_work = AtWork {
            server: self,
            attempt,
        };
        let (signs, given) = watch::channel(());
        let served = Served {
            causation_id: delivery.event.id.clone(),
            correlation_id: delivery.event.correlation_id.as_deref().unwrap_or_default(),
            trace: delivery.trace(),
            cancelled: stop.cancelled.clone(),
            heartbeat: request.heartbeat_ms.map(|_| signs),
            clock: Arc::clone(&self.clock),
        };
        let call = CallContext::asked(request, served)?;
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
                let span = context.span();
                let work = guarded(move || handler(context));
                let work = within(left, request.grace_ms, &stop, work).instrument(span);
                let result = match request.heartbeat_ms.map(Duration::from_millis) {
                    None => work.await,
                    Some(silence) => {
                        let mut signs = Signs {
                            given,
                            // More often than that none are asked for.
                            silence: silence.max(HEARTBEAT_MIN),
                            cancelled: stop.cancelled.clone(),
                        };
                        tokio::select! {
                            biased;
                            result = work => result,
                            never = self.tell(request, delivery, &mut signs) => match never {},
                        }
                    }
                };
                result.and_then(checked)
            }
            Some(back) => {
                let handler = self.handlers.compensation(asked, &request.action)?;
                let context = CompensationContext::asked(call, back);
                let span = context.span();
                let work = guarded(move || handler(context));
                let work = within(left, request.grace_ms, &stop, work);
                let done = work.instrument(span).await;
                done.map(|()| Bytes::from_static(b"null"))
            }
        }
    }
}

/// Signs of life that a handler gives.
struct Signs {
    given: watch::Receiver<()>,
    /// How long there may be none.
    silence: Duration,
    /// Tells the handler to stop.
    cancelled: CancellationToken,
}

impl Server {
    /// Tells of signs of life, no more of them than are needed; that the handler begins is one. One that falls silent is told to
    /// stop, since its attempt has timed out and another one may be asked for.
    async fn tell(
        &self,
        request: &StepRequested,
        delivery: &Delivery,
        signs: &mut Signs,
    ) -> Infallible {
        let pause = signs.silence / SIGNS;
        let rest = signs.silence.saturating_sub(pause) + SILENCE_GRACE;
        loop {
            if let Err(error) = self.tell_once(request, delivery, signs.silence).await {
                // The next one makes up for it.
                tracing::warn!(saga_id = %request.saga_id, error = %error.chain(), "sign of life of a saga step cannot be sent");
            }
            sleep(pause).await;
            match timeout(rest, signs.given.changed()).await {
                Ok(Ok(())) => continue,
                // It has dropped what it could give signs with.
                Ok(Err(_)) => sleep(rest).await,
                Err(_) => {}
            }
            signs.cancelled.cancel();
            return pending().await;
        }
    }

    async fn tell_once(
        &self,
        request: &StepRequested,
        delivery: &Delivery,
        silence: Duration,
    ) -> Result<()> {
        let sign = StepProgressed {
            saga_id: request.saga_id.clone(),
            step_id: request.step_id.clone(),
            service: self.service.clone(),
            attempt: request.attempt,
            fence: request.fence,
        };
        let event = Event::new(&sign, self.clock.as_ref())?;
        let mut event = event.caused_by(&delivery.event);
        if let Some(span) = delivery.trace() {
            span.mark(&mut event);
        }
        let can_expire = self
            .bus
            .capabilities()
            .check(String::new, [Property::Expiry]);
        if can_expire.is_ok() {
            // Later it says nothing any more.
            event = event.expires_at(self.clock.now().after(silence));
        }
        self.bus.publish(event).await?;
        Ok(())
    }
}

/// A handler that is called again knows nothing of what it did before it was cut off.
fn doubtful(error: StepError) -> StepError {
    match error {
        StepError::Retry(text)
        | StepError::Unavailable(text)
        | StepError::Reject(text)
        | StepError::InDoubt(text) => StepError::InDoubt(text),
    }
}

/// Waits for a handler until its time is over or it is told to stop, and then for a little longer.
async fn within<T>(
    limit: Duration,
    grace_ms: Option<u64>,
    stop: &Stop,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let mut work = pin!(work);
    let why = tokio::select! {
        biased;
        result = &mut work => return result,
        () = stop.cancelled.cancelled() => "stopped before it had ended",
        () = sleep(limit) => "timed out",
    };
    stop.tell(grace_ms);
    let grace = stop.grace.get().copied().unwrap_or(STOP_GRACE);
    match timeout(grace, work).await {
        Ok(result) => result,
        Err(_) => Err(StepError::InDoubt(why.to_owned())),
    }
}
