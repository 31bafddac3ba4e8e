//! From the table's cells to samples: numbers, units, ranges, names.

use super::evidence::{Findings, IssueCode, Passage};
use super::layout::{Region, passage};
use super::model::Sample;
use super::number::{Reading, read};
use super::table::{Column, Row, Table, find};

/// The longest sample name, in characters.
const NAME_CHARS_MAX: usize = 255;

/// What a number may be.
pub(crate) struct Limit {
    pub(crate) field: &'static str,
    pub(crate) unit: &'static str,
    /// Outside of this it is an error.
    pub(crate) allowed: (f64, f64),
    /// Outside of this it is rare, and a person should look.
    pub(crate) usual: (f64, f64),
}

/// The ranges: volume and concentration are the facility's; a ratio of pure DNA is 1.8 to 2.2, and
/// outside 0.5 to 3.5 it is a slip of the pen rather than a measurement.
pub(crate) fn limit(column: Column) -> Option<Limit> {
    let limit = |field, unit, allowed, usual| {
        Some(Limit {
            field,
            unit,
            allowed,
            usual,
        })
    };
    match column {
        Column::Name | Column::Number => None,
        Column::Concentration => limit(
            "concentration_ng_ul",
            "ng/µL",
            (0.001, 10_000.0),
            (0.1, 4_000.0),
        ),
        Column::Ratio => limit("ratio", "", (0.5, 3.5), (0.5, 3.0)),
        Column::Volume => limit("volume_ul", "µL", (0.1, 1_000.0), (1.0, 500.0)),
        Column::Qubit => limit("qubit_ng_ul", "ng/µL", (0.001, 10_000.0), (0.1, 2_000.0)),
        Column::Nanodrop => limit("nanodrop_ng_ul", "ng/µL", (0.001, 10_000.0), (0.1, 4_000.0)),
        Column::A260A280 => limit("a260_280", "", (0.5, 3.5), (1.0, 2.6)),
        Column::A260A230 => limit("a260_230", "", (0.5, 3.5), (0.5, 3.0)),
    }
}

/// The samples of the table under this heading.
pub(super) fn samples(region: &Region<'_>, findings: &mut Findings) -> Vec<Sample> {
    let Some(table) = find(region) else {
        let message = "samples: the header of the sample table was not found";
        findings.issue(IssueCode::MissingSection, "samples", message);
        return Vec::new();
    };
    check_columns(&table, findings);
    for text in &table.stray {
        let message = format!("samples: `{text}` stands outside the rows of the table");
        findings.issue(IssueCode::UnexpectedText, "samples", message);
    }
    let mut samples: Vec<Sample> = Vec::new();
    for row in joined(&table) {
        let sample = sample(&table, &row, samples.len(), region.quality, findings);
        samples.push(sample);
    }
    check_names(&samples, findings);
    samples
}

fn check_columns(table: &Table<'_>, findings: &mut Findings) {
    use Column::{A260A230, A260A280, Name, Nanodrop, Qubit, Volume};
    for column in [Name, Volume, Qubit, Nanodrop, A260A280, A260A230] {
        let own = table
            .spans
            .iter()
            .filter(|span| span.column == Some(column))
            .count();
        let name = limit(column).map_or("sample_name", |limit| limit.field);
        if own != 1 {
            let message = format!("samples: {own} columns for {name} were found, 1 is expected");
            findings.issue(IssueCode::MissingSection, "samples", message);
        }
    }
    for span in &table.spans {
        let Some(limit) = span.column.and_then(limit) else {
            continue;
        };
        let unit = span
            .header
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'));
        let Some((unit, _)) = unit else { continue };
        if super::labels::key(unit) != super::labels::key(limit.unit) {
            let message = format!(
                "samples: {} is given in `{unit}`, not in {}",
                limit.field, limit.unit
            );
            findings.issue(IssueCode::NotANumber, "samples", message);
        }
    }
}

/// The rows, with those put together that a page's end cuts in two.
fn joined<'a>(table: &Table<'a>) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for row in table
        .rows
        .iter()
        .filter(|row| !row.cells.iter().all(Vec::is_empty))
    {
        match rows.last_mut() {
            Some(last) if is_rest(table, last, row) => {
                for (cell, rest) in last.cells.iter_mut().zip(&row.cells) {
                    cell.extend(rest.iter().cloned());
                }
            }
            _ => rows.push(row.clone()),
        }
    }
    rows
}

/// Whether a row is the rest of the last row of the page before: both are cut by the page's edge,
/// and no number stands in both.
fn is_rest(table: &Table<'_>, last: &Row<'_>, row: &Row<'_>) -> bool {
    let cut = last.ends_after && row.begins_before && last.page.number < row.page.number;
    let numbers = table.spans.iter().zip(last.cells.iter().zip(&row.cells));
    let twice = numbers
        .filter(|(span, _)| span.column != Some(Column::Name))
        .any(|(_, (above, below))| !above.is_empty() && !below.is_empty());
    cut && !twice
}

