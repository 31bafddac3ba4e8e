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
    let delimiter = delimiter(text);
    check_quotes(text, delimiter)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
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

/// Refuses a cell in quotes that does not end, or that goes on behind its end: the reader would take all that follows for a
/// part of it, or leave the quotes away, without a word.
fn check_quotes(text: &str, delimiter: u8) -> Result<()> {
    enum At {
        Start,
        Plain,
        Quoted { since: u64 },
        Closed,
    }
    let (mut at, mut line) = (At::Start, 1_u64);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let ends_line = byte == b'\n' || byte == b'\r' && bytes.peek() != Some(&b'\n');
        at = match (at, byte) {
            (At::Start, b'"') => At::Quoted { since: line },
            (At::Quoted { .. }, b'"') => At::Closed,
            (At::Closed, b'"') => At::Quoted { since: line },
            (At::Quoted { since }, _) => At::Quoted { since },
            (_, b'\n' | b'\r') => At::Start,
            (_, it) if it == delimiter => At::Start,
            (At::Closed, _) => {
                return Err(Error::invalid(format!(
                    "the table cannot be read at line {line}: a cell goes on behind its closing quote"
                )));
            }
            (At::Start | At::Plain, _) => At::Plain,
        };
        line += u64::from(ends_line);
    }
    match at {
        At::Quoted { since } => Err(Error::invalid(format!(
            "the table cannot be read at line {since}: a cell that begins with a quote does not end with one"
        ))),
        At::Start | At::Plain | At::Closed => Ok(()),
    }
}

/// Counts the lines of a text up to where its records begin, one after the other. The reader's own count stands before the
/// end of the line that comes before a record, and before blank lines.
#[derive(Debug)]
struct Lines<'t> {
    rest: std::iter::Peekable<std::iter::Enumerate<std::slice::Iter<'t, u8>>>,
    line: u64,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            rest: text.as_bytes().iter().enumerate().peekable(),
            line: 1,
        }
    }

    /// The line of the first byte from this one on that ends no line.
    fn of(&mut self, byte: u64) -> u64 {
        while let Some((at, found)) = self.rest.next() {
            let is_last = |next: Option<&(usize, &u8)>| next.is_none_or(|(_, it)| **it != b'\n');
            if *found == b'\n' || *found == b'\r' && is_last(self.rest.peek()) {
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
