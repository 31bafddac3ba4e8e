//! Walks the chain and finds the first entry that does not fit.

use sagabus::Result;
use sagabus::sqlite::rusqlite::{Row, Transaction};

use super::{COLUMN_COUNT, COLUMNS};
use crate::chain::{self, Hash};

/// Entries in one transaction, so that a long check does not hold up new entries.
const CHUNK: u32 = 1_000;

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Entries that fit so far.
    pub(crate) count: u64,
    /// Hash of the last of them.
    pub(crate) hash: Hash,
    /// Whether there is more to check.
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// More entries follow.
    Going,
    /// The chain holds to its end.
    Whole,
    /// The entry after `count` does not fit, or is missing.
    Broken,
}

impl Check {
    pub(crate) const START: Self = Self {
        count: 0,
        hash: chain::START,
        state: State::Going,
    };
}

/// Checks some more entries.
pub(crate) fn verify_some(tx: &Transaction<'_>, from: Check) -> Result<Check> {
    let mut check = from;
    let mut select = tx.prepare_cached(&format!(
        "SELECT {COLUMNS}, prev_hash, hash FROM audit_entries WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    ))?;
    let mut rows = select.query((i64::try_from(from.count).unwrap_or(i64::MAX), CHUNK))?;
    while let Some(row) = rows.next()? {
        let Some(hash) = fitting(row, &check)? else {
            check.state = State::Broken;
            return Ok(check);
        };
        check.count += 1;
        check.hash = hash;
    }
    if check.count == from.count {
        check.state = if is_end(tx, &check)? {
            State::Whole
        } else {
            State::Broken
        };
    }
    Ok(check)
}

/// The hash of the entry if it is the next one and its hashes are right.
fn fitting(row: &Row<'_>, check: &Check) -> Result<Option<Hash>> {
    let mut columns = Vec::with_capacity(COLUMN_COUNT);
    for index in 0..COLUMN_COUNT {
        columns.push(row.get_ref(index)?);
    }
    let seq: i64 = row.get(0)?;
    let hash = chain::hash(&check.hash, columns);
    let fits = u64::try_from(seq) == Ok(check.count + 1)
        && row.get_ref("prev_hash")?.as_blob().ok() == Some(check.hash.as_slice())
        && row.get_ref("hash")?.as_blob().ok() == Some(hash.as_slice());
    Ok(fits.then_some(hash))
}

/// Whether the chain is as long as it was when its last entry was made.
fn is_end(tx: &Transaction<'_>, check: &Check) -> Result<bool> {
    let mut select = tx.prepare_cached("SELECT seq, hash FROM audit_head")?;
    let mut rows = select.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(false);
    };
    let seq: i64 = row.get(0)?;
    Ok(u64::try_from(seq) == Ok(check.count)
        && row.get_ref(1)?.as_blob().ok() == Some(check.hash.as_slice()))
}
