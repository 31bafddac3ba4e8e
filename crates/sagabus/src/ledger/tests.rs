//! The fold of ledger records, and who may be handed out.

mod form;
mod order;
mod random;

use super::*;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(seconds * 1000)
}

pub(super) fn fault(attempt: u32) -> Fault {
    Fault::new(attempt, at(1), 5, "error", "boom")
}

pub(super) fn ledger(order: Order, exhausted: Exhausted) -> Ledger {
    let mut ledger = Ledger::default();
    let wants = Wants {
        patterns: vec!["*".to_owned()],
        order,
        exhausted,
        ..Wants::default()
    };
    ledger.apply(at(0), &Change::Began { wants, start: 1 });
    ledger.apply(at(0), &joined(1));
    ledger
}

pub(super) fn joined(epoch: u64) -> Change {
    Change::Joined {
        epoch,
        floor: Some(epoch),
    }
}

pub(super) fn leased(cursor: u64, leases: &[(u64, u32)]) -> Change {
    Change::Leased {
        cursor,
        leases: leases.to_vec(),
        filtered: 0,
        taken: Vec::new(),
        filter_errors: 0,
        epoch: 0,
    }
}

pub(super) fn taken(cursor: u64, taken: Vec<Taken>) -> Change {
    Change::Leased {
        cursor,
        leases: Vec::new(),
        filtered: 0,
        taken,
        filter_errors: 0,
        epoch: 0,
    }
}

/// An event of a key.
pub(super) fn keyed(position: u64, key: &str) -> Taken {
    Taken {
        position,
        key: Some(Key::of(key)),
        priority: Priority::Normal,
        expires_at: None,
        group: 0,
    }
}

pub(super) fn settled(settle: Settled) -> Change {
    Change::Settled {
        settles: vec![settle],
    }
}

pub(super) fn acked(position: u64) -> Change {
    settled(Settled::Acked { position })
}

pub(super) fn retry(position: u64, due: i64) -> Change {
    settled(Settled::RetryAt {
        position,
        due: at(due),
        fault: Box::new(fault(1)),
    })
}

pub(super) fn dead(position: u64) -> Change {
    settled(Settled::Dead {
        position,
        fault: Box::new(fault(1)),
    })
}

fn redriven(positions: &[u64]) -> Change {
    Change::Redriven {
        positions: positions.to_vec(),
        spacing_ms: 0,
        by: By::default(),
        delay_ms: 0,
    }
}

/// Hands out up to `max` at a time, and says what.
pub(super) fn hand_out(ledger: &mut Ledger, now: i64, max: usize) -> Vec<(u64, u32)> {
    let elapsed = Duration::from_secs(u64::try_from(now).unwrap());
    ledger.advance(at(now), elapsed);
    let picked = ledger.pick(at(now), max);
    ledger.apply(at(now), &leased(0, &picked.leases));
    for position in picked.expired {
        ledger.apply(at(now), &settled(Settled::Expired { position }));
    }
    picked.leases
}

#[test]
fn a_retry_is_due_at_its_time_and_not_before() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(at(1), &retry(2, 10));
    assert_eq!(hand_out(&mut ledger, 9, 10), []);
    assert_eq!(ledger.rest(at(9)), Some(Duration::from_secs(1)));
    assert_eq!(hand_out(&mut ledger, 10, 10), [(2, 2)]);
    assert_eq!(ledger.rest(at(10)), None);
    ledger.apply(at(10), &acked(2));
    assert_eq!(
        ledger.counts(),
        Counts {
            matched: 1,
            acked: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_lease_of_a_process_that_ended_comes_back_with_its_attempt_counted() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(5, &[(2, 1), (4, 1)]));
    ledger.apply(at(2), &acked(2));
    ledger.apply(at(3), &joined(2));
    assert_eq!(hand_out(&mut ledger, 3, 10), [(4, 2)]);
}

