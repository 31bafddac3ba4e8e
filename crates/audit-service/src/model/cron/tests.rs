//! When the next time is.

use super::*;

#[test]
fn the_next_time_is_the_first_that_fits_all_fields() {
    for (cron, from, next) in [
        (
            "* * * * *",
            "2026-11-28T10:00:59.999Z",
            "2026-11-28T10:01:00Z",
        ),
        ("* * * * *", "2026-11-28T10:00:00Z", "2026-11-28T10:01:00Z"),
        ("0 6 * * *", "2026-11-28T05:59:00Z", "2026-11-28T06:00:00Z"),
        ("0 6 * * *", "2026-11-28T06:00:00Z", "2026-11-29T06:00:00Z"),
        (
            "59 23 31 12 *",
            "2026-12-31T23:59:00Z",
            "2027-12-31T23:59:00Z",
        ),
        ("0 0 1 * *", "2026-11-28T10:00:00Z", "2026-12-01T00:00:00Z"),
        // 28 November 2026 is a Saturday.
        ("0 6 * * 1", "2026-11-28T10:00:00Z", "2026-11-30T06:00:00Z"),
        (
            "0 6 * * MON-FRI",
            "2026-11-28T10:00:00Z",
            "2026-11-30T06:00:00Z",
        ),
        ("0 6 * * 0", "2026-11-28T10:00:00Z", "2026-11-29T06:00:00Z"),
        ("0 6 * * 7", "2026-11-28T10:00:00Z", "2026-11-29T06:00:00Z"),
        (
            "*/20 * * * *",
            "2026-11-28T10:41:00Z",
            "2026-11-28T11:00:00Z",
        ),
        (
            "5/20 8-9 * * *",
            "2026-11-28T08:46:00Z",
            "2026-11-28T09:05:00Z",
        ),
        (
            "0,30 8 * * *",
            "2026-11-28T08:00:00Z",
            "2026-11-28T08:30:00Z",
        ),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        (
            "0 0 * Feb *",
            "2026-11-28T10:00:00Z",
            "2027-02-01T00:00:00Z",
        ),
        // Either day will do.
        ("0 0 13 * 5", "2026-11-28T10:00:00Z", "2026-12-04T00:00:00Z"),
        ("0 0 1 * 5", "2026-11-28T10:00:00Z", "2026-12-01T00:00:00Z"),
    ] {
        let cron: Cron = cron.parse().unwrap();
        let found = cron.next_after(from.parse().unwrap());
        assert_eq!(found, Some(next.parse().unwrap()), "{cron:?} after {from}");
    }
}

#[test]
fn what_is_no_time_is_refused_by_its_field() {
    for (text, word) in [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("60 * * * *", "minute is `60`"),
        ("* 24 * * *", "hour is `24`"),
        ("* * 0 * *", "day of the month is `0`"),
        ("* * * 13 *", "month is `13`"),
        ("* * * * 8", "day of the week is `8`"),
        ("* * * * mo", "day of the week is `mo`"),
        ("+1 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("*/x * * * *", "minute"),
        ("1, * * * *", "minute"),
        ("0 0 30 2 *", "never comes"),
    ] {
        let error = text.parse::<Cron>().unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}
