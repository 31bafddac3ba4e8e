//! What the queries of the services have in common: which parameters there are, numbers within their limits, and times. Pure.

use std::ops::RangeInclusive;

use sagabus::Timestamp;
use sagabus::event::whole_number;

/// What is said behind the name of a parameter that there is not.
#[must_use]
pub fn not_known(known: &[&str]) -> String {
    let names: Vec<String> = known.iter().map(|it| format!("`{it}`")).collect();
    match names.as_slice() {
        [] => "is not known; there are none here".to_owned(),
        names => format!("is not known; there are {}", names.join(", ")),
    }
}

/// A whole number within its limits; otherwise what is said behind its name.
///
/// # Errors
/// What it must be.
pub fn number(value: &str, limits: RangeInclusive<u32>) -> Result<u32, String> {
    whole_number(value)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| limits.contains(number))
        .ok_or_else(|| {
            let (least, most) = (limits.start(), limits.end());
            format!("must be a whole number, {least} to {most}")
        })
}

/// A time, or a day of which `clock` is meant.
///
/// # Errors
/// What it must be.
pub fn time(value: &str, clock: &str) -> Result<Timestamp, String> {
    let day = || format!("{value}T{clock}").parse();
    value.parse().or_else(|_| day()).map_err(|_| {
        let latest = Timestamp::from_milliseconds(i64::MAX);
        format!("must be a date or an RFC 3339 time, `{latest}` at the latest")
    })
}
