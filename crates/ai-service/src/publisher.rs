//! Makes the events about a job, each caused by the one before; the outbox keeps them in the transaction of the change.

use nanopore::events::ai::{
    ExtractionConfidenceLow, ExtractionResultCreated, ExtractionReviewed, JobPriority, Method,
    ModelPerformanceDegraded, ModelPerformanceRecorded, PdfProcessingCompleted,
    PdfProcessingFailed, PdfProcessingStarted, ProcessingJobCompleted, ProcessingJobCreated,
    ProcessingJobFailed, ProcessingJobStarted,
};
use nanopore::events::{Milliseconds, logged};
use sagabus::event::Cause;
use sagabus::{Clock, Event, EventId, Payload, Result, Timestamp};
use serde_json::{Map, Value, json};

use crate::model::{ExtractionResult, Fault, Job, Performance, ReviewStatus};
use crate::refusal::Refused;
use crate::retry::RETRIES_MAX;
use crate::summary;

/// What models are measured at.
const TASK: &str = "pdf_extraction";

/// Makes events within one transaction.
#[derive(Debug)]
pub(crate) struct Publisher<'a> {
    clock: &'a dyn Clock,
    events: Vec<Event>,
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            events: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// The events, in order.
    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }

    pub(crate) fn job_created(&mut self, job: &mut Job) -> Result<()> {
        let input = [
            ("fileId", json!(job.file_id)),
            ("fileName", json!(job.file_name)),
            ("fileSize", json!(job.file_size)),
            ("submissionId", json!(job.submission_id)),
            ("sampleId", json!(job.sample_id)),
        ];
        let payload = ProcessingJobCreated {
            job_id: job.id.clone(),
            job_type: job.job_type,
            input_data: object(input),
            priority: JobPriority::Normal,
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn job_started(&mut self, job: &mut Job) -> Result<()> {
        let payload = ProcessingJobStarted {
            job_id: job.id.clone(),
            job_type: job.job_type,
            started_at: job.started_at.unwrap_or(job.updated_at),
            estimated_duration: None,
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn pdf_started(&mut self, job: &mut Job) -> Result<()> {
        let payload = PdfProcessingStarted {
            sample_id: job.sample_id.clone(),
            submission_id: job.submission_id.clone(),
            file_name: job.file_name.clone(),
            file_size: job.file_size,
            processing_method: job.method,
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn result_created(
        &mut self,
        job: &mut Job,
        result: &ExtractionResult,
    ) -> Result<()> {
        let payload = ExtractionResultCreated {
            extraction_result_id: result.id.clone(),
            sample_id: job.sample_id.clone(),
            submission_id: job.submission_id.clone(),
            file_name: job.file_name.clone(),
            extraction_method: result.extraction_method,
            confidence_score: result.confidence_score,
            extracted_data: summary::data(&result.extracted_data),
            issues: summary::issues(&result.issues),
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn confidence_low(
        &mut self,
        job: &mut Job,
        result: &ExtractionResult,
        threshold: f64,
    ) -> Result<()> {
        let payload = ExtractionConfidenceLow {
            extraction_result_id: result.id.clone(),
            sample_id: job.sample_id.clone(),
            submission_id: job.submission_id.clone(),
            file_name: job.file_name.clone(),
            confidence_score: result.confidence_score,
            threshold,
            extraction_method: result.extraction_method,
            issues: summary::issues(&result.issues),
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn pdf_completed(&mut self, job: &mut Job, result: &ExtractionResult) -> Result<()> {
        let payload = PdfProcessingCompleted {
            sample_id: job.sample_id.clone(),
            submission_id: job.submission_id.clone(),
            file_name: job.file_name.clone(),
            extraction_result_id: result.id.clone(),
            processing_method: result.extraction_method,
            confidence_score: result.confidence_score,
            processing_time_ms: Milliseconds(result.processing_time_ms),
            extracted_field_count: u32::try_from(result.fields.len()).unwrap_or(u32::MAX),
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn job_completed(&mut self, job: &mut Job, result: &ExtractionResult) -> Result<()> {
        let completed_at = job.ended_at.unwrap_or(job.updated_at);
        let duration = completed_at.since(job.started_at.unwrap_or(completed_at));
        let output = [
            ("extractionResultId", json!(result.id)),
            ("confidenceScore", json!(result.confidence_score)),
            ("sampleCount", json!(result.extracted_data.samples.len())),
        ];
        let payload = ProcessingJobCompleted {
            job_id: job.id.clone(),
            job_type: job.job_type,
            completed_at,
            duration: Milliseconds(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
            output_data: object(output),
            success: true,
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn pdf_failed(&mut self, job: &mut Job, fault: &Fault) -> Result<()> {
        let payload = PdfProcessingFailed {
            sample_id: job.sample_id.clone(),
            submission_id: job.submission_id.clone(),
            file_name: job.file_name.clone(),
            error: fault.to_string(),
            processing_method: job.method,
            retry_count: job.retry_count,
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    /// A document that became no job.
    pub(crate) fn pdf_refused(
        &mut self,
        refused: &Refused,
        fault: &Fault,
        method: Method,
    ) -> Result<()> {
        let payload = PdfProcessingFailed {
            sample_id: refused.sample_id.clone(),
            submission_id: refused.submission_id.clone(),
            file_name: refused.file_name.clone(),
            error: fault.to_string(),
            processing_method: method,
            retry_count: 0,
            user_id: refused.user_id.clone(),
        };
        self.add(&payload, &refused.cause)?;
        Ok(())
    }

    /// A step of a saga is repeated by its saga, so that the repeats so far are all that the service knows of.
    pub(crate) fn job_failed(&mut self, job: &mut Job, fault: &Fault) -> Result<()> {
        let of_service = match job.step_key {
            Some(_) => 0,
            None => RETRIES_MAX,
        };
        let payload = ProcessingJobFailed {
            job_id: job.id.clone(),
            job_type: job.job_type,
            failed_at: job.ended_at.unwrap_or(job.updated_at),
            error: fault.to_string(),
            retry_count: job.retry_count,
            max_retries: job.retry_count.max(of_service),
            user_id: job.user_id.clone(),
        };
        self.publish(job, &payload)
    }

    /// A person's decision about a result, and how right its methods were.
    pub(crate) fn reviewed(&mut self, job: &mut Job, result: &ExtractionResult) -> Result<()> {
        let review = result.review.as_ref();
        let payload = ExtractionReviewed {
            extraction_result_id: result.id.clone(),
            sample_id: result.sample_id.clone(),
            submission_id: result.submission_id.clone(),
            file_name: result.file_name.clone(),
            accepted: review.is_some_and(|it| it.status == ReviewStatus::Accepted),
            correction_count: u32::try_from(result.corrections.len()).unwrap_or(u32::MAX),
            user_id: review.and_then(|it| it.decided_by.clone()),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn performance(
        &mut self,
        job: &mut Job,
        now: &Performance,
        user_id: &str,
    ) -> Result<()> {
        let payload = ModelPerformanceRecorded {
            model_name: now.model.clone(),
            task_type: TASK.to_owned(),
            accuracy_score: now.accuracy,
            processing_time_ms: Milliseconds(now.processing_time_ms),
            sample_count: now.results,
            user_id: Some(user_id.to_owned()),
        };
        self.publish(job, &payload)
    }

    pub(crate) fn degraded(
        &mut self,
        job: &mut Job,
        (before, now): (Option<f64>, &Performance),
        threshold: f64,
        user_id: &str,
    ) -> Result<()> {
        let previous = before.unwrap_or(1.0);
        let fall = (previous - now.accuracy) / previous * 100.0;
        let payload = ModelPerformanceDegraded {
            model_name: now.model.clone(),
            task_type: TASK.to_owned(),
            current_accuracy: now.accuracy,
            previous_accuracy: previous,
            threshold,
            degradation_percentage: fall.clamp(0.0, 100.0),
            user_id: Some(user_id.to_owned()),
        };
        self.publish(job, &payload)
    }

    fn publish<P: Payload>(&mut self, job: &mut Job, payload: &P) -> Result<()> {
        job.last_event_id = Some(self.add(payload, &job.cause())?);
        Ok(())
    }

    fn add<P: Payload>(&mut self, payload: &P, cause: &Cause) -> Result<EventId> {
        let event = Event::new(payload, self.clock)?.because(cause);
        event.check()?;
        logged::log(&event);
        let id = event.id.clone();
        self.events.push(event);
        Ok(id)
    }
}

/// A JSON object without the entries that are null.
fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
