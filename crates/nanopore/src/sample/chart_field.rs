//! The chart field: the billing account of a sample.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::FieldErrors;

/// The accounts that exist from the start; later ones are added as data.
pub const CHART_FIELDS: [&str; 15] = [
    "HTSF-001", "HTSF-002", "HTSF-003", "HTSF-004", "HTSF-005", "NANO-001", "NANO-002", "NANO-003",
    "NANO-004", "NANO-005", "SEQ-001", "SEQ-002", "SEQ-003", "SEQ-004", "SEQ-005",
];

/// A billing account: `HTSF`, `NANO` or `SEQ`, a hyphen, three digits. Somebody pays, so it is never guessed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChartField(String);

impl ChartField {
    /// The account as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChartField {
    type Error = FieldErrors;

    fn try_from(text: String) -> Result<Self, FieldErrors> {
        let digits = ["HTSF-", "NANO-", "SEQ-"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        match digits {
            Some(digits)
                if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Ok(Self(text))
            }
            _ => Err(FieldErrors::one(
                "chartField",
                "must be `HTSF`, `NANO` or `SEQ`, a hyphen and three digits, such as `HTSF-001`",
            )),
        }
    }
}

impl From<ChartField> for String {
    fn from(field: ChartField) -> Self {
        field.0
    }
}

impl fmt::Display for ChartField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
