//! Uploaded documents, each kept once in `<folder>/<sha256>.pdf`. What they hold is not looked at here.

mod writer;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sagabus::{Clock, Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use writer::UploadWriter;

use crate::pdf::FILE_BYTES_MAX;

/// Ends the name of a file that is still being written.
const UNFINISHED: &str = "part";

/// Names an upload: the SHA-256 of its bytes as 64 lower-case hex digits, so that it never leads out of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileId(Box<str>);

impl FileId {
    /// Reads an id.
    ///
    /// # Errors
    /// `Invalid` when it is not 64 hex digits.
    pub fn new(id: &str) -> Result<Self> {
        let fits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if id.len() != 64 || !id.bytes().all(fits) {
            return Err(Error::invalid("`fileId` is not 64 lower-case hex digits"));
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A document that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id; the same bytes always have the same one.
    pub file_id: FileId,
    /// Its size in bytes.
    pub bytes: u64,
}

/// An upload has more than [`FILE_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("file has more than {FILE_BYTES_MAX} bytes")]
pub struct UploadTooLarge;

impl UploadTooLarge {
    /// Whether a call failed for this.
    #[must_use]
    pub fn is_cause_of(error: &Error) -> bool {
        std::error::Error::source(error).is_some_and(|source| source.is::<Self>())
    }
}

impl From<UploadTooLarge> for Error {
    fn from(too_large: UploadTooLarge) -> Self {
        Self::invalid("upload is refused").with_source(too_large)
    }
}

/// The folder of uploads.
#[derive(Clone, Debug)]
pub(crate) struct Uploads {
    folder: Arc<Path>,
}

impl Uploads {
    /// Opens or creates the folder and removes what was left half-written. Blocks.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        let prepare = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|it| it == UNFINISHED) {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        prepare().map_err(|error| failed("folder of uploads cannot be opened", error))?;
        Ok(Self {
            folder: folder.into(),
        })
    }

    /// Begins an upload. One thread writes it, and ends when the writer is finished or dropped, or on `stop`.
    pub(crate) fn begin(
        &self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        clock: &dyn Clock,
    ) -> UploadWriter {
        let name = format!("{:016x}.{UNFINISHED}", clock.random());
        UploadWriter::start(tasks, stop.clone(), Arc::clone(&self.folder), name)
    }

    /// Size of an upload in bytes. Blocks.
    pub(crate) fn size(&self, id: &FileId) -> Result<u64> {
        match fs::metadata(self.path(id)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(id)),
            Err(error) => Err(failed("upload cannot be read", error)),
        }
    }

    /// The bytes of an upload. Blocks.
    pub(crate) fn read(&self, id: &FileId) -> Result<Bytes> {
        match fs::read(self.path(id)) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(id)),
            Err(error) => Err(failed("upload cannot be read", error)),
        }
    }

    fn path(&self, id: &FileId) -> PathBuf {
        path_in(&self.folder, id)
    }
}

fn path_in(folder: &Path, id: &FileId) -> PathBuf {
    folder.join(format!("{}.pdf", id.as_str()))
}

/// Makes the names in the folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn missing(id: &FileId) -> Error {
    Error::not_found(format!("upload `{}` does not exist", id.as_str()))
}

fn failed(text: &'static str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Transient,
    };
    Error::new(kind, text).with_source(error)
}
