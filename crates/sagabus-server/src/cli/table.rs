//! Columns for people.

use crate::cli::print::say;

/// Longest text in a column that is not the last, in characters.
const CELL_MAX: usize = 48;
/// Longest text in the last column.
const LAST_MAX: usize = 120;

/// Prints rows under their heads, each column as wide as its widest text.
pub(super) fn print<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) {
    let mut all = vec![heads.map(str::to_owned)];
    all.extend(rows);
    let mut widths = [0; N];
    for row in &mut all {
        for (column, (cell, width)) in row.iter_mut().zip(&mut widths).enumerate() {
            *cell = plain(cell, if column + 1 == N { LAST_MAX } else { CELL_MAX });
            *width = cell.chars().count().max(*width);
        }
    }
    for row in all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let gap = if line.is_empty() { "" } else { "  " };
            line.push_str(gap);
            line.push_str(cell);
            let rest = width - cell.chars().count();
            line.extend(std::iter::repeat_n(' ', rest));
        }
        say!("{}", line.trim_end());
    }
}

/// A text that moves no cursor and is not too long: it may be of anybody.
pub(super) fn plain(text: &str, max: usize) -> String {
    let shown = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it });
    let mut cut: String = shown.take(max).collect();
    if text.chars().count() > max {
        cut.pop();
        cut.push('…');
    }
    cut
}
