//! What is asked and what is answered. Pure.

use std::fmt;

use serde_json::Value;

/// Which of two versions must read the other's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The new version reads data of the old one.
    #[default]
    Backward,
    /// The old version reads data of the new one.
    Forward,
    /// Both.
    Full,
}

/// Who fails to read whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The new version, reading data of the old one.
    Backward,
    /// The old version, reading data of the new one.
    Forward,
}

impl Direction {
    /// The direction in one lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backward => "backward",
            Self::Forward => "forward",
        }
    }
}

/// One thing that a reader would refuse.
#[derive(Clone, Debug, PartialEq)]
pub struct Incompatibility {
    /// Who would refuse it.
    pub direction: Direction,
    /// Where in the data, such as `$.samples[*].volume`.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

/// Why a reader would refuse what a writer may write.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The reader requires a field that the writer may leave out.
    Required {
        /// The reader's schema has a default for it, which validation does not fill in.
        has_default: bool,
    },
    /// The reader takes no such field.
    FieldRefused,
    /// The reader takes fewer types.
    TypeNarrowed {
        /// The type that is written.
        written: &'static str,
        /// The types that are taken.
        taken: Vec<String>,
    },
    /// A value that may be written is not taken, such as one that left an enumeration.
    ValueRefused {
        /// The value.
        value: Value,
    },
    /// The reader takes listed values only.
    ValuesOnly {
        /// The values.
        taken: Vec<Value>,
    },
    /// A bound of the reader is tighter.
    BoundTightened {
        /// The keyword of the bound.
        keyword: &'static str,
        /// The reader's bound.
        taken: Value,
        /// The writer's bound; none when it has no such bound.
        written: Option<Value>,
    },
    /// A pattern or format was added or is another one.
    PatternChanged {
        /// The keyword.
        keyword: &'static str,
        /// What the reader wants.
        taken: Value,
    },
    /// The writer may write more fields than it names, and the reader says what one of them must be.
    OpenField,
    /// None of the reader's alternatives takes it for sure.
    NoAlternative,
    /// The two cannot be compared by a keyword of the reader, so they are not taken for compatible.
    NotComparable {
        /// The keyword.
        keyword: String,
    },
    /// The schemas are too large or too deep to be compared, or refer to nothing or to themselves without end.
    TooComplex,
}

impl Reason {
    /// The reason in one word, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Required { .. } => "required",
            Self::FieldRefused => "field_refused",
            Self::TypeNarrowed { .. } => "type_narrowed",
            Self::ValueRefused { .. } => "value_refused",
            Self::ValuesOnly { .. } => "values_only",
            Self::BoundTightened { .. } => "bound_tightened",
            Self::PatternChanged { .. } => "pattern_changed",
            Self::OpenField => "open_field",
            Self::NoAlternative => "no_alternative",
            Self::NotComparable { .. } => "not_comparable",
            Self::TooComplex => "too_complex",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required { has_default: false } => {
                f.write_str("is required, but may be left out by the writer")
            }
            Self::Required { has_default: true } => f.write_str(
                "is required, but may be left out by the writer; its default is not filled in while it is required",
            ),
            Self::FieldRefused => f.write_str("is a field that the reader refuses"),
            Self::TypeNarrowed { written, taken } => {
                write!(f, "may be {written}; taken is {}", taken.join(" or "))
            }
            Self::ValueRefused { value } => write!(f, "may be `{value}`, which is not taken"),
            Self::ValuesOnly { taken } => {
                let taken: Vec<String> = taken.iter().map(|it| format!("`{it}`")).collect();
                write!(f, "may be other than the values taken, {}", taken.join(", "))
            }
            Self::BoundTightened {
                keyword,
                taken,
                written: Some(written),
            } => write!(f, "has `{keyword}` {written}; the reader's is {taken}"),
            Self::BoundTightened {
                keyword,
                taken,
                written: None,
            } => write!(f, "has no `{keyword}`; the reader's is {taken}"),
            Self::PatternChanged { keyword, taken } => {
                write!(f, "is not bound to the reader's `{keyword}` {taken}")
            }
            Self::OpenField => f.write_str(
                "may be anything, since the writer's further fields are open; the reader says what it must be",
            ),
            Self::NoAlternative => f.write_str("fits none of the reader's alternatives for sure"),
            Self::NotComparable { keyword } => {
                write!(f, "cannot be compared: the reader has `{keyword}`")
            }
            Self::TooComplex => f.write_str(
                "cannot be compared: too large, too deep, or a reference that leads nowhere",
            ),
        }
    }
}
