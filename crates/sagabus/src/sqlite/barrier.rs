//! A saga step has its effect once: a repeated call gets the first output, a call after its compensation is refused.
//!
//! All functions work in the transaction of the effect. Keys are kept for good, one small row per step of a saga: a saga
//! that waits for an operator may be taken back at any later time, and a key that was forgotten would leave its effect.

use rusqlite::{OptionalExtension, Transaction};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

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
