//! The form that a sample is entered with.

use nanopore::sample::{FieldErrors, check_file_name};
use serde_json::Value;

/// Hex digits of an upload's id.
const FILE_ID_DIGITS: usize = 64;

/// An upload with a submission form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormFile {
    /// Id of the upload.
    pub file_id: String,
    /// What the form is called, for people.
    pub file_name: String,
}

impl FormFile {
    /// Reads `{"fileId": …, "fileName": …}`.
    ///
    /// # Errors
    /// Every field that is wrong, as `form.fileId`.
    pub fn read(value: &Value) -> Result<Self, FieldErrors> {
        let Some(fields) = value.as_object() else {
            return Err(FieldErrors::one("form", "must be an object"));
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let form = Self {
            file_id: text("fileId").to_owned(),
            file_name: text("fileName").to_owned(),
        };
        let mut errors = FieldErrors::default();
        if let Some(name) = fields
            .keys()
            .find(|it| !["fileId", "fileName"].contains(&it.as_str()))
        {
            errors.add(format!("form.{name}"), "is not a field here");
        }
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if form.file_id.len() != FILE_ID_DIGITS || !form.file_id.bytes().all(is_digit) {
            errors.add("form.fileId", "must be 64 lower-case hex digits");
        }
        if let Err(message) = check_file_name(&form.file_name) {
            errors.add("form.fileName", message);
        }
        match errors.0.is_empty() {
            true => Ok(form),
            false => Err(errors),
        }
    }
}
