//! Signed states of the tree as rows, beside the file that has them too.

use sagabus::sqlite::rusqlite::{OptionalExtension, Transaction};
use sagabus::{Error, ErrorKind, Result};

use super::tree;
use crate::check::{Checker, Fault};
use crate::journal::Journal;
use crate::note::{Checkpoint, Signer, Verifier};

/// The newest checkpoint's note and how many entries its row says it is of.
pub(crate) fn last(tx: &Transaction<'_>) -> Result<Option<(u64, String)>> {
    let row: Option<(i64, String)> = tx
        .prepare_cached("SELECT size, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.map(|(size, note)| (u64::try_from(size).unwrap_or(0), note)))
}

/// Signs the tree as it is now, unless that was done before. The note goes into the file and then into the database, in this
/// transaction.
///
/// # Errors
/// `Corrupt` when the trail is not what was signed last: that is never signed over.
pub(crate) fn sign(tx: &Transaction<'_>, signer: &Signer, journal: &Journal) -> Result<Checkpoint> {
    let state = tree::state(tx, tree::size(tx)?)?;
    let corrupt = |text: String| Error::new(ErrorKind::Corrupt, text);
    if let Some((_, note)) = last(tx)? {
        let before = signer.verifier().open(&note)?;
        let size = before.state.size;
        if size > state.size || tree::state(tx, size)? != before.state {
            return Err(corrupt(format!(
                "the trail is no longer what its checkpoint of {size} entries was signed of; it is not signed"
            )));
        }
        if size == state.size {
            return Ok(before);
        }
    }
    let checkpoint = signer.sign(state);
    journal.append(&checkpoint.note)?;
    insert(tx, &checkpoint)?;
    Ok(checkpoint)
}

/// Takes a checkpoint that is in the file and not in the database, as after a loss of power between the two.
pub(crate) fn take_up(tx: &Transaction<'_>, verifier: &Verifier, notes: &[String]) -> Result<()> {
    let Some(note) = notes.last() else {
        return Ok(());
    };
    let Ok(checkpoint) = verifier.open(note) else {
        return Ok(());
    };
    let size = checkpoint.state.size;
    let is_newer = last(tx)?.is_none_or(|(last, _)| last < size);
    if is_newer && size <= tree::size(tx)? && tree::state(tx, size)? == checkpoint.state {
        insert(tx, &checkpoint)?;
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, checkpoint: &Checkpoint) -> Result<()> {
    tx.prepare_cached("INSERT INTO audit_checkpoints (size, note) VALUES (?1, ?2)")?
        .execute((tree::number(checkpoint.state.size), &checkpoint.note))?;
    Ok(())
}

/// A check that is to meet every state that was signed: those of the database, which must be those of the file, and those
/// that somebody has kept.
pub(crate) fn checker(
    tx: &Transaction<'_>,
    verifier: &Verifier,
    notes: &[String],
    kept: &[Checkpoint],
) -> Result<Checker> {
    let mut states: Vec<_> = kept.iter().map(|it| it.state).collect();
    let mut faults = Vec::new();
    let mut select = tx.prepare("SELECT size, note FROM audit_checkpoints ORDER BY size")?;
    let mut rows = select.query([])?;
    let mut in_file = notes.iter();
    while let Some(row) = rows.next()? {
        let (size, note): (i64, String) = (row.get(0)?, row.get(1)?);
        if in_file.next() != Some(&note) {
            faults.push(format!(
                "the checkpoint of {size} entries is not the one that stands in the file of checkpoints"
            ));
        }
        match verifier.open(&note) {
            Ok(read) if tree::number(read.state.size) == size => states.push(read.state),
            Ok(read) => faults.push(format!(
                "the checkpoint of {} entries stands as one of {size}",
                read.state.size
            )),
            Err(error) => faults.push(error.to_string()),
        }
    }
    for note in in_file {
        match verifier.open(note) {
            Ok(read) => {
                let size = read.state.size;
                states.push(read.state);
                faults.push(format!(
                    "the checkpoint of {size} entries is only in the file of checkpoints"
                ));
            }
            Err(error) => faults.push(format!("in the file of checkpoints: {error}")),
        }
    }
    let mut checker = Checker::new(states);
    if let Some(text) = faults.into_iter().next() {
        checker.beside(Fault::new(1, text));
    }
    Ok(checker)
}
