//! A report as a PDF (ISO 32000): lines of text on landscape pages, in a font that every reader has.

use std::fmt::Write;

use super::{Report, type_word};
use crate::model::Entry;

/// A4, in points.
const WIDTH: u32 = 842;
const HEIGHT: u32 = 595;
const MARGIN: u32 = 36;
const LEADING: u32 = 11;
/// Lines of one page.
const LINES: usize = 47;
/// Characters of one line.
const CHARACTERS: usize = 160;

/// The file.
pub(super) fn write(report: &Report) -> Vec<u8> {
    let lines = lines(report);
    let pages: Vec<&[String]> = lines.chunks(LINES).collect();
    let mut file = File::default();
    // Objects 1 to 3; then two of each page.
    let kids: Vec<String> = (0..pages.len())
        .map(|it| format!("{} 0 R", 4 + 2 * it))
        .collect();
    file.object("<< /Type /Catalog /Pages 2 0 R >>");
    file.object(&format!(
        "<< /Type /Pages /Kids [{}] /Count {} >>",
        kids.join(" "),
        pages.len()
    ));
    file.object("<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>");
    for (index, page) in pages.iter().enumerate() {
        let number = format!("page {} of {}", index + 1, pages.len());
        file.object(&format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Resources << /Font << /F1 3 0 R >> >> \
             /Contents {} 0 R >>",
            5 + 2 * index
        ));
        let content = content(page, &number);
        file.object(&format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ));
    }
    file.end()
}

/// What is drawn on a page.
fn content(lines: &[String], number: &str) -> String {
    let top = HEIGHT - MARGIN - 8;
    let mut text = format!("BT /F1 7.5 Tf {LEADING} TL {MARGIN} {top} Td");
    for line in lines {
        // Writing to a text cannot fail.
        let _written = write!(text, "\n({}) Tj T*", encoded(line));
    }
    text.push_str("\nET\n");
    let right = WIDTH - MARGIN - 90;
    let _written = write!(
        text,
        "BT /F1 7.5 Tf {right} 20 Td ({}) Tj ET",
        encoded(number)
    );
    text
}

/// The lines of a report.
fn lines(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    let mut lines = vec![
        format!("{} ({})", report.name, type_word(report.report_type)),
        format!("from {} to {}", report.from, report.to),
        format!("made {} for {}", report.generated_at, report.requested_by),
        format!("report {}", report.report_id),
        format!("{} entries", summary.record_count),
    ];
    if summary.is_cut {
        lines.push("there are older entries that have no room here".to_owned());
    }
    if let Some(it) = summary.duration_ms {
        lines.push(format!(
            "{} acts took {} ms on average, half of them up to {} ms, 95 % up to {} ms, at most {} ms",
            it.count, it.mean, it.median, it.p95, it.max
        ));
    }
    for (title, counts) in [
        ("by action", &summary.by_action),
        ("by person", &summary.by_actor),
        ("by outcome", &summary.by_outcome),
        ("by severity", &summary.by_severity),
    ] {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(
            counts
                .iter()
                .map(|(word, count)| format!("{count:>8}  {word}")),
        );
    }
    lines.push(String::new());
    lines.push("entries, the newest first".to_owned());
    lines.extend(report.entries.iter().flat_map(entry));
    lines.iter().flat_map(|line| wrapped(line)).collect()
}

/// What is said of an entry: who did what to which thing, and what was there before and after.
fn entry(entry: &Entry) -> Vec<String> {
    let option = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![format!(
        "{:>8}  {}  {}  {} {}  by {}  {}",
        entry.sequence,
        entry.timestamp,
        entry.action,
        entry.resource,
        option(&entry.resource_id),
        option(&entry.actor.id),
        entry.outcome,
    )];
    if let Some(reason) = &entry.reason {
        lines.push(format!("          because: {reason}"));
    }
    if !entry.old_values.is_null() || !entry.new_values.is_null() {
        lines.push(format!("          before: {}", entry.old_values));
        lines.push(format!("          after:  {}", entry.new_values));
    }
    lines
}

/// A line as several that have room.
fn wrapped(line: &str) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    if characters.is_empty() {
        return vec![String::new()];
    }
    characters
        .chunks(CHARACTERS)
        .map(|it| it.iter().collect())
        .collect()
}

/// A text as the font has it. Letters that it has not are told by their number: nothing is lost without a trace.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        let number = u32::from(character);
        match number {
            0x28 | 0x29 | 0x5c => {
                encoded.push('\\');
                encoded.push(character);
            }
            0x20..=0x7e => encoded.push(character),
            // Latin letters and signs stand at their own place in this encoding.
            0xa0..=0xff => {
                let _written = write!(encoded, "\\{number:03o}");
            }
            _ => {
                let _written = write!(encoded, "[U+{number:04X}]");
            }
        }
    }
    encoded
}

/// The file as it grows.
#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    /// Where each object begins.
    places: Vec<usize>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            bytes: b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec(),
            places: Vec::new(),
        }
    }
}

impl File {
    fn object(&mut self, body: &str) {
        self.places.push(self.bytes.len());
        let number = self.places.len();
        self.bytes
            .extend(format!("{number} 0 obj\n{body}\nendobj\n").bytes());
    }

    fn end(mut self) -> Vec<u8> {
        let start = self.bytes.len();
        let size = self.places.len() + 1;
        let mut table = format!("xref\n0 {size}\n0000000000 65535 f \n");
        for place in &self.places {
            let _written = writeln!(table, "{place:010} 00000 n ");
        }
        let _written = writeln!(
            table,
            "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF"
        );
        self.bytes.extend(table.bytes());
        self.bytes
    }
}
