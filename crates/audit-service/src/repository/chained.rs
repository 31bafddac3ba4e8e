//! Takes up the entries of a trail that was a chain of hashes, once, when the database is opened.

use sagabus::sqlite::rusqlite::types::{Value, ValueRef};
use sagabus::sqlite::rusqlite::{OptionalExtension, Transaction};
use sagabus::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

use super::append::add;
use super::tree;

/// The columns that the hash of a chained entry covers, in their order.
const COLUMNS: &str = "seq, id, event_id, time_ms, recorded_ms, service, action, actor_id, actor_email, resource, \
     resource_id, outcome, severity, category, correlation_id, causation_id, details";
const COLUMN_COUNT: usize = 17;
/// Columns of an entry now that a chained one had not; they come before its details.
const NEW_COLUMNS: usize = 8;
const RULE: &[u8] = b"sagabus-audit-1";

/// Adds the chained entries to the tree, each as it was, and drops the chain.
///
/// # Errors
/// `Corrupt` when the chain does not hold: what was tampered with would get proofs.
pub(crate) fn take_up(tx: &Transaction<'_>) -> Result<()> {
    let is_there = "SELECT 1 FROM sqlite_schema WHERE name = 'audit_chained'";
    if !tx.prepare(is_there)?.exists([])? {
        return Ok(());
    }
    let mut prev = vec![0; 32];
    {
        let sql = format!("SELECT {COLUMNS}, prev_hash, hash FROM audit_chained ORDER BY seq");
        let mut select = tx.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let index = tree::size(tx)?;
            let mut values = Vec::with_capacity(COLUMN_COUNT + NEW_COLUMNS);
            for column in 0..COLUMN_COUNT {
                values.push(row.get::<_, Value>(column)?);
            }
            let hash = hash(&prev, &values);
            let fits = values.first() == Some(&Value::Integer(tree::number(index + 1)))
                && row.get_ref("prev_hash")?.as_blob().ok() == Some(prev.as_slice())
                && row.get_ref("hash")?.as_blob().ok() == Some(hash.as_slice());
            if !fits {
                return Err(broken(index + 1));
            }
            let details = values.pop().unwrap_or(Value::Null);
            values.extend(std::iter::repeat_n(Value::Null, NEW_COLUMNS));
            values.push(details);
            add(tx, index, &values)?;
            prev = hash;
        }
    }
    let size = tree::size(tx)?;
    let head: Option<(i64, Vec<u8>)> = tx
        .query_row("SELECT seq, hash FROM audit_chained_head", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if head != Some((tree::number(size), prev)) {
        return Err(broken(size + 1));
    }
    tx.execute_batch("DROP TABLE audit_chained; DROP TABLE audit_chained_head;")?;
    Ok(())
}

fn broken(sequence: u64) -> Error {
    let text = format!(
        "entry {sequence} of the audit trail does not fit its chain of hashes, so the trail cannot be taken over: put the \
         file back from a backup, or move it away to begin a new trail"
    );
    Error::new(ErrorKind::Corrupt, text)
}

fn hash(prev: &[u8], columns: &[Value]) -> Vec<u8> {
    let mut sha = Sha256::new();
    let mut add = |kind: u8, bytes: &[u8]| {
        sha.update([kind]);
        sha.update((bytes.len() as u64).to_be_bytes());
        sha.update(bytes);
    };
    add(b'r', RULE);
    add(b'p', prev);
    for column in columns {
        match ValueRef::from(column) {
            ValueRef::Null => add(b'n', &[]),
            ValueRef::Integer(number) => add(b'i', &number.to_be_bytes()),
            ValueRef::Real(number) => add(b'f', &number.to_be_bytes()),
            ValueRef::Text(text) => add(b't', text),
            ValueRef::Blob(bytes) => add(b'b', bytes),
        }
    }
    sha.finalize().to_vec()
}
