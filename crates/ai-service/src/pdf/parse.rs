//! From the bytes of a PDF to a document; runs in the child process only.

mod unseen;

use self::unseen::{hidden_lines, is_hidden, pictures};
use super::clip::page_clip;
use super::collect::{Collector, Glyph, Painted};
use super::conceal::Signs;
use super::document::{Document, Page};
use super::error::{PdfError, PdfErrorKind};
use super::lines::lines;
use super::marks::marks_and_rules;
use super::paint::{operations, separate_paint};
use super::protocol::{Progress, Stage};
use super::{FILE_BYTES_MAX, PAGES_MAX};

/// A reader may find the header this far into the file, as other programs allow.
const HEADER_WITHIN: usize = 1024;

/// The most text lines, words, marks and rules of one page. A full page of a form has 90 lines, 600
/// words, 25 marks and 1,500 rules; what reads them later may compare each line with each rule.
const PAGE_MAX: [(&str, usize); 4] = [
    ("text lines", 1_000),
    ("words", 20_000),
    ("tick marks", 500),
    ("table rules", 10_000),
];

/// The checks that cost nothing: size and header.
///
/// # Errors
/// The file is empty, no PDF, or larger than is read.
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), PdfError> {
    if bytes.is_empty() {
        return Err(PdfError::new(
            PdfErrorKind::FileInvalid,
            "the file is empty",
        ));
    }
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_large(bytes.len()));
    }
    let head = bytes.get(..HEADER_WITHIN).unwrap_or(bytes);
    if !head.windows(5).any(|window| window == b"%PDF-") {
        let message = "the file is not a PDF: it does not begin with `%PDF-`";
        return Err(PdfError::new(PdfErrorKind::FileInvalid, message));
    }
    Ok(())
}

/// The error for a file of more bytes than are read.
pub(super) fn too_large(bytes: usize) -> PdfError {
    PdfError::new(
        PdfErrorKind::FileTooLarge,
        format!("the file has {bytes} bytes, more than the {FILE_BYTES_MAX} (50 MB) that are read"),
    )
}

/// Reads all pages, and says after each how far it is.
///
/// # Errors
/// Any kind that belongs to the file: invalid, corrupted, encrypted, too large, without text.
pub(super) fn parse(
    bytes: &[u8],
    mut progress: impl FnMut(Progress),
) -> Result<Document, PdfError> {
    progress(Progress::at(Stage::Checking));
    check_bytes(bytes)?;
    progress(Progress::at(Stage::Parsing));
    let mut source = load(bytes)?;
    let pages = source.get_pages();
    if pages.is_empty() {
        return Err(corrupted("it has no pages"));
    }
    if pages.len() > PAGES_MAX {
        let message = format!(
            "it has {} pages, more than the {PAGES_MAX} that are read",
            pages.len()
        );
        return Err(PdfError::new(PdfErrorKind::FileTooLarge, message));
    }
    let signs = Signs::by_lot();
    signs.sign_forms(&mut source);
    let mut collector = Collector::default();
    collector.signs = signs;
    let mut document = Document::default();
    for (&number, &id) in &pages {
        progress(Progress::page(number, pages.len()));
        let operations = operations(&source, id).map_err(|error| corrupted(&error.to_string()))?;
        collector.clip = page_clip(&operations);
        let pictures = pictures(&source, id, &operations);
        separate_paint(&mut source, id, operations, signs)
            .map_err(|error| corrupted(&error.to_string()))?;
        pdf_extract::output_doc_page(&source, &mut collector, number).map_err(|error| {
            if collector.overflow {
                let message = "it draws more than 1,500,000 glyphs and lines";
                PdfError::new(PdfErrorKind::FileTooLarge, message)
            } else {
                corrupted(&error.to_string())
            }
        })?;
        document
            .pages
            .push(bounded(page(collector.take_page(), pictures))?);
    }
    let is_empty = |page: &Page| page.lines.is_empty() && page.hidden == 0 && page.pictures == 0;
    if document.pages.iter().all(is_empty) {
        let message = "the PDF has no text layer and no picture: it is empty, or a drawing; \
                       send the PDF that the form's web page prints";
        return Err(PdfError::new(PdfErrorKind::ExtractionFailed, message));
    }
    progress(Progress::at(Stage::Finalising));
    Ok(document)
}

fn load(bytes: &[u8]) -> Result<pdf_extract::Document, PdfError> {
    use pdf_extract::Error;
    let source = pdf_extract::Document::load_mem(bytes).map_err(|error| match error {
        Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_) => {
            password_protected()
        }
        other => corrupted(&other.to_string()),
    })?;
    // What opens with the empty password has been decrypted by now.
    if source.is_encrypted() {
        Err(password_protected())
    } else {
        Ok(source)
    }
}

fn password_protected() -> PdfError {
    let message = "the PDF is encrypted and opens only with a password; send it without one";
    PdfError::new(PdfErrorKind::FilePasswordProtected, message)
}

fn corrupted(reason: &str) -> PdfError {
    let reason: String = reason.chars().take(120).collect();
    PdfError::new(
        PdfErrorKind::FileCorrupted,
        format!("the PDF is damaged or cut off: {reason}"),
    )
}

/// Refuses a page that holds more than any form does.
fn bounded(page: Page) -> Result<Page, PdfError> {
    let words = page.lines.iter().map(|line| line.words.len()).sum();
    let counts = [page.lines.len(), words, page.marks.len(), page.rules.len()];
    let over = PAGE_MAX
        .iter()
        .zip(counts)
        .find(|((_, most), count)| count > most);
    let Some(((what, most), count)) = over else {
        return Ok(page);
    };
    let number = page.number;
    let message = format!("page {number} has {count} {what}, more than the {most} that are read");
    Err(PdfError::new(PdfErrorKind::FileTooLarge, message))
}

fn page(mut painted: Painted, pictures: u32) -> Page {
    let visible = painted.visible;
    let glyphs = std::mem::take(&mut painted.glyphs);
    let (hidden, mut seen): (Vec<Glyph>, Vec<Glyph>) = glyphs
        .into_iter()
        .partition(|glyph| is_hidden(glyph, &painted));
    // Half of a line may stick out of the visible part; it is read where its middle is.
    seen.retain(|glyph| {
        let middle = glyph.baseline - 0.3 * glyph.size;
        visible.y <= middle && middle < visible.bottom()
    });
    let (marks, rules) = marks_and_rules(&painted.shapes);
    Page {
        number: painted.number,
        width: painted.width,
        height: painted.height,
        visible,
        lines: lines(seen),
        hidden: hidden_lines(hidden),
        pictures,
        marks,
        rules,
    }
}
