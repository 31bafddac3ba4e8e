//! Counts of jobs and results.

use sagabus::Result;
use sagabus::sqlite::rusqlite::{self, Transaction};

use super::{count, word};
use crate::model::{
    JobCount, JobStats, JobStatus, ResultStats, Stats, job_type_from_word, job_type_word,
};

/// Counts; a result with less than `confidence_min` is low.
pub(crate) fn stats(tx: &Transaction<'_>, confidence_min: f64) -> Result<Stats> {
    Ok(Stats {
        jobs: job_stats(tx)?,
        results: result_stats(tx, confidence_min)?,
        reviews: super::reviews::review_stats(tx)?,
        performance: super::reviews::all_performance(tx)?,
        ..Stats::default()
    })
}

fn job_stats(tx: &Transaction<'_>) -> Result<JobStats> {
    let by_status: Vec<JobCount> = tx
        .prepare_cached(
            "SELECT status, job_type, count(*) AS jobs FROM processing_jobs GROUP BY status, job_type \
             ORDER BY status, job_type",
        )?
        .query_map([], |row| {
            Ok(JobCount {
                status: word(row, "status", JobStatus::from_word)?,
                job_type: job_type_word(word(row, "job_type", job_type_from_word)?),
                count: count(row, "jobs")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let errors = tx
        .prepare_cached("SELECT kind, count FROM error_counts")?
        .query_map([], |row| Ok((row.get("kind")?, count(row, "count")?)))?
        .collect::<rusqlite::Result<_>>()?;
    let of = |status: JobStatus| {
        let counts = by_status.iter().filter(|it| it.status == status);
        counts.map(|it| it.count).sum()
    };
    Ok(JobStats {
        total: by_status.iter().map(|it| it.count).sum(),
        active: of(JobStatus::Processing),
        queued: of(JobStatus::Pending),
        errors,
        by_status,
    })
}

fn result_stats(tx: &Transaction<'_>, confidence_min: f64) -> Result<ResultStats> {
    Ok(tx.query_row(
        "SELECT count(*) FILTER (WHERE status = 'current') AS total, \
         count(*) FILTER (WHERE status = 'current' AND confidence < ?1) AS low, \
         avg(confidence) FILTER (WHERE status = 'current') AS confidence, \
         avg(processing_time_ms) FILTER (WHERE status = 'current') AS time_ms, \
         count(*) FILTER (WHERE status = 'withdrawn') AS withdrawn FROM extraction_results",
        [confidence_min],
        |row| {
            Ok(ResultStats {
                total: count(row, "total")?,
                low_confidence: count(row, "low")?,
                average_confidence: row.get("confidence")?,
                average_processing_time_ms: row.get("time_ms")?,
                withdrawn: count(row, "withdrawn")?,
            })
        },
    )?)
}
