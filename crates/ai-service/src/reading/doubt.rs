//! Flags what a person sees and was not read, and what nobody sees.

use crate::form::{Extraction, Issue, IssueCode};
use crate::pdf::Document;

/// The most that a document is sure of in which something is not to be seen: a person must look.
const DOUBTED_CONFIDENCE_MAX: f64 = 0.5;

/// Adds an issue for each page with text that nobody sees, and for each that is a picture.
pub(super) fn flag(document: &Document, extraction: &mut Extraction) {
    for page in &document.pages {
        let number = page.number;
        let mut flag = |code, message| {
            let field = String::new();
            extraction.confidence = extraction.confidence.min(DOUBTED_CONFIDENCE_MAX);
            extraction.issues.push(Issue {
                code,
                field,
                message,
            });
        };
        if page.hidden > 0 {
            let count = page.hidden;
            let message =
                format!("page {number}: text that nobody sees was not read (lines: {count})");
            flag(IssueCode::HiddenText, message);
        }
        if page.lines.is_empty() && page.pictures > 0 {
            let message =
                format!("page {number}: is a picture (a scan); what stands on it was not read");
            flag(IssueCode::ScannedPage, message);
        }
    }
}
