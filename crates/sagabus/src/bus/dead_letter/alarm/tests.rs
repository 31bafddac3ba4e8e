//! When the alarm is raised, and when it is not.

use super::{Alarm, Crossing};

/// What is told of each number in turn: `+` above, `-` back, `.` nothing.
fn check(threshold: u64, numbers: &[u64], expected: &str) {
    let mut alarm = Alarm::default();
    let told: String = numbers
        .iter()
        .map(|dead| match alarm.look(*dead, threshold) {
            Some(Crossing::Above { .. }) => '+',
            Some(Crossing::Back { .. }) => '-',
            None => '.',
        })
        .collect();
    assert_eq!(told, expected, "{numbers:?}");
    let raised = expected.chars().filter(|it| *it == '+').count();
    assert_eq!(alarm.alerts, raised as u64);
}

#[test]
fn each_crossing_is_told_once_and_a_number_that_wavers_is_one_crossing() {
    check(100, &[0, 100, 101, 102, 5000], "..+..");
    check(100, &[101, 100, 101, 91, 101, 90, 101], "+....-+");
    check(1, &[2, 1, 2, 0], "+-+-");
    check(0, &[0, 1, 1, 0, 1], ".+.-+");
}
