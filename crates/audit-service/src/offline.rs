//! Checks a trail without the service that makes it: a database as it lies there, or a bundle.

use std::path::{Path, PathBuf};

use sagabus::sqlite::rusqlite::{Connection, OpenFlags, Transaction};
use sagabus::{Error, ErrorKind, Result};

use crate::bundle;
use crate::journal::{Journal, notes};
use crate::key_file;
use crate::model::Verification;
use crate::note::{Checkpoint, Verifier};
use crate::repository::{self as rows, Checked, Keys, Pass};
use crate::service::MIGRATIONS;

/// Times that the file of checkpoints may change while it is read.
const ROUNDS_MAX: u32 = 10;

/// What a trail is checked against, beside itself.
#[derive(Clone, Debug)]
pub struct Outside<'a> {
    /// Who must have signed its checkpoints.
    pub verifier: &'a Verifier,
    /// What the file of checkpoints holds.
    pub journal: &'a str,
    /// Checkpoints that somebody has kept.
    pub kept: &'a [Checkpoint],
}

/// Checks the trail that a transaction sees.
///
/// # Errors
/// As the database says. A trail that was tampered with is a result, not an error.
pub fn verify(tx: &Transaction<'_>, outside: &Outside<'_>) -> Result<Verification> {
    Ok(verify_all(tx, outside, Keys::none(tx))?.0)
}

/// The same, with the keys by which the entries are to be found.
fn verify_all(
    tx: &Transaction<'_>,
    outside: &Outside<'_>,
    keys: Keys,
) -> Result<(Verification, Keys)> {
    let notes = notes(outside.journal);
    let checker = rows::checker(tx, outside.verifier, &notes, outside.kept)?;
    let mut pass = Pass { checker, keys };
    loop {
        match pass.go_on(tx)? {
            Checked::Some(more) => pass = more,
            Checked::All(pass, fault) => return Ok((pass.checker.finish(fault), pass.keys)),
        }
    }
}

/// Where the parts of a trail lie.
#[derive(Clone, Debug)]
pub struct Places {
    /// The database.
    pub database: PathBuf,
    /// The file of checkpoints.
    pub journal: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Places {
    /// The usual places, beside the database.
    #[must_use]
    pub fn beside(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
            journal: database.with_extension("checkpoints"),
            key: database.with_extension("key"),
        }
    }

    /// The public key of a trail, from its private one.
    ///
    /// # Errors
    /// `NotFound` where there is no key; `Invalid` where it cannot be read.
    pub fn verifier(&self) -> Result<Verifier> {
        let signer = key_file::read(&self.key)?
            .ok_or_else(|| Error::not_found(format!("there is no key `{}`", self.key.display())))?;
        Ok(signer.verifier().clone())
    }
}

/// Checks a database as it lies there: the entries against their tree and what was signed of it, and meanwhile whether each is found.
///
/// # Errors
/// As the file system and the database say. A trail that was tampered with is a result, not an error.
pub fn verify_database(
    places: &Places,
    verifier: &Verifier,
    kept: &[String],
) -> Result<Verification> {
    let kept = opened(verifier, kept)?;
    if !places.database.is_file() {
        let text = format!("there is no database `{}`", places.database.display());
        return Err(Error::not_found(text));
    }
    let keys = Keys::none(&open(&places.database)?.transaction()?);
    let (found, keys, indexes) = std::thread::scope(|scope| {
        let none = keys.clone();
        let indexes = scope.spawn(|| keys_of_indexes(&places.database, none));
        let (found, keys) = verify_entries(places, verifier, &kept, keys)?;
        Ok::<_, Error>((found, keys, indexes.join().ok().flatten()))
    })?;
    found.unless(|| hidden(&places.database, indexes == Some(keys)))
}

/// The keys that the indexes have of the entries that `none` is of. Nothing where they are not as they should be, or cannot be
/// read, which [`hidden`] then says.
pub(crate) fn keys_of_indexes(database: &Path, none: Keys) -> Option<Keys> {
    let keys = open(database).and_then(|mut it| none.of_indexes(&mut it));
    keys.ok().flatten()
}

/// What keeps entries from being found, and which, where it is about one. Where the keys of the indexes fit, that is only how
/// they are declared.
pub(crate) fn hidden(database: &Path, fits: bool) -> Result<Option<(Option<u64>, String)>> {
    let connection = open(database)?;
    match rows::schema_fault(&connection, MIGRATIONS)? {
        Some(fault) => Ok(Some((None, fault))),
        None if fits => Ok(None),
        None => rows::index_fault(&connection),
    }
}

fn open(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    // What the file itself declares is not to be believed.
    connection.execute_batch("PRAGMA trusted_schema = OFF")?;
    Ok(connection)
}

fn verify_entries(
    places: &Places,
    verifier: &Verifier,
    kept: &[Checkpoint],
    keys: Keys,
) -> Result<(Verification, Keys)> {
    let mut connection = open(&places.database)?;
    let file = Journal::new(places.journal.clone());
    // A service may be signing at this moment: file and database must be of one time.
    for _round in 0..ROUNDS_MAX {
        let mut notes = file.read()?;
        let tx = connection.transaction()?;
        let is_there = "SELECT 1 FROM sqlite_schema WHERE name = 'audit_nodes'";
        if !tx.prepare(is_there)?.exists([])? {
            let text = "the database holds no trail of this version: a start of the program takes up one of before";
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let signed = rows::last_checkpoint(&tx)?.map_or(0, |(size, _)| size);
        if file.read()? != notes {
            continue;
        }
        // Written to the file, and not yet to the database.
        if let Some(Ok(last)) = notes.last().map(|it| verifier.open(it))
            && (signed + 1..=rows::size(&tx)?).contains(&last.state.size)
            && rows::state(&tx, last.state.size).is_ok_and(|it| it == last.state)
        {
            notes.pop();
        }
        let journal: String = notes.iter().map(|note| format!("{note}\n")).collect();
        let outside = Outside {
            verifier,
            journal: &journal,
            kept,
        };
        return verify_all(&tx, &outside, keys);
    }
    let text = "the trail is signed faster than it can be read";
    Err(Error::new(ErrorKind::Transient, text))
}

/// Checks a bundle.
///
/// # Errors
/// As the file system says; `Invalid` for a file that is no bundle. A trail that was tampered with is a result.
pub fn verify_bundle(
    path: &Path,
    verifier: Option<&Verifier>,
    kept: &[String],
) -> Result<(Verification, Verifier)> {
    let failed = |error: std::io::Error| {
        let text = format!("`{}` cannot be read", path.display());
        Error::invalid(text).with_source(error)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    bundle::verify(std::io::BufReader::new(file), verifier, |key| {
        opened(key, kept)
    })
}

fn opened(verifier: &Verifier, notes: &[String]) -> Result<Vec<Checkpoint>> {
    notes.iter().map(|note| verifier.open(note)).collect()
}
