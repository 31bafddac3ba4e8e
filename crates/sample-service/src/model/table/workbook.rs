//! A table as an XLSX workbook, from its first visible sheet that has any cells.
//!
//! What is unpacked is counted before anything is kept of it, and only cells of the rows and columns that a table may have are
//! looked at: neither a small file that unpacks to a large one nor a single cell far away takes memory.

use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};
use nanopore::problem::TooLarge;
use sagabus::{Error, Result};
use zip::ZipArchive;

use super::{COLUMNS_MAX, Grid, Line};

/// First bytes of a ZIP archive, which a workbook is.
const MAGIC: [u8; 4] = *b"PK\x03\x04";
/// Most files in the archive; a workbook of twenty sheets has about fifty.
const FILES_MAX: usize = 1_000;
/// Most bytes that all its files have unpacked (64 MiB): a thousand rows have less than one.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is wrong with a formula that was written by a program that does not compute.
const UNKNOWN_VALUE: &str =
    "is a formula whose value is not in the file: open and save it with a spreadsheet program";

type Book<'d> = Xlsx<Cursor<&'d [u8]>>;

/// Whether a document is a workbook rather than text.
pub(super) fn is_one(document: &[u8]) -> bool {
    document.starts_with(&MAGIC)
}

/// Reads the lines of the first visible sheet that has any.
pub(super) fn read(document: &[u8]) -> Result<Grid> {
    check_unpacked(document)?;
    // What a strange document makes a parser do is told like any other fault of it.
    catch_unwind(AssertUnwindSafe(|| read_sheets(document)))
        .unwrap_or_else(|_| Err(unreadable("the reader failed")))
}

fn read_sheets(document: &[u8]) -> Result<Grid> {
    let mut book: Book<'_> = calamine::open_workbook_from_rs(Cursor::new(document))
        .map_err(|error: XlsxError| damaged(error))?;
    let is_shown = |it: &&calamine::Sheet| {
        it.typ == SheetType::WorkSheet && it.visible == SheetVisible::Visible
    };
    let sheets = book.sheets_metadata().iter().filter(is_shown);
    let names: Vec<String> = sheets.map(|it| it.name.clone()).collect();
    for name in &names {
        let grid = read_sheet(&mut book, name)?;
        if !grid.header.is_empty() {
            return Ok(grid);
        }
    }
    Err(Error::invalid(
        "the workbook has no visible sheet with cells: the first row of one names the columns",
    ))
}

fn read_sheet(book: &mut Book<'_>, name: &str) -> Result<Grid> {
    let mut cells = book.worksheet_cells_reader(name).map_err(damaged)?;
    let (mut grid, mut line) = (Grid::default(), Line::default());
    while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(damaged)? {
        let (row, column) = cell.pos;
        let (number, column) = (u64::from(row) + 1, column as usize);
        let said = match (&cell.value, cell.formula) {
            (DataRef::Empty, Some(_)) => Err(UNKNOWN_VALUE.to_owned()),
            (value, _) => text_of(value),
        };
        if matches!(&said, Ok(text) if text.trim().is_empty()) {
            continue;
        }
        if number < line.number {
            return Err(unreadable("its rows are not in order"));
        }
        if number > line.number {
            end_line(&mut grid, std::mem::take(&mut line))?;
            line.number = number;
        }
        if column >= COLUMNS_MAX {
            let text = format!(
                "row {number} of sheet `{}` has a cell beyond {COLUMNS_MAX} columns",
                name.escape_debug()
            );
            return Err(TooLarge(text).into());
        }
        if line.cells.len() > column {
            // What is said of it later would take the place of what is said first.
            let place = place_of(column, number);
            return Err(unreadable(format!(
                "cell {place} is there twice, or behind one that comes after it"
            )));
        }
        line.cells.resize(column + 1, String::new());
        match (said, line.cells.get_mut(column)) {
            (Ok(text), Some(place)) => *place = text,
            (Err(fault), _) => {
                line.fault
                    .get_or_insert_with(|| format!("cell {} {fault}", place_of(column, number)));
            }
            (Ok(_), None) => {}
        }
    }
    end_line(&mut grid, line)?;
    Ok(grid)
}

/// Empty cells at the end of a row are not written down: it is as long as the first one all the same.
fn end_line(grid: &mut Grid, mut line: Line) -> Result<()> {
    if line.cells.len() < grid.header.len() {
        line.cells.resize(grid.header.len(), String::new());
    }
    if line.fault.is_some() && grid.header.is_empty() {
        let fault = line.fault.unwrap_or_default();
        return Err(Error::invalid(format!(
            "the columns have no names: {fault}"
        )));
    }
    grid.push(line)
}

/// What a cell says; or why it says nothing that can be taken.
fn text_of(value: &DataRef<'_>) -> std::result::Result<String, String> {
    Ok(match value {
        DataRef::Empty => String::new(),
        DataRef::Int(number) => number.to_string(),
        // As it is shown, without an end of zeros.
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(is_so) => is_so.to_string(),
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => {
            return Err(
                "is a date or a time, and no field of a sample is: write it as text".to_owned(),
            );
        }
        DataRef::Error(error) => return Err(format!("is an error, `{error}`")),
    })
}

/// A cell as a spreadsheet names it, such as `C12`.
fn place_of(column: usize, row: u64) -> String {
    let (mut letters, mut rest) = (Vec::new(), column + 1);
    while rest > 0 {
        rest -= 1;
        letters.extend(u8::try_from(rest % 26).map(|it| char::from(b'A' + it)));
        rest /= 26;
    }
    let letters: String = letters.into_iter().rev().collect();
    format!("{letters}{row}")
}

/// Refuses a workbook that has more in it than a table can need.
fn check_unpacked(document: &[u8]) -> Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(document)).map_err(damaged)?;
    if archive.len() > FILES_MAX {
        let text = format!(
            "the workbook has {} files, more than {FILES_MAX}",
            archive.len()
        );
        return Err(TooLarge(text).into());
    }
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(damaged)?;
        let unpacked = io::copy(&mut file.take(left + 1), &mut io::sink());
        let unpacked = unpacked.map_err(damaged)?;
        let mebibytes = UNPACKED_BYTES_MAX / 1024 / 1024;
        left = left.checked_sub(unpacked).ok_or_else(|| {
            TooLarge(format!(
                "the workbook has more than {mebibytes} MiB when it is unpacked"
            ))
        })?;
    }
    Ok(())
}

fn unreadable(why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("the workbook cannot be read: {why}"))
}

/// A fault of the file format. What its parser says is for the log: nobody who filled a table in could act on it.
fn damaged(error: impl std::error::Error) -> Error {
    tracing::debug!(error = error.to_string(), "a workbook cannot be read");
    unreadable("it is not whole, or no XLSX")
}

#[cfg(test)]
mod tests;
