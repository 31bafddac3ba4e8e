//! One process per data directory: the second refuses and names the first.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Held while the directory is in use; the operating system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock file `lock` in `directory`.
    ///
    /// # Errors
    /// `Conflict` when another process holds it, with that process's id. `Invalid` when the directory cannot be written.
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join("lock");
        let failed = |error: std::io::Error| {
            Error::invalid(format!(
                "cannot use data directory `{}`",
                directory.display()
            ))
            .with_source(error)
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let holder = match file.read_to_string(&mut holder) {
                    Ok(_) if !holder.trim().is_empty() => holder.trim().to_owned(),
                    Ok(_) | Err(_) => "unknown".to_owned(),
                };
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "data directory `{}` is in use by process {holder}; stop it, or give another --data-dir",
                        directory.display()
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
