//! The child's side: locks itself in, reads a PDF from standard input, answers on standard output.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::FILE_BYTES_MAX;
use super::error::{PdfError, PdfErrorKind};
use super::parse::{parse, too_large};
use super::protocol::{Answer, Body, Progress, Stage};
use super::sandbox::confine;

/// Stack of the parsing thread: deeply nested files fail cleanly or take this much at most.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Reads one PDF from standard input and writes progress and one answer to standard output.
///
/// To be called first thing in `main` of a process of its own, before any thread or runtime is
/// started, since it takes away the rights of the whole process. The code is success when an
/// answer was written, be it a document or an error.
#[must_use]
pub fn worker_main() -> ExitCode {
    let confinement = confine();
    let parsing = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            say(Body::Confinement(confinement))?;
            say(Body::Progress(Progress::at(Stage::Initialising)))?;
            let answer = match catch_unwind(AssertUnwindSafe(read_and_parse)) {
                Ok(Ok(document)) => Body::Document(document),
                Ok(Err(error)) => Body::Error(error),
                Err(_panic) => Body::Error(PdfError::new(
                    PdfErrorKind::ParserError,
                    "the PDF has a construct that the parser cannot read",
                )),
            };
            say(answer)
        });
    match parsing.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn read_and_parse() -> Result<super::Document, PdfError> {
    let mut bytes = Vec::new();
    let most = u64::try_from(FILE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            PdfError::new(
                PdfErrorKind::WorkerFailed,
                format!("the file did not arrive: {error}"),
            )
        })?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_large(bytes.len()));
    }
    parse(&bytes, |progress| {
        // A parent that is gone is noticed when the answer is written.
        let _ = say(Body::Progress(progress));
    })
}

fn say(body: Body) -> std::io::Result<()> {
    let line = Answer::line(body)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
