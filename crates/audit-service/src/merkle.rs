//! The tree over the trail (RFC 6962): its hashes, and what of it must be known to prove something. No I/O.

mod frontier;
mod proof;

use sha2::{Digest, Sha256};

pub use frontier::{Frontier, Node};
pub use proof::{consistency, inclusion, is_consistent, is_included, peaks, range_hash};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// The root of a tree without leaves.
#[must_use]
pub fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of a leaf, which is one entry as bytes.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(bytes)
        .finalize()
        .into()
}

/// The hash of two trees side by side.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// Bytes as people read them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
