//! Why a job failed.

use std::borrow::Cow;
use std::fmt;

use sagabus::{Error, ErrorKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::pdf::{PdfError, PdfErrorKind};
use crate::summary;

/// What kind of failure ended a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The document could not be read, or what it holds breaks a rule.
    Pdf(PdfErrorKind),
    /// The service ended before the job did.
    Interrupted,
    /// Whoever asked for the job took it back.
    Cancelled,
}

impl FaultKind {
    /// The name in events and answers, such as `FILE_INVALID`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pdf(kind) => kind.as_str(),
            Self::Interrupted => "INTERRUPTED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|kind| kind.as_str() == word)
    }

    /// Every kind.
    fn all() -> impl Iterator<Item = Self> {
        let of_documents = PdfErrorKind::ALL.into_iter().map(Self::Pdf);
        of_documents.chain([Self::Interrupted, Self::Cancelled])
    }

    /// Whether the same job may succeed at another time.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::Pdf(kind) => kind.retryable(),
            Self::Interrupted => true,
            Self::Cancelled => false,
        }
    }
}

impl JsonSchema for FaultKind {
    fn schema_name() -> Cow<'static, str> {
        "FaultKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::all().map(Self::as_str).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a job failed: the kind, and one clear fragment for a person.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Fault {
    /// What kind of failure.
    pub kind: FaultKind,
    /// What happened.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl From<PdfError> for Fault {
    fn from(error: PdfError) -> Self {
        Self {
            kind: FaultKind::Pdf(error.kind),
            // It may quote what stands on the form, of any length.
            message: summary::short(&error.message),
        }
    }
}

impl From<&Fault> for Error {
    /// A failure that may pass is `Transient`, any other is `Invalid`; the text names the kind.
    fn from(fault: &Fault) -> Self {
        let kind = if fault.kind.retryable() {
            ErrorKind::Transient
        } else {
            ErrorKind::Invalid
        };
        Self::new(kind, fault.to_string())
    }
}
