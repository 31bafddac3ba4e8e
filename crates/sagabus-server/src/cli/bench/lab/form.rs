//! A quote as the facility gets it, drawn for each submission: what is said of all samples, and a table with rules.

use std::fmt::Write as _;

/// Where the columns begin, and where the last ends.
const EDGES: [usize; 6] = [30, 70, 250, 340, 430, 520];
const HEADER: [&str; 5] = [
    "No",
    "Sample Name",
    "Volume (uL)",
    "Conc. (ng/uL)",
    "260/280",
];
const SAID: [&str; 6] = [
    "Submitter Name: Ada Lovelace",
    "Submitter Email: ada@lab.example.edu",
    "Lab Name: Lovelace Lab",
    "Sequencing Type: DNA",
    "Chart Field: HTSF-001",
    "Priority: Standard",
];
/// Height of a line and of a row.
const LINE: usize = 14;
/// Where a page begins and where it is full, from below.
const TOP: usize = 750;
const BOTTOM: usize = 40;

/// The quote with this number, with a row for each name.
pub(super) fn quote(number: usize, names: &[String]) -> Vec<u8> {
    let mut pages = vec![String::new()];
    let mut y = TOP;
    let title = format!("Quote {number}");
    for line in std::iter::once(title.as_str()).chain(SAID) {
        add_text(&mut pages, EDGES[0], y, line);
        y -= LINE;
    }
    y -= LINE;
    add_row(&mut pages, y, &HEADER);
    for (index, name) in names.iter().enumerate() {
        y -= LINE;
        if y < BOTTOM {
            pages.push(String::new());
            y = TOP;
        }
        let count = (index + 1).to_string();
        let volume = (20 + index % 30).to_string();
        let concentration = format!("{}.5", 30 + index % 50);
        let ratio = format!("1.{}", 80 + index % 10);
        add_row(
            &mut pages,
            y,
            &[&count, name, &volume, &concentration, &ratio],
        );
    }
    document(&pages)
}

fn add(pages: &mut [String], operators: std::fmt::Arguments<'_>) {
    if let Some(page) = pages.last_mut() {
        // A text takes whatever is written to it.
        let _written = writeln!(page, "{operators}");
    }
}

fn add_text(pages: &mut [String], x: usize, y: usize, text: &str) {
    add(
        pages,
        format_args!("BT /F 8 Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET"),
    );
}

fn add_row(pages: &mut [String], y: usize, cells: &[&str; 5]) {
    for (cell, edges) in cells.iter().zip(EDGES.windows(2)) {
        let [left, right] = edges else { continue };
        let (x, width) = (*left, right - left);
        let below = y - 4;
        add(pages, format_args!("0.6 w {x} {below} {width} {LINE} re S"));
        add_text(pages, x + 4, y, cell);
    }
}

/// A PDF of these pages, with a table of contents that fits.
fn document(pages: &[String]) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len())
        .map(|index| format!("{} 0 R", 4 + 2 * index))
        .collect();
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        format!(
            "<</Type/Pages/Kids[{}]/Count {}>>",
            kids.join(" "),
            pages.len()
        ),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    for (index, page) in pages.iter().enumerate() {
        objects.push(format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F 3 0 R>>>>/Contents {} 0 R>>",
            5 + 2 * index
        ));
        objects.push(format!(
            "<</Length {}>>\nstream\n{page}endstream",
            page.len()
        ));
    }
    let mut out = "%PDF-1.4\n".to_owned();
    let mut offsets = String::new();
    for (index, object) in objects.iter().enumerate() {
        let (at, number) = (out.len(), index + 1);
        let _ = writeln!(offsets, "{at:010} 00000 n ");
        let _ = write!(out, "{number} 0 obj\n{object}\nendobj\n");
    }
    let (start, size) = (out.len(), objects.len() + 1);
    let _ = write!(
        out,
        "xref\n0 {size}\n0000000000 65535 f \n{offsets}trailer <</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n"
    );
    out.into_bytes()
}
