//! Very many timers: each is there once, for the time that was set last, and the next one is the one that is due first.

use super::*;
use crate::clock::mix;

fn timer(at: usize) -> Timer {
    match at % 3 {
        0 => Timer::Retry(at),
        1 => Timer::Step(at),
        _ => Timer::Wait(at),
    }
}

fn time(seed: usize) -> Duration {
    Duration::from_millis(mix(u64::try_from(seed).unwrap()) % 100_000_000)
}

#[test]
fn of_very_many_timers_each_is_due_once_at_the_time_that_was_set_last_and_in_order() {
    let count = match std::env::var_os("RUN_SLOW") {
        Some(_) => 1_000_000,
        None => 100_000,
    };
    let mut timers = Timers::default();
    let mut expected = Vec::with_capacity(count);
    for at in 0..count {
        timers.set(timer(at), time(at));
    }
    // Every second one is set anew, and every fifth one is looked at before its time.
    for at in 0..count {
        let mut due = time(at);
        if at % 2 == 0 {
            due = time(at + count);
            timers.set(timer(at), due);
        }
        if at % 5 == 0 {
            timers.remove(timer(at));
        } else {
            expected.push((due, timer(at)));
        }
    }
    expected.sort_unstable();
    // Nothing is left of those that were set before.
    assert_eq!(timers.order.len(), expected.len());
    assert_eq!(timers.times.len(), expected.len());
    for expected in expected {
        let next = timers.next().unwrap();
        assert_eq!(next, expected);
        timers.remove(next.1);
    }
    assert_eq!(timers.next(), None);
    assert!(timers.order.is_empty() && timers.times.is_empty());
}
