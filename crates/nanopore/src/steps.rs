//! How a saga calls a step of a service, and how it takes the step back.

use sagabus::event::Cause;
use sagabus::saga::{CallContext, CompensationContext, StepContext, StepError};
use sagabus::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A call of a step. A repeat with the same key has no second effect and gets the first output.
#[derive(Clone, Debug)]
pub struct StepCall {
    /// Names the step of this saga for ever, over attempts and restarts.
    pub key: String,
    /// Fencing token: a call that was overtaken by one with a higher token is refused.
    pub fence: u64,
    /// Why; every event of the step carries it.
    pub cause: Cause,
    /// What the saga was started with.
    pub input: Value,
}

/// A compensation: takes back what the call with `forward_key` did, and keeps it from being done later.
#[derive(Clone, Debug)]
pub struct UndoCall {
    /// Key of the call to take back.
    pub forward_key: String,
    /// Fencing token, as of the call.
    pub fence: u64,
    /// Why; every event of the compensation carries it.
    pub cause: Cause,
    /// What went wrong, for people.
    pub reason: String,
    /// What the saga was started with.
    pub input: Value,
}

impl StepCall {
    /// The call that the orchestrator makes.
    ///
    /// # Errors
    /// [`StepError::Reject`] when the saga's input is not JSON.
    pub fn of(context: &StepContext) -> Result<Self, StepError> {
        Ok(Self {
            key: context.key(),
            fence: context.fence(),
            cause: cause(context),
            input: context.input_as()?,
        })
    }
}

impl UndoCall {
    /// The compensation that the orchestrator calls for.
    ///
    /// # Errors
    /// [`StepError::Reject`] when the saga's input is not JSON.
    pub fn of(context: &CompensationContext) -> Result<Self, StepError> {
        Ok(Self {
            forward_key: context.step_key(),
            fence: context.fence(),
            cause: cause(context),
            reason: context.reason().to_owned(),
            input: context.input_as()?,
        })
    }
}

fn cause(context: &CallContext) -> Cause {
    Cause {
        correlation_id: context.correlation_id().to_owned(),
        causation_id: context.causation_id().cloned(),
    }
}

/// Reads `value` as what a step expects.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn read<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T> {
    T::deserialize(value)
        .map_err(|error| Error::invalid(format!("{name} does not fit the step")).with_source(error))
}
