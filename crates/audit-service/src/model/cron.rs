//! Times in the text form of cron: minute, hour, day of the month, month, day of the week; in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use sagabus::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

/// Days that are looked at for the next time: the longest wait is from one 29 February to another over a year without one.
const DAYS_MAX: u32 = 366 * 9;
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When something is to be done again and again. As with cron, a day fits if it is one of the days of the month *or* of the
/// week where both are said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: Option<u64>,
    months: u64,
    weekdays: Option<u64>,
}

impl Cron {
    /// The first time after this one; nothing where there is none, as with 30 February.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_millisecond(time.milliseconds()).ok()?;
        let from = from.to_zoned(TimeZone::UTC).datetime();
        let mut date = from.date();
        // The next whole minute; on a later day, the first.
        let mut minute = u32::from(from.hour().unsigned_abs()) * 60
            + u32::from(from.minute().unsigned_abs())
            + 1;
        for _ in 0..DAYS_MAX {
            if self.is_day(date)
                && let Some(found) = (minute..24 * 60).find(|it| self.is_minute(*it))
            {
                return time_of(date, found);
            }
            date = date.tomorrow().ok()?;
            minute = 0;
        }
        None
    }

    fn is_minute(&self, of_day: u32) -> bool {
        self.hours >> (of_day / 60) & 1 == 1 && self.minutes >> (of_day % 60) & 1 == 1
    }

    fn is_day(&self, date: Date) -> bool {
        let has = |mask: u64, number: i8| mask >> number.unsigned_abs() & 1 == 1;
        let day = self.days.map(|mask| has(mask, date.day()));
        let weekday = date.weekday().to_sunday_zero_offset();
        let weekday = self.weekdays.map(|mask| has(mask, weekday));
        let fits = match (day, weekday) {
            (Some(day), Some(weekday)) => day || weekday,
            (day, weekday) => day.or(weekday).unwrap_or(true),
        };
        fits && has(self.months, date.month())
    }
}

fn time_of(date: Date, minute: u32) -> Option<Timestamp> {
    let (hour, minute) = (
        i8::try_from(minute / 60).ok()?,
        i8::try_from(minute % 60).ok()?,
    );
    let time = DateTime::from_parts(date, jiff::civil::time(hour, minute, 0, 0));
    let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_milliseconds(time.as_millisecond()))
}

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(Error::invalid(
                "must be five fields: minute, hour, day of the month, month, day of the week",
            ));
        };
        let said = |field: &str| field != "*";
        let weekday_mask = mask("day of the week", weekdays, (0, 7), &WEEKDAYS)?;
        // Sunday is 0 and 7.
        let weekday_mask = weekday_mask | weekday_mask >> 7 & 1;
        let day_mask = mask("day of the month", days, (1, 31), &[])?;
        let cron = Self {
            text: fields.join(" "),
            minutes: mask("minute", minutes, (0, 59), &[])?,
            hours: mask("hour", hours, (0, 23), &[])?,
            days: said(days).then_some(day_mask),
            months: mask("month", months, (1, 12), &MONTHS)?,
            weekdays: said(weekdays).then_some(weekday_mask),
        };
        if cron.next_after(Timestamp::default()).is_none() {
            return Err(Error::invalid("never comes"));
        }
        Ok(cron)
    }
}

/// The numbers of a field as bits: parts with commas between, each a number, a range or `*`, with `/` and a step behind.
fn mask(what: &str, field: &str, (min, max): (u32, u32), names: &[&str]) -> Result<u64> {
    let wrong = || {
        let field = field.escape_debug();
        Error::invalid(format!(
            "{what} is `{field}`, and must be of {min} to {max}, `*`, `-`, `,` and `/`"
        ))
    };
    let number = |text: &str| {
        let named = names
            .iter()
            .position(|name| text.eq_ignore_ascii_case(name));
        // The first month is 1, the first day of the week 0.
        let named = named
            .and_then(|it| u32::try_from(it).ok())
            .map(|it| it + min);
        let is_whole = text.bytes().all(|it| it.is_ascii_digit());
        named
            .or_else(|| text.parse().ok().filter(|_| is_whole))
            .filter(|it| (min..=max).contains(it))
    };
    let mut mask = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|it| *it > 0 && *it <= max)),
            None => (part, Some(1_u32)),
        };
        let step = step.ok_or_else(wrong)?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (Some(min), Some(max)),
            Some((from, to)) => (number(from), number(to)),
            // A number with a step goes on to the end.
            None if part.contains('/') => (number(range), Some(max)),
            None => (number(range), number(range)),
        };
        let (from, to) = from
            .zip(to)
            .filter(|(from, to)| from <= to)
            .ok_or_else(wrong)?;
        for number in (from..=to).step_by(usize::try_from(step).unwrap_or(1)) {
            mask |= 1 << number;
        }
    }
    Ok(mask)
}

impl TryFrom<String> for Cron {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
