//! Each limit: fine at it, an issue above it.

use super::*;

/// Whether there is an issue that says `text`.
fn has_issue(stats: &Stats, text: &str) -> bool {
    let settings = Settings {
        dead_letter_threshold: 100,
        ..Settings::default()
    };
    let health = judge(stats, stats.error_rate(), &settings, None, &[]);
    assert_eq!(health.is_healthy(), health.issues.is_empty());
    health.issues.iter().any(|issue| issue.contains(text))
}

#[test]
fn more_dead_letters_than_the_threshold_are_an_issue() {
    let stats = |dead_letters| Stats {
        dead_letters,
        ..Stats::default()
    };
    assert!(!has_issue(
        &stats(100),
        "Dead letter queue size is excessive"
    ));
    assert!(has_issue(
        &stats(101),
        "Dead letter queue size is excessive"
    ));
}

#[test]
fn more_than_fifty_waiting_retries_are_an_issue() {
    let stats = |retry_queue| Stats {
        retry_queue,
        ..Stats::default()
    };
    assert!(!has_issue(&stats(50), "Retry queue size is excessive"));
    assert!(has_issue(&stats(51), "Retry queue size is excessive"));
}

#[test]
fn more_than_a_tenth_of_failed_handler_calls_is_an_issue() {
    let stats = |failed_attempts| Stats {
        attempts: 1000,
        failed_attempts,
        ..Stats::default()
    };
    assert!(!has_issue(&stats(100), "High error rate detected"));
    assert!(has_issue(&stats(101), "High error rate detected"));
}

#[test]
fn calls_that_failed_long_ago_say_nothing_about_now() {
    let (recent, second) = (Recent::default(), Duration::from_secs(1));
    let rate = |attempts, failed_attempts, at| {
        let stats = Stats {
            attempts,
            failed_attempts,
            ..Stats::default()
        };
        recent.error_rate(&stats, second * at)
    };
    // A disk is full for ten minutes, and everything fails.
    assert!(rate(1_000, 1_000, 600) > 0.99);
    // Nothing is called any more, and then all is well again.
    assert!(rate(1_000, 1_000, 601) > 0.99);
    assert!(rate(1_000, 1_000, 661) > 0.99);
    assert!(rate(1_000, 1_000, 721) < 0.01);
    assert!(rate(1_100, 1_000, 722) < 0.01);
    // A long history of success hides no failure.
    assert!(rate(1_000_000, 1_000, 900) < 0.01);
    assert!(rate(1_000_100, 1_100, 1_000) < 0.01);
    assert!(rate(1_000_200, 1_200, 1_010) > 0.99);
}

#[test]
fn a_log_that_takes_nothing_is_an_issue_that_says_why() {
    let error = Error::closed("the log is closed");
    let health = judge(
        &Stats::default(),
        0.0,
        &Settings::default(),
        Some(&error),
        &[],
    );
    assert_eq!(
        health.issues,
        ["Event log does not accept events: the log is closed"]
    );
}
