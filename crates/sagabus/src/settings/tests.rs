//! What the settings mean for a subscription that sets nothing itself.

use super::*;
use crate::retry::Jitter;

#[test]
fn the_retry_delay_and_the_retries_are_those_of_subscriptions_that_set_none() {
    let settings = Settings {
        retry_delay: Duration::from_millis(7),
        retries_max: 2,
        ..Settings::default()
    };
    let retry = Retry {
        jitter: Jitter::None,
        ..settings.retry()
    };
    assert_eq!(retry.attempts_max, 3);
    assert_eq!(retry.delay_after(1, 0), Duration::from_millis(7));
    assert_eq!(retry.delay_after(2, 0), Duration::from_millis(14));
}

#[test]
fn a_setting_outside_its_limits_is_refused_by_name() {
    let wrong = Settings {
        retry_delay: Duration::ZERO,
        ..Settings::default()
    };
    assert!(
        wrong
            .validate()
            .unwrap_err()
            .to_string()
            .contains("`retry_delay`")
    );
    let wrong = Settings {
        subscriptions_max: 0,
        ..Settings::default()
    };
    assert!(
        wrong
            .validate()
            .unwrap_err()
            .to_string()
            .contains("`subscriptions_max`")
    );
}
