//! Finds the columns and the row bands of the sample table, from its rules or from its header.

use super::labels::key;
use super::layout::{Region, Slice};
use crate::pdf::{Line, Page, Rect, Rule, Word};

/// Rules closer than this are one, in points.
const SAME_RULE: f64 = 1.5;
/// A gap in the header wider than this part of the font size begins a column.
const COLUMN_GAP: f64 = 1.2;
/// Words of a name stand nearer than this part of the font size.
const NAME_GAP: f64 = 0.7;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    Volume,
    Qubit,
    Nanodrop,
    A260A280,
    A260A230,
    /// The number of the row, printed by the table itself.
    Number,
    /// A concentration that does not say how it was measured.
    Concentration,
    /// An absorbance ratio that does not say which.
    Ratio,
}

impl Column {
    pub(crate) fn of_header(text: &str) -> Option<Self> {
        if text == "#" {
            return Some(Self::Number);
        }
        let text = key(text);
        let has = |part: &str| text.contains(part);
        match () {
            () if has("260") && has("280") => Some(Self::A260A280),
            () if has("260") && has("230") => Some(Self::A260A230),
            () if has("qubit") => Some(Self::Qubit),
            () if has("nanodrop") => Some(Self::Nanodrop),
            () if has("ratio") || text == "purity" => Some(Self::Ratio),
            () if has("conc") => Some(Self::Concentration),
            () if has("volume") || text.starts_with("vol") => Some(Self::Volume),
            () if has("samplename") || has("sampleid") => Some(Self::Name),
            () if ["name", "sample", "samples", "tube"].contains(&text.as_str()) => {
                Some(Self::Name)
            }
            () if ["no", "nr", "number", "row", "line", "item"].contains(&text.as_str()) => {
                Some(Self::Number)
            }
            () => None,
        }
    }
}

/// What the columns of a line would hold if it were the header of a table without rules.
pub(crate) fn columns_of(line: &Line) -> Vec<Column> {
    header_columns(line)
        .iter()
        .filter_map(|span| {
            let own = line.words.iter().filter(|word| span.holds(word));
            Column::of_header(&crate::pdf::join(&own.cloned().collect::<Vec<_>>()))
        })
        .collect()
}

/// A column with its edges.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) column: Option<Column>,
    /// What stands in its header.
    pub(crate) header: String,
    left: f64,
    right: f64,
}

/// The words of one row, by column.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) page: &'a Page,
    /// One list of words for each column.
    pub(crate) cells: Vec<Vec<Word>>,
    /// The row's band begins before the visible part of its page.
    pub(crate) begins_before: bool,
    /// The row's band ends after the visible part of its page.
    pub(crate) ends_after: bool,
}

/// The sample table as drawn.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) spans: Vec<Span>,
    pub(crate) rows: Vec<Row<'a>>,
    /// How sure the columns are, from 0 to 1.
    pub(crate) quality: f64,
    /// Lines under the table that belong to no row.
    pub(crate) stray: Vec<String>,
}

impl Span {
    fn holds(&self, word: &Word) -> bool {
        self.left <= word.rect.middle_x() && word.rect.middle_x() < self.right
    }

    /// How far the words keep within the column's edges: 1 for clean geometry.
    pub(crate) fn fit(&self, words: &[Word]) -> f64 {
        let over =
            |word: &Word| word.rect.x < self.left - 1.0 || word.rect.right() > self.right + 1.0;
        if words.iter().any(over) { 0.7 } else { 1.0 }
    }
}

/// Finds the table of a section; nothing when it has no header.
pub(crate) fn find<'a>(region: &Region<'a>) -> Option<Table<'a>> {
    let (page, header) = region
        .lines()
        .find(|(_, line)| key(&line.text()).contains("samplename"))?;
    find_at(region, page, header)
}

/// Reads the table whose header is this line.
pub(crate) fn find_at<'a>(region: &Region<'a>, page: &Page, header: &Line) -> Option<Table<'a>> {
    let first = region
        .slices
        .iter()
        .find(|slice| slice.page.number == page.number)?;
    let band = header_band(first, header);
    let (mut spans, mut quality) = (ruled_columns(first, &band), 1.0);
    if spans.len() < 2 {
        (spans, quality) = (header_columns(header), 0.85);
        // Numbers of the rows may stand left of all headers.
        if let Some(first) = spans.first() {
            let (left, right) = (f64::MIN, first.left);
            spans.insert(
                0,
                Span {
                    column: None,
                    header: String::new(),
                    left,
                    right,
                },
            );
        }
    }
    let words: Vec<Word> = first
        .lines()
        .filter(|line| band.y < line.rect.middle_y() && line.rect.middle_y() < band.bottom())
        .flat_map(|line| line.words.iter().cloned())
        .collect();
    for span in &mut spans {
        let own: Vec<Word> = words
            .iter()
            .filter(|word| span.holds(word))
            .cloned()
            .collect();
        span.header = crate::pdf::join(&own);
        span.column = Column::of_header(&span.header);
    }
    let mut table = Table {
        spans,
        rows: Vec::new(),
        quality,
        stray: Vec::new(),
    };
    for slice in region
        .slices
        .iter()
        .filter(|slice| slice.page.number >= page.number)
    {
        let top = if slice.page.number == page.number {
            band.bottom() - 0.5
        } else {
            f64::MIN
        };
        table.read_slice(slice, top);
    }
    Some(table)
}

