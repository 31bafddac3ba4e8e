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
pub use model::{Form, Sample};
pub use read::extract;

#[cfg(test)]
mod tests;
