//! Whether each entry is found by each index.
//!
//! The indexes are no part of the tree, and one that was changed hides entries from whoever asks, although all are there.
//! SQLite's own check looks for each entry in each index, which takes twice as long as to check the tree. Here each index is
//! read once from its beginning to its end, beside the entries: its keys must be in order, and must be those that the entries
//! have. That they are is told by a sum of numbers that a hash with a secret of this one check makes of them. How the indexes
//! are declared is looked at besides.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use sagabus::Result;
use sagabus::sqlite::rusqlite::types::ValueRef;
use sagabus::sqlite::rusqlite::{Connection, Row, Transaction};

use super::{COLUMNS, tree};

/// An index: its name, the places of its columns among those of an entry, and whether it leaves out entries without a value.
struct Index(&'static str, &'static [usize], bool);

/// All indexes of the entries, as `trail.sql` declares them.
const INDEXES: [Index; 7] = [
    Index("sqlite_autoindex_audit_entries_1", &[1], false),
    Index("sqlite_autoindex_audit_entries_2", &[2], false),
    Index("audit_entries_by_time", &[3], false),
    Index("audit_entries_by_action", &[6], false),
    Index("audit_entries_by_actor", &[7], true),
    Index("audit_entries_by_resource", &[9, 10], false),
    Index("audit_entries_by_correlation", &[14], false),
];

/// The keys of the first entries of the trail, as a sum for each index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    secret: RandomState,
    up_to: i64,
    sums: [u64; INDEXES.len()],
    /// The bytes of a key.
    key: Vec<u8>,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        (self.up_to, self.sums) == (other.up_to, other.sums)
    }
}

impl Keys {
    /// None yet, of as many entries as the trail says that it has.
    pub(crate) fn none(tx: &Transaction<'_>) -> Self {
        Self {
            // A trail that cannot say it is broken, which the check of its tree tells.
            up_to: tree::size(tx).map_or(0, tree::number),
            ..Self::default()
        }
    }

    /// Adds those of an entry.
    pub(super) fn add(&mut self, columns: &[ValueRef<'_>]) {
        let Some(&ValueRef::Integer(sequence)) = columns.first() else {
            return;
        };
        if sequence > self.up_to {
            return;
        }
        for (index, Index(_, places, leaves_out)) in INDEXES.iter().enumerate() {
            let values = places.iter().filter_map(|place| columns.get(*place));
            if *leaves_out && values.clone().any(|it| *it == ValueRef::Null) {
                continue;
            }
            if write(values.copied(), sequence, &mut self.key) {
                self.count(index);
            }
        }
    }

    fn count(&mut self, index: usize) {
        let mut hasher = self.secret.build_hasher();
        hasher.write(&self.key);
        if let Some(sum) = self.sums.get_mut(index) {
            *sum = sum.wrapping_add(hasher.finish());
        }
    }

    /// The keys that the indexes have of these entries; nothing where one of them, or the order of entries or of the tree, is
    /// not as it should be.
    pub(crate) fn of_indexes(mut self, connection: &mut Connection) -> Result<Option<Self>> {
        let tx = connection.transaction()?;
        // Whether each page is where it belongs, and the entries are in order.
        let check = "PRAGMA quick_check('audit_entries')";
        let said: String = tx.query_row(check, [], |row| row.get(0))?;
        if said != "ok" || !is_tree_in_order(&tx)? {
            return Ok(None);
        }
        for index in 0..INDEXES.len() {
            if !self.add_index(&tx, index)? {
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    fn add_index(&mut self, tx: &Transaction<'_>, at: usize) -> Result<bool> {
        let Some(Index(name, places, leaves_out)) = INDEXES.get(at) else {
            return Ok(false);
        };
        let all: Vec<&str> = COLUMNS.split(", ").collect();
        let columns: Vec<&str> = places
            .iter()
            .filter_map(|it| all.get(*it).copied())
            .collect();
        let columns = columns.join(", ");
        let only = match leaves_out {
            true => format!(" WHERE {columns} IS NOT NULL"),
            false => String::new(),
        };
        let keys = format!("SELECT {columns}, seq FROM audit_entries INDEXED BY {name}{only}");
        let mut keys = tx.prepare(&keys)?;
        let mut rows = keys.query([])?;
        let mut before = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(sequence) = self.read(row, places.len())? else {
                return Ok(false);
            };
            if before.as_slice().cmp(&self.key) != Ordering::Less {
                return Ok(false);
            }
            if sequence <= self.up_to {
                self.count(at);
            }
            std::mem::swap(&mut before, &mut self.key);
        }
        Ok(true)
    }

    /// Reads a key of so many columns, and tells which entry it is of.
    fn read(&mut self, row: &Row<'_>, columns: usize) -> Result<Option<i64>> {
        let sequence = row.get(columns)?;
        let values: Result<Vec<_>, _> = (0..columns).map(|it| row.get_ref(it)).collect();
        Ok(write(values?, sequence, &mut self.key).then_some(sequence))
    }
}

/// The bytes of a key, in the order in which SQLite has keys: nothing, numbers, texts. No column of an index is of another kind.
fn write<'a>(
    values: impl IntoIterator<Item = ValueRef<'a>>,
    sequence: i64,
    to: &mut Vec<u8>,
) -> bool {
    let number = |it: i64| (it.cast_unsigned() ^ 1 << 63).to_be_bytes();
    to.clear();
    for value in values {
        match value {
            ValueRef::Null => to.push(0),
            ValueRef::Integer(it) => {
                to.push(1);
                to.extend(number(it));
            }
            ValueRef::Text(text) => {
                to.push(2);
                for (at, part) in text.split(|it| *it == 0).enumerate() {
                    if at > 0 {
                        to.extend([0, 255]);
                    }
                    to.extend(part);
                }
                to.extend([0, 0]);
            }
            ValueRef::Real(_) | ValueRef::Blob(_) => return false,
        }
    }
    to.extend(number(sequence));
    true
}

/// Whether each part of the tree comes behind the one before, so that each is found.
fn is_tree_in_order(tx: &Transaction<'_>) -> Result<bool> {
    let mut nodes = tx.prepare("SELECT level, idx FROM audit_nodes")?;
    let mut rows = nodes.query([])?;
    let mut before = None;
    while let Some(row) = rows.next()? {
        let place: (i64, i64) = (row.get(0)?, row.get(1)?);
        if before.is_some_and(|before| before >= place) {
            return Ok(false);
        }
        before = Some(place);
    }
    Ok(true)
}

/// What SQLite's own check finds wrong with entries, indexes and tree, and with which entry, where it names one.
pub(crate) fn index_fault(connection: &Connection) -> Result<Option<(Option<u64>, String)>> {
    // `row 41 missing from index audit_entries_by_resource`, or something that is about no entry alone.
    let entry = |said: &String| said.strip_prefix("row ")?.split(' ').next()?.parse().ok();
    for table in ["audit_entries", "audit_nodes"] {
        let mut check = connection.prepare(&format!("PRAGMA integrity_check('{table}')"))?;
        let said: Vec<String> = check
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let about_one = said.iter().find_map(|it| Some((Some(entry(it)?), it)));
        let about_any = said.first().map(|it| (None, it));
        if let Some((sequence, fault)) = about_one.or(about_any)
            && fault != "ok"
        {
            let fault = fault.lines().next().unwrap_or_default();
            let text = format!("not every entry can be found and proven: {fault}");
            return Ok(Some((sequence, text)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