#[test]
fn a_state_that_is_said_anew_can_be_said_anew_between_any_two_of_its_parts() {
    let mut whole = ledger(Order::Unordered, Exhausted::SkipAhead);
    let leases: Vec<(u64, u32)> = (1..200).map(|position| (position, 1)).collect();
    whole.apply(at(1), &leased(200, &leases));
    let parts = whole.restated(64);
    assert!(parts.len() > 20, "{}", parts.len());
    for cut in 0..=parts.len() {
        let mut before = Ledger::default();
        for part in &parts[..cut] {
            before.apply(at(2), part);
        }
        let mut after = Ledger::default();
        for part in before.restated(50) {
            let Change::Restated { state, .. } = &part else {
                panic!("{part:?}")
            };
            assert!(state.len() <= 50);
            after.apply(at(3), &part);
        }
        assert_eq!(after, before);
        for part in &parts[cut..] {
            after.apply(at(4), part);
        }
        assert_eq!(after, whole, "cut at {cut}");
        assert!(!after.is_unreadable());
    }
    // What was cut short for good is forgotten with the next change.
    let mut cut_short = Ledger::default();
    cut_short.apply(at(2), &parts[0]);
    cut_short.apply(at(3), &joined(2));
    assert_eq!(
        cut_short.restated(64).len(),
        Ledger::default().restated(64).len()
    );
}

#[test]
fn a_state_said_anew_in_an_unknown_form_is_not_passed_over() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    let unknown = Change::Restated {
        part: 0,
        parts: 1,
        state: "x".into(),
    };
    ledger.apply(at(1), &unknown);
    assert!(ledger.is_unreadable());
    for change in ledger.restated(PART_BYTES) {
        ledger.apply(at(2), &change);
    }
    assert!(!ledger.is_unreadable());
}

#[test]
fn the_latest_repairs_are_remembered_within_a_bound_and_restated() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    let by = By::new("ann", "typo");
    let skip = |ledger: &mut Ledger, count: u64| {
        let positions = (0..count).collect();
        ledger
            .repairs
            .note(at(1), RepairAct::Skipped, &by, positions);
    };
    let numbers = |ledger: &Ledger| -> Vec<u64> {
        let found = ledger.repairs().before(None, None);
        found.map(|it| it.number).collect()
    };
    for _ in 0..REPAIRS_MAX + 10 {
        skip(&mut ledger, 1);
    }
    let expected: Vec<u64> = (11..=REPAIRS_MAX as u64 + 10).rev().collect();
    assert_eq!(numbers(&ledger), expected);
    for _ in 0..12 {
        skip(&mut ledger, 10_000);
    }
    assert_eq!(numbers(&ledger).len(), 10, "100,000 positions");
    skip(&mut ledger, 200_000);
    assert_eq!(numbers(&ledger).len(), 1, "the latest is always there");
    let mut other = Ledger::default();
    for change in ledger.restated(PART_BYTES) {
        other.apply(at(2), &change);
    }
    assert_eq!(other, ledger);
    skip(&mut other, 1);
    let latest = other.repairs().before(None, None).next().unwrap();
    assert_eq!(latest.number, numbers(&ledger)[0] + 1);
}

#[test]
fn a_member_that_leaves_gives_up_its_leases_and_no_others() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    let second = Change::Joined {
        epoch: 2,
        floor: Some(1),
    };
    ledger.apply(at(1), &second);
    ledger.apply(at(1), &leased(4, &[(3, 1)]));
    ledger.apply(at(2), &Change::Left { epoch: 1 });
    assert_eq!(hand_out(&mut ledger, 2, 10), [(2, 2)]);
    assert!(ledger.holds(2));
}

#[test]
fn a_released_delivery_is_not_counted_as_an_attempt() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(at(2), &settled(Settled::Released { position: 2 }));
    assert_eq!(hand_out(&mut ledger, 2, 10), [(2, 1)]);
}

