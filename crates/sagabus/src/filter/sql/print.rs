//! Writes an expression: one text for all that mean the same but for blanks, brackets and the case of keywords.

use std::fmt::{self, Display};

use super::value::Value;
use super::{Expr, Expression, Level, Pointer};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

/// How tightly a part holds together; a part stands in brackets where its place asks for more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    Chain(Level),
    Tested,
    Signed,
    Primary,
}

impl Expr {
    fn hold(&self) -> Hold {
        match self {
            Self::Chain { rest, .. } => match rest.first() {
                Some((operator, _)) => Hold::Chain(operator.level()),
                None => Hold::Primary,
            },
            Self::Like { .. } | Self::In { .. } => Hold::Tested,
            Self::Not(_) | Self::Negate(_) => Hold::Signed,
            Self::Literal(_)
            | Self::Attribute(_)
            | Self::Exists(_)
            | Self::Data(_)
            | Self::ExistsData(_)
            | Self::Call { .. } => Hold::Primary,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, at_least: Hold) -> fmt::Result {
        if self.hold() < at_least {
            write!(f, "({self})")
        } else {
            self.fmt(f)
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => value.fmt(f),
            Self::Attribute(name) => f.write_str(name.as_str()),
            Self::Exists(name) => write!(f, "EXISTS {}", name.as_str()),
            Self::Data(pointer) => pointer.fmt(f),
            Self::ExistsData(pointer) => write!(f, "EXISTS {pointer}"),
            Self::Not(of) => {
                f.write_str("NOT ")?;
                of.write(f, Hold::Signed)
            }
            Self::Negate(of) => {
                f.write_str("-")?;
                of.write(f, Hold::Signed)
            }
            Self::Like {
                of,
                negated,
                pattern,
            } => {
                of.write(f, Hold::Tested)?;
                f.write_str(if *negated { " NOT LIKE " } else { " LIKE " })?;
                quoted(f, &pattern.text)
            }
            Self::In { of, negated, set } => {
                of.write(f, Hold::Tested)?;
                f.write_str(if *negated { " NOT IN " } else { " IN " })?;
                list(f, set)
            }
            Self::Chain { first, rest } => {
                let hold = match self.hold() {
                    Hold::Chain(level) => level.tighter().map_or(Hold::Tested, Hold::Chain),
                    hold => hold,
                };
                first.write(f, hold)?;
                for (operator, operand) in rest {
                    write!(f, " {} ", operator.as_str())?;
                    operand.write(f, hold)?;
                }
                Ok(())
            }
            Self::Call {
                name, arguments, ..
            } => {
                f.write_str(name)?;
                list(f, arguments)
            }
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DATA(")?;
        quoted(f, &self.0)?;
        f.write_str(")")
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(true) => f.write_str("TRUE"),
            Self::Boolean(false) => f.write_str("FALSE"),
            Self::Integer(it) => it.fmt(f),
            Self::Text(it) => quoted(f, it),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, parts: &[Expr]) -> fmt::Result {
    f.write_str("(")?;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        part.fmt(f)?;
    }
    f.write_str(")")
}

/// Text in quotes. A backslash before a quote cannot be written in quotes of that kind, so the other kind is taken; what
/// was read from quotes never needs both.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if splits(text, '\'') { '"' } else { '\'' };
    write!(f, "{quote}")?;
    for it in text.chars() {
        if it == quote {
            f.write_str("\\")?;
        }
        write!(f, "{it}")?;
    }
    write!(f, "{quote}")
}

/// Whether a backslash that belongs to no pair stands before `quote`.
fn splits(text: &str, quote: char) -> bool {
    let mut alone = false;
    text.chars().any(|it| {
        let found = alone && it == quote;
        alone = it == '\\' && !alone;
        found
    })
}
