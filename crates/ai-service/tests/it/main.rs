//! The ai service from outside: real PDFs through a real child process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what a test's own helpers need is there, or the test fails"
)]

mod compare;
mod dice;
mod drawn;
mod drawn_forms;
mod drawn_lists;
mod faults;
mod fixtures;
mod hostile;
mod http;
mod issued_forms;
mod jobs;
mod methods;
mod model;
mod processing;
mod quotes;
mod reader;
mod real_model;
mod reviews;
mod service;
mod steps;
mod unseen;
mod uploads;

use std::path::{Path, PathBuf};

use ai_service::pdf::{Document, PdfError, PdfReader};

/// A reader that starts the worker program of this crate.
fn reader() -> PdfReader {
    PdfReader::new(PathBuf::from(env!("CARGO_BIN_EXE_pdf-worker")), Vec::new())
}

async fn read(bytes: Vec<u8>) -> Result<Document, PdfError> {
    reader().read(bytes.into(), |_| {}).await
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(name: &str) -> PathBuf {
    crate_dir().join("tests/fixtures").join(name)
}
