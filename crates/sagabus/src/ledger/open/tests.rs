//! Tests of the line of deliveries.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Delivery, GAPS_MAX, Open};

fn delivery(attempts: u32) -> Delivery {
    Delivery {
        attempts,
        ..Delivery::new()
    }
}

/// A step: put in, take out, or look for a position.
#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u32),
    Remove(u64),
    Range(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let position = 0..200_u64;
    prop_oneof![
        (position.clone(), any::<u32>()).prop_map(|(at, it)| Step::Insert(at, it)),
        position.clone().prop_map(Step::Remove),
        (position.clone(), position).prop_map(|(from, to)| Step::Range(from, to)),
    ]
}

proptest! {
    #[test]
    fn a_line_holds_what_a_map_would(steps in prop::collection::vec(step(), 0..2_000)) {
        let mut open = Open::default();
        let mut map = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(position, attempts) => {
                    open.insert(position, delivery(attempts));
                    map.insert(position, delivery(attempts));
                }
                Step::Remove(position) => {
                    prop_assert_eq!(open.remove(position), map.remove(&position).map(|it| it.state));
                }
                Step::Range(from, to) if from <= to => {
                    let found: Vec<_> = open.range(from..to).collect();
                    let wanted: Vec<_> = map.range(from..to).map(|(at, it)| (*at, it)).collect();
                    prop_assert_eq!(found, wanted);
                    prop_assert_eq!(open.get(from), map.get(&from));
                    prop_assert_eq!(open.get_mut(to), map.get_mut(&to));
                }
                Step::Range(..) => {}
            }
            prop_assert!(open.gaps <= GAPS_MAX.max(open.places.len() / 2));
            prop_assert_eq!(open.places.len() - open.gaps, map.len());
        }
        let there: BTreeMap<u64, Delivery> =
            open.iter().map(|(at, it)| (at, it.clone())).collect();
        prop_assert_eq!(there, map.clone());
        prop_assert!(Open::from(map) == open);
    }
}

#[test]
fn one_that_stays_at_the_front_does_not_keep_the_room_of_those_behind_it() {
    let mut open = Open::default();
    open.insert(1, delivery(1));
    for position in 2..100_000 {
        open.insert(position, delivery(1));
        open.remove(position);
    }
    open.insert(100_000, delivery(1));
    for position in 100_001..200_000 {
        open.insert(position, delivery(1));
    }
    for position in (100_001..200_000).step_by(2) {
        open.remove(position);
    }
    for position in (100_002..200_000).step_by(2) {
        open.remove(position);
    }
    assert_eq!(open.iter().count(), 2);
    assert!(open.places.len() <= 2 + GAPS_MAX);
}
