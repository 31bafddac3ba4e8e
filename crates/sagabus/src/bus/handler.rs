//! What a handler gets and what it may answer.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::event::trace::TraceContext;
use crate::event::{Event, Payload};
use crate::schema::{Registry, SchemaFault};

/// One event handed to a handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event, shared with other subscriptions.
    pub event: Arc<Event>,
    /// Where it stands in the log.
    pub position: u64,
    /// The attempt, from 1; counted anew after a redrive.
    pub attempt: u32,
    /// How often it was redriven.
    pub redrives: u32,
    /// Number of the payload: 0 as published, then one more for each that somebody put in its place.
    pub revision: u32,
    /// The subscription.
    pub subscription: Arc<str>,
    /// It is handed out once more by a replay, beside the live deliveries.
    pub is_replay: bool,
    pub(crate) context: Arc<Context>,
}

/// What all deliveries of a subscription have.
#[derive(Debug)]
pub(crate) struct Context {
    /// Another member has what is running here.
    pub(crate) fenced: CancellationToken,
    pub(crate) registry: Arc<Registry>,
}

impl Delivery {
    /// The payload as its type, in its newest version where the bus knows it.
    ///
    /// # Errors
    /// Permanent when it does not fit: no attempt will make it fit.
    pub fn payload<P: Payload>(&self) -> Result<P, HandlerError> {
        Ok(self.context.registry.decode(&self.event)?)
    }

    /// The span of this attempt, a child of the span that the event was published from: of the same trace in each
    /// attempt, and another each time. `None` where the event belongs to no trace.
    ///
    /// What a handler of several does for all of them together has no one parent; its links are
    /// [`TraceContext::of`] each event.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let parent = TraceContext::of(&self.event)?;
        let mut hash = Sha256::new();
        for part in [self.event.id.as_str(), &self.subscription] {
            // With its length first, no part can run into the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(parent.span_id().to_be_bytes());
        for number in [
            self.redrives,
            self.attempt,
            self.revision,
            u32::from(self.is_replay),
        ] {
            hash.update(number.to_be_bytes());
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        Some(parent.span(u64::from_be_bytes([a, b, c, d, e, f, g, h])))
    }

    /// Returns when the delivery was given to another member, because this one was not heard of for longer than its
    /// lease: what the handler answers no longer counts.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn cancelled(&self) {
        self.context.fenced.cancelled().await;
    }
}

/// Why a handler failed, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    text: String,
    error_type: String,
    disposition: Disposition,
    /// The handler was not called: the payload cannot be read.
    is_unreadable: bool,
}

/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try again when the policy says, but not earlier than after this time.
    Retry {
        /// Least time to wait, such as a busy server named.
        after: Duration,
    },
    /// What the handler needs cannot be had for the time being, such as room on a full disk: tried again after 1 s to a
    /// minute, as often as it takes. The attempts do not count.
    Unavailable,
    /// No attempt will succeed: a dead letter at once.
    Reject,
}

impl HandlerError {
    /// An error with what is to be done about it; `error_type` is for those who sort dead letters.
    #[must_use]
    pub fn new(disposition: Disposition, error_type: &str, error: impl fmt::Display) -> Self {
        Self {
            text: error.to_string(),
            error_type: error_type.to_owned(),
            disposition,
            is_unreadable: false,
        }
    }

    /// The same for an error whose text is to hold its sources too.
    #[must_use]
    pub fn chained(
        disposition: Disposition,
        error_type: &str,
        error: &dyn std::error::Error,
    ) -> Self {
        Self::new(disposition, error_type, crate::error::chain(error))
    }

    /// Another attempt could succeed: retried by the subscription's policy.
    #[must_use]
    pub fn transient(error: impl fmt::Display) -> Self {
        Self::retry_after(Duration::ZERO, error)
    }

    /// Another attempt could succeed after this time, or after the policy's if that is longer.
    #[must_use]
    pub fn retry_after(after: Duration, error: impl fmt::Display) -> Self {
        Self::new(Disposition::Retry { after }, "", error)
    }

    /// What the handler needs cannot be had for the time being: tried as often as it takes, and the attempts do not count.
    #[must_use]
    pub fn unavailable(error: impl fmt::Display) -> Self {
        Self::new(Disposition::Unavailable, "", error)
    }

    /// No attempt will succeed: a dead letter at once.
    #[must_use]
    pub fn permanent(error: impl fmt::Display) -> Self {
        Self::new(Disposition::Reject, "", error)
    }

