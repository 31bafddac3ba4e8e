//! The error of every public call: a kind that says what to do next, what was being done, and the source.

use std::borrow::Cow;
use std::fmt;

use crate::text;

/// Result of a public call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do about an [`Error`]. Retry and dead-letter decisions read only this, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong: fix it; repeating the same call fails again.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The call contradicts the present state, such as a second, different definition of one name.
    Conflict,
    /// A limit of this process or machine is reached: wait, make room, then repeat.
    Full,
    /// Nothing was done and repeating the call later can succeed.
    Transient,
    /// Another holder has taken over: stop, do not retry.
    Fenced,
    /// Stored data is damaged: call an operator.
    Corrupt,
    /// The component was shut down or stopped itself after a failed write; the outcome of the call is unknown.
    Closed,
}

impl ErrorKind {
    /// The kind in one lower-case word, as used in HTTP answers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Full => "full",
            Self::Transient => "transient",
            Self::Fenced => "fenced",
            Self::Corrupt => "corrupt",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of a public call.
///
/// Its text is a lower-case fragment; [`std::error::Error::source`] has the cause, which the text does not repeat.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with its text. What a text that was given has and a reader does not see, such as an end of a
    /// line, is written out.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            text: text::visible(text.into()),
            source: None,
        }
    }

    /// Shorthand for [`ErrorKind::Invalid`].
    #[must_use]
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, text)
    }

    /// Shorthand for [`ErrorKind::NotFound`].
    #[must_use]
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, text)
    }

    /// Shorthand for [`ErrorKind::Closed`].
    #[must_use]
    pub fn closed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Closed, text)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, with where it was in front of its text.
    #[must_use]
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.text = Cow::Owned(format!("{place}: {}", self.text));
        self
    }

    /// What to do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text with all its causes, joined by `: `.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// The text of any error with all its causes, joined by `: `, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = String::new();
    text::push_visible(&mut line, &error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        text::push_visible(&mut line, &cause.to_string());
        next = cause.source();
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
