//! Numbers with units, as people write them; converted only where that is exact.

use crate::form::{Reading, key, read_number};

/// A unit that may be written behind a number.
#[derive(Debug)]
pub(super) struct Unit {
    /// How it is written, as keys.
    keys: &'static [&'static str],
    /// Its name.
    name: &'static str,
    /// The power of ten that makes the first unit of its list of it; nothing where that takes more than a factor.
    power: Option<i32>,
}

const fn unit(name: &'static str, keys: &'static [&'static str], power: Option<i32>) -> Unit {
    Unit { keys, name, power }
}

/// Mass concentrations, and molar ones, which need the length of the molecule.
pub(super) const CONCENTRATION: &[Unit] = &[
    unit("ng/µL", &["ngul", "ngmicrol", "ugml"], Some(0)),
    unit("µg/µL", &["ugul", "mgml"], Some(3)),
    unit("ng/mL", &["ngml"], Some(-3)),
    unit("nM", &["nm", "nmoll"], None),
    unit("µM", &["um"], None),
    unit("pM", &["pm"], None),
];
/// Volumes.
pub(super) const VOLUME: &[Unit] = &[
    unit(
        "µL",
        &["ul", "microl", "microlitre", "microlitres", "microliters"],
        Some(0),
    ),
    unit("mL", &["ml"], Some(3)),
];
/// Lengths of molecules.
pub(super) const LENGTH: &[Unit] = &[
    unit("bp", &["bp", "nt"], Some(0)),
    unit("kb", &["kb", "kbp"], Some(3)),
    unit("Mb", &["mb", "mbp"], Some(6)),
];
/// Masses.
pub(super) const MASS: &[Unit] = &[unit("ng", &["ng"], Some(0)), unit("µg", &["ug"], Some(3))];

/// What a text holds where a number with a unit belongs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measure {
    /// Nothing, or a sign that says so.
    Empty,
    /// A number in the first unit of its list, in the unit as written where there is no exact way, or without one.
    Value {
        value: f64,
        unit: Option<&'static str>,
        /// How plainly it is written, from 0 to 1.
        plain: f64,
        /// It is in the first unit of the list, so that rules for numbers apply.
        standard: bool,
    },
    /// Something else.
    Unreadable,
}

/// Reads a number with one of these units; `given` is the unit that the label names.
pub(super) fn measure(text: &str, given: Option<&str>, units: &'static [Unit]) -> Measure {
    let text = text.trim();
    if let Reading::Empty = read_number(text, "") {
        return Measure::Empty;
    }
    let end = text
        .find(|it: char| it.is_alphabetic() || it == 'µ')
        .unwrap_or(text.len());
    let (number, written) = text.split_at(end);
    let written = Some(written.trim()).filter(|it| !it.is_empty());
    let Reading::Number { value, plain } = read_number(number, "") else {
        return Measure::Unreadable;
    };
    let Some(name) = written.or(given) else {
        return Measure::Value {
            value,
            unit: None,
            plain,
            standard: false,
        };
    };
    let name = key(name);
    let known = units.iter().find(|it| it.keys.contains(&name.as_str()));
    let (Some(known), Some(first)) = (known, units.first()) else {
        return Measure::Unreadable;
    };
    match known.power {
        Some(power) => Measure::Value {
            value: times_ten_to(value, power),
            unit: Some(first.name),
            plain,
            standard: true,
        },
        None => Measure::Value {
            value,
            unit: Some(known.name),
            plain,
            standard: false,
        },
    }
}

/// Moves the decimal point, which multiplication would do with an error in the last digit.
fn times_ten_to(value: f64, power: i32) -> f64 {
    format!("{value}e{power}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        text: &str,
        given: Option<&str>,
        units: &'static [Unit],
        want: Option<(f64, Option<&str>)>,
    ) {
        let got = match measure(text, given, units) {
            Measure::Value { value, unit, .. } => Some((value, unit)),
            Measure::Empty | Measure::Unreadable => None,
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn the_documented_examples_are_read_with_either_letter_mu() {
        check(
            "50.5 ng/μL",
            None,
            CONCENTRATION,
            Some((50.5, Some("ng/µL"))),
        );
        check(
            "50.5 ng/µL",
            None,
            CONCENTRATION,
            Some((50.5, Some("ng/µL"))),
        );
        check("25 μL", None, VOLUME, Some((25.0, Some("µL"))));
        check("25ul", None, VOLUME, Some((25.0, Some("µL"))));
    }

    #[test]
    fn a_unit_is_converted_where_the_decimal_point_moves() {
        check(
            "0.0505 µg/µL",
            None,
            CONCENTRATION,
            Some((50.5, Some("ng/µL"))),
        );
        check(
            "4.35 ug/uL",
            None,
            CONCENTRATION,
            Some((4350.0, Some("ng/µL"))),
        );
        check("1.005 mL", None, VOLUME, Some((1005.0, Some("µL"))));
        check("12.5 kb", None, LENGTH, Some((12_500.0, Some("bp"))));
        check(
            "1.2",
            Some("µg/µL"),
            CONCENTRATION,
            Some((1200.0, Some("ng/µL"))),
        );
    }

    #[test]
    fn a_molar_concentration_stays_as_it_is() {
        check("10 nM", None, CONCENTRATION, Some((10.0, Some("nM"))));
    }

    #[test]
    fn a_number_without_a_unit_gets_none_and_a_wrong_unit_is_unreadable() {
        check("50", None, CONCENTRATION, Some((50.0, None)));
        for text in [
            "50 mg",
            "50 ng",
            "~50 ng/µL",
            "12-15 µL",
            "1e5",
            "ten",
            "n/a",
            "",
        ] {
            check(text, None, CONCENTRATION, None);
        }
        check("1000 ng", None, VOLUME, None);
    }
}
