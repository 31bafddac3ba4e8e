//! Proofs of inclusion and consistency: of what they are made (RFC 6962, 2.1), and their check (RFC 9162, 2.1.3 and 2.1.4).

use std::ops::Range;

use super::{Hash, empty, node};

/// The largest power of two that is less than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The ranges of leaves whose hashes prove that leaf `index` is in the tree of `size` leaves, in the order of the proof.
/// Nothing for a leaf that is not in it.
#[must_use]
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The ranges of leaves whose hashes prove that the tree of `old` leaves is the beginning of that of `new` leaves. Nothing
/// where there is nothing to prove from: `old` is 0, or more than `new`.
#[must_use]
pub fn consistency(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old == 0 || old > new {
        return None;
    }
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    // Whether the old tree is a subtree of the new one as it stands, whose root the other side has.
    let mut is_known = true;
    while old < end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
            is_known = false;
        }
    }
    if !is_known {
        path.push(start..end);
    }
    path.reverse();
    Some(path)
}

/// The complete subtrees that a range of leaves falls into, from left to right, as level and index. The range must start
/// where a range of a proof can.
pub fn peaks(range: Range<u64>) -> impl Iterator<Item = (u32, u64)> {
    let Range { mut start, end } = range;
    std::iter::from_fn(move || {
        let rest = end.checked_sub(start).filter(|rest| *rest > 0)?;
        let level = rest.ilog2();
        let peak = (level, start >> level);
        start += 1 << level;
        Some(peak)
    })
}

/// The hash of a range of leaves, from the complete subtrees that `get` knows.
///
/// # Errors
/// As `get`.
pub fn range_hash<E>(
    range: Range<u64>,
    mut get: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let mut hashes = Vec::new();
    for (level, index) in peaks(range) {
        hashes.push(get(level, index)?);
    }
    let mut hashes = hashes.into_iter().rev();
    let Some(last) = hashes.next() else {
        return Ok(empty());
    };
    Ok(hashes.fold(last, |right, left| node(&left, &right)))
}

/// Whether `path` proves that `leaf` is at `index` of the tree of `size` leaves that has this root.
#[must_use]
pub fn is_included(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for other in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = node(other, &hash);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, other);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree of `old.0` leaves with the root `old.1` is the beginning of the other.
#[must_use]
pub fn is_consistent(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return path.is_empty() && old_root == new_root;
    }
    let mut path = path.iter();
    let first = match old_size.is_power_of_two() {
        true => Some(old_root),
        false => path.next(),
    };
    let Some(first) = first else {
        return false;
    };
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at % 2 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (*first, *first);
    for other in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            from_old = node(other, &from_old);
            from_new = node(other, &from_new);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node(&from_new, other);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}
