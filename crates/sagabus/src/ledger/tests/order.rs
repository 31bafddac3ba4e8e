//! Events of one key, one after the other.

use super::*;

fn per_key(exhausted: Exhausted) -> Ledger {
    let mut ledger = ledger(Order::PerKey, exhausted);
    let events = vec![
        keyed(1, "a"),
        keyed(2, "a"),
        keyed(3, "b"),
        keyed(4, "a"),
        keyed(5, "b"),
    ];
    ledger.apply(at(1), &taken(6, events));
    ledger
}

#[test]
fn one_event_of_a_key_is_handed_out_at_a_time_and_other_keys_do_not_wait() {
    let mut ledger = per_key(Exhausted::ParkKey);
    assert_eq!(hand_out(&mut ledger, 1, 9), [(1, 1), (3, 1)]);
    assert_eq!(hand_out(&mut ledger, 1, 9), []);
    ledger.apply(at(1), &acked(3));
    assert_eq!(hand_out(&mut ledger, 1, 9), [(5, 1)]);
    ledger.apply(at(1), &acked(1));
    assert_eq!(hand_out(&mut ledger, 1, 9), [(2, 1)]);
}

#[test]
fn a_waiting_retry_holds_up_its_key_and_no_other() {
    let mut ledger = per_key(Exhausted::ParkKey);
    assert_eq!(hand_out(&mut ledger, 1, 9), [(1, 1), (3, 1)]);
    ledger.apply(at(1), &retry(1, 60));
    ledger.apply(at(1), &acked(3));
    assert_eq!(hand_out(&mut ledger, 59, 9), [(5, 1)]);
    assert_eq!(hand_out(&mut ledger, 60, 9), [(1, 2)]);
    ledger.apply(at(60), &acked(1));
    assert_eq!(hand_out(&mut ledger, 60, 9), [(2, 1)]);
}

#[test]
fn events_behind_a_dead_letter_are_parked_until_it_is_settled() {
    for end in [
        Change::Discarded {
            positions: vec![1],
            reason: "no longer needed".to_owned(),
            author: "ann".to_owned(),
        },
        Change::SkippedBy {
            positions: vec![1],
            by: By::default(),
        },
    ] {
        let mut ledger = per_key(Exhausted::ParkKey);
        assert_eq!(hand_out(&mut ledger, 1, 9), [(1, 1), (3, 1)]);
        ledger.apply(at(1), &dead(1));
        assert_eq!(hand_out(&mut ledger, 1, 9), []);
        assert_eq!(ledger.counts().parked, 2);
        assert_eq!(ledger.parked_by(1), 2);
        assert!(ledger.is_parked(2) && ledger.is_parked(4) && !ledger.is_parked(5));
        ledger.apply(at(2), &end);
        assert_eq!(ledger.counts().parked, 0);
        assert_eq!(hand_out(&mut ledger, 2, 9), [(2, 1)]);
    }
}

#[test]
fn a_redriven_head_goes_first_and_its_followers_after_it() {
    let mut ledger = per_key(Exhausted::ParkKey);
    hand_out(&mut ledger, 1, 9);
    ledger.apply(at(1), &dead(1));
    ledger.apply(at(2), &redriven(&[1]));
    assert_eq!(ledger.counts().parked, 0);
    assert_eq!(hand_out(&mut ledger, 2, 9), [(1, 1)]);
    ledger.apply(at(2), &acked(1));
    assert_eq!(hand_out(&mut ledger, 2, 9), [(2, 1)]);
}

#[test]
fn a_key_skips_ahead_where_that_was_asked_for() {
    let mut ledger = per_key(Exhausted::SkipAhead);
    assert_eq!(hand_out(&mut ledger, 1, 9), [(1, 1), (3, 1)]);
    ledger.apply(at(1), &dead(1));
    assert_eq!(hand_out(&mut ledger, 1, 9), [(2, 1)]);
    // Redriven, it is the earliest of its key, and waits until the one at work is done.
    ledger.apply(at(2), &redriven(&[1]));
    assert_eq!(hand_out(&mut ledger, 2, 9), []);
    ledger.apply(at(2), &acked(2));
    assert_eq!(hand_out(&mut ledger, 2, 9), [(1, 1)]);
}

#[test]
fn a_subscription_pauses_at_a_dead_letter_where_that_was_asked_for() {
    let mut ledger = per_key(Exhausted::Pause);
    assert_eq!(hand_out(&mut ledger, 1, 9), [(1, 1), (3, 1)]);
    ledger.apply(at(1), &dead(1));
    ledger.apply(at(1), &acked(3));
    assert_eq!(hand_out(&mut ledger, 1, 9), []);
    assert!(ledger.is_paused(at(1)));
    let by = By::new("ann", "repaired");
    ledger.apply(at(2), &Change::Resumed { by });
    assert_eq!(hand_out(&mut ledger, 2, 9), [(2, 1), (5, 1)]);
}

#[test]
fn strict_order_has_one_event_at_work() {
    let mut ledger = ledger(Order::Strict, Exhausted::ParkKey);
    ledger.apply(
        at(1),
        &taken(4, vec![keyed(1, "a"), keyed(2, "b"), keyed(3, "c")]),
    );
    for position in 1..=3 {
        assert_eq!(hand_out(&mut ledger, 1, 9), [(position, 1)]);
        ledger.apply(at(1), &acked(position));
    }
}

#[test]
fn events_without_a_key_are_in_no_order() {
    let mut ledger = ledger(Order::PerKey, Exhausted::ParkKey);
    let plain = |position| Taken {
        key: None,
        ..keyed(position, "")
    };
    ledger.apply(at(1), &taken(3, vec![plain(1), plain(2)]));
    assert_eq!(hand_out(&mut ledger, 1, 9), [(1, 1), (2, 1)]);
}

#[test]
fn urgent_events_do_not_pass_earlier_ones_of_their_key() {
    let mut ledger = ledger(Order::PerKey, Exhausted::ParkKey);
    let urgent = |position, key| Taken {
        priority: Priority::Urgent,
        ..keyed(position, key)
    };
    let events = vec![keyed(1, "a"), urgent(2, "a"), keyed(3, "b"), urgent(4, "c")];
    ledger.apply(at(1), &taken(5, events));
    assert_eq!(hand_out(&mut ledger, 1, 1), [(4, 1)]);
    assert_eq!(hand_out(&mut ledger, 1, 1), [(1, 1)]);
    ledger.apply(at(1), &acked(1));
    assert_eq!(hand_out(&mut ledger, 1, 1), [(2, 1)]);
}
