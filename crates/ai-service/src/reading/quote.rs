//! Reads a table of samples: number, name, volume, concentration, ratio, in any order of columns.

use nanopore::events::ai::Method;

use super::kind::Kind;
use super::pairs;
use super::said::{OF_ALL, said};
use super::units::{CONCENTRATION, Measure, Unit, VOLUME, measure};
use crate::form::{
    Cell, Column, Extraction, Findings, Form, IssueCode, Reading, Sample, Table, check_names,
    columns_of, find_at, key, limit, overall, passage, read_number, whole,
};
use crate::pdf::{Document, Line, Page, PdfError, PdfErrorKind, Word, join};

/// Columns with known headers that make a line the header of such a table; the name is one of them.
const COLUMNS_MIN: usize = 3;

/// The header of the table.
pub(super) fn header(document: &Document) -> Option<(&Page, &Line)> {
    document
        .pages
        .iter()
        .flat_map(|page| page.lines.iter().map(move |line| (page, line)))
        .find(|(_, line)| {
            let columns = columns_of(line);
            columns.len() >= COLUMNS_MIN && columns.contains(&Column::Name)
        })
}

/// Reads the table.
///
/// # Errors
/// `EXTRACTION_FAILED` without a table.
pub(super) fn read(document: &Document) -> Result<Extraction, PdfError> {
    let region = whole(document);
    let header = header(document);
    let table = header.and_then(|(page, line)| find_at(&region, page, line));
    let (Some(header), Some(mut table)) = (header, table) else {
        let message = "the PDF has no table of samples";
        return Err(PdfError::new(PdfErrorKind::ExtractionFailed, message));
    };
    add_second_header(&mut table);
    let mut findings = Findings::default();
    pairs::read_only(&above(document, header), &OF_ALL, &mut findings);
    let said = Box::new(said(&findings.fields));
    for text in &table.stray {
        let message = format!("samples: `{text}` stands outside the rows of the table");
        findings.issue(IssueCode::UnexpectedText, "samples", message);
    }
    let samples = samples(&table, &mut findings);
    check_names(&samples, &mut findings);
    let confidence = overall(&findings, &[]);
    Ok(Extraction {
        kind: Kind::Quote,
        method: Method::Pattern,
        form: Form {
            samples,
            said: Some(said),
            ..Form::default()
        },
        confidence,
        fields: findings.fields,
        issues: findings.issues,
        model: None,
        notes: Vec::new(),
    })
}

/// What stands above the table.
fn above(document: &Document, (page, header): (&Page, &Line)) -> Document {
    let pages = document.pages.iter().filter(|it| it.number <= page.number);
    let mut pages: Vec<Page> = pages.cloned().collect();
    for own in pages.iter_mut().filter(|it| it.number == page.number) {
        let is_above = |line: &Line| line.rect.bottom() <= header.rect.middle_y();
        own.lines.retain(is_above);
    }
    Document { pages }
}

/// A row of samples with the words of its cells.
struct Entry<'a> {
    page: &'a Page,
    /// What the table itself counts.
    number: Option<u32>,
    cells: Vec<Vec<Word>>,
    bottom: f64,
}

fn samples(table: &Table<'_>, findings: &mut Findings) -> Vec<Sample> {
    let entries = entries(table, findings);
    let numbers = number_column(table);
    let mut last: Option<u32> = None;
    let mut samples = Vec::with_capacity(entries.len());
    for entry in &entries {
        let index = samples.len();
        if let (Some(before), Some(number)) = (last, entry.number)
            && number != before + 1
        {
            let message = format!("row {}: number {number} comes after {before}", index + 1);
            let field = format!("samples[{index}]");
            findings.issue(IssueCode::UnexpectedText, field, message);
        }
        last = entry.number.or(last);
        samples.push(sample(table, numbers, entry, index, findings));
    }
    samples
}

