//! Cells that a spreadsheet program would take for a formula.
//!
//! The export puts an apostrophe before them, and the import takes it away again, so that what is exported and imported
//! stays what it was.

use std::borrow::Cow;

/// The cell as it is written: one that could be a formula gets one apostrophe more.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    match is_dangerous(text) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// The cell without the apostrophe of [`guarded`].
pub(super) fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_dangerous(rest) => rest,
        _ => cell,
    }
}

/// Whether it begins, behind any apostrophes, as a formula does.
fn is_dangerous(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_each_reads_back_as_it_was() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "'=1", "''@x", "＝1"] {
            let cell = guarded(text);
            assert_eq!(cell, format!("'{text}"));
            assert_eq!(unguarded(&cell), text);
        }
        for text in ["a=1", "'s-Hertogenbosch", "O'Neill", "", "'", "1-2"] {
            assert_eq!(guarded(text), text);
            assert_eq!(unguarded(text), text);
        }
    }
}
