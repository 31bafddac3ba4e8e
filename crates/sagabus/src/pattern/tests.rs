//! The table of patterns.

use super::*;

fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let pattern = Pattern::new(pattern).unwrap();
    for name in yes {
        assert!(
            pattern.matches(&EventType::new(*name).unwrap()),
            "{pattern} should match {name}"
        );
    }
    for name in no {
        assert!(
            !pattern.matches(&EventType::new(*name).unwrap()),
            "{pattern} should not match {name}"
        );
    }
}

#[test]
fn a_star_is_one_word_and_alone_it_is_everything() {
    check(
        "sample.created",
        &["sample.created"],
        &["sample.updated", "sample", "sample.created.x"],
    );
    check(
        "sample.*",
        &["sample.created"],
        &["sample", "samples.created", "sample.a.b"],
    );
    check(
        "*.failed",
        &["saga.failed"],
        &["failed", "a.b.failed", "saga.completed"],
    );
    check(
        "sample.**",
        &["sample.created", "sample.a.b"],
        &["sample", "saga.failed"],
    );
    check("sample.>", &["sample.a.b"], &["sample"]);
    check("*", &["error", "a.b", "a.b.c"], &[]);
    check("**", &["error", "a.b.c"], &[]);
    check("*.*", &["a.b"], &["a", "a.b.c"]);
    check("a.*.c", &["a.b.c"], &["a.c", "a.b.b"]);
}

#[test]
fn bad_patterns_are_refused() {
    for text in [
        "",
        ".",
        "a.",
        "a b",
        "a.**.b",
        "sam*",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q",
        &"a".repeat(256),
    ] {
        assert!(Pattern::new(text).is_err(), "{text}");
    }
    assert!(Pattern::new(&"a".repeat(255)).is_ok());
}
