//! What a handler gets and what it may answer.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::schema::SchemaFault;

/// One event handed to a handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event, shared with other subscriptions.
    pub event: Arc<Event>,
    /// Where it stands in the log.
    pub position: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The subscription.
    pub subscription: Arc<str>,
}

/// Why a handler failed, and whether another attempt could help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    text: String,
    is_permanent: bool,
}

impl HandlerError {
    /// Another attempt could succeed: retried by the subscription's policy.
    #[must_use]
    pub fn transient(error: impl fmt::Display) -> Self {
        Self {
            text: error.to_string(),
            is_permanent: false,
        }
    }

    /// No attempt will succeed: a dead letter at once.
    #[must_use]
    pub fn permanent(error: impl fmt::Display) -> Self {
        Self {
            text: error.to_string(),
            is_permanent: true,
        }
    }

    /// Whether no attempt will succeed.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.is_permanent
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for HandlerError {}

impl From<Error> for HandlerError {
    /// Wrong input stays wrong; everything else may pass.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Invalid | ErrorKind::Corrupt => Self::permanent(error.chain()),
            ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Full
            | ErrorKind::Transient
            | ErrorKind::Fenced
            | ErrorKind::Closed => Self::transient(error.chain()),
        }
    }
}

impl From<SchemaFault> for HandlerError {
    /// No further attempt can help.
    fn from(fault: SchemaFault) -> Self {
        Self::permanent(format_args!("{}: {fault}", fault.kind()))
    }
}

type HandlerFuture = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// A handler, whatever its type.
pub(crate) struct Handler(Box<dyn Fn(Delivery) -> HandlerFuture + Send + Sync>);

impl Handler {
    pub(crate) fn new<H, F>(handler: H) -> Self
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(Box::new(move |delivery| Box::pin(handler(delivery))))
    }

    /// Calls the handler; a panic, in the call or later, is an output too.
    pub(crate) fn call(&self, delivery: Delivery) -> CatchPanic {
        match catch_unwind(AssertUnwindSafe(|| (self.0)(delivery))) {
            Ok(future) => CatchPanic(Ok(future)),
            Err(panic) => CatchPanic(Err(super::panic_text(panic.as_ref()))),
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// A handler's future whose panic is caught and returned as text.
pub(crate) struct CatchPanic(Result<HandlerFuture, String>);

impl Future for CatchPanic {
    type Output = Result<Result<(), HandlerError>, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
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
