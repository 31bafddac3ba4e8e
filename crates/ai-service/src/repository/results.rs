//! Extraction results.

use nanopore::events::ai::Method;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, named_params};
use sagabus::{Error, Result, Timestamp};

use super::{count, damaged, json, stored, time, word};
use crate::model::{ExtractionResult, ResultStatus};

const METHODS: [(Method, &str); 4] = [
    (Method::Llm, "llm"),
    (Method::Pattern, "pattern"),
    (Method::Hybrid, "hybrid"),
    (Method::Rag, "rag"),
];

pub(crate) fn insert_result(tx: &Transaction<'_>, result: &ExtractionResult) -> Result<()> {
    let method = METHODS
        .iter()
        .find(|(method, _)| *method == result.extraction_method)
        .map(|(_, word)| *word);
    tx.execute(
        "INSERT INTO extraction_results (id, job_id, status, submission_id, sample_id, file_name, file_id, method, \
         extracted_data, fields, issues, confidence, processing_time_ms, created_ms, updated_ms) \
         VALUES (:id, :job_id, :status, :submission_id, :sample_id, :file_name, :file_id, :method, \
         :extracted_data, :fields, :issues, :confidence, :processing_time_ms, :created_ms, :updated_ms)",
        named_params! {
            ":id": result.id,
            ":job_id": result.job_id,
            ":status": result.status.as_str(),
            ":submission_id": result.submission_id,
            ":sample_id": result.sample_id,
            ":file_name": result.file_name,
            ":file_id": result.file_id,
            ":method": method,
            ":extracted_data": text(&result.extracted_data)?,
            ":fields": text(&result.fields)?,
            ":issues": text(&result.issues)?,
            ":confidence": result.confidence_score,
            ":processing_time_ms": stored(result.processing_time_ms),
            ":created_ms": result.created_at.milliseconds(),
            ":updated_ms": result.updated_at.milliseconds(),
        },
    )?;
    Ok(())
}

pub(crate) fn get_result(tx: &Transaction<'_>, id: &str) -> Result<ExtractionResult> {
    tx.prepare_cached("SELECT * FROM extraction_results WHERE id = ?1")?
        .query_row([id], read_result)
        .optional()?
        .ok_or_else(|| Error::not_found(format!("result `{}` does not exist", id.escape_debug())))
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
        extraction_method: word(row, "method", method_from_word)?,
        extracted_data: json(row, "extracted_data")?,
        fields: json(row, "fields")?,
        issues: json(row, "issues")?,
        confidence_score: row.get("confidence")?,
        processing_time_ms: count(row, "processing_time_ms")?,
        created_at: time(row, "created_ms")?,
        updated_at: time(row, "updated_ms")?,
    })
}

fn method_from_word(word: &str) -> Option<Method> {
    METHODS
        .iter()
        .find(|(_, it)| *it == word)
        .map(|(method, _)| *method)
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(value).map_err(damaged)?)
}
