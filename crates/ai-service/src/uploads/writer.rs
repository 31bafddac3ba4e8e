//! Writes one upload: chunks go to a thread that hashes, writes, syncs and gives the file its name.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sagabus::{Error, Result};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{FILE_BYTES_MAX, FileId, Upload, UploadTooLarge, failed, path_in, sync_folder};

/// Chunks that may wait for the disk.
const CHUNKS_MAX: usize = 8;

enum Part {
    Chunk(Bytes),
    End,
}

/// An upload that is being written. Nothing of it is kept unless it is finished.
#[derive(Debug)]
pub struct UploadWriter {
    parts: mpsc::Sender<Part>,
    outcome: oneshot::Receiver<Result<Upload>>,
}

impl UploadWriter {
    pub(super) fn start(
        tasks: &TaskTracker,
        stop: CancellationToken,
        folder: Arc<Path>,
        name: String,
    ) -> Self {
        let (parts, receiver) = mpsc::channel(CHUNKS_MAX);
        let (answer, outcome) = oneshot::channel();
        tasks.spawn_blocking(move || {
            // The caller may have gone; a finished upload stays.
            drop(answer.send(write_all(&folder, &name, receiver, &stop)));
        });
        Self { parts, outcome }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `Invalid` with [`UploadTooLarge`] past the limit; `Full` or `Transient` as the disk says.
    ///
    /// # Cancel safety
    /// A dropped call may have added the chunk or not: drop the writer then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if self.parts.send(Part::Chunk(chunk)).await.is_ok() {
            return Ok(());
        }
        // The thread gave up: it says why.
        match (&mut self.outcome).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(ended()),
        }
    }

    /// Makes the upload durable under its id. The same bytes under the same id are kept once.
    ///
    /// # Errors
    /// As [`UploadWriter::write`].
    ///
    /// # Cancel safety
    /// A dropped call may have kept the upload or not; repeat it.
    pub async fn finish(self) -> Result<Upload> {
        // A thread that gave up takes no end, but has said why.
        drop(self.parts.send(Part::End).await);
        self.outcome.await.map_err(|_| ended())?
    }
}

fn ended() -> Error {
    Error::closed("upload was ended")
}

/// A file without its final name; removed unless it gets one.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn create(path: PathBuf) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; what stays after a failure is removed at the next start.
        drop(fs::remove_file(&self.path));
    }
}

fn write_all(
    folder: &Path,
    name: &str,
    mut parts: mpsc::Receiver<Part>,
    stop: &CancellationToken,
) -> Result<Upload> {
    let runtime = tokio::runtime::Handle::current();
    let unwritable = |error| failed("upload cannot be written", error);
    let mut unfinished = Unfinished::create(folder.join(name)).map_err(unwritable)?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        // A client that sends nothing more must not hold up the end of the service.
        let part = runtime.block_on(stop.run_until_cancelled(parts.recv()));
        match part.flatten() {
            Some(Part::Chunk(chunk)) => {
                bytes += chunk.len();
                if bytes > FILE_BYTES_MAX {
                    return Err(UploadTooLarge.into());
                }
                hash.update(&chunk);
                unfinished.file.write_all(&chunk).map_err(unwritable)?;
            }
            Some(Part::End) => break,
            None => return Err(ended()),
        }
    }
    let file_id = FileId::new(&format!("{:x}", hash.finalize()))?;
    let keep = || {
        unfinished.file.sync_all()?;
        fs::rename(&unfinished.path, path_in(folder, &file_id))?;
        sync_folder(folder)
    };
    keep().map_err(unwritable)?;
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok(Upload { file_id, bytes })
}