/// The height of the header: between the rules around it, or the line itself.
fn header_band(slice: &Slice<'_>, header: &Line) -> Rect {
    let middle = header.rect.middle_y();
    let heights = heights(slice);
    let above = heights
        .iter()
        .copied()
        .filter(|y| *y < middle)
        .fold(f64::MIN, f64::max);
    let below = heights
        .iter()
        .copied()
        .filter(|y| *y > middle)
        .fold(f64::MAX, f64::min);
    let near = |y: f64| (y - middle).abs() < 4.0 * header.size;
    let top = if near(above) { above } else { header.rect.y };
    let bottom = if near(below) {
        below
    } else {
        header.rect.bottom()
    };
    Rect::between((header.rect.x, top), (header.rect.right(), bottom))
}

/// The heights of horizontal rules, from top to bottom, each once.
fn heights(slice: &Slice<'_>) -> Vec<f64> {
    let mut heights: Vec<f64> = slice
        .rules()
        .filter(|rule| rule.is_horizontal())
        .map(|rule| rule.rect.middle_y())
        .collect();
    heights.sort_by(f64::total_cmp);
    heights.dedup_by(|b, a| *b - *a < SAME_RULE);
    heights
}

fn ruled_columns(slice: &Slice<'_>, band: &Rect) -> Vec<Span> {
    let mut edges: Vec<f64> = slice
        .rules()
        .filter(|rule| !rule.is_horizontal() && crosses(rule, band.middle_y()))
        .map(|rule| rule.rect.middle_x())
        .collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup_by(|b, a| *b - *a < SAME_RULE);
    spans(&edges)
}

/// Columns without rules begin where the groups of words in the header begin.
fn header_columns(header: &Line) -> Vec<Span> {
    let mut edges: Vec<f64> = Vec::new();
    let mut right = f64::MIN;
    for word in &header.words {
        if word.rect.x - right > COLUMN_GAP * header.size {
            edges.push(word.rect.x - 0.5 * header.size);
        }
        right = word.rect.right();
    }
    edges.push(f64::MAX);
    spans(&edges)
}

fn spans(edges: &[f64]) -> Vec<Span> {
    edges
        .iter()
        .zip(edges.iter().skip(1))
        .map(|(&left, &right)| Span {
            column: None,
            header: String::new(),
            left,
            right,
        })
        .collect()
}

fn crosses(rule: &Rule, y: f64) -> bool {
    rule.rect.y - 1.0 <= y && y <= rule.rect.bottom() + 1.0
}

impl<'a> Table<'a> {
    fn read_slice(&mut self, slice: &Slice<'a>, top: f64) {
        let heights: Vec<f64> = heights(slice).into_iter().filter(|y| *y > top).collect();
        let upright: Vec<&Rule> = slice.rules().filter(|rule| !rule.is_horizontal()).collect();
        let mut band = None;
        for line in slice.lines().filter(|line| line.rect.middle_y() > top) {
            let middle = line.rect.middle_y();
            // Where a table has upright rules, each row stands between them.
            if !upright.is_empty() && !upright.iter().any(|rule| crosses(rule, middle)) {
                self.stray.push(line.text());
                continue;
            }
            let above = heights.iter().filter(|y| **y < middle).count();
            let same = band == Some(above) && !heights.is_empty();
            if !same || self.rows.is_empty() {
                let visible = slice.page.visible;
                let upper = above.checked_sub(1).and_then(|index| heights.get(index));
                let lower = heights.get(above);
                let ruled = !heights.is_empty();
                self.rows.push(Row {
                    page: slice.page,
                    cells: vec![Vec::new(); self.spans.len()],
                    begins_before: ruled && top == f64::MIN && upper.is_none_or(|y| *y < visible.y),
                    ends_after: ruled && lower.is_none_or(|y| *y > visible.bottom()),
                });
            }
            band = Some(above);
            if let Some(row) = self.rows.last_mut() {
                let mut last: Option<(usize, f64)> = None;
                for word in &line.words {
                    let own = self.spans.iter().position(|span| span.holds(word));
                    // A name that is longer than its column goes on with a space, a number begins after a gap.
                    let goes_on = last.filter(|(index, right)| {
                        let name = |span: &Span| span.column == Some(Column::Name);
                        upright.is_empty()
                            && self.spans.get(*index).is_some_and(name)
                            && word.rect.x - right < NAME_GAP * line.size
                    });
                    let number = word.text.parse::<f64>().is_ok();
                    let begins = |index: usize| {
                        let span = self.spans.get(index);
                        number && span.is_some_and(|span| word.rect.x >= span.left)
                    };
                    let at = match (goes_on, own) {
                        (Some((name, _)), Some(own)) if !begins(own) => Some(name),
                        _ => own,
                    };
                    last = at.map(|index| (index, word.rect.right()));
                    match at.and_then(|index| row.cells.get_mut(index)) {
                        Some(cell) => cell.push(word.clone()),
                        None => self.stray.push(word.text.clone()),
                    }
                }
            }
        }
        let headers: Vec<&str> = self.spans.iter().map(|span| span.header.as_str()).collect();
        // A header that is printed again on the next page is no row.
        self.rows.retain(|row| {
            !row.cells
                .iter()
                .zip(&headers)
                .all(|(cell, header)| crate::pdf::join(cell) == **header)
        });
    }
}