/// The column of the rows' numbers: it says so, or it has no header and counts.
fn number_column(table: &Table<'_>) -> Option<usize> {
    let named = table
        .spans
        .iter()
        .position(|span| span.column == Some(Column::Number));
    named.or_else(|| {
        let unnamed = |index: &usize| {
            table
                .spans
                .get(*index)
                .is_some_and(|it| it.header.is_empty())
        };
        (0..table.spans.len()).filter(unnamed).find(|&index| {
            let cells = table.rows.iter().filter_map(|row| row.cells.get(index));
            cells.filter_map(|cell| count(&join(cell))).count() > 1
        })
    })
}

fn count(text: &str) -> Option<u32> {
    text.trim_end_matches('.').parse().ok()
}

/// The rows that are samples. What has no number where rows are numbered is the rest of a name, or no row.
fn entries<'a>(table: &Table<'a>, findings: &mut Findings) -> Vec<Entry<'a>> {
    let at = |column| {
        table
            .spans
            .iter()
            .position(|span| span.column == Some(column))
    };
    let (name, number) = (at(Column::Name), number_column(table));
    // Between rules each band is a row; without them a name alone may be the rest of the one above.
    let ruled = table.quality >= 1.0;
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for row in &table.rows {
        let text = |index: usize| {
            row.cells
                .get(index)
                .map(|cell| join(cell))
                .unwrap_or_default()
        };
        let filled: Vec<usize> = (0..row.cells.len())
            .filter(|index| !text(*index).is_empty())
            .collect();
        let words: Vec<Word> = row.cells.iter().flatten().cloned().collect();
        let Some(place) = passage(row.page, &words) else {
            continue;
        };
        let count = number.and_then(|index| count(&text(index)));
        let numbers = filled.iter().any(|&index| {
            Some(index) != name
                && Some(index) != number
                && matches!(read_number(&text(index), ""), Reading::Number { .. })
        });
        let is_row = match number {
            Some(_) => count.is_some(),
            None => (numbers || ruled) && name.is_some_and(|index| filled.contains(&index)),
        };
        if is_row {
            entries.push(Entry {
                page: row.page,
                number: count,
                cells: row.cells.clone(),
                bottom: place.rect.bottom(),
            });
            continue;
        }
        // The header's other lines, printed again.
        if filled.iter().all(|index| is_header(table, &text(*index))) {
            continue;
        }
        let near = |last: &&mut Entry<'_>| {
            last.page.number == row.page.number && place.rect.y - last.bottom < 0.6 * place.rect.h
        };
        match entries.last_mut().filter(near) {
            Some(last) if !ruled && filled.len() == 1 && name == filled.first().copied() => {
                for (cell, rest) in last.cells.iter_mut().zip(&row.cells) {
                    cell.extend(rest.iter().cloned());
                }
                last.bottom = place.rect.bottom();
            }
            _ => {
                let message = format!("samples: `{}` is no row of the table", place.text);
                findings.issue(IssueCode::UnexpectedText, "samples", message);
            }
        }
    }
    entries
}

/// A header may have more lines than the one with the names: units, mostly.
fn add_second_header(table: &mut Table<'_>) {
    while begins_with_header(table) {
        let row = table.rows.remove(0);
        for (span, cell) in table.spans.iter_mut().zip(&row.cells) {
            if !cell.is_empty() {
                span.header = format!("{} {}", span.header, join(cell));
                span.column = Column::of_header(&span.header).or(span.column);
            }
        }
    }
}

fn begins_with_header(table: &Table<'_>) -> bool {
    table.rows.first().is_some_and(|row| {
        let mut cells = row.cells.iter().map(|cell| join(cell));
        cells.all(|text| text.is_empty() || is_header(table, &text))
    })
}

/// Whether a text is a second line of the header: a unit in brackets, or words of it.
fn is_header(table: &Table<'_>, text: &str) -> bool {
    const WORDS: [&str; 10] = [
        "ul",
        "ngul",
        "ugul",
        "name",
        "conc",
        "ratio",
        "concentration",
        "260280",
        "a260a280",
        "id",
    ];
    let text = key(text);
    WORDS.contains(&text.as_str()) || table.spans.iter().any(|span| key(&span.header) == text)
}

