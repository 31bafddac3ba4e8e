//! Who is next.

use proptest::prelude::*;

use super::*;

fn entry(position: u64, priority: Priority) -> Entry {
    Entry {
        position,
        priority,
        is_retry: false,
        group: 0,
    }
}

fn drain(queue: &mut Queue) -> Vec<u64> {
    std::iter::from_fn(|| queue.pop()).collect()
}

#[test]
fn those_of_one_level_go_in_the_order_in_which_they_became_ready_and_retries_first() {
    let mut queue = Queue::default();
    for position in [5, 3, 9] {
        queue.push(entry(position, Priority::Normal));
    }
    queue.push(Entry {
        is_retry: true,
        ..entry(7, Priority::Normal)
    });
    assert_eq!(drain(&mut queue), [7, 5, 3, 9]);
}

#[test]
fn levels_share_eight_to_four_to_two_to_one() {
    let mut queue = Queue::default();
    queue.set_sharing(Sharing::Weighted {
        passes_max: 1_000_000,
    });
    for position in 0..4000 {
        queue.push(entry(position, Priority::ALL[(position % 4) as usize]));
    }
    let mut counts = [0; 4];
    for _ in 0..1500 {
        let position = queue.pop().unwrap();
        counts[(position % 4) as usize] += 1;
    }
    assert_eq!(counts, [800, 400, 200, 100]);
}

#[test]
fn strict_sharing_takes_the_most_urgent_as_long_as_there_is_one() {
    let mut queue = Queue::default();
    queue.set_sharing(Sharing::Strict);
    for position in 0..400 {
        queue.push(entry(position, Priority::ALL[(position % 4) as usize]));
    }
    let levels: Vec<u64> = drain(&mut queue).iter().map(|it| it % 4).collect();
    assert!(levels.is_sorted());
}

#[test]
fn groups_take_turns_however_many_events_one_has() {
    let mut queue = Queue::default();
    for position in 0..1000 {
        queue.push(Entry {
            group: 1,
            ..entry(position, Priority::Normal)
        });
    }
    for position in 1000..1010 {
        queue.push(Entry {
            group: 2,
            ..entry(position, Priority::Normal)
        });
    }
    let first: Vec<u64> = (0..20).filter_map(|_| queue.pop()).collect();
    assert_eq!(first.iter().filter(|it| **it >= 1000).count(), 10);
}

#[test]
fn a_removed_one_is_not_next() {
    let mut queue = Queue::default();
    for position in 1..=3 {
        queue.push(entry(position, Priority::Normal));
    }
    queue.remove(2);
    queue.remove(2);
    assert_eq!(queue.len(), 2);
    assert_eq!(drain(&mut queue), [1, 3]);
    assert!(queue.is_empty());
}

proptest! {
    /// Counts the passes anew, from the definition.
    #[test]
    fn nobody_is_passed_over_by_more_later_ones_than_the_bound(
        passes_max in 1..20_u32,
        acts in prop::collection::vec((any::<bool>(), 0..4_usize, any::<bool>()), 0..600),
    ) {
        let mut queue = Queue::default();
        queue.set_sharing(Sharing::Weighted { passes_max });
        // (position, level, passes so far), in the order in which they became ready.
        let mut waiting: Vec<(u64, usize, u32)> = Vec::new();
        let mut position = 0;
        for (is_push, level, is_retry) in acts {
            if is_push {
                position += 1;
                queue.push(Entry { is_retry, ..entry(position, Priority::ALL[level]) });
                waiting.push((position, level, 0));
                continue;
            }
            let popped = queue.pop();
            prop_assert_eq!(popped.is_none(), waiting.is_empty());
            let Some(at) = waiting.iter().position(|it| Some(it.0) == popped) else { continue };
            let (_, level, _) = waiting.remove(at);
            for earlier in &mut waiting[..at] {
                if earlier.1 > level {
                    earlier.2 += 1;
                    // As many lines as are passed at the same time can be served one after the other only.
                    prop_assert!(earlier.2 <= passes_max + 8, "{earlier:?} of {passes_max}");
                }
            }
        }
    }
}
