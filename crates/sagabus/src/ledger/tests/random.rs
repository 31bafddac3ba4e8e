//! Whatever happens: the counts agree with each other, keys are in order, and a restated ledger is the same one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ORDERS: [Order; 3] = [Order::Unordered, Order::PerKey, Order::Strict];
const EXHAUSTED: [Exhausted; 3] = [Exhausted::SkipAhead, Exhausted::ParkKey, Exhausted::Pause];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// Everything that follows from the state is what it would be if made from the state alone.
fn check(ledger: &Ledger) {
    let counts = ledger.counts();
    assert!(counts.is_conserved(), "{counts:?}");
    let mut anew = ledger.clone();
    anew.index();
    assert_eq!(anew.lanes.parked(), ledger.lanes.parked());
    let parked = ledger.open.iter().filter(|(it, _)| ledger.is_parked(*it));
    let parked = parked.count() as u64;
    if ledger.wants.exhausted == Exhausted::ParkKey {
        assert_eq!(parked, counts.parked);
    }
    let mut restated = Ledger::default();
    for change in ledger.restated(PART_BYTES) {
        restated.apply(at(0), &change);
    }
    assert_eq!(&restated, ledger);
    let mut leased: BTreeMap<Key, u32> = BTreeMap::new();
    for (_, delivery) in ledger.open.iter() {
        if let Some(key) = ledger.lane_of(delivery)
            && delivery.state == DeliveryState::Leased
        {
            *leased.entry(key).or_default() += 1;
        }
    }
    assert!(leased.values().all(|it| *it == 1), "{leased:?}");
}

proptest! {
    #[test]
    fn whatever_happens_every_delivery_is_in_exactly_one_place(
        order in 0..3_usize,
        exhausted in 0..3_usize,
        acts in prop::collection::vec((0..12_u8, 0..40_u64, 0..3_usize), 0..160),
    ) {
        let mut ledger = ledger(ORDERS[order], EXHAUSTED[exhausted]);
        let mut next = 1;
        let mut now = 1;
        for (act, pick, key) in acts {
            let position = 1 + pick;
            match act {
                0..=2 => {
                    ledger.apply(at(now), &taken(next + 1, vec![keyed(next, KEYS[key])]));
                    next += 1;
                }
                3 | 4 => {
                    hand_out(&mut ledger, now, key + 1);
                }
                5 => ledger.apply(at(now), &acked(position)),
                6 => ledger.apply(at(now), &retry(position, now + 5)),
                7 => ledger.apply(at(now), &dead(position)),
                8 => ledger.apply(at(now), &redriven(&[position])),
                9 => ledger.apply(at(now), &settled(Settled::Released { position })),
                10 => {
                    let skipped = Change::SkippedBy {
                        positions: vec![position],
                        by: By::default(),
                    };
                    ledger.apply(at(now), &skipped);
                    ledger.apply(at(now), &Change::Resumed { by: By::default() });
                }
                _ => {
                    let epoch = ledger.epoch + 1;
                    ledger.apply(at(now), &joined(epoch));
                    now += 3;
                }
            }
            check(&ledger);
        }
        // In the end nothing is stuck: everything that is not dead can be handled.
        for _ in 0..400 {
            now += 10;
            ledger.apply(at(now), &Change::Resumed { by: By::default() });
            for (position, _) in hand_out(&mut ledger, now, 9) {
                ledger.apply(at(now), &acked(position));
            }
            let letters: Vec<u64> = ledger.dead_after(0).map(|(position, _)| position).collect();
            ledger.apply(at(now), &redriven(&letters));
            let held: Vec<u64> = ledger.open_after(0).map(|(position, _)| position).collect();
            for position in held {
                ledger.apply(at(now), &acked(position));
            }
        }
        prop_assert_eq!(ledger.counts().pending(), 0);
        prop_assert_eq!(ledger.open.iter().count(), 0);
    }
}
