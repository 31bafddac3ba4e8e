//! Which segments the settings say are to be dropped.

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn at(hours: u32) -> Timestamp {
    Timestamp::from_milliseconds(1_767_225_600_000).after(HOUR * hours)
}

/// Segments of 100 bytes and ten records, one made each hour.
fn pieces() -> Vec<Piece> {
    let piece = |number: u32| Piece {
        first: u64::from(number) * 10 + 1,
        bytes: 100,
        made_at: at(number),
    };
    (0..10).map(piece).collect()
}

fn settings(retention_time: Duration, retention_bytes: u64) -> Settings {
    Settings {
        retention_time,
        retention_bytes,
        ..Settings::default()
    }
}

#[test]
fn a_segment_is_dropped_when_the_one_after_it_is_old_enough() {
    let settings = settings(HOUR * 4, u64::MAX);
    let due = |hours| due(&pieces(), at(hours), u64::MAX, &settings);
    assert_eq!(due(0), 1);
    assert_eq!(due(4), 1);
    assert_eq!(due(5), 11);
    assert_eq!(due(9), 51);
    assert_eq!(due(1000), 91, "the last one is written");
}

#[test]
fn the_oldest_segments_are_dropped_when_there_are_too_many_bytes() {
    let due = |bytes, remembered| {
        let settings = settings(HOUR * 1000, bytes);
        due(&pieces(), at(9), remembered, &settings)
    };
    assert_eq!(due(1000, u64::MAX), 1);
    assert_eq!(due(999, u64::MAX), 11);
    assert_eq!(due(500, u64::MAX), 51);
    assert_eq!(due(0, u64::MAX), 91, "the last one is written");
    assert_eq!(due(0, 30), 21, "what is remembered stays");
    assert_eq!(due(0, 31), 31);
    assert_eq!(due(0, 1), 1);
}

#[test]
fn what_a_subscription_needs_is_kept_by_whole_segments() {
    let pieces = pieces();
    for (needed, from) in [
        (0, 1),
        (1, 1),
        (10, 1),
        (11, 11),
        (19, 11),
        (95, 91),
        (u64::MAX, 91),
    ] {
        assert_eq!(whole(&pieces, needed), from, "{needed}");
    }
    assert_eq!(whole(&[], 5), 1);
}
