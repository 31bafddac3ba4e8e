//! A saga step has its effect once: a repeated call gets the first output, a call after its compensation is refused.
//!
//! All functions work in the transaction of the effect. Keys are kept for good, one small row per step of a saga: a saga
//! that waits for an operator may be taken back at any later time, and a key that was forgotten would leave its effect.
//! A call with an older fencing token than one that was seen for its key is refused: it was overtaken.

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
    fence: Option<u64>,
}

impl Call {
    /// The call with the step's key, [`StepContext::key`] and [`CompensationContext::step_key`]. Without a fencing token it is
    /// never refused as overtaken.
    #[must_use]
    pub fn new(key: impl Into<String>, now: Timestamp) -> Self {
        Self {
            key: key.into(),
            now,
            fence: None,
        }
    }

    /// Gives the call its fencing token, [`CallContext::fence`](crate::saga::CallContext::fence).
    #[must_use]
    pub fn fenced(self, fence: u64) -> Self {
        let fence = Some(fence);
        Self { fence, ..self }
    }

    /// The token as the database has it: one beyond its numbers is later than all others.
    fn stored_fence(&self) -> i64 {
        let fence = self.fence.unwrap_or_default();
        i64::try_from(fence).unwrap_or(i64::MAX)
    }
}

impl From<&StepContext> for Call {
    fn from(context: &StepContext) -> Self {
        Self::new(context.key(), context.clock().now()).fenced(context.fence())
    }
}

impl From<&CompensationContext> for Call {
    fn from(context: &CompensationContext) -> Self {
        Self::new(context.step_key(), context.clock().now()).fenced(context.fence())
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
/// As `work`. `Conflict` when the step was compensated before this call arrived; `Fenced` when it was overtaken; `Corrupt` when
/// the first output is not a `T`.
pub fn step<T: Serialize + DeserializeOwned>(
    tx: &Transaction<'_>,
    call: impl Into<Call>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let call = call.into();
    match forward(tx, &call)? {
        Forward::Repeat(output) => fitting(output),
        Forward::Run => {
            let output = work()?;
            let json = serde_json::to_value(&output).map_err(|error| {
                Error::invalid("output cannot be written as JSON").with_source(error)
            })?;
            done(tx, &call, &json)?;
            Ok(output)
        }
    }
}

/// Does `work` once for the compensation of a step, in the transaction of what it takes back; a call of the step that comes
/// later is refused. `work` is given what the step returned, and none where the step had no effect here: then there is
/// nothing of it to take back.
///
/// # Errors
/// As `work`; `Fenced` when the call was overtaken; `Corrupt` when the step's output is not a `T`.
pub fn compensation<T: DeserializeOwned>(
    tx: &Transaction<'_>,
    call: impl Into<Call>,
    work: impl FnOnce(Option<T>) -> Result<()>,
) -> Result<()> {
    let call = call.into();
    match backward(tx, &call)? {
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

/// Begins a forward call.
///
/// # Errors
/// `Conflict` when the step was compensated before this call arrived; `Fenced` when the call was overtaken.
pub fn forward(tx: &Transaction<'_>, call: &Call) -> Result<Forward> {
    let Some(found) = find(tx, call)? else {
        return Ok(Forward::Run);
    };
    if !found.is_done {
        let text = format!(
            "step `{}` was compensated before this call arrived",
            call.key
        );
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    if call.stored_fence() > found.fence {
        tx.execute(
            "UPDATE step_keys SET fence = ?2 WHERE key = ?1",
            (&call.key, call.stored_fence()),
        )?;
    }
    Ok(Forward::Repeat(read(found.output.as_deref())?))
}

/// Ends a forward call: its effect is part of this transaction.
///
/// # Errors
/// `Conflict` when the key has ended already.
pub fn done(tx: &Transaction<'_>, call: &Call, output: &Value) -> Result<()> {
    tx.execute(
        "INSERT INTO step_keys (key, state, output, at_ms, fence) VALUES (?1, 'done', ?2, ?3, ?4)",
        (
            &call.key,
            output.to_string(),
            call.now.milliseconds(),
            call.stored_fence(),
        ),
    )?;
    Ok(())
}

/// Begins and ends the compensation of the forward call with the same key: a later forward call is refused.
///
/// # Errors
/// `Fenced` when the call was overtaken.
pub fn backward(tx: &Transaction<'_>, call: &Call) -> Result<Backward> {
    let found = find(tx, call)?;
    tx.execute(
        "INSERT INTO step_keys (key, state, at_ms, fence) VALUES (?1, 'undone', ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET
            at_ms = CASE state WHEN 'done' THEN excluded.at_ms ELSE at_ms END,
            state = 'undone',
            fence = max(fence, excluded.fence)",
        (&call.key, call.now.milliseconds(), call.stored_fence()),
    )?;
    match found {
        None => Ok(Backward::NothingDone),
        Some(found) if found.is_done => Ok(Backward::Run(read(found.output.as_deref())?)),
        Some(_) => Ok(Backward::Repeat),
    }
}

/// What is there of a key.
struct Found {
    is_done: bool,
    output: Option<String>,
    fence: i64,
}

fn find(tx: &Transaction<'_>, call: &Call) -> Result<Option<Found>> {
    let found = tx
        .prepare_cached("SELECT state = 'done', output, fence FROM step_keys WHERE key = ?1")?
        .query_row([&call.key], |row| {
            Ok(Found {
                is_done: row.get(0)?,
                output: row.get(1)?,
                fence: row.get(2)?,
            })
        })
        .optional()?;
    if let (Some(found), Some(fence)) = (&found, call.fence)
        && call.stored_fence() < found.fence
    {
        let text = format!(
            "step `{}` was called with fencing token {}, and this call has {fence}",
            call.key, found.fence
        );
        return Err(Error::new(ErrorKind::Fenced, text));
    }
    Ok(found)
}

fn read(output: Option<&str>) -> Result<Value> {
    serde_json::from_str(output.unwrap_or("null")).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored output of a step is not JSON").with_source(error)
    })
}
