//! The order of the queue, and the clock.

use super::*;

fn day(days: i64) -> Timestamp {
    Timestamp::from_milliseconds(1_772_000_000_000 + days * DAY_MS)
}

#[test]
fn urgent_goes_before_high_before_normal_before_low_and_else_who_came_first() {
    let mut places: Vec<_> = Priority::ALL.map(|it| place(it, day(0))).to_vec();
    places.reverse();
    assert!(places.is_sorted() && places.windows(2).all(|it| it[0] < it[1]));
    for priority in Priority::ALL {
        assert!(place(priority, day(0)) < place(priority, day(1)));
    }
    assert!(place(Priority::Urgent, day(13)) < place(Priority::High, day(0)));
    assert!(place(Priority::Normal, day(6)) < place(Priority::Low, day(0)));
}

/// However many urgent samples come each day, a low one has its turn.
#[test]
fn a_low_priority_waits_for_nothing_that_came_more_than_28_days_later() {
    let low = place(Priority::Low, day(0));
    let before = (0..1_000).filter(|days| place(Priority::Urgent, day(*days)) < low);
    assert_eq!(before.count(), 28);
    for priority in Priority::ALL {
        assert!(place(priority, day(29)) > low);
    }
}

#[test]
fn the_clock_runs_from_form_and_tube_and_stands_still_on_hold() {
    let mut clock = Turnaround {
        submitted_at: day(0),
        received_at: None,
        completed_at: None,
        held_at: Some(day(1)),
        held_ms: 0,
    };
    let hours = |it: u64| it / 3_600_000;
    assert_eq!(clock.read(Some(10), day(3)).started_at, None);
    clock.received_at = Some(day(2));
    // What was on hold before the tube came takes no time from it.
    let reading = clock.read(Some(10), day(5));
    assert_eq!((hours(reading.elapsed_ms), hours(reading.held_ms)), (0, 72));
    assert_eq!((reading.due_at, reading.is_running), (Some(day(15)), false));
    clock.held_ms = clock.hold_ms(day(5));
    clock.held_at = None;
    let reading = clock.read(Some(10), day(9));
    assert_eq!(
        (hours(reading.elapsed_ms), hours(reading.held_ms)),
        (96, 72)
    );
    assert_eq!(reading.due_at, Some(day(15)));
    assert!(reading.is_running && !reading.is_overdue);
    assert!(clock.read(Some(10), day(16)).is_overdue);
    clock.completed_at = Some(day(14));
    let reading = clock.read(Some(10), day(100));
    assert_eq!(hours(reading.elapsed_ms), 9 * 24);
    assert!(!reading.is_running && !reading.is_overdue);
    assert_eq!(clock.read(None, day(100)).due_at, None);
    // A tube that was there before the form waits for the form.
    clock.received_at = Some(day(-3));
    assert_eq!(clock.started_at(), Some(day(0)));
}
