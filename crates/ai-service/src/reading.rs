//! From a document to values: which kind of document it is, and the method that reads it.
//!
//! All methods have one face: a document with its geometry in, an [`Extraction`] out, each value with unit, confidence
//! and place. The kind is decided by one pure function, [`kind`]. What is not on the paper has no value.

mod fields;
mod kind;
mod pairs;
mod quote;
mod units;

use nanopore::events::ai::Method;

pub use kind::{Kind, kind};

use crate::form::{self, Extraction};
use crate::pdf::{Document, PdfError, PdfErrorKind};

/// Reads a document by a method.
///
/// # Errors
/// `EXTRACTION_FAILED` when the document is of no known kind, or when the method is not there.
pub fn read(document: &Document, method: Method) -> Result<Extraction, PdfError> {
    match method {
        Method::Pattern => pattern(document),
        Method::Llm | Method::Hybrid | Method::Rag => Err(PdfError::new(
            PdfErrorKind::ExtractionFailed,
            "only the method `pattern` is there: no model is configured",
        )),
    }
}

/// Labels and the geometry of the page.
fn pattern(document: &Document) -> Result<Extraction, PdfError> {
    match kind(document) {
        Kind::Pairs => Ok(pairs::read(document)),
        Kind::Quote => quote::read(document),
        Kind::Scan => Err(scan()),
        // For another kind the error names what is missing of the facility's form.
        Kind::HtsfForm | Kind::Unknown => form::extract(document),
    }
}

/// The error for a document whose pages are pictures, or empty.
pub(crate) fn scan() -> PdfError {
    let message = "the PDF has no text layer: it is a scan, a picture or empty; \
                   send the PDF that the form's web page prints";
    PdfError::new(PdfErrorKind::ExtractionFailed, message)
}

#[cfg(test)]
mod tests;
