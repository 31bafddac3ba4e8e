//! A spreadsheet of samples: which column is which field, and what each row says.

mod column;
mod guard;
mod text;
mod workbook;

use nanopore::problem::TooLarge;
use nanopore::sample::FieldErrors;
use sagabus::Result;
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
    /// The line of the document that it begins at, or the row of the sheet; nothing for what came as JSON.
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
    /// Reads a table: an XLSX workbook, or text whose cells are separated by commas, semicolons or tabs. The first row that
    /// is not blank names the columns. What a row does not say, `common` says for all.
    ///
    /// # Errors
    /// `Invalid` for what is no table, has too many rows, or has two columns for one field. What is wrong with one row is in the row.
    pub fn read(document: &[u8], common: &Map<String, Value>) -> Result<Self> {
        let grid = match workbook::is_one(document) {
            true => workbook::read(document)?,
            false => text::read(document)?,
        };
        let targets = columns(&grid.header)?;
        let rows = grid.lines.iter().map(|line| row(&targets, line, common));
        Ok(Self {
            rows: rows.collect(),
            columns: grid
                .header
                .iter()
                .zip(&targets)
                .map(|(header, target)| Column {
                    header: header.clone(),
                    field: target.field(),
                })
                .collect(),
        })
    }

    /// What a document is called that came without a name.
    #[must_use]
    pub fn default_name(document: &[u8]) -> &'static str {
        match workbook::is_one(document) {
            true => "samples.xlsx",
            false => "samples.csv",
        }
    }
}

/// What stands in a document, whatever its form.
#[derive(Debug, Default)]
struct Grid {
    /// The first line that is not blank.
    header: Vec<String>,
    /// Those after it that are not blank, at most [`ROWS_MAX`].
    lines: Vec<Line>,
}

/// One line of a document.
#[derive(Debug, Default)]
struct Line {
    /// Its number in the document, from 1.
    number: u64,
    cells: Vec<String>,
    /// Why it cannot be taken.
    fault: Option<String>,
}

impl Grid {
    /// Takes the next line of the document, unless it is blank.
    ///
    /// # Errors
    /// `Invalid` when there are too many.
    fn push(&mut self, line: Line) -> Result<()> {
        if line.fault.is_none() && line.cells.iter().all(|cell| cell.trim().is_empty()) {
            return Ok(());
        }
        if self.header.is_empty() {
            self.header = line.cells;
            return Ok(());
        }
        if self.lines.len() == ROWS_MAX {
            let text = format!("the table has more than {ROWS_MAX} rows");
            return Err(TooLarge(text).into());
        }
        self.lines.push(line);
        Ok(())
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

fn columns(header: &[String]) -> Result<Vec<Target>> {
    if header.len() > COLUMNS_MAX {
        let text = format!(
            "the table has {} columns, more than {COLUMNS_MAX}",
            header.len()
        );
        return Err(TooLarge(text).into());
    }
    let targets: Vec<_> = header.iter().map(|it| Target::of(it)).collect();
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

fn row(targets: &[Target], line: &Line, common: &Map<String, Value>) -> Row {
    let mut row = Row {
        line: Some(line.number),
        fields: common.clone(),
        errors: FieldErrors::default(),
    };
    if let Some(fault) = &line.fault {
        row.errors.add("row", fault.as_str());
        return row;
    }
    if line.cells.len() != targets.len() {
        // Behind a cell too many or too few each value may stand under another's name.
        let text = format!(
            "has {} cells, and there are {} columns",
            line.cells.len(),
            targets.len()
        );
        row.errors.add("row", text);
        return row;
    }
    for (target, cell) in targets.iter().zip(&line.cells) {
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

#[cfg(test)]
mod tests;
