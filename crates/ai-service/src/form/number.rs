//! Reads one number from a table cell, as people write them.

/// What a cell holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// Nothing, or a sign that says so.
    Empty,
    /// A number and how plainly it is written, from 0 to 1.
    Number { value: f64, plain: f64 },
    /// Something else.
    Unreadable,
}

/// Signs that people write into a cell to say that there is no value.
const NOTHING: [&str; 10] = [
    "-", "–", "—", "--", "n/a", "na", "nd", "n.d.", "none", "n.a.",
];

/// Reads a cell whose number may carry the unit of its column.
pub(crate) fn read(text: &str, unit: &str) -> Reading {
    let text = text.trim();
    if text.is_empty() || NOTHING.contains(&text.to_lowercase().as_str()) {
        return Reading::Empty;
    }
    let (bare, plain) = without_unit(text, unit);
    let (digits, plain) = match comma(bare) {
        Comma::None => (bare.to_owned(), plain),
        Comma::Decimal => (bare.replace(',', "."), plain * 0.8),
        // `1,234` may be a thousand or a little more than one: a person must look.
        Comma::Thousands => (bare.replace(',', ""), plain * 0.6),
        Comma::Wrong => return Reading::Unreadable,
    };
    let well_formed = digits.chars().any(|it| it.is_ascii_digit())
        && digits
            .strip_prefix('-')
            .unwrap_or(&digits)
            .chars()
            .all(|it| it.is_ascii_digit() || it == '.');
    match digits.parse::<f64>() {
        Ok(value) if well_formed && value.is_finite() => Reading::Number { value, plain },
        _ => Reading::Unreadable,
    }
}

fn without_unit<'a>(text: &'a str, unit: &str) -> (&'a str, f64) {
    let end = text.trim_end_matches(|it: char| it.is_alphabetic() || it == '/' || it == 'µ');
    let tail = text.get(end.len()..).unwrap_or_default();
    let same = super::labels::key(tail) == super::labels::key(unit);
    if tail.is_empty() || unit.is_empty() || !same {
        (text, 1.0)
    } else {
        (end.trim_end(), 0.95)
    }
}

enum Comma {
    None,
    Decimal,
    Thousands,
    Wrong,
}

fn comma(text: &str) -> Comma {
    let Some((first, rest)) = text.split_once(',') else {
        return Comma::None;
    };
    if !first
        .trim_start_matches('-')
        .chars()
        .all(|it| it.is_ascii_digit())
    {
        return Comma::Wrong;
    }
    let (groups, _fraction) = rest.split_once('.').unwrap_or((rest, ""));
    if groups.split(',').all(|group| group.len() == 3) {
        Comma::Thousands
    } else if rest.contains(',') || rest.contains('.') {
        Comma::Wrong
    } else {
        Comma::Decimal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(f64, f64)>) {
        let expected = match expected {
            Some((value, plain)) => Reading::Number { value, plain },
            None => Reading::Unreadable,
        };
        assert_eq!(read(text, "ng/µL"), expected, "{text}");
    }

    #[test]
    fn a_plain_number_is_read_as_it_stands() {
        check("186.7", Some((186.7, 1.0)));
        check("-2", Some((-2.0, 1.0)));
        check(".5", Some((0.5, 1.0)));
    }

    #[test]
    fn a_number_may_carry_the_unit_of_its_column_and_no_other() {
        check("12.5 ng/µL", Some((12.5, 0.95)));
        check("12.5ng/ul", Some((12.5, 0.95)));
        check("12.5 µg/µL", None);
    }

    #[test]
    fn a_comma_lowers_the_confidence() {
        check("12,5", Some((12.5, 0.8)));
        check("1,234", Some((1234.0, 0.6)));
        check("1,234.5", Some((1234.5, 0.6)));
        check("1,23.4", None);
        check("1.2,3", None);
    }

    #[test]
    fn a_sign_for_nothing_is_nothing_and_words_are_unreadable() {
        assert_eq!(read("n/a", "ng/µL"), Reading::Empty);
        assert_eq!(read(" – ", "ng/µL"), Reading::Empty);
        for text in ["~50", "<0.1", "1e5", "inf", "NaN", "12 34", "1.2.3", "ten"] {
            check(text, None);
        }
    }
}
