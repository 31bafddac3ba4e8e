//! The private key that signs checkpoints, in a file that only its owner can read.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::path::Path;

use sagabus::{Error, ErrorKind, Result};

use crate::note::Signer;

/// Longest file that is read as a key.
const BYTES_MAX: u64 = 4_096;

/// Reads the key, or makes one where there is none and `may_be_new`.
///
/// # Errors
/// `Invalid` for a file that others can read, or that holds no key. `NotFound` where it is missing and must not be new.
pub(crate) fn open(path: &Path, may_be_new: bool) -> Result<Signer> {
    match read(path) {
        Ok(Some(signer)) => Ok(signer),
        Ok(None) if may_be_new => make(path),
        Ok(None) => Err(Error::not_found(format!(
            "the key `{}` is missing, and there are checkpoints that it has signed: put it back from a backup, or name it \
             in `AUDIT_KEY_FILE`",
            path.display()
        ))),
        Err(error) => Err(error),
    }
}

/// Reads the key, where there is one.
pub(crate) fn read(path: &Path) -> Result<Option<Signer>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "read", error)),
    };
    only_for_its_owner(path, &file)?;
    let mut text = String::new();
    Read::by_ref(&mut file)
        .take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| failed(path, "read", error))?;
    let signer = Signer::read(&text).map_err(|error| {
        Error::invalid(format!("the key `{}` cannot be used", path.display())).with_source(error)
    })?;
    Ok(Some(signer))
}

#[cfg(unix)]
fn only_for_its_owner(path: &Path, file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file
        .metadata()
        .map_err(|error| failed(path, "read", error))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::invalid(format!(
        "the key `{path}` can be used by others (mode {:03o}): `chmod 600 {path}`",
        mode & 0o777
    )))
}

#[cfg(not(unix))]
fn only_for_its_owner(_: &Path, _: &File) -> Result<()> {
    Ok(())
}

fn make(path: &Path) -> Result<Signer> {
    let signer = Signer::generate()?;
    let written = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Whole under its name or not there: a start that is cut off makes another.
        let new = path.with_extension("key.tmp");
        let _of_before = std::fs::remove_file(&new);
        let mut file = options.open(&new)?;
        file.write_all(signer.text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        match path.parent().filter(|it| !it.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    written().map_err(|error: std::io::Error| failed(path, "made", error))?;
    tracing::info!(path = %path.display(), key = %signer.verifier(), "made a key for the audit trail");
    Ok(signer)
}

fn failed(path: &Path, what: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Invalid,
    };
    let text = format!("the key `{}` cannot be {what}", path.display());
    Error::new(kind, text).with_source(error)
}
