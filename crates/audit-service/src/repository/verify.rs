//! Feeds a check with the entries and the tree of the database.

use sagabus::Result;
use sagabus::sqlite::rusqlite::types::ValueRef;
use sagabus::sqlite::rusqlite::{Row, Rows, Transaction};

use super::tree::number;
use super::{COLUMN_COUNT, COLUMNS, Keys};
use crate::check::{Checker, Fault};
use crate::leaf;
use crate::merkle::{Hash, Node};

/// Entries in one transaction, so that a long check does not hold up new entries.
const CHUNK: u64 = 1_024;

/// A check under way.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) checker: Checker,
    /// By what the entries are to be found that were met.
    pub(crate) keys: Keys,
}

/// What a part of a check came to.
#[derive(Debug)]
pub(crate) enum Checked {
    /// More entries follow.
    Some(Pass),
    /// The last entry was met, or the first that does not fit.
    All(Pass, Option<Fault>),
}

impl Pass {
    /// Checks some more entries.
    pub(crate) fn go_on(mut self, tx: &Transaction<'_>) -> Result<Checked> {
        let from = self.checker.count();
        let mut nodes = Vec::new();
        if let Err(fault) = self.entries(tx, &mut nodes)? {
            return Ok(Checked::All(self, Some(fault)));
        }
        let to = self.checker.count();
        if let Some(fault) = inner_nodes(tx, &nodes, (from, to))? {
            return Ok(Checked::All(self, Some(fault)));
        }
        if to - from == CHUNK {
            return Ok(Checked::Some(self));
        }
        if let Some(fault) = end(tx, to)? {
            self.checker.beside(fault);
        }
        Ok(Checked::All(self, None))
    }

    /// The next entries and leaves, as far as there are some without a gap.
    fn entries(
        &mut self,
        tx: &Transaction<'_>,
        nodes: &mut Vec<Node>,
    ) -> Result<Result<(), Fault>> {
        let from = self.checker.count();
        let mut leaves = tx.prepare_cached(
            "SELECT idx, hash FROM audit_nodes WHERE level = 0 AND idx >= ?1 AND idx < ?2 ORDER BY idx",
        )?;
        let mut leaves = leaves.query((number(from), number(from + CHUNK)))?;
        let mut contents = tx.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM audit_entries WHERE seq > ?1 AND seq <= ?2 ORDER BY seq"
        ))?;
        let mut contents = contents.query((number(from), number(from + CHUNK)))?;
        let mut content = self.next(&mut contents)?;
        while let Some(row) = leaves.next()? {
            let sequence = self.checker.count() + 1;
            if row.get::<_, i64>(0)? != number(sequence - 1) {
                break;
            }
            let Some(leaf) = hash(row)? else {
                let text = format!("the leaf of entry {sequence} is no hash");
                return Ok(Err(Fault::new(sequence, text)));
            };
            let here = content.take_if(|(seq, _)| *seq == number(sequence));
            let bytes = here.as_ref().map(|(_, bytes)| bytes.as_slice());
            if let Err(fault) = self.checker.entry(bytes, leaf, |node| nodes.push(node)) {
                return Ok(Err(fault));
            }
            if content.is_none() {
                content = self.next(&mut contents)?;
            }
        }
        Ok(Ok(()))
    }

    /// Sequence and bytes of the next entry that has content.
    fn next(&mut self, rows: &mut Rows<'_>) -> Result<Option<(i64, Vec<u8>)>> {
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let columns = columns(row)?;
        self.keys.add(&columns);
        Ok(Some((row.get(0)?, leaf::bytes(columns))))
    }
}

/// The bytes of an entry, from a row of its columns.
pub(super) fn bytes(row: &Row<'_>) -> Result<Vec<u8>> {
    Ok(leaf::bytes(columns(row)?))
}

fn columns<'a>(row: &'a Row<'_>) -> Result<Vec<ValueRef<'a>>> {
    let columns: Result<_, _> = (0..COLUMN_COUNT).map(|it| row.get_ref(it)).collect();
    Ok(columns?)
}

fn hash(row: &Row<'_>) -> Result<Option<Hash>> {
    let blob = row.get_ref(1)?.as_blob().ok();
    Ok(blob.and_then(|it| it.try_into().ok()))
}

/// Compares the subtrees that the entries complete with those that are stored.
fn inner_nodes(
    tx: &Transaction<'_>,
    completed: &[Node],
    (from, to): (u64, u64),
) -> Result<Option<Fault>> {
    let mut select = tx.prepare_cached(
        "SELECT idx, hash FROM audit_nodes WHERE level = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx",
    )?;
    for level in (1..u64::BITS).take_while(|level| to >> level > 0) {
        let mut rows = select.query((level, number(from >> level), number(to >> level)))?;
        for node in completed.iter().filter(|node| node.level == level) {
            let fits = match rows.next()? {
                Some(row) => {
                    row.get::<_, i64>(0)? == number(node.index) && hash(row)? == Some(node.hash)
                }
                None => false,
            };
            if !fits {
                let first = (node.index << level) + 1;
                let last = (node.index + 1) << level;
                let text = format!("the tree over entries {first} to {last} is not what they give");
                return Ok(Some(Fault::new(first, text)));
            }
        }
    }
    Ok(None)
}

/// Whether nothing is there beyond the last entry, and the head says so too.
fn end(tx: &Transaction<'_>, size: u64) -> Result<Option<Fault>> {
    let next = size + 1;
    let at = |text: String| Ok(Some(Fault::new(next, text)));
    let head = "SELECT count(*), max(size), max(is_emptying) FROM audit_head";
    let head: (i64, Option<i64>, Option<i64>) = tx.query_row(head, [], |row| row.try_into())?;
    match head {
        (1, Some(said), Some(0)) if said == number(size) => {}
        (1, Some(said), Some(0)) => {
            return at(format!(
                "the trail has {size} entries, and its head says {said}"
            ));
        }
        (1, ..) => {
            return at("the head of the trail says that entries are being emptied".to_owned());
        }
        (heads, ..) => return at(format!("the trail has {heads} heads")),
    }
    let beyond = "SELECT 1 FROM audit_entries WHERE seq > ?1 UNION ALL SELECT 1 FROM audit_entries WHERE seq < 1";
    if tx.prepare_cached(beyond)?.exists([number(size)])? {
        return at(format!(
            "there is an entry that is not among the {size} of the tree"
        ));
    }
    for level in 0..u64::BITS {
        let count = number(size >> level);
        let beyond = "SELECT 1 FROM audit_nodes WHERE level = ?1 AND idx >= ?2 \
                      UNION ALL SELECT 1 FROM audit_nodes WHERE level = ?1 AND idx < 0";
        if tx.prepare_cached(beyond)?.exists((level, count))? {
            return at(format!("the tree has more than its {size} entries give"));
        }
    }
    let levels = "SELECT 1 FROM audit_nodes WHERE level > 63 UNION ALL SELECT 1 FROM audit_nodes WHERE level < 0";
    match tx.prepare_cached(levels)?.exists([])? {
        true => at(format!("the tree has more than its {size} entries give")),
        false => Ok(None),
    }
}
