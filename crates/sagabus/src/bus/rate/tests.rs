//! Events per time.

use super::*;

#[test]
fn events_go_evenly_after_a_burst() {
    let rate = Rate {
        events: 10,
        per: Duration::from_secs(1),
        burst: 3,
    };
    let mut bucket = Bucket::default();
    let mut now = Duration::from_secs(100);
    let mut went = Vec::new();
    while now < Duration::from_secs(102) {
        match bucket.ask(&rate, now, 8) {
            Ok(count) => {
                bucket.took(&rate, now, count);
                went.push((now.as_millis() - 100_000, count));
            }
            Err(wait) => now += wait,
        }
    }
    assert_eq!(went[..3], [(0, 3), (100, 1), (200, 1)]);
    let all: usize = went.iter().map(|(_, count)| count).sum();
    assert_eq!(all, 3 + 19);
}
