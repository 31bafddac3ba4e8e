//! The fold of ledger records.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(seconds * 1000)
}

fn fault(attempt: u32) -> Fault {
    Fault::new(attempt, at(1), 5, "error", "boom")
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.apply(
        at(0),
        &Change::Created {
            patterns: vec!["*".to_owned()],
            start: 1,
        },
    );
    ledger.apply(at(0), &Change::Joined { epoch: 1 });
    ledger
}

fn leased(cursor: u64, leases: &[(u64, u32)]) -> Change {
    Change::Leased {
        cursor,
        leases: leases.to_vec(),
        skipped: 0,
    }
}

fn settled(settle: Settled) -> Change {
    Change::Settled {
        settles: vec![settle],
    }
}

#[test]
fn a_retry_is_due_at_its_time_and_not_before() {
    let mut ledger = ledger();
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(
        at(1),
        &settled(Settled::RetryAt {
            position: 2,
            due: at(10),
            fault: fault(1),
        }),
    );
    assert_eq!(ledger.due(at(9), 10), []);
    assert_eq!(ledger.next_due(), Some(at(10)));
    assert_eq!(ledger.due(at(10), 10), [(2, 1)]);
    ledger.apply(at(10), &leased(3, &[(2, 2)]));
    assert_eq!(ledger.next_due(), None);
    ledger.apply(at(10), &settled(Settled::Acked { position: 2 }));
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
    let mut ledger = ledger();
    ledger.apply(at(1), &leased(5, &[(2, 1), (4, 1)]));
    ledger.apply(at(2), &settled(Settled::Acked { position: 2 }));
    ledger.apply(at(3), &Change::Joined { epoch: 2 });
    assert_eq!(ledger.due(at(3), 10), [(4, 1)]);
}

#[test]
fn a_released_delivery_is_not_counted_as_an_attempt() {
    let mut ledger = ledger();
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(at(2), &settled(Settled::Released { position: 2 }));
    assert_eq!(ledger.due(at(2), 10), [(2, 0)]);
}

#[test]
fn a_dead_letter_keeps_its_faults_until_it_is_redriven_with_fresh_attempts() {
    let mut ledger = ledger();
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(
        at(1),
        &settled(Settled::RetryAt {
            position: 2,
            due: at(1),
            fault: fault(1),
        }),
    );
    ledger.apply(at(1), &leased(3, &[(2, 2)]));
    ledger.apply(
        at(2),
        &settled(Settled::Dead {
            position: 2,
            fault: fault(2),
        }),
    );
    let (position, dead) = ledger.dead_after(0).next().unwrap();
    assert_eq!((position, dead.attempts, dead.faults.len()), (2, 2, 2));
    ledger.apply(
        at(3),
        &Change::Redriven {
            positions: vec![2, 2, 99],
        },
    );
    assert_eq!(ledger.due(at(3), 10), [(2, 0)]);
    assert_eq!(ledger.get(2).unwrap().redrives, 1);
    assert_eq!(ledger.dead_after(0).count(), 0);
}

#[test]
fn a_settle_of_something_not_leased_changes_nothing() {
    let mut ledger = ledger();
    ledger.apply(at(1), &leased(3, &[(2, 1)]));
    ledger.apply(at(1), &settled(Settled::Acked { position: 2 }));
    let before = ledger.clone();
    ledger.apply(at(2), &settled(Settled::Acked { position: 2 }));
    ledger.apply(
        at(2),
        &settled(Settled::Dead {
            position: 7,
            fault: fault(1),
        }),
    );
    ledger.apply(
        at(2),
        &Change::Discarded {
            positions: vec![2, 7],
            reason: "x".to_owned(),
        },
    );
    assert_eq!(ledger, before);
}

proptest::proptest! {
    #[test]
    fn whatever_happens_every_delivery_is_in_exactly_one_place(
        steps in proptest::collection::vec((0_u8..7, 0_u64..12), 0..200)
    ) {
        let mut ledger = ledger();
        let mut next = 1;
        for (step, pick) in steps {
            let position = 1 + pick;
            let change = match step {
                0 => { next += 1; leased(next, &[(next - 1, 1)]) }
                1 => {
                    let due = ledger.due(at(100), 1);
                    leased(next, &due.iter().map(|(at, n)| (*at, n + 1)).collect::<Vec<_>>())
                }
                2 => settled(Settled::Acked { position }),
                3 => settled(Settled::RetryAt { position, due: at(50), fault: fault(1) }),
                4 => settled(Settled::Dead { position, fault: fault(1) }),
                5 => Change::Redriven { positions: vec![position] },
                _ => Change::Joined { epoch: ledger.epoch + 1 },
            };
            ledger.apply(at(1), &change);
            let counts = ledger.counts();
            proptest::prop_assert!(counts.is_conserved(), "{counts:?}");
            proptest::prop_assert_eq!(ledger.due(at(1_000), 1_000).len() as u64, counts.waiting);
            proptest::prop_assert_eq!(ledger.dead_after(0).count() as u64, counts.dead);
        }
    }
}
