//! Room for the next start: a database needs some to be opened, which a disk that is full does not have.
//!
//! Each has its own, given up just before it is opened: a database that is opened first writes to its file what it could not
//! before, and leaves nothing to the next.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a database needs to be opened, twice over.
const BYTES: usize = 256 * 1024;

fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.start.tmp"))
}

/// Gives up the room that a start before this one has left for a database.
pub(crate) fn give_up(dir: &Path, name: &str) {
    if let Err(error) = std::fs::remove_file(path(dir, name))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(name, %error, "cannot delete the file that keeps room for a start");
    }
}

/// Keeps room for the next start. Without it that needs a little room on the disk.
pub(crate) fn keep(dir: &Path, name: &str) {
    let path = path(dir, name);
    let made = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; BYTES])?;
        file.sync_all()
    });
    if let Err(error) = made {
        tracing::warn!(name, %error, "cannot keep room for the next start");
        let _not_there = std::fs::remove_file(&path);
    }
}
