//! A spreadsheet of samples as CSV: which column is which field, and what each row says.

mod column;
mod guard;

use nanopore::problem::TooLarge;
use nanopore::sample::FieldErrors;
use sagabus::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use self::column::Target;
pub(crate) use self::guard::guarded;

/// Most rows of one table.
pub const ROWS_MAX: usize = 1_000;
/// Most columns of one table.
const COLUMNS_MAX: usize = 200;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Column {
    /// What stands above it.
    pub header: String,
    /// The field that it is; none when it is left out.
    pub field: Option<&'static str>,
}

/// A row of samples, as fields; or what is wrong with its cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The line of the document that it begins at; nothing for what came as JSON.
    pub line: Option<u64>,
    /// What it says.
    pub fields: Map<String, Value>,
    /// What cannot be read.
    pub errors: FieldErrors,
}

/// A table of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, without the blank ones.
    pub rows: Vec<Row>,
}

impl Table {
    /// Reads a table. The first line that is not blank names the columns; cells are separated by commas, semicolons or tabs.
    /// What a row does not say, `common` says for all.
    ///
    /// # Errors
    /// `Invalid` for what is no table, has too many rows, or has two columns for one field. What is wrong with one row is in the row.
    pub fn read(document: &[u8], common: &Map<String, Value>) -> Result<Self> {
        let text = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
        let text = std::str::from_utf8(text)
            .map_err(|_| Error::invalid("the table is not UTF-8 text; save it as `CSV UTF-8`"))?;
        if text.contains('\0') {
            return Err(Error::invalid("the table has a zero byte: it is no CSV"));
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(text))
            .from_reader(text.as_bytes());
        let mut records = reader.records().filter(|record| {
            // What is broken is kept, to be told of.
            record
                .as_ref()
                .map_or(true, |it| it.iter().any(|cell| !cell.trim().is_empty()))
        });
        let header = records
            .next()
            .ok_or_else(|| Error::invalid("the table is empty: its first line names the columns"))?
            .map_err(broken)?;
        let targets = columns(&header)?;
        let mut rows = Vec::new();
        let mut lines = Lines::new(text);
        for record in records {
            let record = record.map_err(broken)?;
            if rows.len() == ROWS_MAX {
                let text = format!("the table has more than {ROWS_MAX} rows");
                return Err(TooLarge(text).into());
            }
            let line = record.position().map(|it| lines.of(it.byte()));
            rows.push(Row {
                line,
                ..row(&targets, &record, common)
            });
        }
        let columns = header
            .iter()
            .zip(&targets)
            .map(|(header, target)| Column {
                header: header.to_owned(),
                field: target.field(),
            })
            .collect();
        Ok(Self { columns, rows })
    }
}

impl Row {
    /// A row that came as JSON.
    #[must_use]
    pub fn of_json(value: Value) -> Self {
        let (fields, errors) = match value {
            Value::Object(fields) => (fields, FieldErrors::default()),
            _ => (Map::new(), FieldErrors::one("sample", "must be an object")),
        };
        Self {
            line: None,
            fields,
            errors,
        }
    }
}

/// Counts the lines of a text up to where its records begin, one after the other. The reader's own count stands before the
/// end of the line that comes before a record, and before blank lines.
#[derive(Debug)]
struct Lines<'t> {
    rest: std::iter::Enumerate<std::slice::Iter<'t, u8>>,
    line: u64,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            rest: text.as_bytes().iter().enumerate(),
            line: 1,
        }
    }

    /// The line of the first byte from this one on that ends no line.
    fn of(&mut self, byte: u64) -> u64 {
        for (at, found) in self.rest.by_ref() {
            if *found == b'\n' {
                self.line += 1;
            } else if at as u64 >= byte && *found != b'\r' {
                break;
            }
        }
        self.line
    }
}

/// What separates the cells: the most frequent one of the line that names the columns.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|it| !it.trim().is_empty());
    let header = header.unwrap_or_default();
    let count = |mark: u8| header.bytes().filter(|it| *it == mark).count();
    // The last of those that are equally frequent is taken: the comma.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|mark| count(*mark))
        .unwrap_or(b',')
}

fn columns(header: &csv::StringRecord) -> Result<Vec<Target>> {
    if header.len() > COLUMNS_MAX {
        let text = format!(
            "the table has {} columns, more than {COLUMNS_MAX}",
            header.len()
        );
        return Err(TooLarge(text).into());
    }
    let targets: Vec<_> = header.iter().map(Target::of).collect();
    let mut errors = FieldErrors::default();
    for (index, target) in targets.iter().enumerate() {
        let Some(field) = target.field() else {
            continue;
        };
        let mut before = targets.iter().take(index);
        if before.any(|it| it.field() == Some(field)) {
            errors.add(field, "has two columns");
        }
    }
    if targets.iter().all(|it| it.field().is_none()) {
        errors.add(
            "columns",
            "name no field of a sample, such as `Sample Name`",
        );
    }
    match errors.0.is_empty() {
        true => Ok(targets),
        false => Err(errors.into()),
    }
}

fn row(targets: &[Target], record: &csv::StringRecord, common: &Map<String, Value>) -> Row {
    let mut row = Row {
        line: None,
        fields: common.clone(),
        errors: FieldErrors::default(),
    };
    if record.len() != targets.len() {
        // Behind a cell too many or too few each value may stand under another's name.
        let text = format!(
            "has {} cells, and there are {} columns",
            record.len(),
            targets.len()
        );
        row.errors.add("row", text);
        return row;
    }
    for (target, cell) in targets.iter().zip(record) {
        if cell.trim().is_empty() {
            continue;
        }
        let cell = guard::unguarded(cell);
        if let Err((field, message)) = target.read(cell, &mut row.fields) {
            row.errors.add(field, message);
        }
    }
    row
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
fn broken(error: csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    Error::invalid(format!("the table cannot be read at line {line}"))
}

#[cfg(test)]
mod tests;
