//! The rule of an entry's bytes, which must never change for entries that exist.

use super::*;
use crate::merkle::{hex, leaf};

#[test]
fn the_leaf_of_a_known_entry_stays_what_it_is() {
    let of = bytes([
        ValueRef::Integer(1),
        ValueRef::Text(b"sample.created"),
        ValueRef::Null,
        ValueRef::Blob(b"{}"),
    ]);
    // Made by Python's hashlib from the rule in words.
    assert_eq!(
        hex(&leaf(&of)),
        "5e81edbce6996cac25900ba6bd887b5247feded4f66c3737aa078f8e214f81f8"
    );
    let read: Vec<_> = (0..5).map(|it| column(&of, it)).collect();
    let expected = [&1_i64.to_be_bytes(), &b"sample.created"[..], b"", b"{}"];
    assert_eq!(read, [&expected.map(Some)[..], &[None]].concat());
    for end in 0..of.len() {
        assert_eq!(column(&of[..end], 3), None, "cut at {end}");
    }
}

#[test]
fn columns_that_read_the_same_when_run_together_have_different_bytes() {
    let text = |text: &'static str| ValueRef::Text(text.as_bytes());
    assert_ne!(
        bytes([text("ab"), text("c")]),
        bytes([text("a"), text("bc")])
    );
    assert_ne!(bytes([text("")]), bytes([ValueRef::Null]));
    assert_ne!(bytes([text("a")]), bytes([ValueRef::Blob(b"a")]));
    assert_ne!(bytes([text("a")]), bytes([text("a"), text("")]));
}
