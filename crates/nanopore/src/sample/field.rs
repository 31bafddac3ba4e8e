//! What is wrong with the fields of an input: one text per field.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Most errors in one line of text; the list itself has them all.
const SHOWN_MAX: usize = 20;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct FieldError {
    /// Name of the field, as on the wire.
    pub field: String,
    /// What is wrong, as a lower-case fragment that follows the name.
    pub message: String,
}

/// Everything that is wrong with an input; never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// One error.
    #[must_use]
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Adds one more.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    /// Checks that each name is there once in the pairs of a query, but for those of `lists`.
    ///
    /// # Errors
    /// Each that is there twice.
    pub fn check_once(pairs: &[(String, String)], lists: &[&str]) -> Result<(), Self> {
        let mut errors = Self::default();
        let mut met = HashSet::new();
        let names = pairs.iter().map(|(name, _)| name.trim_end_matches("[]"));
        for name in names.filter(|name| !lists.contains(name)) {
            if !met.insert(name) {
                errors.add(name, "is given twice");
            }
        }
        match errors.0.is_empty() {
            true => Ok(()),
            false => Err(errors),
        }
    }

    /// The same errors of a part of the input: `volume` becomes `samples[2].volume` for the prefix `samples[2]`.
    #[must_use]
    pub fn inside(mut self, prefix: &str) -> Self {
        for error in &mut self.0 {
            error.field = format!("{prefix}.{}", error.field);
        }
        self
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(SHOWN_MAX).enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "`{}` {}", error.field, error.message)?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
