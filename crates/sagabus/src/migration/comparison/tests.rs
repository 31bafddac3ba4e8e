//! Tests of comparisons.

use super::*;

fn id(number: usize) -> EventId {
    EventId::new(format!("e{number}")).unwrap()
}

fn done(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn failed(text: &str) -> Result<String, String> {
    Err(text.to_owned())
}

fn check(old: &Result<String, String>, bus: &Result<String, String>, is_same: bool) {
    for first in [Way::Old, Way::Bus] {
        let comparison = Comparison::default();
        let outcome = |way| {
            if way == Way::Old {
                old.clone()
            } else {
                bus.clone()
            }
        };
        comparison.note(first, &id(1), outcome(first));
        assert_eq!(comparison.tally().waiting, 1);
        comparison.note(first.other(), &id(1), outcome(first.other()));
        let tally = comparison.tally();
        assert_eq!(tally.waiting, 0);
        assert_eq!(
            (tally.same, tally.different),
            if is_same { (1, 0) } else { (0, 1) }
        );
        let kept: Vec<_> = comparison.mismatches();
        assert_eq!(kept.is_empty(), is_same);
        assert!(kept.iter().all(|it| it.old == *old && it.bus == *bus));
    }
}

#[test]
fn outcomes_are_the_same_when_the_effect_is_or_both_failed_whichever_comes_first() {
    check(&done("label S-1"), &done("label S-1"), true);
    check(&done("label S-1"), &done("label S-2"), false);
    check(&failed("printer is off"), &failed("no printer"), true);
    check(&done("label S-1"), &failed("no printer"), false);
}

#[test]
fn an_event_that_comes_again_is_compared_once() {
    let comparison = Comparison::default();
    for _ in 0..3 {
        comparison.note(Way::Old, &id(1), done("a"));
        comparison.note(Way::Old, &id(1), done("b"));
        comparison.note(Way::Bus, &id(1), done("a"));
    }
    let expected = Tally {
        same: 1,
        ..Tally::default()
    };
    assert_eq!(comparison.tally(), expected);
}

#[test]
fn what_one_way_never_says_is_counted_and_memory_stays_bounded() {
    let comparison = Comparison::default();
    for number in 0..EVENTS_MAX + 30 {
        let way = if number % 3 == 0 { Way::Bus } else { Way::Old };
        comparison.note(way, &id(number), done("x"));
    }
    let tally = comparison.tally();
    assert_eq!((tally.old_only, tally.bus_only), (20, 10));
    assert_eq!(tally.waiting, EVENTS_MAX as u64);
    let book = comparison.book();
    assert_eq!(
        (book.events.len(), book.order.len()),
        (EVENTS_MAX, EVENTS_MAX)
    );
}

#[test]
fn long_outcomes_are_compared_whole_and_kept_short() {
    let comparison = Comparison::default();
    let long = "ä".repeat(TEXT_BYTES_MAX);
    comparison.note(Way::Old, &id(1), done(&format!("{long}1")));
    comparison.note(Way::Bus, &id(1), done(&format!("{long}2")));
    assert_eq!(comparison.tally().different, 1);
    let mismatch = comparison.mismatches().remove(0);
    assert_eq!(mismatch.old.unwrap().len(), TEXT_BYTES_MAX);
}
