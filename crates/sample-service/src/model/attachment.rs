//! A file that belongs to a sample or to a submission.

use nanopore::sample::{FieldErrors, check_file_name};
use sagabus::{Result, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::check_text;

/// Hex digits of an upload's id.
const FILE_ID_DIGITS: usize = 64;
/// Longest media type, in characters.
const TYPE_CHARACTERS_MAX: usize = 100;

/// What an attachment belongs to: one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A sample, by its id.
    Sample(String),
    /// A submission, by its id.
    Submission(String),
}

/// A file to attach; its bytes are with the uploads already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttachment {
    /// Id of the upload.
    pub file_id: String,
    /// What the file is called.
    pub file_name: String,
    /// Its media type.
    pub file_type: String,
    /// What it is.
    pub description: Option<String>,
}

/// A file that is attached.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Its id.
    pub id: String,
    /// The sample that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// The submission that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Id of the upload.
    pub file_id: String,
    /// What the file is called.
    pub file_name: String,
    /// Its media type.
    pub file_type: String,
    /// Its size, in bytes.
    pub file_size: u64,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who attached it.
    pub uploaded_by: String,
    /// When.
    pub uploaded_at: Timestamp,
}

impl NewAttachment {
    /// Checks what is said of the file.
    pub(crate) fn check(&self) -> Result<()> {
        let mut errors = FieldErrors::default();
        if !is_file_id(&self.file_id) {
            errors.add("fileId", "must be 64 lower-case hex digits");
        }
        if let Err(message) = check_file_name(&self.file_name) {
            errors.add("fileName", message);
        }
        let is_type = |text: &str| {
            let mark = |it: char| it.is_ascii_alphanumeric() || "!#$&^_.+-".contains(it);
            let mut parts = text.split('/');
            let two = (parts.next(), parts.next(), parts.next());
            matches!(two, (Some(kind), Some(of), None)
                if !kind.is_empty() && !of.is_empty() && kind.chars().chain(of.chars()).all(mark))
        };
        if self.file_type.len() > TYPE_CHARACTERS_MAX || !is_type(&self.file_type) {
            errors.add(
                "fileType",
                "must be a media type, such as `application/pdf`",
            );
        }
        if !errors.0.is_empty() {
            return Err(errors.into());
        }
        check_text(
            "description",
            self.description.as_deref().unwrap_or_default(),
        )
    }
}

/// Whether this is the id of an upload.
fn is_file_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == FILE_ID_DIGITS && text.bytes().all(is_digit)
}
