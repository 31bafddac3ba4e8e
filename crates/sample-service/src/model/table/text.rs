//! A table as text: CSV, with commas, semicolons or tabs.

use sagabus::{Error, Result};

use super::{Grid, Line};

/// Reads the lines of a text.
pub(super) fn read(document: &[u8]) -> Result<Grid> {
    let text = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let text = std::str::from_utf8(text).map_err(|_| {
        Error::invalid(
            "the table is not UTF-8 text, and no XLSX workbook; save it as `CSV UTF-8` or `XLSX`",
        )
    })?;
    if text.contains('\0') {
        return Err(Error::invalid("the table has a zero byte: it is no CSV"));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(text))
        .from_reader(text.as_bytes());
    let mut grid = Grid::default();
    let mut lines = Lines::new(text);
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let number = record.position().map_or(0, |it| lines.of(it.byte()));
        let cells = record.iter().map(str::to_owned).collect();
        grid.push(Line {
            number,
            cells,
            fault: None,
        })?;
    }
    if grid.header.is_empty() {
        let text = "the table is empty: its first line names the columns";
        return Err(Error::invalid(text));
    }
    Ok(grid)
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

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for `map_err`"
)]
fn broken(error: csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    Error::invalid(format!("the table cannot be read at line {line}"))
}
