//! A saga step has its effect once: a repeated call gets the first output, a call after its compensation is refused.
//!
//! All functions work in the transaction of the effect. Keys are kept for good, one small row per step of a saga: a saga
//! that waits for an operator may be taken back at any later time, and a key that was forgotten would leave its effect.

use rusqlite::{OptionalExtension, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::saga::{CompensationContext, StepContext};

/// Which step, and when it is: what a handler is given, or its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    key: String,
    now: Timestamp,
}

impl Call {
    /// The call with the step's key, [`StepContext::key`] and [`CompensationContext::step_key`].
    #[must_use]
    pub fn new(key: impl Into<String>, now: Timestamp) -> Self {
        let key = key.into();
        Self { key, now }
    }
}

impl From<&StepContext> for Call {
    fn from(context: &StepContext) -> Self {
        Self::new(context.key(), context.clock().now())
    }
}

impl From<&CompensationContext> for Call {
    fn from(context: &CompensationContext) -> Self {
        Self::new(context.step_key(), context.clock().now())
    }
}

/// Does `work` once for a step, in the transaction of its effect. A call that is repeated gets the first output without
/// another effect.
///
/// ```
/// # use sagabus::Result;
/// # use sagabus::saga::StepContext;
/// # use sagabus::sqlite::barrier;
/// # use sagabus::sqlite::rusqlite::Transaction;
/// fn reserve(tx: &Transaction<'_>, context: &StepContext) -> Result<u32> {
///     barrier::step(tx, context, || {
///         tx.execute("UPDATE benches SET taken = 1 WHERE number = 4", ())?;
///         Ok(4)
///     })
/// }
/// ```
///
/// # Errors
/// As `work`. `Conflict` when the step was compensated before this call arrived; `Corrupt` when the first output is not a `T`.
pub fn step<T: Serialize + DeserializeOwned>(
    tx: &Transaction<'_>,
    call: impl Into<Call>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let call = call.into();
    match forward(tx, &call.key)? {
        Forward::Repeat(output) => fitting(output),
        Forward::Run => {
            let output = work()?;
            let json = serde_json::to_value(&output).map_err(|error| {
                Error::invalid("output cannot be written as JSON").with_source(error)
            })?;
            done(tx, &call.key, &json, call.now)?;
            Ok(output)
        }
    }
}

/// Does `work` once for the compensation of a step, in the transaction of what it takes back; a call of the step that comes
/// later is refused. `work` is given what the step returned, and none where the step had no effect here: then there is
/// nothing of it to take back.
///
/// # Errors
/// As `work`; `Corrupt` when the step's output is not a `T`.
pub fn compensation<T: DeserializeOwned>(
    tx: &Transaction<'_>,
    call: impl Into<Call>,
    work: impl FnOnce(Option<T>) -> Result<()>,
) -> Result<()> {
    let call = call.into();
    match backward(tx, &call.key, call.now)? {
        Backward::Run(output) => work(Some(fitting(output)?)),
        Backward::NothingDone => work(None),
        Backward::Repeat => Ok(()),
    }
}

fn fitting<T: DeserializeOwned>(output: Value) -> Result<T> {
    serde_json::from_value(output).map_err(|error| {
        let text = "stored output of a step does not fit its type";
        Error::new(ErrorKind::Corrupt, text).with_source(error)
    })
}

/// What a forward call is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Forward {
    /// Have the effect, then [`done`].
    Run,
    /// Nothing: the effect is there already, with this output.
    Repeat(Value),
}

/// What a compensation is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Backward {
    /// Undo the effect that has this output.
    Run(Value),
    /// There was no effect, and from now on there will be none.
    NothingDone,
    /// Nothing: it was undone already.
    Repeat,
}

/// Begins the forward call `key`.
///
/// # Errors
/// `Conflict` when the step was compensated before this call arrived.
pub fn forward(tx: &Transaction<'_>, key: &str) -> Result<Forward> {
    match find(tx, key)? {
        None => Ok(Forward::Run),
        Some((state, output)) if state == "done" => Ok(Forward::Repeat(read(output.as_deref())?)),
        Some(_) => Err(Error::new(
            ErrorKind::Conflict,
            format!("step `{key}` was compensated before this call arrived"),
        )),
    }
}

/// Ends the forward call `key`: its effect is part of this transaction.
///
/// # Errors
/// `Conflict` when the key has ended already.
pub fn done(tx: &Transaction<'_>, key: &str, output: &Value, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO step_keys (key, state, output, at_ms) VALUES (?1, 'done', ?2, ?3)",
        (key, output.to_string(), now.milliseconds()),
    )?;
    Ok(())
}

/// Begins and ends the compensation of the forward call `key`: a later forward call is refused.
///
/// # Errors
/// As the database says.
pub fn backward(tx: &Transaction<'_>, key: &str, now: Timestamp) -> Result<Backward> {
    let found = find(tx, key)?;
    tx.execute(
        "INSERT INTO step_keys (key, state, at_ms) VALUES (?1, 'undone', ?2)
         ON CONFLICT (key) DO UPDATE SET state = 'undone', at_ms = excluded.at_ms WHERE state = 'done'",
        (key, now.milliseconds()),
    )?;
    match found {
        None => Ok(Backward::NothingDone),
        Some((state, output)) if state == "done" => Ok(Backward::Run(read(output.as_deref())?)),
        Some(_) => Ok(Backward::Repeat),
    }
}

fn find(tx: &Transaction<'_>, key: &str) -> Result<Option<(String, Option<String>)>> {
    Ok(tx
        .prepare_cached("SELECT state, output FROM step_keys WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

fn read(output: Option<&str>) -> Result<Value> {
    serde_json::from_str(output.unwrap_or("null")).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored output of a step is not JSON").with_source(error)
    })
}
