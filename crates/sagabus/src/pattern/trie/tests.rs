//! The set of patterns against the plain rule of one pattern, and its speed.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};

use super::*;
use crate::clock::{Clock, SystemClock};

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn event_type(text: &str) -> EventType {
    EventType::new(text).unwrap()
}

/// The ids that want a type, in order; a second visit of one fails.
fn wanted<T: Clone + Eq + Hash + Ord>(set: &PatternSet<T>, text: &str) -> Vec<T> {
    let mut ids = Vec::new();
    set.matches(&event_type(text), |id| ids.push(id.clone()));
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "{text}: an id was visited twice");
    ids
}

#[test]
fn an_id_is_visited_once_however_many_of_its_patterns_match() {
    let mut set = PatternSet::default();
    for text in ["sample.created", "sample.*", "*.created", "sample.**", "**"] {
        assert!(set.insert(&pattern(text), 7), "{text}");
    }
    set.insert(&pattern("saga.*"), 8);
    assert_eq!(wanted(&set, "sample.created"), [7]);
    assert_eq!(wanted(&set, "saga.created"), [7, 8]);
    assert_eq!(set.len(), 6);
}

#[test]
fn a_pattern_is_there_once_for_an_id_and_goes_with_its_last_use() {
    let mut set = PatternSet::default();
    assert!(set.insert(&pattern("a.*.c"), 1));
    assert!(!set.insert(&pattern("a.*.c"), 1));
    assert!(set.insert(&pattern("a.*.c"), 2));
    assert!(!set.remove(&pattern("a.*"), &1));
    assert!(!set.remove(&pattern("a.*.c"), &3));
    assert!(set.remove(&pattern("a.*.c"), &1));
    assert!(!set.remove(&pattern("a.*.c"), &1));
    assert_eq!(wanted(&set, "a.b.c"), [2]);
    assert!(set.remove(&pattern("a.*.c"), &2));
    assert!(set.is_empty());
    assert_eq!(set.words.len(), 0);
    assert!(set.nodes.iter().all(Node::is_empty));
    assert!(set.slots.iter().all(Option::is_none));
}

#[test]
fn room_that_patterns_leave_is_used_again() {
    let mut set = PatternSet::default();
    for round in 0..1_000 {
        let texts = [format!("sample.s{round}.*"), format!("*.w{round}")];
        for text in &texts {
            set.insert(&pattern(text), round);
        }
        for text in &texts {
            set.remove(&pattern(text), &round);
        }
    }
    assert!(set.nodes.len() < 10, "{}", set.nodes.len());
    assert!(set.slots.len() < 10, "{}", set.slots.len());
    assert!(set.words.is_empty());
}

fn words(word: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Vec<&'static str>> {
    vec(word, 1..6)
}

/// Few words, so that many patterns match.
fn patterns() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("a"), Just("b"), Just("*"), Just("a-b")];
    let end = prop_oneof![Just(""), Just(".**"), Just(".>")];
    prop_oneof![
        8 => (words(word), end).prop_map(|(words, end)| format!("{}{end}", words.join("."))),
        1 => Just("**".to_owned()),
    ]
}

proptest::proptest! {
    #[test]
    fn the_set_wants_what_its_patterns_want(
        steps in vec((0_u8..4, 0_u8..8, patterns()), 0..60),
        types in vec(words(prop_oneof![Just("a"), Just("b"), Just("c"), Just("a-b")]), 1..8),
    ) {
        let mut set = PatternSet::default();
        let mut plain: BTreeSet<(String, u8)> = BTreeSet::new();
        for (step, id, text) in steps {
            if step == 0 {
                // One that is there, so that much is taken away.
                let pick = plain.iter().nth(usize::from(id) % plain.len().max(1)).cloned();
                if let Some((text, id)) = pick {
                    plain.remove(&(text.clone(), id));
                    proptest::prop_assert!(set.remove(&pattern(&text), &id));
                    proptest::prop_assert!(!set.remove(&pattern(&text), &id));
                }
            } else {
                // `**` and `>`, and a `*` alone, are ways to write one pattern.
                let same = if text == "*" { "**".to_owned() } else { text.replace('>', "**") };
                let fresh = plain.insert((same, id));
                proptest::prop_assert_eq!(set.insert(&pattern(&text), id), fresh);
            }
            proptest::prop_assert_eq!(set.len(), plain.len());
        }
        for words in types {
            let text = words.join(".");
            let expected: BTreeSet<u8> = plain
                .iter()
                .filter(|(it, _)| pattern(it).matches(&event_type(&text)))
                .map(|(_, id)| *id)
                .collect();
            let found = wanted(&set, &text);
            proptest::prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{}", text);
        }
    }
}

