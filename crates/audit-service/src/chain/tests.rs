//! The rule of the chain, which must never change for entries that exist.

use super::*;

fn of(columns: &[ValueRef<'_>]) -> String {
    hex(&hash(&START, columns.iter().copied()))
}

#[test]
fn the_hash_of_a_known_entry_stays_what_it_is() {
    let columns = [
        ValueRef::Integer(1),
        ValueRef::Text(b"sample.created"),
        ValueRef::Null,
        ValueRef::Blob(b"{}"),
    ];
    // Made by Python's hashlib from the rule in words.
    assert_eq!(
        of(&columns),
        "b8705671d8e9dc4ca38944a8d0b30926d767a57b6439225903e37f6d48671aee"
    );
}

#[test]
fn columns_that_read_the_same_when_run_together_have_different_hashes() {
    let text = |text: &'static str| ValueRef::Text(text.as_bytes());
    assert_ne!(of(&[text("ab"), text("c")]), of(&[text("a"), text("bc")]));
    assert_ne!(of(&[text("")]), of(&[ValueRef::Null]));
    assert_ne!(of(&[text("a")]), of(&[ValueRef::Blob(b"a")]));
    assert_ne!(of(&[text("a")]), of(&[text("a"), text("")]));
}

#[test]
fn the_hash_depends_on_the_one_before() {
    assert_ne!(hash(&START, []), hash(&hash(&START, []), []));
}
