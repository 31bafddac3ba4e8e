//! Tells which kind of document a PDF is, from its words alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{pairs, quote};
use crate::form::is_htsf;
use crate::pdf::Document;

/// Labels with known names that make a document a form of pairs.
pub(super) const PAIRS_MIN: usize = 3;

/// The kinds of documents that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The facility's nanopore submission form.
    HtsfForm,
    /// One `Label: value` a line.
    Pairs,
    /// A table of samples under a header line.
    Quote,
    /// Pages without text.
    Scan,
    /// None of these.
    Unknown,
}

/// Which kind of document it is.
#[must_use]
pub fn kind(document: &Document) -> Kind {
    if document.pages.iter().all(|page| page.lines.is_empty()) {
        Kind::Scan
    } else if is_htsf(document) {
        Kind::HtsfForm
    } else if quote::header(document).is_some() {
        Kind::Quote
    } else if pairs::known(document) >= PAIRS_MIN {
        Kind::Pairs
    } else {
        Kind::Unknown
    }
}
