//! The tree as rows: its complete subtrees, each under its level and place.

use std::ops::Range;

use sagabus::sqlite::rusqlite::{OptionalExtension, Transaction};
use sagabus::{Error, ErrorKind, Result};

use super::to_hash;
use crate::merkle::{self, Hash};
use crate::note::State;

/// How many entries there are.
pub(crate) fn size(tx: &Transaction<'_>) -> Result<u64> {
    let size: i64 = tx
        .prepare_cached("SELECT size FROM audit_head")?
        .query_row([], |row| row.get(0))?;
    u64::try_from(size)
        .map_err(|_| Error::new(ErrorKind::Corrupt, "the trail has a size below zero"))
}

/// Adds a leaf at the end, and every subtree that it completes.
pub(super) fn push(tx: &Transaction<'_>, index: u64, leaf: Hash) -> Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT INTO audit_nodes (level, idx, hash) VALUES (?1, ?2, ?3)")?;
    let (mut level, mut index, mut hash) = (0, index, leaf);
    loop {
        insert.execute((level, number(index), hash))?;
        if index % 2 == 0 {
            break;
        }
        hash = merkle::node(&node(tx, level, index - 1)?, &hash);
        (level, index) = (level + 1, index / 2);
    }
    tx.prepare_cached("UPDATE audit_head SET size = size + 1")?
        .execute([])?;
    Ok(())
}

/// The hash of a complete subtree.
pub(crate) fn node(tx: &Transaction<'_>, level: u32, index: u64) -> Result<Hash> {
    let hash: Option<Vec<u8>> = tx
        .prepare_cached("SELECT hash FROM audit_nodes WHERE level = ?1 AND idx = ?2")?
        .query_row((level, number(index)), |row| row.get(0))
        .optional()?;
    let hash = hash.ok_or_else(|| {
        let text = format!("subtree {index} of level {level} is not in the trail");
        Error::new(ErrorKind::Corrupt, text)
    })?;
    to_hash(&hash)
}

/// The tree of the first `size` entries.
pub(crate) fn state(tx: &Transaction<'_>, size: u64) -> Result<State> {
    let root = range_hash(tx, 0..size)?;
    Ok(State { size, root })
}

/// The hashes of ranges of leaves, as a proof holds them.
pub(crate) fn hashes(tx: &Transaction<'_>, ranges: Vec<Range<u64>>) -> Result<Vec<Hash>> {
    ranges.into_iter().map(|it| range_hash(tx, it)).collect()
}

fn range_hash(tx: &Transaction<'_>, range: Range<u64>) -> Result<Hash> {
    merkle::range_hash(range, |level, index| node(tx, level, index))
}

/// A place as SQLite has it.
pub(super) fn number(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