#[test]
fn a_dead_letter_keeps_its_faults_when_it_is_redriven_with_fresh_attempts() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(at(1), &retry(2, 1));
    assert_eq!(hand_out(&mut ledger, 1, 1), [(2, 2)]);
    ledger.apply(at(2), &dead(2));
    let (position, letter) = ledger.dead_after(0).next().unwrap();
    assert_eq!((position, letter.attempts, letter.faults.len()), (2, 2, 2));
    ledger.apply(at(3), &redriven(&[2, 2, 99]));
    assert_eq!(hand_out(&mut ledger, 3, 1), [(2, 1)]);
    let again = ledger.get(2).unwrap();
    assert_eq!((again.redrives, again.faults.len()), (1, 2));
    ledger.apply(at(4), &dead(2));
    let redrives: Vec<u32> = ledger
        .get(2)
        .unwrap()
        .faults
        .iter()
        .map(|it| it.redrives)
        .collect();
    assert_eq!(redrives, [0, 0, 1]);
}

#[test]
fn redriven_ones_follow_each_other_at_the_rate_asked_for() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(4, &[(1, 1), (2, 1), (3, 1)]));
    for position in 1..=3 {
        ledger.apply(at(1), &dead(position));
    }
    let slowly = Change::Redriven {
        positions: vec![1, 2, 3],
        spacing_ms: 2000,
        by: By::default(),
        delay_ms: 1000,
    };
    ledger.apply(at(10), &slowly);
    assert_eq!(hand_out(&mut ledger, 10, 9), []);
    assert_eq!(hand_out(&mut ledger, 11, 9), [(1, 1)]);
    assert_eq!(hand_out(&mut ledger, 12, 9), []);
    assert_eq!(hand_out(&mut ledger, 13, 9), [(2, 1)]);
    assert_eq!(hand_out(&mut ledger, 15, 9), [(3, 1)]);
}

#[test]
fn a_settle_of_something_not_leased_changes_nothing() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(at(1), &acked(2));
    let before = ledger.clone();
    ledger.apply(at(2), &acked(2));
    ledger.apply(at(2), &dead(7));
    let discarded = Change::Discarded {
        positions: vec![2, 7],
        reason: "x".to_owned(),
        author: String::new(),
    };
    ledger.apply(at(2), &discarded);
    assert_eq!(ledger, before);
}

#[test]
fn an_event_that_ended_two_processes_is_tried_alone_and_after_the_others() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(4, &[(1, 1), (2, 1), (3, 1)]));
    ledger.apply(at(2), &joined(2));
    assert_eq!(hand_out(&mut ledger, 2, 9).len(), 3);
    ledger.apply(at(3), &acked(1));
    ledger.apply(at(3), &joined(3));
    ledger.apply(at(3), &taken(6, vec![keyed(4, "a"), keyed(5, "b")]));
    assert_eq!(hand_out(&mut ledger, 4, 9), [(4, 1), (5, 1)]);
    assert_eq!(hand_out(&mut ledger, 4, 9), []);
    ledger.apply(at(4), &acked(4));
    ledger.apply(at(4), &acked(5));
    assert_eq!(hand_out(&mut ledger, 5, 9), [(2, 3)]);
    assert_eq!(hand_out(&mut ledger, 5, 9), [], "alone");
    ledger.apply(at(5), &dead(2));
    assert_eq!(hand_out(&mut ledger, 5, 9), [(3, 3)]);
    assert_eq!(ledger.get(3).unwrap().silent, 2);
}

#[test]
fn an_event_past_its_time_is_not_handed_out() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    let short = Taken {
        expires_at: Some(at(5)),
        ..keyed(1, "a")
    };
    ledger.apply(at(1), &taken(3, vec![short, keyed(2, "b")]));
    assert_eq!(hand_out(&mut ledger, 5, 9), [(2, 1)]);
    assert_eq!(ledger.counts().expired, 1);
    assert!(ledger.counts().is_conserved());
}

#[test]
fn a_paused_subscription_hands_out_nothing_until_it_is_resumed_or_its_time_is_over() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &taken(2, vec![keyed(1, "a")]));
    let pause = |until: Option<i64>| Change::Paused {
        pause: Pause {
            at: at(1),
            by: By::new("ann", "upgrade"),
            until: until.map(at),
        },
    };
    ledger.apply(at(1), &pause(Some(20)));
    assert_eq!(hand_out(&mut ledger, 19, 9), []);
    ledger.apply(at(19), &pause(None));
    assert_eq!(hand_out(&mut ledger, 30, 9), []);
    let by = By::default();
    ledger.apply(at(30), &Change::Resumed { by });
    assert_eq!(hand_out(&mut ledger, 30, 9), [(1, 1)]);
}

