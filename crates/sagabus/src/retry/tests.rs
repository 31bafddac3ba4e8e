//! Backoff grows, is capped, and its chance is bounded and repeatable.

use super::*;

#[test]
fn delays_double_up_to_the_cap() {
    let retry = Retry {
        jitter: Jitter::None,
        delay_max: Duration::from_secs(10),
        ..Retry::default()
    };
    let seconds: Vec<u64> = (1..7)
        .map(|attempt| retry.delay_after(attempt, 7).as_secs())
        .collect();
    assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    assert_eq!(retry.delay_after(u32::MAX, 7), Duration::from_secs(10));
}

#[test]
fn jitter_stays_in_its_bounds_and_is_the_same_for_the_same_delivery() {
    let equal = Retry::default();
    let full = Retry {
        jitter: Jitter::Full,
        ..Retry::default()
    };
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..500 {
        let seed = seed(&["subscription", &number.to_string()]);
        let delay = equal.delay_after(2, seed);
        assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&delay));
        assert_eq!(delay, equal.delay_after(2, seed));
        assert!(full.delay_after(2, seed) <= Duration::from_secs(2));
        seen.insert(delay);
    }
    assert!(seen.len() > 300, "only {} different delays", seen.len());
}
