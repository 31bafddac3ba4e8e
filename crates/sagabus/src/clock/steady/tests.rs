//! Tests of what is believed of a wall clock.

use super::*;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

/// Lives through (minute since the start, by how much the wall clock is off then), and says what surely came, off too.
fn check(course: &[(i64, i64)], expected: &[i64]) {
    let mut steady = Steady::default();
    let start = 1_767_225_600_000;
    let found: Vec<i64> = course
        .iter()
        .map(|(minute, off)| {
            let true_ms = start + minute * MINUTE;
            let elapsed = Duration::from_mins(u64::try_from(*minute).unwrap());
            let now = Timestamp::from_milliseconds(true_ms + off);
            steady.surely(now, elapsed).milliseconds() - true_ms
        })
        .collect();
    assert_eq!(found, expected, "{course:?}");
}

#[test]
fn small_corrections_are_followed_at_once() {
    check(
        &[(0, 0), (1, 300), (2, -400), (3, 600)],
        &[0, 300, -400, 600],
    );
}

#[test]
fn a_jump_ahead_that_is_taken_back_was_never_believed() {
    check(
        &[(0, 0), (1, HOUR), (9, HOUR), (10, 0), (30, 0)],
        &[0, 0, 0, 0, 0],
    );
}

#[test]
fn a_jump_ahead_that_stays_is_believed_after_ten_minutes() {
    let course = [(0, 0), (1, HOUR), (10, HOUR), (11, HOUR), (12, HOUR)];
    check(&course, &[0, 0, 0, HOUR, HOUR]);
}

#[test]
fn each_further_jump_is_in_doubt_anew() {
    let course = [
        (0, 0),
        (1, HOUR),
        (8, 2 * HOUR),
        (12, 2 * HOUR),
        (18, 2 * HOUR),
    ];
    check(&course, &[0, 0, 0, 0, 2 * HOUR]);
}

#[test]
fn a_jump_back_is_believed_at_once_and_so_is_the_way_back_from_it() {
    let course = [
        (0, 0),
        (1, -HOUR),
        (2, 0),
        (3, -HOUR),
        (20, -HOUR),
        (21, -HOUR),
    ];
    check(&course, &[0, -HOUR, 0, -HOUR, -HOUR, -HOUR]);
}

#[test]
fn a_clock_set_back_for_long_and_then_ahead_again_is_in_doubt_until_it_stays() {
    let course = [(0, 0), (1, -HOUR), (20, -HOUR), (21, 0), (25, 0), (31, 0)];
    check(&course, &[0, -HOUR, -HOUR, -HOUR, -HOUR, 0]);
}

#[test]
fn it_says_for_how_long_it_is_in_doubt() {
    let mut steady = Steady::default();
    let start = Timestamp::from_milliseconds(HOUR);
    steady.surely(start, Duration::ZERO);
    assert_eq!(steady.doubt(Duration::ZERO), None);
    steady.surely(start.after(Duration::from_hours(1)), Duration::from_secs(1));
    let doubt = steady.doubt(Duration::from_mins(3));
    assert_eq!(doubt, Some(Duration::from_secs(7 * 60 + 1)));
}
