//! Checks a trail without the service that makes it: a database as it lies there, or a bundle.

use std::path::{Path, PathBuf};

use sagabus::sqlite::rusqlite::{Connection, OpenFlags, Transaction};
use sagabus::{Error, ErrorKind, Result};

use crate::bundle;
use crate::check::Fault;
use crate::journal::{Journal, notes};
use crate::key_file;
use crate::model::Verification;
use crate::note::{Checkpoint, Verifier};
use crate::repository::{self as rows, Checked};

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
    let notes = notes(outside.journal);
    let mut checker = rows::checker(tx, outside.verifier, &notes, outside.kept)?;
    loop {
        match rows::check_some(tx, checker)? {
            Checked::Some(more) => checker = more,
            Checked::All(checker, fault) => return Ok(checker.finish(fault)),
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
    std::thread::scope(|scope| {
        let indexes = scope.spawn(|| index_fault(&places.database));
        let found = verify_entries(places, verifier, &kept)?;
        let indexes = indexes.join();
        found.unless(
            indexes.unwrap_or_else(|_| Err(Error::closed("the check of the indexes panicked"))),
        )
    })
}

/// What is wrong with the indexes by which entries are found. They are not part of the tree: one that was changed hides entries
/// from whoever asks, although all are there.
pub(crate) fn index_fault(database: &Path) -> Result<Option<Fault>> {
    let connection = open(database)?;
    let check = "PRAGMA integrity_check('audit_entries')";
    let said: String = connection.query_row(check, [], |row| row.get(0))?;
    if said == "ok" {
        return Ok(None);
    }
    // `row 41 missing from index audit_entries_by_resource`, or something else that is about no entry alone.
    let row = said
        .strip_prefix("row ")
        .and_then(|it| it.split(' ').next());
    let sequence = row.and_then(|it| it.parse().ok()).unwrap_or(1);
    let said = said.lines().next().unwrap_or_default();
    let text = format!("not every entry can be found: {said}");
    Ok(Some(Fault::new(sequence, text)))
}

fn open(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(database, flags)?)
}

fn verify_entries(
    places: &Places,
    verifier: &Verifier,
    kept: &[Checkpoint],
) -> Result<Verification> {
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
        return verify(&tx, &outside);
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
