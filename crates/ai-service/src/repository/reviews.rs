//! The queue of reviews, what was corrected, and how right each method was.

use sagabus::sqlite::rusqlite::{self, Transaction};
use sagabus::{Result, Timestamp};

use super::results::read_review;
use super::{count, damaged, json, stored, time};
use crate::accuracy::Tally;
use crate::model::{
    Correction, InReview, Part, Performance, ReviewFilter, ReviewStats, ReviewStatus,
};

/// Reviewed results that the accuracy of a model is taken from: the last ones.
const WINDOW: u32 = 50;

/// A part of the results that `filter` lets through, oldest first, and how many there are in all.
pub(crate) fn list_reviews(
    tx: &Transaction<'_>,
    filter: ReviewFilter,
    part: Part,
) -> Result<(Vec<InReview>, u64)> {
    const WHERE: &str = "FROM extraction_results WHERE review IS NOT NULL AND status = 'current' AND \
                         (CASE WHEN ?1 IS NULL THEN review IN ('waiting', 'claimed') ELSE review = ?1 END)";
    let status = filter.status.map(ReviewStatus::as_str);
    let total = tx
        .prepare_cached(&format!("SELECT count(*) AS total {WHERE}"))?
        .query_row([status], |row| count(row, "total"))?;
    let reviews = tx
        .prepare_cached(&format!("SELECT * {WHERE} ORDER BY seq LIMIT ?2 OFFSET ?3"))?
        .query_map((status, part.limit, part.offset), |row| {
            Ok(InReview {
                extraction_result_id: row.get("id")?,
                submission_id: row.get("submission_id")?,
                sample_id: row.get("sample_id")?,
                file_name: row.get("file_name")?,
                confidence_score: row.get("confidence")?,
                created_at: time(row, "created_ms")?,
                review: read_review(row)?.ok_or_else(|| damaged("it has no review"))?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok((reviews, total))
}

pub(crate) fn insert_correction(
    tx: &Transaction<'_>,
    result_id: &str,
    correction: &Correction,
) -> Result<()> {
    tx.execute(
        "INSERT INTO corrections (result_id, field, old_value, new_value, author, time_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            result_id,
            &correction.field,
            correction.old_value.to_string(),
            correction.new_value.to_string(),
            &correction.author,
            correction.time.milliseconds(),
        ),
    )?;
    Ok(())
}

/// What was corrected of a result, in order.
pub(crate) fn corrections(tx: &Transaction<'_>, result_id: &str) -> Result<Vec<Correction>> {
    let corrections = tx
        .prepare_cached("SELECT * FROM corrections WHERE result_id = ?1 ORDER BY seq")?
        .query_map([result_id], |row| {
            Ok(Correction {
                field: row.get("field")?,
                old_value: json(row, "old_value")?,
                new_value: json(row, "new_value")?,
                author: row.get("author")?,
                time: time(row, "time_ms")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(corrections)
}

pub(crate) fn insert_performance(
    tx: &Transaction<'_>,
    result_id: &str,
    tally: &Tally,
    time_ms: u64,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO performance (model, result_id, right_count, value_count, processing_time_ms, created_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            &tally.model,
            result_id,
            stored(tally.right),
            stored(tally.values),
            stored(time_ms),
            now.milliseconds(),
        ),
    )?;
    Ok(())
}

/// How right a model was over its last reviewed results; nothing before the first.
pub(crate) fn performance(tx: &Transaction<'_>, model: &str) -> Result<Option<Performance>> {
    Ok(tx
        .prepare_cached(
            "SELECT count(*) AS results, coalesce(sum(right_count), 0) AS right_count, \
             coalesce(sum(value_count), 0) AS value_count, \
             CAST(coalesce(avg(processing_time_ms), 0) AS INTEGER) AS time_ms \
             FROM (SELECT * FROM performance WHERE model = ?1 ORDER BY seq DESC LIMIT ?2)",
        )?
        .query_row((model, WINDOW), |row| {
            let (right, values) = (count(row, "right_count")?, count(row, "value_count")?);
            if values == 0 {
                return Ok(None);
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "counts of values are far below 2^52"
            )]
            let accuracy = right as f64 / values as f64;
            Ok(Some(Performance {
                model: model.to_owned(),
                accuracy,
                results: row.get("results")?,
                values,
                processing_time_ms: count(row, "time_ms")?,
            }))
        })?)
}

/// The same of every model.
pub(super) fn all_performance(tx: &Transaction<'_>) -> Result<Vec<Performance>> {
    let models: Vec<String> = tx
        .prepare_cached("SELECT DISTINCT model FROM performance ORDER BY model")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut all = Vec::with_capacity(models.len());
    for model in models {
        all.extend(performance(tx, &model)?);
    }
    Ok(all)
}

pub(super) fn review_stats(tx: &Transaction<'_>) -> Result<ReviewStats> {
    Ok(tx.query_row(
        "SELECT count(*) FILTER (WHERE review = 'waiting' AND status = 'current') AS waiting, \
         count(*) FILTER (WHERE review = 'claimed' AND status = 'current') AS claimed, \
         count(*) FILTER (WHERE review = 'accepted') AS accepted, \
         count(*) FILTER (WHERE review = 'refused') AS refused FROM extraction_results WHERE review IS NOT NULL",
        [],
        |row| {
            Ok(ReviewStats {
                waiting: count(row, "waiting")?,
                claimed: count(row, "claimed")?,
                accepted: count(row, "accepted")?,
                refused: count(row, "refused")?,
            })
        },
    )?)
}