fn sample(
    table: &Table<'_>,
    row: &Row<'_>,
    index: usize,
    quality: f64,
    findings: &mut Findings,
) -> Sample {
    let mut sample = Sample::default();
    for (span, words) in table.spans.iter().zip(&row.cells) {
        let Some(passage) = passage(row.page, words) else {
            continue;
        };
        let Some(column) = span.column else {
            if span.header.is_empty() && passage.text == (index + 1).to_string() {
                // The number of the row, printed by the table itself.
                continue;
            }
            let message = format!(
                "row {}: `{}` stands in an unknown column",
                index + 1,
                passage.text
            );
            findings.issue(
                IssueCode::UnexpectedText,
                format!("samples[{index}]"),
                message,
            );
            continue;
        };
        if column == Column::Number {
            continue;
        }
        let cell = Cell {
            index,
            passage,
            trust: quality * table.quality * span.fit(words),
        };
        match limit(column) {
            None => sample.sample_name = cell.name(findings),
            Some(limit) => {
                let value = cell.number(&limit, findings);
                let slot = match column {
                    Column::Name | Column::Number | Column::Ratio => continue,
                    Column::Concentration => &mut sample.concentration_ng_ul,
                    Column::Volume => &mut sample.volume_ul,
                    Column::Qubit => &mut sample.qubit_ng_ul,
                    Column::Nanodrop => &mut sample.nanodrop_ng_ul,
                    Column::A260A280 => &mut sample.a260_280,
                    Column::A260A230 => &mut sample.a260_230,
                };
                *slot = value;
            }
        }
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

/// A cell with text in it.
pub(crate) struct Cell {
    pub(crate) index: usize,
    pub(crate) passage: Passage,
    /// How sure its place in the table is.
    pub(crate) trust: f64,
}

impl Cell {
    pub(crate) fn name(&self, findings: &mut Findings) -> String {
        let text = &self.passage.text;
        let field = format!("samples[{}].sample_name", self.index);
        let row = self.index + 1;
        let usual = text
            .chars()
            .all(|it| it.is_alphanumeric() || " -_.".contains(it));
        if text.chars().count() > NAME_CHARS_MAX {
            let message =
                format!("row {row}, sample_name: longer than {NAME_CHARS_MAX} characters");
            findings.issue(IssueCode::OutOfRange, &field, message);
        } else if !usual {
            let message = format!(
                "row {row}, sample_name: `{text}` has other signs than letters, digits, \
                 space, `-`, `_` and `.`"
            );
            findings.issue(IssueCode::UnusualValue, &field, message);
        }
        // A name of digits alone may be a number that slipped out of its column.
        let digits = text.chars().all(|it| it.is_ascii_digit() || it == '.');
        let likely = match (usual, digits) {
            (false, _) => 0.85,
            (true, true) => 0.9,
            (true, false) => 1.0,
        };
        findings.found(field, text, self.trust * likely, &self.passage);
        text.clone()
    }

    pub(crate) fn number(&self, limit: &Limit, findings: &mut Findings) -> Option<f64> {
        let (row, name, text) = (self.index + 1, limit.field, &self.passage.text);
        let field = format!("samples[{}].{name}", self.index);
        let (value, plain) = match read(text, limit.unit) {
            Reading::Empty => return None,
            Reading::Number { value, plain } => (value, plain),
            Reading::Unreadable => {
                let message = format!("row {row}, {name}: `{text}` is not a number");
                findings.issue(IssueCode::NotANumber, field, message);
                return None;
            }
        };
        Some(self.judged(limit, value, plain, findings))
    }

    /// Keeps a number that was read, and flags what cannot be or is rare.
    pub(crate) fn judged(
        &self,
        limit: &Limit,
        value: f64,
        plain: f64,
        findings: &mut Findings,
    ) -> f64 {
        let (row, name) = (self.index + 1, limit.field);
        let field = format!("samples[{}].{name}", self.index);
        let within = |(least, most): (f64, f64)| (least..=most).contains(&value);
        let unit = if limit.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", limit.unit)
        };
        let range = |(least, most): (f64, f64)| format!("{least} to {most}{unit}");
        let likely = if !within(limit.allowed) {
            let allowed = range(limit.allowed);
            let message = format!("row {row}, {name}: {value}{unit} is outside {allowed}");
            findings.issue(IssueCode::OutOfRange, &field, message);
            0.3
        } else if !within(limit.usual) {
            let message = format!(
                "row {row}, {name}: {value}{unit} is unusual, most are {}",
                range(limit.usual)
            );
            findings.issue(IssueCode::UnusualValue, &field, message);
            0.75
        } else {
            1.0
        };
        let found = findings.found(
            field,
            value.to_string(),
            self.trust * plain * likely,
            &self.passage,
        );
        found.unit = Some(limit.unit.to_owned()).filter(|unit| !unit.is_empty());
        value
    }
}

pub(crate) fn check_names(samples: &[Sample], findings: &mut Findings) {
    let mut seen = std::collections::HashMap::new();
    for (index, sample) in samples.iter().enumerate() {
        if sample.sample_name.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(sample.sample_name.as_str(), index) {
            let message = format!(
                "row {}, sample_name: `{}` is the name of row {} too",
                index + 1,
                sample.sample_name,
                first + 1
            );
            let field = format!("samples[{index}].sample_name");
            findings.issue(IssueCode::DuplicateSampleName, field, message);
        }
    }
}
