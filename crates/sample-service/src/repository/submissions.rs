//! Submissions as rows of their table.

use nanopore::sample::Progress;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction};
use sagabus::{Error, EventId, Result, Timestamp};

use super::{damaged, time, word};
use crate::model::{NewSubmission, Page, Submission, SubmissionKind, SubmissionStatus};

/// Submissions with how many of their samples are where. No view: that would follow a table which is given another name.
const WITH_SAMPLES: &str = include_str!("submissions.sql");

/// Keeps a submission under the next number.
pub(crate) fn insert_submission(
    tx: &Transaction<'_>,
    id: &str,
    submission: &NewSubmission,
    now: Timestamp,
) -> Result<()> {
    // The numbers of deleted rows are not given again (AUTOINCREMENT keeps the highest one).
    let next: i64 = tx
        .query_row(
            "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'submissions'",
            [],
            |row| row.get(0),
        )
        .optional()?
        .unwrap_or(1);
    tx.execute(
        "INSERT INTO submissions (id, number, file_name, file_id, status, submitter_name, submitter_email, created_ms, updated_ms) \
         VALUES (?1, ?2, ?3, ?4, 'received', ?5, ?6, ?7, ?7)",
        (
            id,
            format!("SUBM-{next:06}"),
            &submission.file_name,
            &submission.file_id,
            &submission.submitter_name,
            &submission.submitter_email,
            now.milliseconds(),
        ),
    )?;
    Ok(())
}

/// Keeps which event tells of a submission.
pub(crate) fn set_event(tx: &Transaction<'_>, id: &str, event: &EventId) -> Result<()> {
    tx.execute(
        "UPDATE submissions SET event_id = ?2 WHERE id = ?1",
        (id, event.as_str()),
    )?;
    Ok(())
}

/// Says how a submission came and what for.
pub(crate) fn set_kind(
    tx: &Transaction<'_>,
    id: &str,
    kind: SubmissionKind,
    project_id: Option<&str>,
) -> Result<()> {
    tx.execute(
        "UPDATE submissions SET kind = ?2, project_id = ?3 WHERE id = ?1",
        (id, kind.as_str(), project_id),
    )?;
    Ok(())
}

/// Deletes a submission that nothing has begun with; false where there is none.
pub(crate) fn delete_received_submission(tx: &Transaction<'_>, id: &str) -> Result<bool> {
    let deleted = tx.execute(
        "DELETE FROM submissions WHERE id = ?1 AND status = 'received'",
        [id],
    )?;
    Ok(deleted == 1)
}

pub(crate) fn update_submission(tx: &Transaction<'_>, submission: &Submission) -> Result<()> {
    tx.execute(
        "UPDATE submissions SET status = ?2, reason = ?3, form = ?4, sample_count = ?5, updated_ms = ?6 WHERE id = ?1",
        (
            &submission.id,
            submission.status.as_str(),
            &submission.reason,
            submission.form.as_ref().map(ToString::to_string),
            submission.sample_count,
            submission.updated_at.milliseconds(),
        ),
    )?;
    Ok(())
}

/// Nobody has to look at a submission any more.
pub(crate) fn clear_review(tx: &Transaction<'_>, id: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE submissions SET review = NULL, updated_ms = ?2 WHERE id = ?1",
        (id, now.milliseconds()),
    )?;
    Ok(())
}

/// Says why a person should look at a submission; false when there is no such submission.
pub(crate) fn mark_for_review(
    tx: &Transaction<'_>,
    id: &str,
    why: &str,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE submissions SET review = ?2, updated_ms = ?3 WHERE id = ?1",
        (id, why, now.milliseconds()),
    )?;
    Ok(changed == 1)
}

pub(crate) fn find_submission(tx: &Transaction<'_>, id: &str) -> Result<Option<Submission>> {
    Ok(tx
        .prepare_cached(&format!("SELECT * FROM ({WITH_SAMPLES}) WHERE id = ?1"))?
        .query_row([id], read_submission)
        .optional()?)
}

pub(crate) fn get_submission(tx: &Transaction<'_>, id: &str) -> Result<Submission> {
    find_submission(tx, id)?.ok_or_else(|| {
        Error::not_found(format!("submission `{}` does not exist", id.escape_debug()))
    })
}

/// One page of submissions, newest first, and how many there are in all.
pub(crate) fn list_submissions(
    tx: &Transaction<'_>,
    status: Option<SubmissionStatus>,
    page: Page,
) -> Result<(Vec<Submission>, u64)> {
    let status = status.map(SubmissionStatus::as_str);
    let total: i64 = tx.query_row(
        "SELECT count(*) FROM submissions WHERE ?1 IS NULL OR status = ?1",
        [status],
        |row| row.get(0),
    )?;
    let offset = i64::try_from(page.offset()).unwrap_or(i64::MAX);
    let mut select = tx.prepare_cached(&format!(
        "SELECT * FROM ({WITH_SAMPLES}) WHERE ?1 IS NULL OR status = ?1 ORDER BY seq DESC LIMIT ?2 OFFSET ?3"
    ))?;
    let submissions = select
        .query_map((status, page.limit, offset), read_submission)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((submissions, u64::try_from(total).unwrap_or(0)))
}

fn read_submission(row: &Row<'_>) -> rusqlite::Result<Submission> {
    let form: Option<String> = row.get("form")?;
    let archived: u32 = row.get("archived")?;
    let progress = Progress {
        samples: row.get("samples")?,
        submitted: row.get("submitted")?,
        // What was put away after it was completed is that still.
        completed: row.get::<_, u32>("completed")? + row.get::<_, u32>("put_away")?,
        archived,
        in_question: row.get("in_question")?,
    };
    Ok(Submission {
        kind: word(row, "kind", SubmissionKind::from_word)?,
        project_id: row.get("project_id")?,
        state: progress.state(),
        progress,
        id: row.get("id")?,
        number: row.get("number")?,
        file_name: row.get("file_name")?,
        file_id: row.get("file_id")?,
        status: word(row, "status", SubmissionStatus::from_word)?,
        submitter_name: row.get("submitter_name")?,
        submitter_email: row.get("submitter_email")?,
        reason: row.get("reason")?,
        review: row.get("review")?,
        form: form
            .map(|form| serde_json::from_str(&form))
            .transpose()
            .map_err(damaged)?,
        event_id: row.get("event_id")?,
        sample_count: row.get("sample_count")?,
        created_at: time(row, "created_ms")?,
        updated_at: time(row, "updated_ms")?,
    })
}