fn sample(
    table: &Table<'_>,
    numbers: Option<usize>,
    entry: &Entry<'_>,
    index: usize,
    findings: &mut Findings,
) -> Sample {
    let mut sample = Sample::default();
    for (at, (span, words)) in table.spans.iter().zip(&entry.cells).enumerate() {
        if numbers == Some(at) {
            continue;
        }
        let Some(passage) = passage(entry.page, words) else {
            continue;
        };
        let row = index + 1;
        let Some(column) = span.column else {
            let message = format!("row {row}: `{}` stands in an unknown column", passage.text);
            findings.issue(
                IssueCode::UnexpectedText,
                format!("samples[{index}]"),
                message,
            );
            continue;
        };
        let cell = Cell {
            index,
            passage,
            trust: table.quality * span.fit(words),
        };
        let slot = match column {
            Column::Number => continue,
            Column::Name => {
                sample.sample_name = cell.name(findings);
                continue;
            }
            Column::Volume => &mut sample.volume_ul,
            Column::Qubit => &mut sample.qubit_ng_ul,
            Column::Nanodrop => &mut sample.nanodrop_ng_ul,
            Column::Concentration => &mut sample.concentration_ng_ul,
            Column::Ratio => {
                number(&cell, column, None, findings);
                continue;
            }
            Column::A260A280 => &mut sample.a260_280,
            Column::A260A230 => &mut sample.a260_230,
        };
        *slot = number(&cell, column, unit_of(&span.header), findings);
    }
    if sample.sample_name.is_empty() {
        let field = format!("samples[{index}].sample_name");
        let message = format!(
            "row {}, sample_name: the row has values and no name",
            index + 1
        );
        findings.issue(IssueCode::MissingSampleName, field, message);
    }
    sample
}

/// What stands in the brackets of a header.
fn unit_of(header: &str) -> Option<&str> {
    let (_, rest) = header.split_once('(')?;
    rest.split(')').next().map(str::trim)
}

fn units(column: Column) -> Option<&'static [Unit]> {
    match column {
        Column::Volume => Some(VOLUME),
        Column::Qubit | Column::Nanodrop | Column::Concentration => Some(CONCENTRATION),
        Column::Name | Column::Number | Column::Ratio | Column::A260A280 | Column::A260A230 => None,
    }
}

/// A number in the unit of its field. One in a unit that cannot be converted stays with it, outside of the sample.
fn number(
    cell: &Cell,
    column: Column,
    given: Option<&str>,
    findings: &mut Findings,
) -> Option<f64> {
    let limit = limit(column)?;
    let Some(units) = units(column) else {
        return cell.number(&limit, findings);
    };
    let text = &cell.passage.text;
    let field = format!("samples[{}].{}", cell.index, limit.field);
    let row = cell.index + 1;
    match measure(text, given, units) {
        Measure::Empty => None,
        Measure::Unreadable => {
            let message = format!(
                "row {row}, {}: `{text}` is not a number with a known unit",
                limit.field
            );
            findings.issue(IssueCode::NotANumber, field, message);
            None
        }
        // Neither the table nor the cell names the field's unit: the value stays, and is not the sample's.
        Measure::Value {
            value,
            unit,
            plain,
            standard: false,
        } => {
            let message = match unit {
                Some(unit) => format!(
                    "row {row}, {}: {value} {unit} cannot be made {} without more facts",
                    limit.field, limit.unit
                ),
                None => format!("row {row}, {}: {value} has no unit", limit.field),
            };
            findings.issue(IssueCode::UnusualValue, &field, message);
            let name = field.trim_end_matches("_ng_ul").trim_end_matches("_ul");
            let trust = 0.65 * cell.trust * plain;
            let found = findings.found(name, value.to_string(), trust, &cell.passage);
            found.unit = unit.map(str::to_owned);
            None
        }
        Measure::Value { value, plain, .. } => Some(cell.judged(&limit, value, plain, findings)),
    }
}
