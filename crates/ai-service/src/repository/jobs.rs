//! Jobs and the counts of their failures, as rows.

use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, named_params};
use sagabus::{Error, EventId, Result, Timestamp};

use super::{count, damaged, known, stored, time, time_option, word};
use crate::model::{
    Fault, FaultKind, Job, JobFilter, JobStatus, Part, job_type_from_word, job_type_word,
    method_from_word, method_word,
};

pub(crate) fn insert_job(tx: &Transaction<'_>, job: &Job) -> Result<()> {
    tx.execute(
        "INSERT INTO processing_jobs (id, job_type, status, progress, submission_id, sample_id, file_name, file_id, \
         file_bytes, user_id, step_key, correlation_id, last_event_id, created_ms, updated_ms, method) \
         VALUES (:id, :job_type, :status, :progress, :submission_id, :sample_id, :file_name, :file_id, \
         :file_bytes, :user_id, :step_key, :correlation_id, :last_event_id, :created_ms, :updated_ms, :method)",
        named_params! {
            ":id": job.id,
            ":job_type": job_type_word(job.job_type),
            ":status": job.status.as_str(),
            ":progress": job.progress,
            ":submission_id": job.submission_id,
            ":sample_id": job.sample_id,
            ":file_name": job.file_name,
            ":file_id": job.file_id,
            ":file_bytes": stored(job.file_size),
            ":user_id": job.user_id,
            ":step_key": job.step_key,
            ":correlation_id": job.correlation_id,
            ":last_event_id": job.last_event_id.as_ref().map(EventId::as_str),
            ":created_ms": job.created_at.milliseconds(),
            ":updated_ms": job.updated_at.milliseconds(),
            ":method": method_word(job.method),
        },
    )?;
    Ok(())
}

pub(crate) fn update_job(tx: &Transaction<'_>, job: &Job) -> Result<()> {
    tx.execute(
        "UPDATE processing_jobs SET status = :status, progress = :progress, result_id = :result_id, \
         error_kind = :error_kind, error_text = :error_text, retry_count = :retry_count, \
         last_event_id = :last_event_id, started_ms = :started_ms, ended_ms = :ended_ms, updated_ms = :updated_ms \
         WHERE id = :id",
        named_params! {
            ":id": job.id,
            ":status": job.status.as_str(),
            ":progress": job.progress,
            ":result_id": job.result_id,
            ":error_kind": job.error.as_ref().map(|fault| fault.kind.as_str()),
            ":error_text": job.error.as_ref().map(|fault| fault.message.as_str()),
            ":retry_count": job.retry_count,
            ":last_event_id": job.last_event_id.as_ref().map(EventId::as_str),
            ":started_ms": job.started_at.map(Timestamp::milliseconds),
            ":ended_ms": job.ended_at.map(Timestamp::milliseconds),
            ":updated_ms": job.updated_at.milliseconds(),
        },
    )?;
    Ok(())
}

pub(crate) fn get_job(tx: &Transaction<'_>, id: &str) -> Result<Job> {
    tx.prepare_cached("SELECT * FROM processing_jobs WHERE id = ?1")?
        .query_row([id], read_job)
        .optional()?
        .ok_or_else(|| Error::not_found(format!("job `{}` does not exist", id.escape_debug())))
}

/// The job of a saga step.
pub(crate) fn job_of_step(tx: &Transaction<'_>, key: &str) -> Result<Option<Job>> {
    Ok(tx
        .prepare_cached("SELECT * FROM processing_jobs WHERE step_key = ?1")?
        .query_row([key], read_job)
        .optional()?)
}

/// The jobs that have not ended, oldest first.
pub(crate) fn open_jobs(tx: &Transaction<'_>) -> Result<Vec<Job>> {
    let jobs = tx
        .prepare_cached(
            "SELECT * FROM processing_jobs WHERE status IN ('pending', 'processing') ORDER BY seq",
        )?
        .query_map([], read_job)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(jobs)
}

