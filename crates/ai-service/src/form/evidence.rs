//! What was read, where it stands on the paper, how sure it is, and what is wrong with it.

use nanopore::events::ai::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::Form;
use crate::pdf::{PdfError, PdfErrorKind, Rect};
use crate::reading::Kind;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Evidence {
    /// Page, from 1.
    pub page: u32,
    /// The box around it in points from the top left: `[x, y, w, h]`.
    pub bbox: Rect,
    /// The words that were read there.
    pub text: String,
}

/// One value that was found.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct FieldEvidence {
    /// Path in the form, such as `samples[3].volume_ul`.
    pub field: String,
    /// The value as text.
    pub value: String,
    /// The unit, where the value has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    /// From 0 to 1; below 0.7 a person should look at it.
    pub confidence: f64,
    /// How it was found, where that is not how the whole was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<Method>,
    /// Where it stands.
    pub evidence: Evidence,
}

/// What kind of trouble a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IssueCode {
    /// A number outside the range that the rules allow.
    OutOfRange,
    /// Text where a number belongs.
    NotANumber,
    /// A table row with values and without a name.
    MissingSampleName,
    /// More than one tick where one choice is asked for.
    AmbiguousChoice,
    /// Two rows have one name.
    DuplicateSampleName,
    /// A value that is allowed but rare.
    UnusualValue,
    /// A mark that is neither clearly empty nor clearly ticked.
    FaintMark,
    /// Text where an e-mail address belongs.
    NotAnEmail,
    /// Text that belongs to no field.
    UnexpectedText,
    /// A part of the form that was not found.
    MissingSection,
    /// Text that nobody sees.
    HiddenText,
    /// A page that is a picture: nothing on it was read.
    ScannedPage,
    /// What a model says and does not stand there, or is not taken from a model alone.
    Unverified,
    /// Two methods read different values.
    MethodsDiffer,
}

impl IssueCode {
    /// Whether the form must not be accepted as it is; the others are for a person to look at.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(
            self,
            Self::OutOfRange | Self::NotANumber | Self::MissingSampleName | Self::AmbiguousChoice
        )
    }

    /// Whether a person must look at the document, however sure the rest is.
    #[must_use]
    pub fn asks_for_a_person(self) -> bool {
        matches!(
            self,
            Self::HiddenText
                | Self::ScannedPage
                | Self::FaintMark
                | Self::Unverified
                | Self::MethodsDiffer
        )
    }
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Issue {
    /// What kind of trouble.
    pub code: IssueCode,
    /// Path in the form.
    pub field: String,
    /// One clear fragment that names the value and the rule.
    pub message: String,
}

/// A form that was read, with everything needed to check it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Extraction {
    /// Which kind of document it is.
    pub kind: Kind,
    /// How the values were found.
    pub method: Method,
    /// The values.
    pub form: Form,
    /// One entry for each value that was found.
    pub fields: Vec<FieldEvidence>,
    /// From 0 to 1 over the whole form.
    pub confidence: f64,
    /// What a person should look at.
    pub issues: Vec<Issue>,
    /// The model that was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// What is to be said of the reading, such as why another method was taken.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

impl Extraction {
    /// Whether samples can be made of this form as it is.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when there is no sample row, or for the first value that breaks a rule.
    pub fn check(&self) -> Result<(), PdfError> {
        if self.form.samples.is_empty() {
            let message = match self.kind {
                Kind::Pairs => "the form has no sample: its sample name is empty",
                _ => "the form has no sample rows: its sample table is empty",
            };
            return Err(PdfError::new(PdfErrorKind::ValidationError, message));
        }
        let mut errors = self.issues.iter().filter(|issue| issue.code.is_error());
        let Some(first) = errors.next() else {
            return Ok(());
        };
        let message = match errors.count() {
            0 => first.message.clone(),
            more => format!("{} (and {more} more)", first.message),
        };
        Err(PdfError::new(PdfErrorKind::ValidationError, message))
    }
}

/// What the sections have found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) fields: Vec<FieldEvidence>,
    pub(crate) issues: Vec<Issue>,
}

/// A piece of text with its place.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) page: u32,
    pub(crate) rect: Rect,
    pub(crate) text: String,
}

impl Findings {
    /// Keeps a value with its place.
    pub(crate) fn found(
        &mut self,
        field: impl Into<String>,
        value: impl Into<String>,
        confidence: f64,
        passage: &Passage,
    ) -> &mut FieldEvidence {
        // A glyph that the font gives no letter for makes the whole value doubtful.
        let readable = !passage.text.contains(is_no_letter);
        let confidence = if readable {
            confidence
        } else {
            0.4 * confidence
        };
        let confidence = (confidence.clamp(0.0, 0.99) * 1000.0).round() / 1000.0;
        let evidence = Evidence {
            page: passage.page,
            bbox: passage.rect,
            text: passage.text.clone(),
        };
        let (field, value) = (field.into(), value.into());
        self.fields.push_mut(FieldEvidence {
            field,
            value,
            unit: None,
            confidence,
            method: None,
            evidence,
        })
    }

    /// Keeps something to look at.
    pub(crate) fn issue(
        &mut self,
        code: IssueCode,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.issues.push(Issue {
            code,
            field: field.into(),
            message: message.into(),
        });
    }
}

/// The replacement character, and the range that fonts use for signs of their own.
fn is_no_letter(symbol: char) -> bool {
    matches!(symbol, '\u{fffd}' | '\u{e000}'..='\u{f8ff}')
}

/// The mean over all values, lowered by each share `(part, whole)` of what should be there, and by each issue; 0 without
/// any value.
pub(crate) fn overall(findings: &Findings, shares: &[(usize, usize)]) -> f64 {
    let count = |items: usize| f64::from(u32::try_from(items).unwrap_or(u32::MAX));
    if findings.fields.is_empty() {
        return 0.0;
    }
    let sum: f64 = findings.fields.iter().map(|field| field.confidence).sum();
    let share: f64 = shares
        .iter()
        .map(|(part, whole)| 0.5 + 0.5 * count(*part) / count(*whole))
        .product();
    let trouble: f64 = findings
        .issues
        .iter()
        .map(|issue| if issue.code.is_error() { 0.1 } else { 0.02 })
        .sum();
    let mean = sum / count(findings.fields.len());
    let confidence = (mean * share - trouble).clamp(0.0, 1.0);
    (confidence * 1000.0).round() / 1000.0
}
