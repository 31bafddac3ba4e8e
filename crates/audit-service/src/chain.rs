//! The chain of the trail: the hash of an entry covers all its columns and the hash before it.

use sagabus::sqlite::rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

/// A hash of the chain.
pub type Hash = [u8; 32];

/// What the first entry follows.
pub const START: Hash = [0; 32];

/// Names the rule; another rule gets another name, so that no entry fits two of them.
const RULE: &[u8] = b"sagabus-audit-1";

/// The hash of an entry: SHA-256 over the rule's name, the hash before, and each column with its type and length.
pub fn hash<'a>(prev: &Hash, columns: impl IntoIterator<Item = ValueRef<'a>>) -> Hash {
    let mut sha = Sha256::new();
    add(&mut sha, b'r', RULE);
    add(&mut sha, b'p', prev);
    for column in columns {
        match column {
            ValueRef::Null => add(&mut sha, b'n', &[]),
            ValueRef::Integer(number) => add(&mut sha, b'i', &number.to_be_bytes()),
            ValueRef::Real(number) => add(&mut sha, b'f', &number.to_be_bytes()),
            ValueRef::Text(text) => add(&mut sha, b't', text),
            ValueRef::Blob(bytes) => add(&mut sha, b'b', bytes),
        }
    }
    sha.finalize().into()
}

/// The hash as people read it.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(hash.len() * 2);
    for byte in hash {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

/// The length before the bytes keeps apart what would read the same when run together.
fn add(sha: &mut Sha256, kind: u8, bytes: &[u8]) {
    sha.update([kind]);
    sha.update((bytes.len() as u64).to_be_bytes());
    sha.update(bytes);
}

#[cfg(test)]
mod tests;
