//! A tree that grows leaf by leaf and remembers only its complete subtrees.

use super::{Hash, empty, node};

/// A complete subtree: that of the `2^level` leaves from `index * 2^level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0 for a leaf.
    pub level: u32,
    /// Its place among those of its level, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The complete subtrees of a tree, from left to right, each smaller than the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and tells of each subtree that it completes, beginning with the leaf itself.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Node)) {
        let mut new = Node {
            level: 0,
            index: self.size,
            hash: leaf,
        };
        completed(new);
        while new.index % 2 == 1
            && let Some(left) = self.peaks.pop()
        {
            new = Node {
                level: new.level + 1,
                index: new.index / 2,
                hash: node(&left, &new.hash),
            };
            completed(new);
        }
        self.peaks.push(new.hash);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return empty();
        };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}
