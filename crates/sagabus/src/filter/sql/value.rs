//! The values of a CESQL expression: three types, and the casts between them.

use std::borrow::Cow;
use std::fmt;

use super::evaluate::Fault;

/// What an expression yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// A whole number of 32 bits.
    Integer(i32),
    /// Text.
    Text(Cow<'a, str>),
}

/// The type of a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `TRUE` or `FALSE`.
    Boolean,
    /// A whole number of 32 bits.
    Integer,
    /// Text.
    Text,
}

impl Kind {
    /// The value that stands in where an error leaves none: `FALSE`, `0` or the empty text.
    pub(super) fn zero(self) -> Value<'static> {
        match self {
            Self::Boolean => Value::Boolean(false),
            Self::Integer => Value::Integer(0),
            Self::Text => Value::Text(Cow::Borrowed("")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Text => "text",
        })
    }
}

impl<'a> Value<'a> {
    /// The type of this value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Text(_) => Kind::Text,
        }
    }

    /// How many bytes of text are looked at when this value is compared or cast.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Boolean(_) | Self::Integer(_) => 1,
            Self::Text(text) => text.len(),
        }
    }

    /// Cast to boolean: `0` is false, other numbers are true; text must be `true` or `false` in any case of letters.
    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        match self {
            Self::Boolean(it) => Ok(*it),
            Self::Integer(it) => Ok(*it != 0),
            Self::Text(it) if it.eq_ignore_ascii_case("true") => Ok(true),
            Self::Text(it) if it.eq_ignore_ascii_case("false") => Ok(false),
            Self::Text(_) => Err(Fault::Cast { to: Kind::Boolean }),
        }
    }

    /// Cast to integer: true is `1`; text must be digits with or without a sign, within 32 bits.
    pub(super) fn integer(&self) -> Result<i32, Fault> {
        match self {
            Self::Boolean(it) => Ok(i32::from(*it)),
            Self::Integer(it) => Ok(*it),
            Self::Text(it) => it.parse().map_err(|_| Fault::Cast { to: Kind::Integer }),
        }
    }

    /// Cast to text, which is always possible.
    pub(super) fn text(self) -> Cow<'a, str> {
        match self {
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
            Self::Integer(it) => Cow::Owned(it.to_string()),
            Self::Text(it) => it,
        }
    }

    /// Cast to `kind`.
    pub(super) fn cast(self, kind: Kind) -> Result<Self, Fault> {
        Ok(match kind {
            Kind::Boolean => Self::Boolean(self.boolean()?),
            Kind::Integer => Self::Integer(self.integer()?),
            Kind::Text => Self::Text(self.text()),
        })
    }
}

impl From<bool> for Value<'_> {
    fn from(it: bool) -> Self {
        Self::Boolean(it)
    }
}

impl From<i32> for Value<'_> {
    fn from(it: i32) -> Self {
        Self::Integer(it)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(it: &'a str) -> Self {
        Self::Text(Cow::Borrowed(it))
    }
}

impl From<String> for Value<'_> {
    fn from(it: String) -> Self {
        Self::Text(Cow::Owned(it))
    }
}
