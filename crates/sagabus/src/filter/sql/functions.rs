//! The functions of CESQL 1.0.

use std::borrow::Cow;

use super::evaluate::{Fault, Meter, Stop};
use super::value::{Kind, Value};

/// A function that exists, with a number of arguments that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Length,
    Concat,
    ConcatWs,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    Substring,
    Abs,
    Int,
    Bool,
    String,
}

impl Function {
    /// The function of that name, in capitals, that takes so many arguments.
    pub(super) fn find(name: &str, arguments: usize) -> Option<Self> {
        let (function, takes) = match name {
            "LENGTH" => (Self::Length, arguments == 1),
            "CONCAT" => (Self::Concat, true),
            "CONCAT_WS" => (Self::ConcatWs, arguments >= 1),
            "LOWER" => (Self::Lower, arguments == 1),
            "UPPER" => (Self::Upper, arguments == 1),
            "TRIM" => (Self::Trim, arguments == 1),
            "LEFT" => (Self::Left, arguments == 2),
            "RIGHT" => (Self::Right, arguments == 2),
            "SUBSTRING" => (Self::Substring, matches!(arguments, 2 | 3)),
            "ABS" => (Self::Abs, arguments == 1),
            "INT" => (Self::Int, arguments == 1),
            "BOOL" => (Self::Bool, arguments == 1),
            "STRING" => (Self::String, arguments == 1),
            _ => return None,
        };
        takes.then_some(function)
    }

    /// The type of its result.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Length | Self::Abs | Self::Int => Kind::Integer,
            Self::Bool => Kind::Boolean,
            Self::Concat
            | Self::ConcatWs
            | Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Left
            | Self::Right
            | Self::Substring
            | Self::String => Kind::Text,
        }
    }

    /// Its result for arguments, as many as it takes.
    pub(super) fn call<'a>(
        self,
        arguments: Vec<Value<'a>>,
        meter: &mut Meter,
    ) -> Result<Value<'a>, Stop<'a>> {
        meter.charge(arguments.iter().map(Value::bytes).sum())?;
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next().ok_or(Fault::MissingFunction);
        Ok(match self {
            Self::Length => count(&next()?.text()).into(),
            Self::Concat => join("", arguments, meter)?.into(),
            Self::ConcatWs => {
                let delimiter = next()?.text();
                join(&delimiter, arguments, meter)?.into()
            }
            Self::Lower => next()?.text().to_lowercase().into(),
            Self::Upper => next()?.text().to_uppercase().into(),
            Self::Trim => Value::Text(part(next()?.text(), |text| Some(text.trim()))),
            Self::Left => {
                let text = next()?.text();
                let Ok(length) = usize::try_from(next()?.integer()?) else {
                    return Err(Stop::own(Fault::NegativeLength, Value::Text(text)));
                };
                Value::Text(part(text, |text| text.get(..place(text, length))))
            }
            Self::Right => {
                let text = next()?.text();
                let Ok(length) = usize::try_from(next()?.integer()?) else {
                    return Err(Stop::own(Fault::NegativeLength, Value::Text(text)));
                };
                Value::Text(part(text, |text| {
                    let before = text.chars().count().saturating_sub(length);
                    text.get(place(text, before)..)
                }))
            }
            Self::Substring => {
                let text = next()?.text();
                let start = next()?.integer()?;
                let length = match arguments.next() {
                    Some(length) => Some(
                        usize::try_from(length.integer()?).map_err(|_| Fault::NegativeLength)?,
                    ),
                    None => None,
                };
                Value::Text(substring(text, start, length)?)
            }
            Self::Abs => {
                let it = next()?.integer()?;
                match it.checked_abs() {
                    Some(it) => it.into(),
                    None => return Err(Stop::own(Fault::Overflow, i32::MAX.into())),
                }
            }
            Self::Int => next()?.integer()?.into(),
            Self::Bool => next()?.boolean()?.into(),
            Self::String => Value::Text(next()?.text()),
        })
    }
}

fn count(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX)
}

/// The texts of `values` with `delimiter` between them; what it will cost is charged before it is made.
fn join<'a>(
    delimiter: &str,
    values: impl Iterator<Item = Value<'a>>,
    meter: &mut Meter,
) -> Result<String, Fault> {
    let mut joined = String::new();
    for (index, value) in values.enumerate() {
        let text = value.text();
        meter.charge(text.len())?;
        if index > 0 {
            meter.charge(delimiter.len())?;
            joined.push_str(delimiter);
        }
        joined.push_str(&text);
    }
    Ok(joined)
}

/// Where the character number `index` starts, or the end of `text`.
fn place(text: &str, index: usize) -> usize {
    text.char_indices()
        .nth(index)
        .map_or(text.len(), |(at, _)| at)
}

/// A part of `text`, without copying what is borrowed.
fn part(text: Cow<'_, str>, take: impl FnOnce(&str) -> Option<&str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(take(text).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(take(&text).unwrap_or_default().to_owned()),
    }
}

/// `length` characters, or all, from `start`: 1 is the first character, -1 the last, and at 0 there are none.
fn substring(text: Cow<'_, str>, start: i32, length: Option<usize>) -> Result<Cow<'_, str>, Fault> {
    let count = text.chars().count();
    let steps = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
    if steps > count {
        return Err(Fault::OutOfRange);
    }
    let before = match start.signum() {
        0 => return Ok(Cow::Borrowed("")),
        1 => steps - 1,
        _ => count - steps,
    };
    Ok(part(text, |text| {
        let rest = text.get(place(text, before)..)?;
        match length {
            Some(length) => rest.get(..place(rest, length)),
            None => Some(rest),
        }
    }))
}
