//! Proofs from the stored tree.

use sagabus::sqlite::rusqlite::{OptionalExtension, Transaction};
use sagabus::{Error, Result};

use super::tree;
use crate::merkle;
use crate::model::{ConsistencyProof, InclusionProof};

/// The sequence of an entry with this id.
pub(crate) fn sequence_of(tx: &Transaction<'_>, id: &str) -> Result<u64> {
    let seq: Option<i64> = tx
        .prepare_cached("SELECT seq FROM audit_entries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    seq.and_then(|seq| u64::try_from(seq).ok())
        .ok_or_else(|| Error::not_found("no audit entry has this id"))
}

/// Proves that an entry is in the tree of `size` entries; of all that there are, where no size is said.
pub(crate) fn inclusion(
    tx: &Transaction<'_>,
    sequence: u64,
    size: Option<u64>,
) -> Result<InclusionProof> {
    let size = within(tx, "size", size)?;
    let index = sequence.checked_sub(1);
    let path = index.and_then(|index| Some((index, merkle::inclusion(index, size)?)));
    let (index, path) = path.ok_or_else(|| {
        Error::not_found(format!(
            "audit entry {sequence} is not among the first {size}"
        ))
    })?;
    Ok(InclusionProof {
        sequence,
        leaf: tree::node(tx, 0, index)?.into(),
        hashes: tree::hashes(tx, path)?
            .into_iter()
            .map(Into::into)
            .collect(),
        tree: tree::state(tx, size)?.into(),
    })
}

/// Proves that the tree of `from` entries is the beginning of that of `to`.
pub(crate) fn consistency(
    tx: &Transaction<'_>,
    from: u64,
    to: Option<u64>,
) -> Result<ConsistencyProof> {
    let to = within(tx, "to", to)?;
    let path = merkle::consistency(from, to).ok_or_else(|| {
        Error::invalid(format!(
            "`from` is {from}, and must be a whole number, 1 to {to}"
        ))
    })?;
    Ok(ConsistencyProof {
        from: tree::state(tx, from)?.into(),
        to: tree::state(tx, to)?.into(),
        hashes: tree::hashes(tx, path)?
            .into_iter()
            .map(Into::into)
            .collect(),
    })
}

fn within(tx: &Transaction<'_>, name: &str, size: Option<u64>) -> Result<u64> {
    let all = tree::size(tx)?;
    let size = size.unwrap_or(all);
    match size <= all {
        true => Ok(size),
        false => Err(Error::invalid(format!(
            "`{name}` is {size}, and the trail has {all} entries"
        ))),
    }
}