#[test]
fn retries_have_a_budget_that_successes_fill_again() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.tune(Tuning {
        budget: RetryBudget {
            tokens_max: 3,
            per_second: 1,
            successes_per_token: 5,
        },
        ..Tuning::default()
    });
    let all: Vec<(u64, u32)> = (1..=20).map(|position| (position, 1)).collect();
    ledger.apply(at(0), &leased(21, &all));
    for (position, _) in &all {
        ledger.apply(at(0), &retry(*position, 0));
    }
    assert_eq!(hand_out(&mut ledger, 0, 99).len(), 3);
    assert_eq!(hand_out(&mut ledger, 0, 99).len(), 0);
    let second = hand_out(&mut ledger, 1, 99);
    assert_eq!(second.len(), 1, "a trickle");
    ledger.apply(at(1), &acked(second[0].0));
    assert_eq!(
        hand_out(&mut ledger, 1, 99).len(),
        2,
        "each success brings two"
    );
}

#[test]
fn a_delay_is_no_longer_than_it_was_when_the_clock_was_set_back_while_nobody_looked() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(10_000), &leased(2, &[(1, 1)]));
    ledger.apply(at(10_000), &retry(1, 10_060));
    ledger.wake(at(5_000));
    assert_eq!(hand_out(&mut ledger, 5_059, 9), []);
    assert_eq!(hand_out(&mut ledger, 5_060, 9), [(1, 2)]);
}

#[test]
fn a_revised_payload_is_kept_with_all_before_it() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(2, &[(1, 1)]));
    ledger.apply(at(1), &dead(1));
    for (number, data) in (2..40).zip(std::iter::repeat("{}")) {
        let by = By::new("ann", "typo");
        let data = data.into();
        ledger.apply(
            at(number),
            &Change::Revised {
                position: 1,
                by,
                data,
            },
        );
    }
    let revisions = &ledger.get(1).unwrap().revisions;
    assert_eq!(revisions.len(), REVISIONS_MAX);
    assert_eq!(revisions.last().unwrap().number, 16);
}

#[test]
fn a_subscription_with_the_most_dead_letters_pauses_and_drops_none() {
    let mut ledger = ledger(Order::Unordered, Exhausted::SkipAhead);
    ledger.apply(at(1), &leased(4, &[(1, 1), (2, 1), (3, 1)]));
    ledger.apply(at(1), &dead(1));
    assert_eq!(ledger.pause, None);
    // As if there were all the others.
    ledger.counts.dead = DEAD_MAX - 1;
    ledger.apply(at(2), &dead(2));
    let pause = ledger.pause.clone().unwrap();
    assert!(
        pause.by.reason.contains("1000000 dead letters"),
        "{pause:?}"
    );
    assert_eq!(ledger.get(2).map(Delivery::is_dead), Some(true));
    let by = By::new("ann", "one more");
    ledger.apply(at(3), &Change::Resumed { by });
    ledger.apply(at(4), &dead(3));
    assert!(ledger.is_paused(at(4)), "and so again");
}

#[test]
fn texts_of_faults_in_the_middle_give_way_to_the_first_and_the_latest() {
    let mut delivery = Delivery::new();
    for attempt in 1..=40 {
        let text = format!("{attempt:04}{}", "x".repeat(2044));
        delivery.note(&Fault::new(attempt, at(1), 0, "error", &text));
    }
    assert_eq!(delivery.faults.len(), 32);
    let attempts: Vec<u32> = delivery
        .faults
        .iter()
        .filter(|it| !it.error.is_empty())
        .map(|it| it.attempt)
        .collect();
    assert_eq!(attempts, [1, 34, 35, 36, 37, 38, 39, 40], "8 of 2 KiB each");
}