    /// Whether no attempt will succeed.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.disposition == Disposition::Reject
    }

    /// What is to be done about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// The kind of fault, where it is not for the handler to say.
    pub(crate) fn fault_kind(&self) -> Option<&str> {
        self.is_unreadable.then_some(self.error_type.as_str())
    }

    /// The error's type, where it was told.
    #[must_use]
    pub fn error_type(&self) -> &str {
        &self.error_type
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for HandlerError {}

impl From<Error> for HandlerError {
    /// Wrong input stays wrong; where there is no room, the attempt does not count; everything else may pass. Its type is
    /// the kind in one word.
    fn from(error: Error) -> Self {
        let disposition = match error.kind() {
            ErrorKind::Full => Disposition::Unavailable,
            ErrorKind::Invalid | ErrorKind::Corrupt => Disposition::Reject,
            ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Transient
            | ErrorKind::Fenced
            | ErrorKind::Closed => Disposition::Retry {
                after: Duration::ZERO,
            },
        };
        Self::chained(disposition, error.kind().as_str(), &error)
    }
}

impl From<SchemaFault> for HandlerError {
    /// No further attempt can help.
    fn from(fault: SchemaFault) -> Self {
        Self {
            is_unreadable: true,
            ..Self::new(Disposition::Reject, fault.kind(), fault)
        }
    }
}

/// What handlers answer: events that are to be published as the delivery is acked.
pub(crate) type Answer = Result<Vec<Arc<Event>>, HandlerError>;

pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handler, whatever its type: of one event, or of several at a time.
pub(crate) enum Handler {
    One(Box<dyn Fn() -> Box<dyn Seat> + Send + Sync>),
    Many(Arc<dyn Fn(Vec<Delivery>) -> Running<Vec<Answer>> + Send + Sync>),
}

/// A place in which a handler of one event runs, for one event after the other: what it needs is taken from memory once.
pub(crate) trait Seat: Send {
    /// Calls the handler. A panic, in the call or later, is an output.
    fn call(&mut self, delivery: Delivery) -> Result<(), String>;

    /// Lets it go on. It is ready once for each call.
    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<Answer, String>>;

    /// Gives up a call that was not ready.
    fn clear(&mut self);
}

struct Place<H, F> {
    handler: Arc<H>,
    running: Pin<Box<Option<F>>>,
}

impl<H, F> Place<H, F>
where
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    fn boxed(handler: Arc<H>) -> Box<dyn Seat> {
        Box::new(Self {
            handler,
            running: Box::pin(None),
        })
    }
}

impl<H, F> Seat for Place<H, F>
where
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    fn call(&mut self, delivery: Delivery) -> Result<(), String> {
        let call = || self.running.set(Some((self.handler)(delivery)));
        caught(call)
    }

    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<Answer, String>> {
        let polled = caught(|| {
            let running = self.running.as_mut().as_pin_mut();
            let polled = running.map_or_else(|| Poll::Ready(no_answer()), |it| it.poll(context));
            if polled.is_ready() {
                self.running.set(None);
            }
            polled
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                self.clear();
                Poll::Ready(Err(panic))
            }
        }
    }

    fn clear(&mut self) {
        // What a handler does when it is dropped is over with it, a panic too.
        let _dropped = caught(|| self.running.set(None));
    }
}

/// What `act` gives, or what its panic says.
fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| super::panic_text(panic.as_ref()))
}

impl Handler {
    pub(crate) fn one<H, F>(handler: H) -> Self
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self::emitting(move |delivery| {
            let answer = handler(delivery);
            async move { answer.await.map(nothing) }
        })
    }

    pub(crate) fn emitting<H, F>(handler: H) -> Self
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let handler = Arc::new(handler);
        Self::One(Box::new(move || Place::boxed(Arc::clone(&handler))))
    }

    pub(crate) fn many<H, F>(handler: H) -> Self
    where
        H: Fn(Vec<Delivery>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<Result<(), HandlerError>>> + Send + 'static,
    {
        Self::Many(Arc::new(move |deliveries| {
            let answers = handler(deliveries);
            Box::pin(async move {
                answers
                    .await
                    .into_iter()
                    .map(|it| it.map(nothing))
                    .collect()
            })
        }))
    }

    /// A place in which the handler runs with one event at a time.
    pub(crate) fn seat(&self) -> Box<dyn Seat> {
        match self {
            Self::One(seat) => seat(),
            Self::Many(handler) => {
                let handler = Arc::clone(handler);
                Place::boxed(Arc::new(move |delivery| {
                    let answers = handler(vec![delivery]);
                    async move { answers.await.pop().unwrap_or_else(no_answer) }
                }))
            }
        }
    }

    /// Calls a handler of several events with all of them.
    pub(crate) fn call_all(&self, deliveries: Vec<Delivery>) -> Option<CatchPanic<Vec<Answer>>> {
        match self {
            Self::One(_) => None,
            Self::Many(handler) => Some(CatchPanic::new(|| handler(deliveries))),
        }
    }
}

fn nothing((): ()) -> Vec<Arc<Event>> {
    Vec::new()
}

fn no_answer() -> Answer {
    Err(HandlerError::transient(
        "the handler of several events gave no answer for this one",
    ))
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// A handler's future whose panic is caught and returned as text.
pub(crate) struct CatchPanic<T>(Result<Running<T>, String>);

impl<T> CatchPanic<T> {
    pub(crate) fn new(call: impl FnOnce() -> Running<T>) -> Self {
        let called = catch_unwind(AssertUnwindSafe(call));
        Self(called.map_err(|panic| super::panic_text(panic.as_ref())))
    }
}

impl<T> Future for CatchPanic<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Err(panic) => Poll::Ready(Err(std::mem::take(panic))),
            Ok(future) => match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Err(panic) => Poll::Ready(Err(super::panic_text(panic.as_ref()))),
            },
        }
    }
}