/// The jobs that began before this time and are still being read.
pub(crate) fn stuck_jobs(tx: &Transaction<'_>, before: Timestamp) -> Result<Vec<Job>> {
    let jobs = tx
        .prepare_cached(
            "SELECT * FROM processing_jobs WHERE status = 'processing' AND started_ms < ?1 ORDER BY seq",
        )?
        .query_map([before.milliseconds()], read_job)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(jobs)
}

/// Removes the jobs that ended before this time; one whose result waits for a person stays. How many there were.
pub(crate) fn remove_jobs(tx: &Transaction<'_>, before: Timestamp) -> Result<usize> {
    Ok(tx.execute(
        "DELETE FROM processing_jobs WHERE ended_ms < ?1 AND NOT EXISTS (SELECT 1 FROM extraction_results AS result \
         WHERE result.id = processing_jobs.result_id AND result.review IN ('waiting', 'claimed'))",
        [before.milliseconds()],
    )?)
}

/// How many jobs have not ended.
pub(crate) fn open_job_count(tx: &Transaction<'_>) -> Result<u64> {
    Ok(tx.query_row(
        "SELECT count(*) AS open FROM processing_jobs WHERE status IN ('pending', 'processing')",
        [],
        |row| count(row, "open"),
    )?)
}

/// A part of the jobs that `filter` lets through, newest first, and how many there are in all.
pub(crate) fn list_jobs(
    tx: &Transaction<'_>,
    filter: &JobFilter,
    part: Part,
) -> Result<(Vec<Job>, u64)> {
    const WHERE: &str = "FROM processing_jobs WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR job_type = ?2) \
                         AND (?3 IS NULL OR submission_id = ?3) AND (?4 IS NULL OR sample_id = ?4)";
    let status = filter.status.map(JobStatus::as_str);
    let job_type = filter.job_type.map(job_type_word);
    let (submission, sample) = (&filter.submission_id, &filter.sample_id);
    let total = tx
        .prepare_cached(&format!("SELECT count(*) AS total {WHERE}"))?
        .query_row((status, job_type, submission, sample), |row| {
            count(row, "total")
        })?;
    let jobs = tx
        .prepare_cached(&format!(
            "SELECT * {WHERE} ORDER BY seq DESC LIMIT ?5 OFFSET ?6"
        ))?
        .query_map(
            (
                status,
                job_type,
                submission,
                sample,
                part.limit,
                part.offset,
            ),
            read_job,
        )?
        .collect::<rusqlite::Result<_>>()?;
    Ok((jobs, total))
}

/// Counts a failure.
pub(crate) fn count_error(tx: &Transaction<'_>, kind: FaultKind) -> Result<()> {
    tx.execute(
        "INSERT INTO error_counts (kind, count) VALUES (?1, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1",
        [kind.as_str()],
    )?;
    Ok(())
}

fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let last_event_id: Option<String> = row.get("last_event_id")?;
    Ok(Job {
        id: row.get("id")?,
        job_type: word(row, "job_type", job_type_from_word)?,
        method: word(row, "method", method_from_word)?,
        status: word(row, "status", JobStatus::from_word)?,
        progress: row.get("progress")?,
        submission_id: row.get("submission_id")?,
        sample_id: row.get("sample_id")?,
        file_name: row.get("file_name")?,
        file_id: row.get("file_id")?,
        file_size: count(row, "file_bytes")?,
        user_id: row.get("user_id")?,
        result_id: row.get("result_id")?,
        error: read_fault(row)?,
        retry_count: row.get("retry_count")?,
        created_at: time(row, "created_ms")?,
        started_at: time_option(row, "started_ms")?,
        ended_at: time_option(row, "ended_ms")?,
        updated_at: time(row, "updated_ms")?,
        step_key: row.get("step_key")?,
        correlation_id: row.get("correlation_id")?,
        last_event_id: last_event_id
            .map(EventId::new)
            .transpose()
            .map_err(damaged)?,
    })
}

fn read_fault(row: &Row<'_>) -> rusqlite::Result<Option<Fault>> {
    let Some(kind) = row.get::<_, Option<String>>("error_kind")? else {
        return Ok(None);
    };
    Ok(Some(Fault {
        kind: known("error_kind", &kind, FaultKind::from_word)?,
        message: row.get("error_text")?,
    }))
}
