//! From the bytes of an untrusted PDF to plain geometry: text lines, marks and rules.
//!
//! [`PdfReader`] is the side of the service. It starts one child process per file, and the child
//! runs [`worker_main`]: it takes away its own rights, parses, and answers on its standard output.
//! Nothing of a PDF is parsed in the process of the service.

mod clip;
mod collect;
mod conceal;
mod document;
mod error;
mod lines;
mod marks;
mod paint;
mod parse;
mod protocol;
mod raster;
mod reader;
mod sandbox;
mod worker;

pub(crate) use document::join;
pub use document::{Document, Line, Mark, MarkShape, Page, Rect, Rule, Word};
pub use error::{PdfError, PdfErrorKind};
pub use protocol::{Progress, Stage};
pub use reader::{PdfReader, ReaderSettings};
pub use sandbox::Confinement;
pub use worker::worker_main;

/// The largest PDF that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 50 * 1024 * 1024;
/// The most pages a document may have. A submission form has two to four.
pub const PAGES_MAX: usize = 50;
