//! Why a PDF could not be read: the kinds that callers and events know, and one clear sentence.

use serde::{Deserialize, Serialize};

/// What went wrong; its text form is part of the service's events and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum PdfErrorKind {
    /// Not a PDF at all.
    FileInvalid,
    /// A PDF whose structure is broken.
    FileCorrupted,
    /// More bytes, pages or drawing than are read.
    FileTooLarge,
    /// It opens only with a password.
    FilePasswordProtected,
    /// The child process could not be started or died without an answer.
    WorkerFailed,
    /// A service that is asked over the network did not answer.
    NetworkError,
    /// The parser gave up on the file.
    ParserError,
    /// The file is fine, but what is looked for is not in it.
    ExtractionFailed,
    /// A value breaks a rule.
    ValidationError,
    /// It took longer than allowed.
    TimeoutError,
    /// It took more memory than allowed.
    MemoryError,
    /// None of the others.
    UnknownError,
}

impl PdfErrorKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::FileInvalid,
        Self::FileCorrupted,
        Self::FileTooLarge,
        Self::FilePasswordProtected,
        Self::WorkerFailed,
        Self::NetworkError,
        Self::ParserError,
        Self::ExtractionFailed,
        Self::ValidationError,
        Self::TimeoutError,
        Self::MemoryError,
        Self::UnknownError,
    ];

    /// The name in events and answers, such as `FILE_INVALID`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileInvalid => "FILE_INVALID",
            Self::FileCorrupted => "FILE_CORRUPTED",
            Self::FileTooLarge => "FILE_TOO_LARGE",
            Self::FilePasswordProtected => "FILE_PASSWORD_PROTECTED",
            Self::WorkerFailed => "WORKER_FAILED",
            Self::NetworkError => "NETWORK_ERROR",
            Self::ParserError => "PARSER_ERROR",
            Self::ExtractionFailed => "EXTRACTION_FAILED",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::TimeoutError => "TIMEOUT_ERROR",
            Self::MemoryError => "MEMORY_ERROR",
            Self::UnknownError => "UNKNOWN_ERROR",
        }
    }

    /// Whether the same file may be read at another time: network, worker, time-out and parser.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::NetworkError | Self::WorkerFailed | Self::TimeoutError | Self::ParserError
        )
    }
}

impl std::fmt::Display for PdfErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A PDF could not be read, or what it holds breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct PdfError {
    /// What went wrong.
    pub kind: PdfErrorKind,
    /// One clear fragment for a person; it names the limit where there is one.
    pub message: String,
}

impl PdfError {
    /// An error of this kind with these words.
    #[must_use]
    pub fn new(kind: PdfErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Whether the same file may be read at another time.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.kind.retryable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_everywhere() {
        for kind in PdfErrorKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
            assert_eq!(kind.to_string(), kind.as_str());
        }
    }

    #[test]
    fn only_what_another_try_may_mend_is_retryable() {
        let names: Vec<&str> = PdfErrorKind::ALL
            .into_iter()
            .filter(|it| it.retryable())
            .map(PdfErrorKind::as_str)
            .collect();
        assert_eq!(
            names,
            [
                "WORKER_FAILED",
                "NETWORK_ERROR",
                "PARSER_ERROR",
                "TIMEOUT_ERROR"
            ]
        );
    }
}
