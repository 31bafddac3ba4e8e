//! Rules that several payloads share.

use std::borrow::Cow;
use std::fmt;

use sagabus::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A span of time in whole milliseconds. A fraction on the wire is rounded; a negative number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Milliseconds(pub u64);

impl JsonSchema for Milliseconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Milliseconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of milliseconds, 0 or more")
            }

            fn visit_u64<E>(self, ms: u64) -> Result<Milliseconds, E> {
                Ok(Milliseconds(ms))
            }

            fn visit_f64<E: serde::de::Error>(self, ms: f64) -> Result<Milliseconds, E> {
                // 2^53: above it, a JSON number of most producers is no longer exact.
                if !(0.0..=9_007_199_254_740_992.0).contains(&ms) {
                    return Err(E::invalid_value(serde::de::Unexpected::Float(ms), &self));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the range is checked above"
                )]
                Ok(Milliseconds(ms.round() as u64))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A text that must say something.
pub(super) fn not_empty(field: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid(format!("`data.{field}` is empty")));
    }
    Ok(())
}

/// A share or a confidence.
pub(super) fn unit(field: &str, number: f64) -> Result<()> {
    within(field, number, 1.0)
}

/// A percentage.
pub(super) fn percent(field: &str, number: f64) -> Result<()> {
    within(field, number, 100.0)
}

/// Two ends of a range.
pub(super) fn ordered<T: PartialOrd + Copy>(
    from_field: &str,
    from: T,
    to_field: &str,
    to: T,
) -> Result<()> {
    if from > to {
        return Err(Error::invalid(format!(
            "`data.{from_field}` is after `data.{to_field}`"
        )));
    }
    Ok(())
}

fn within(field: &str, number: f64, max: f64) -> Result<()> {
    if !(0.0..=max).contains(&number) {
        return Err(Error::invalid(format!(
            "`data.{field}` is {number}, not within 0 to {max}"
        )));
    }
    Ok(())
}
