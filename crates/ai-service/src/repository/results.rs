//! Extraction results.

use nanopore::events::ai::Method;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, named_params};
use sagabus::{Error, Result, Timestamp};

use super::{count, damaged, json, known, stored, time, time_option, word};
use crate::model::{
    ExtractionResult, ResultStatus, Review, ReviewStatus, method_from_word, method_word,
};
use crate::reading::Kind;

pub(crate) fn insert_result(tx: &Transaction<'_>, result: &ExtractionResult) -> Result<()> {
    let review = result.review.as_ref();
    tx.execute(
        "INSERT INTO extraction_results (id, job_id, status, submission_id, sample_id, file_name, file_id, method, \
         extracted_data, fields, issues, confidence, processing_time_ms, created_ms, updated_ms, asked, kind, model, \
         notes, review, review_reasons) \
         VALUES (:id, :job_id, :status, :submission_id, :sample_id, :file_name, :file_id, :method, \
         :extracted_data, :fields, :issues, :confidence, :processing_time_ms, :created_ms, :updated_ms, :asked, :kind, \
         :model, :notes, :review, :review_reasons)",
        named_params! {
            ":id": result.id,
            ":job_id": result.job_id,
            ":status": result.status.as_str(),
            ":submission_id": result.submission_id,
            ":sample_id": result.sample_id,
            ":file_name": result.file_name,
            ":file_id": result.file_id,
            ":method": method_word(result.extraction_method),
            ":extracted_data": text(&result.extracted_data)?,
            ":fields": text(&result.fields)?,
            ":issues": text(&result.issues)?,
            ":confidence": result.confidence_score,
            ":processing_time_ms": stored(result.processing_time_ms),
            ":created_ms": result.created_at.milliseconds(),
            ":updated_ms": result.updated_at.milliseconds(),
            ":asked": method_word(result.asked_method),
            ":kind": kind_word(result.kind)?,
            ":model": result.model,
            ":notes": text(&result.notes)?,
            ":review": review.map(|it| it.status.as_str()),
            ":review_reasons": text(&review.map(|it| &it.reasons).unwrap_or(&Vec::new()))?,
        },
    )?;
    Ok(())
}

/// What a person's look changes of a result.
pub(crate) fn update_review(tx: &Transaction<'_>, result: &ExtractionResult) -> Result<()> {
    let review = result.review.as_ref();
    let corrected = result.corrected_data.as_ref().map(text).transpose()?;
    tx.execute(
        "UPDATE extraction_results SET review = :review, claimed_by = :claimed_by, claimed_ms = :claimed_ms, \
         decided_by = :decided_by, decided_ms = :decided_ms, decision_reason = :decision_reason, \
         corrected_data = :corrected_data, updated_ms = :updated_ms WHERE id = :id",
        named_params! {
            ":id": result.id,
            ":review": review.map(|it| it.status.as_str()),
            ":claimed_by": review.and_then(|it| it.claimed_by.as_ref()),
            ":claimed_ms": review.and_then(|it| it.claimed_at).map(Timestamp::milliseconds),
            ":decided_by": review.and_then(|it| it.decided_by.as_ref()),
            ":decided_ms": review.and_then(|it| it.decided_at).map(Timestamp::milliseconds),
            ":decision_reason": review.and_then(|it| it.decision_reason.as_ref()),
            ":corrected_data": corrected,
            ":updated_ms": result.updated_at.milliseconds(),
        },
    )?;
    Ok(())
}

/// The last result of the same content by the method that was asked for, made since `from`.
pub(crate) fn known_result(
    tx: &Transaction<'_>,
    file_id: &str,
    asked: Method,
    from: Timestamp,
) -> Result<Option<ExtractionResult>> {
    Ok(tx
        .prepare_cached(
            "SELECT * FROM extraction_results WHERE file_id = ?1 AND asked = ?2 AND method = ?2 AND created_ms >= ?3 \
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row((file_id, method_word(asked), from.milliseconds()), read_result)
        .optional()?)
}

pub(crate) fn get_result(tx: &Transaction<'_>, id: &str) -> Result<ExtractionResult> {
    let mut result = tx
        .prepare_cached("SELECT * FROM extraction_results WHERE id = ?1")?
        .query_row([id], read_result)
        .optional()?
        .ok_or_else(|| {
            Error::not_found(format!("result `{}` does not exist", id.escape_debug()))
        })?;
    result.corrections = super::corrections(tx, id)?;
    Ok(result)
}

/// Takes a result back.
pub(crate) fn withdraw_result(tx: &Transaction<'_>, id: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE extraction_results SET status = 'withdrawn', updated_ms = ?2 WHERE id = ?1",
        (id, now.milliseconds()),
    )?;
    Ok(())
}

fn read_result(row: &Row<'_>) -> rusqlite::Result<ExtractionResult> {
    Ok(ExtractionResult {
        id: row.get("id")?,
        job_id: row.get("job_id")?,
        status: word(row, "status", ResultStatus::from_word)?,
        submission_id: row.get("submission_id")?,
        sample_id: row.get("sample_id")?,
        file_name: row.get("file_name")?,
        file_id: row.get("file_id")?,
        kind: read_kind(row)?,
        asked_method: word(row, "asked", method_from_word)?,
        extraction_method: word(row, "method", method_from_word)?,
        model: row.get("model")?,
        notes: json(row, "notes")?,
        extracted_data: json(row, "extracted_data")?,
        fields: json(row, "fields")?,
        issues: json(row, "issues")?,
        confidence_score: row.get("confidence")?,
        processing_time_ms: count(row, "processing_time_ms")?,
        review: read_review(row)?,
        corrected_data: match row.get::<_, Option<String>>("corrected_data")? {
            Some(_) => Some(json(row, "corrected_data")?),
            None => None,
        },
        corrections: Vec::new(),
        created_at: time(row, "created_ms")?,
        updated_at: time(row, "updated_ms")?,
    })
}

pub(super) fn read_review(row: &Row<'_>) -> rusqlite::Result<Option<Review>> {
    let Some(status) = row.get::<_, Option<String>>("review")? else {
        return Ok(None);
    };
    Ok(Some(Review {
        status: known("review", &status, ReviewStatus::from_word)?,
        reasons: json(row, "review_reasons")?,
        claimed_by: row.get("claimed_by")?,
        claimed_at: time_option(row, "claimed_ms")?,
        decided_by: row.get("decided_by")?,
        decided_at: time_option(row, "decided_ms")?,
        decision_reason: row.get("decision_reason")?,
    }))
}

/// Kinds are written as they are in JSON.
fn kind_word(kind: Kind) -> Result<String> {
    match serde_json::to_value(kind).map_err(damaged)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(damaged(format!("`{other}` is no kind")).into()),
    }
}

fn read_kind(row: &Row<'_>) -> rusqlite::Result<Kind> {
    let word: String = row.get("kind")?;
    serde_json::from_value(word.into()).map_err(damaged)
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(value).map_err(damaged)?)
}
