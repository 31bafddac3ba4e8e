//! An entry as the bytes that the tree is made of: what may never change for entries that exist.

use sagabus::sqlite::rusqlite::types::ValueRef;

/// Names the rule; another rule gets another name, so that no entry fits two of them.
const RULE: &[u8] = b"sagabus-audit-2";

/// The bytes of an entry: the name of the rule, and each column in the order of the table. Each has a letter for its type,
/// its length in eight bytes, and then itself, so that what reads the same when run together stays apart.
pub(crate) fn bytes<'a>(columns: impl IntoIterator<Item = ValueRef<'a>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1_024);
    add(&mut bytes, b'r', RULE);
    for column in columns {
        match column {
            ValueRef::Null => add(&mut bytes, b'n', &[]),
            ValueRef::Integer(number) => add(&mut bytes, b'i', &number.to_be_bytes()),
            ValueRef::Real(number) => add(&mut bytes, b'f', &number.to_be_bytes()),
            ValueRef::Text(text) => add(&mut bytes, b't', text),
            ValueRef::Blob(blob) => add(&mut bytes, b'b', blob),
        }
    }
    bytes
}

fn add(to: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    to.push(kind);
    to.extend((bytes.len() as u64).to_be_bytes());
    to.extend(bytes);
}

/// The bytes of one column, from 0.
pub(crate) fn column(mut bytes: &[u8], index: usize) -> Option<&[u8]> {
    for _rule_and_those_before in 0..=index {
        take(&mut bytes)?;
    }
    take(&mut bytes).map(|(_, column)| column)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (column, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((*kind, column))
}

#[cfg(test)]
mod tests;
