//! The version of a payload's schema, as two numbers. Pure.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A version: another major breaks readers, another minor does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Readers of another major cannot read it.
    pub major: u32,
    /// Readers of another minor can.
    pub minor: u32,
}

impl FromStr for Version {
    type Err = Error;

    /// Reads `2`, `2.1` or `2.1.7`; the third number says nothing about the schema.
    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('.').map(number);
        let version = match (numbers.next(), numbers.next()) {
            (Some(Some(major)), None) => Some(Self { major, minor: 0 }),
            (Some(Some(major)), Some(Some(minor))) => Some(Self { major, minor }),
            _ => None,
        };
        let has_good_rest = match (numbers.next(), numbers.next()) {
            (None, _) => true,
            (Some(patch), None) => patch.is_some(),
            (Some(_), Some(_)) => false,
        };
        version.filter(|_| has_good_rest).ok_or_else(|| {
            Error::invalid(format!(
                "version `{}` is not `major.minor`, such as `1.0`",
                text.escape_debug()
            ))
        })
    }
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone would take a plus sign.
    text.bytes()
        .all(|it| it.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
