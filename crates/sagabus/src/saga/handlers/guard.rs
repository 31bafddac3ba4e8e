//! Calls of handlers, whatever they do.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::{Running, StepError};
use crate::event::DATA_BYTES_MAX;

/// The step is done when its output turns out to be unfit, so it is in doubt.
pub(crate) fn checked(output: Bytes) -> Result<Bytes, StepError> {
    if output.len() > DATA_BYTES_MAX {
        return Err(StepError::InDoubt(format!(
            "output has {} bytes, more than {DATA_BYTES_MAX}",
            output.len()
        )));
    }
    match serde_json::from_slice::<&serde_json::value::RawValue>(&output) {
        Ok(_) => Ok(output),
        Err(error) => Err(StepError::InDoubt(format!("output is not JSON: {error}"))),
    }
}

/// Calls a handler; a panic is a failure that leaves the effect in doubt.
pub(crate) async fn guarded<T>(
    handler: impl FnOnce() -> Running<T> + Send,
) -> Result<T, StepError> {
    let called = catch_unwind(AssertUnwindSafe(handler));
    let mut running = called.map_err(|panic| panicked(panic.as_ref()))?;
    poll_fn(move |context| {
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)));
        match polled {
            Ok(poll) => poll,
            Err(panic) => std::task::Poll::Ready(Err(panicked(panic.as_ref()))),
        }
    })
    .await
}

fn panicked(panic: &(dyn Any + Send)) -> StepError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    StepError::InDoubt(format!("handler panicked: {}", text.unwrap_or("no text")))
}