/// Sets of patterns that are hard for a trie, and an event for each.
fn hard(count: u32) -> Vec<(&'static str, Vec<Pattern>, EventType)> {
    let mut shapes = Vec::new();
    let mut shape = |name, event: &str, text: &dyn Fn(u32) -> String| {
        let patterns = (0..count).map(|id| pattern(&text(id))).collect();
        shapes.push((name, patterns, event_type(event)));
    };
    // Each subscription wants something of its own behind words that all share.
    shape("a.*.*.*.*.w<id>", "a.b.c.d.e.w500", &|id| {
        format!("a.*.*.*.*.w{id}")
    });
    shape(
        "a.*…, 1 to 15 stars, own last word",
        "a.b.b.b.b.b.b.b.b.b.b.b.b.b.b.w13",
        &|id| format!("a{}.w{id}", ".*".repeat(1 + id as usize % 14)),
    );
    shape("sample.<id>.*", "sample.s500.created", &|id| {
        format!("sample.s{id}.*")
    });
    // Both ways exist at ten words, and of a thousand places that they lead to one has the last word.
    shape(
        "{a,*} at ten words, own last word",
        "a.a.a.a.a.a.a.a.a.a.w0",
        &|id| {
            let choice = |bit: u32| if id >> bit & 1 == 0 { "a" } else { "*" };
            let words: Vec<_> = (0..10).map(choice).collect();
            format!("{}.w{id}", words.join("."))
        },
    );
    // The most that sixteen words allow: 32,768 places to look at, and no more however many patterns there are.
    shape(
        "{a,*} at fifteen words, own last word",
        "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.w0",
        &|id| {
            let choice = |bit: u32| if id >> bit & 1 == 0 { "a" } else { "*" };
            let words: Vec<_> = (0..15).map(choice).collect();
            format!("{}.w{id}", words.join("."))
        },
    );
    shapes
}

/// Prints what one match costs among 100,000 subscriptions: `RUN_SLOW=1 cargo test --release -p sagabus --lib
/// hard_sets -- --nocapture`. What is asserted is that the set agrees with its patterns; the figure is for reading.
#[test]
fn hard_sets_of_patterns_agree_with_their_patterns_and_say_what_a_match_costs() {
    let slow = std::env::var_os("RUN_SLOW").is_some();
    let (count, rounds) = if slow { (100_000, 1_000) } else { (2_000, 10) };
    for (name, patterns, event_type) in hard(count) {
        let mut set = PatternSet::default();
        for (id, pattern) in patterns.iter().enumerate() {
            set.insert(pattern, id);
        }
        let mut found = 0_u32;
        let mut best = Duration::MAX;
        let mut sum = Duration::ZERO;
        for _ in 0..rounds {
            found = 0;
            let start = SystemClock.elapsed();
            set.matches(&event_type, |_| found += 1);
            let took = SystemClock.elapsed().saturating_sub(start);
            best = best.min(took);
            sum += took;
        }
        let mean = sum / rounds;
        println!("{name}: {count} patterns, {found} match, mean {mean:?}, best {best:?}");
        let expected = patterns.iter().filter(|it| it.matches(&event_type));
        assert_eq!(found as usize, expected.count(), "{name}");
    }
}
