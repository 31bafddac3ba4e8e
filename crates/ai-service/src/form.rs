//! From the geometry of a page to the fields of the HTSF nanopore submission form.
//!
//! The reading order: headings divide the pages into sections; each section is read by
//! what it is: tick marks, a table, text. Everything is pure. Nothing is guessed: a field without a
//! value on the paper stays empty, and the words that are printed on the blank form are no values.

mod choices;
mod evidence;
mod head;
mod labels;
mod layout;
mod model;
mod number;
mod read;
mod rows;
mod table;
mod texts;

pub use evidence::{Evidence, Extraction, FieldEvidence, Issue, IssueCode};
pub(crate) use evidence::{Findings, Passage, overall};
pub(crate) use labels::key;
pub(crate) use layout::{passage, whole};
pub use model::{Form, Said, Sample};
pub(crate) use number::{Reading, read as read_number};
pub use read::extract;
pub(crate) use read::is_htsf;
pub(crate) use rows::{Cell, Limit, check_names, limit};
pub(crate) use table::{Column, Table, columns_of, find_at};
pub(crate) use texts::is_email;

#[cfg(test)]
mod tests;
