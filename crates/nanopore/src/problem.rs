//! A failed call as told to its caller: problem details (RFC 9457), without knowing how they are sent.

use sagabus::event::attributes::{is_in_utf8, is_json};
use sagabus::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::sample::{FieldError, FieldErrors};

/// Media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Largest body of a request that is not an upload (1 MiB).
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most characters of a text that tells what is wrong: it may cite what was sent, which the sender knows.
const TEXT_CHARACTERS_MAX: usize = 1_000;
/// Most characters of the name of a field in it.
const FIELD_CHARACTERS_MAX: usize = 100;
/// Most fields that are told of one by one.
const ERRORS_MAX: usize = 50;

/// Problem details: what went wrong, with one text per wrong field.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Problem {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// Status code of HTTP.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// What was sent is larger than is taken. As the source of an `Invalid` error, it makes the status 413.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TooLarge(pub String);

impl TooLarge {
    /// A body with more than [`BODY_BYTES_MAX`] bytes.
    #[must_use]
    pub fn body() -> Self {
        let kibibytes = BODY_BYTES_MAX / 1024;
        Self(format!("the body has more than {kibibytes} KiB"))
    }
}

/// What was sent is of a form that is not taken there. As the source of an `Invalid` error, it makes the status 415.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OtherFormat(pub String);

impl OtherFormat {
    /// Checks that a body of any kind is in UTF-8 where its `content-type` says in what it is.
    ///
    /// # Errors
    /// What is taken instead of another.
    pub fn check_charset(content_type: Option<&[u8]>) -> Result<(), Self> {
        let given = String::from_utf8_lossy(content_type.unwrap_or_default());
        let kind = given.split(';').next().unwrap_or_default().trim();
        if is_in_utf8(&given, kind) {
            return Ok(());
        }
        let given = given.escape_debug();
        Err(Self(format!("`{given}` is not taken; text is in UTF-8")))
    }

    /// Checks that a body is JSON in UTF-8, by the value of its `content-type`; where there is none it is taken for that.
    ///
    /// # Errors
    /// What is taken instead of another.
    pub fn check_json(content_type: Option<&[u8]>) -> Result<(), Self> {
        let given = String::from_utf8_lossy(content_type.unwrap_or(b"application/json"));
        if is_json(&given) {
            return Ok(());
        }
        let given = given.escape_debug();
        Err(Self(format!(
            "`{given}` is not taken; the body is `application/json` in UTF-8"
        )))
    }
}

/// What is said of a body that is no form.
pub const NO_FORM: &str = "the body must be `multipart/form-data`, with its `boundary`";
/// What is said of a form that cannot be read to its end. Its reader has no words that whoever sent it could use.
pub const BROKEN_FORM: &str =
    "the form ends too early, or is none: the name of a field or file is one line, in quotes";

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let (status, title) = match error.kind() {
            ErrorKind::Invalid if is_from::<TooLarge>(error) => (413, "The content is too large"),
            ErrorKind::Invalid if is_from::<OtherFormat>(error) => (415, "The form is not taken"),
            ErrorKind::Invalid => (400, "The input is wrong"),
            ErrorKind::NotFound => (404, "It does not exist"),
            ErrorKind::Conflict => (409, "The present state does not allow it"),
            ErrorKind::Full | ErrorKind::Transient | ErrorKind::Fenced | ErrorKind::Closed => {
                (503, "Not possible now")
            }
            _ => (500, "The service failed"),
        };
        let errors: Vec<FieldError> = std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<FieldErrors>())
            .map(|errors| {
                errors
                    .0
                    .iter()
                    .take(ERRORS_MAX)
                    .map(clipped_error)
                    .collect()
            })
            .unwrap_or_default();
        // What the machine says stays in the log; the caller can use only what is about the input.
        let detail = if status < 500 {
            error.chain()
        } else {
            error.to_string()
        };
        Self {
            kind: match status {
                413 => "urn:sagabus:problem:too_large".to_owned(),
                _ => format!("urn:sagabus:problem:{}", error.kind()),
            },
            title,
            status,
            detail: clipped(&detail, TEXT_CHARACTERS_MAX),
            errors,
        }
    }
}

fn clipped_error(error: &FieldError) -> FieldError {
    FieldError {
        field: clipped(&error.field, FIELD_CHARACTERS_MAX),
        message: clipped(&error.message, TEXT_CHARACTERS_MAX),
    }
}

/// The text without its middle, where it has more characters: it begins with what is wrong, and ends with why.
fn clipped(text: &str, characters_max: usize) -> String {
    let count = text.chars().count();
    if count <= characters_max {
        return text.to_owned();
    }
    let half = characters_max / 2;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(count - half).collect();
    format!("{start} … {end}")
}

fn is_from<T: std::error::Error + 'static>(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<T>())
}

impl From<OtherFormat> for Error {
    fn from(other: OtherFormat) -> Self {
        Self::invalid("what was sent is refused").with_source(other)
    }
}

impl From<TooLarge> for Error {
    fn from(too_large: TooLarge) -> Self {
        Self::invalid("what was sent is refused").with_source(too_large)
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Self::invalid("some fields are wrong").with_source(errors)
    }
}

#[cfg(test)]
mod tests;
