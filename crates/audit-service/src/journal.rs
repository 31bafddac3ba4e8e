//! The file of checkpoints beside the database: who puts an older database back does not put back this file by that.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::PathBuf;

use sagabus::{Error, ErrorKind, Result};

/// Signed notes one after the other, each with an empty line behind it. Only added to.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Adds a note and syncs.
    pub(crate) fn append(&self, note: &str) -> Result<()> {
        let written = || {
            let is_new = !self.path.exists();
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            file.write_all(format!("{note}\n").as_bytes())?;
            file.sync_data()?;
            if let Some(folder) = self.path.parent().filter(|_| is_new) {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        written().map_err(|error: std::io::Error| self.failed("written to", error))
    }

    /// All notes. A last one that was not written to its end, as after a loss of power, is cut off.
    pub(crate) fn recover(&self) -> Result<Vec<String>> {
        let (text, bytes) = self.text()?;
        let (notes, whole) = split(&text);
        // A file with bytes that are no text was not cut by a loss of power: it stays for whoever looks.
        if whole < text.len() && text.len() == bytes {
            let cut = || {
                let file = OpenOptions::new().write(true).open(&self.path)?;
                file.set_len(whole as u64)?;
                file.sync_all()
            };
            cut().map_err(|error| self.failed("cut", error))?;
        }
        Ok(notes)
    }

    /// All notes, and what is behind the last whole one as if it were one.
    pub(crate) fn read(&self) -> Result<Vec<String>> {
        Ok(notes(&self.text()?.0))
    }

    /// The file as text, and how many bytes it has.
    fn text(&self) -> Result<(String, usize)> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok((String::from_utf8_lossy(&bytes).into_owned(), bytes.len())),
            Err(error) if error.kind() == IoErrorKind::NotFound => Ok(Default::default()),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        let kind = match error.kind() {
            IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded => ErrorKind::Full,
            _ => ErrorKind::Transient,
        };
        let text = format!("`{}` cannot be {what}", self.path.display());
        Error::new(kind, text).with_source(error)
    }
}

/// The notes in a text, the last of which may not be whole.
pub(crate) fn notes(text: &str) -> Vec<String> {
    let (mut notes, whole) = split(text);
    let rest = text.get(whole..).unwrap_or_default();
    if !rest.is_empty() {
        // Without its last line end it is no note.
        notes.push(rest.trim_end().to_owned());
    }
    notes
}

/// The whole notes, and how many bytes they are. A note is three lines, an empty one and signatures, up to an empty line.
fn split(text: &str) -> (Vec<String>, usize) {
    let mut notes = Vec::new();
    let (mut start, mut at, mut empty) = (0, 0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line != "\n" {
            continue;
        }
        empty += 1;
        if empty == 2 {
            let note = text.get(start..at - 1).unwrap_or_default();
            notes.push(note.to_owned());
            (start, empty) = (at, 0);
        }
    }
    (notes, start)
}
