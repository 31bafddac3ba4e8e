//! Details and attachments as rows of their tables.

use nanopore::sample::Details;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction};
use sagabus::{Error, Result};

use super::{damaged, time};
use crate::model::{Attachment, Owner};

/// Most attachments of one sample or submission.
const ATTACHMENTS_MAX: u32 = 100;

/// The details of a sample; empty ones where nothing was said.
pub(crate) fn details(tx: &Transaction<'_>, sample_id: &str) -> Result<Details> {
    let details = tx
        .prepare_cached("SELECT details FROM sample_details WHERE sample_id = ?1")?
        .query_row([sample_id], |row| {
            let details: String = row.get(0)?;
            serde_json::from_str(&details).map_err(damaged)
        })
        .optional()?;
    Ok(details.unwrap_or_default())
}

pub(crate) fn put_details(tx: &Transaction<'_>, sample_id: &str, details: &Details) -> Result<()> {
    let details = serde_json::to_string(details)
        .map_err(|error| Error::invalid("details cannot be written as JSON").with_source(error))?;
    tx.prepare_cached(
        "INSERT INTO sample_details (sample_id, details) VALUES (?1, ?2) \
         ON CONFLICT (sample_id) DO UPDATE SET details = ?2",
    )?
    .execute((sample_id, details))?;
    Ok(())
}

/// Takes what belongs to a sample that is deleted.
pub(super) fn delete_extras(tx: &Transaction<'_>, sample_id: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM sample_details WHERE sample_id = ?1")?
        .execute([sample_id])?;
    tx.prepare_cached("DELETE FROM attachments WHERE sample_id = ?1")?
        .execute([sample_id])?;
    Ok(())
}

/// Keeps an attachment unless its owner has the most there can be.
pub(crate) fn insert_attachment(tx: &Transaction<'_>, it: &Attachment) -> Result<()> {
    let count: u32 = tx.query_row(
        "SELECT count(*) FROM attachments WHERE sample_id = ?1 OR submission_id = ?2",
        (&it.sample_id, &it.submission_id),
        |row| row.get(0),
    )?;
    if count >= ATTACHMENTS_MAX {
        let text = format!("there are {count} attachments already, the most there can be");
        return Err(Error::invalid(text));
    }
    tx.prepare_cached(
        "INSERT INTO attachments (id, sample_id, submission_id, file_id, file_name, file_type, file_size, description, \
         uploaded_by, uploaded_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        &it.id,
        &it.sample_id,
        &it.submission_id,
        &it.file_id,
        &it.file_name,
        &it.file_type,
        i64::try_from(it.file_size).unwrap_or(i64::MAX),
        &it.description,
        &it.uploaded_by,
        it.uploaded_at.milliseconds(),
    ))?;
    Ok(())
}

/// The attachments of a sample or a submission, oldest first.
pub(crate) fn attachments(tx: &Transaction<'_>, owner: &Owner) -> Result<Vec<Attachment>> {
    let (column, id) = place(owner);
    let mut select = tx.prepare_cached(&format!(
        "SELECT * FROM attachments WHERE {column} = ?1 ORDER BY seq LIMIT {ATTACHMENTS_MAX}"
    ))?;
    let found = select
        .query_map([id], read_attachment)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(crate) fn get_attachment(tx: &Transaction<'_>, owner: &Owner, id: &str) -> Result<Attachment> {
    let (column, owner_id) = place(owner);
    tx.prepare_cached(&format!(
        "SELECT * FROM attachments WHERE {column} = ?1 AND id = ?2"
    ))?
    .query_row([owner_id, id], read_attachment)
    .optional()?
    .ok_or_else(|| Error::not_found(format!("attachment `{}` does not exist", id.escape_debug())))
}

pub(crate) fn delete_attachment(tx: &Transaction<'_>, id: &str) -> Result<()> {
    tx.execute("DELETE FROM attachments WHERE id = ?1", [id])?;
    Ok(())
}

fn place(owner: &Owner) -> (&'static str, &str) {
    match owner {
        Owner::Sample(id) => ("sample_id", id),
        Owner::Submission(id) => ("submission_id", id),
    }
}

fn read_attachment(row: &Row<'_>) -> rusqlite::Result<Attachment> {
    Ok(Attachment {
        id: row.get("id")?,
        sample_id: row.get("sample_id")?,
        submission_id: row.get("submission_id")?,
        file_id: row.get("file_id")?,
        file_name: row.get("file_name")?,
        file_type: row.get("file_type")?,
        file_size: u64::try_from(row.get::<_, i64>("file_size")?).unwrap_or(0),
        description: row.get("description")?,
        uploaded_by: row.get("uploaded_by")?,
        uploaded_at: time(row, "uploaded_ms")?,
    })
}
