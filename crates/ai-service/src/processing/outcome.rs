//! What an attempt that succeeded leaves: a result, which may wait for a person, and the end of the job.

use sagabus::event::DATA_BYTES_MAX;
use sagabus::sqlite::barrier::{self, Call};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{EventId, Result};

use super::Processed;
use crate::form::{Extraction, Form};
use crate::model::{ExtractionResult, Fault, Job, ResultStatus, Review};
use crate::pdf::{PdfError, PdfErrorKind};
use crate::publisher::Publisher;
use crate::repository as rows;
use crate::review;
use crate::settings::AiSettings;

/// What to store and what to return. A form that is too large for the output of a step is refused.
pub(super) fn result_of(
    job: &Job,
    extraction: Extraction,
    processing_time_ms: u64,
    (publisher, settings): (&Publisher<'_>, &AiSettings),
) -> std::result::Result<(ExtractionResult, Processed), Fault> {
    let now = publisher.now();
    let makes_samples = job.sample_id.is_none();
    let reasons = review::reasons(&extraction, settings.confidence_threshold, makes_samples);
    let waits = !reasons.is_empty();
    let bytes = serde_json::to_vec(&extraction.form).map_or(usize::MAX, |json| json.len());
    if bytes + ROOM_BYTES > DATA_BYTES_MAX {
        let message = format!("what the form holds has more than {DATA_BYTES_MAX} bytes");
        return Err(PdfError::new(PdfErrorKind::FileTooLarge, message).into());
    }
    let processed = Processed {
        extraction_result_id: EventId::generate(publisher.clock()).to_string(),
        job_id: job.id.clone(),
        confidence: extraction.confidence,
        sample_count: extraction.form.samples.len(),
        // What a person has to look at goes no further by itself.
        form: match waits {
            true => Form::default(),
            false => extraction.form.clone(),
        },
        review: waits,
    };
    let result = ExtractionResult {
        id: processed.extraction_result_id.clone(),
        job_id: job.id.clone(),
        status: ResultStatus::Current,
        submission_id: job.submission_id.clone(),
        sample_id: job.sample_id.clone(),
        file_name: job.file_name.clone(),
        file_id: job.file_id.clone(),
        kind: extraction.kind,
        asked_method: job.method,
        extraction_method: extraction.method,
        model: extraction.model,
        notes: extraction.notes,
        extracted_data: extraction.form,
        fields: extraction.fields,
        issues: extraction.issues,
        confidence_score: extraction.confidence,
        processing_time_ms,
        review: waits.then(|| Review::waiting(reasons)),
        corrected_data: None,
        corrections: Vec::new(),
        created_at: now,
        updated_at: now,
    };
    Ok((result, processed))
}

/// Room for what stands around a form in the output of a step, in bytes.
const ROOM_BYTES: usize = 1024;

/// Stores the result and ends the job and its step with it.
pub(super) fn complete(
    tx: &Transaction<'_>,
    publisher: &mut Publisher<'_>,
    job: &mut Job,
    result: &ExtractionResult,
    processed: &Processed,
    settings: &AiSettings,
) -> Result<()> {
    rows::insert_result(tx, result)?;
    job.complete(result.id.clone(), publisher.now());
    publisher.result_created(job, result)?;
    if result.is_under_review() {
        publisher.confidence_low(job, result, settings.confidence_threshold)?;
    }
    publisher.pdf_completed(job, result)?;
    publisher.job_completed(job, result)?;
    rows::update_job(tx, job)?;
    if let Some(key) = &job.step_key {
        let once = Call::new(key, publisher.now());
        barrier::done(tx, &once, &serde_json::json!(processed))?;
    }
    Ok(())
}
