//! What the AI service reads, does and measures.

use sagabus::{Payload, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::{Milliseconds, not_empty, percent, unit};

/// Source of these events.
const SOURCE: &str = "ai-service";

/// How fields are found in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A language model.
    Llm,
    /// Labels and the geometry of the page.
    Pattern,
    /// A language model and patterns, merged.
    Hybrid,
    /// Labels matched against the known field names.
    Rag,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobType {
    /// Reads a document.
    PdfExtraction,
    /// Checks fields.
    DataValidation,
    /// Adds what can be derived.
    Enhancement,
}

/// How soon a job is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobPriority {
    /// When nothing else waits.
    Low,
    /// In turn.
    Normal,
    /// Before the others.
    High,
}

/// `ai.pdf_processing_started`: reading of a document began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PdfProcessingStarted {
    /// Id of the sample, where the document belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Id of the submission that the document came with; it arrives before any sample exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// Size of the document, in bytes.
    pub file_size: u64,
    /// How the document is read.
    pub processing_method: Method,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for PdfProcessingStarted {
    const TYPE: &'static str = "ai.pdf_processing_started";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        document(self.sample_id.as_ref(), self.submission_id.as_ref())
    }
}

/// `ai.pdf_processing_completed`: a document was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PdfProcessingCompleted {
    /// Id of the sample, where the document belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Id of the submission that the document came with; it arrives before any sample exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// Id of the stored result.
    pub extraction_result_id: String,
    /// How the document is read.
    pub processing_method: Method,
    /// How sure the extraction is, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub confidence_score: f64,
    /// How long it took, in milliseconds.
    pub processing_time_ms: Milliseconds,
    /// How many fields have a value.
    pub extracted_field_count: u32,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for PdfProcessingCompleted {
    const TYPE: &'static str = "ai.pdf_processing_completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        document(self.sample_id.as_ref(), self.submission_id.as_ref())
    }

    fn check(&self) -> Result<()> {
        unit("confidenceScore", self.confidence_score)
    }
}

/// `ai.pdf_processing_failed`: a document could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PdfProcessingFailed {
    /// Id of the sample, where the document belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Id of the submission that the document came with; it arrives before any sample exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// What went wrong.
    pub error: String,
    /// How the document is read.
    pub processing_method: Method,
    /// Repeats so far.
    pub retry_count: u32,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for PdfProcessingFailed {
    const TYPE: &'static str = "ai.pdf_processing_failed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        document(self.sample_id.as_ref(), self.submission_id.as_ref())
    }
}

/// `ai.extraction_result_created`: an extraction result was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtractionResultCreated {
    /// Id of the stored result.
    pub extraction_result_id: String,
    /// Id of the sample, where the document belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Id of the submission that the document came with; it arrives before any sample exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// How the fields were found.
    pub extraction_method: Method,
    /// How sure the extraction is, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub confidence_score: f64,
    /// The fields that were found.
    pub extracted_data: Map<String, Value>,
    /// What a person should look at.
    pub issues: Vec<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ExtractionResultCreated {
    const TYPE: &'static str = "ai.extraction_result_created";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        document(self.sample_id.as_ref(), self.submission_id.as_ref())
    }

    fn check(&self) -> Result<()> {
        unit("confidenceScore", self.confidence_score)
    }
}

/// `ai.extraction_confidence_low`: an extraction result needs a person to look at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtractionConfidenceLow {
    /// Id of the stored result.
    pub extraction_result_id: String,
    /// Id of the sample, where the document belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Id of the submission that the document came with; it arrives before any sample exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// How sure the extraction is, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub confidence_score: f64,
    /// Confidence below which a person looks, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub threshold: f64,
    /// How the fields were found.
    pub extraction_method: Method,
    /// What a person should look at.
    pub issues: Vec<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ExtractionConfidenceLow {
    const TYPE: &'static str = "ai.extraction_confidence_low";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        document(self.sample_id.as_ref(), self.submission_id.as_ref())
    }

    fn check(&self) -> Result<()> {
        unit("confidenceScore", self.confidence_score)?;
        unit("threshold", self.threshold)
    }
}

/// `ai.processing_job_created`: a job was put into the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingJobCreated {
    /// Id of the job.
    #[schemars(length(min = 1))]
    pub job_id: String,
    /// What the job does.
    pub job_type: JobType,
    /// What the job works on.
    pub input_data: Map<String, Value>,
    /// How soon it is wanted.
    pub priority: JobPriority,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ProcessingJobCreated {
    const TYPE: &'static str = "ai.processing_job_created";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.job_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("jobId", &self.job_id)
    }
}

/// `ai.processing_job_started`: a job began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingJobStarted {
    /// Id of the job.
    #[schemars(length(min = 1))]
    pub job_id: String,
    /// What the job does.
    pub job_type: JobType,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it should take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_duration: Option<Milliseconds>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ProcessingJobStarted {
    const TYPE: &'static str = "ai.processing_job_started";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.job_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("jobId", &self.job_id)
    }
}

/// `ai.processing_job_completed`: a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingJobCompleted {
    /// Id of the job.
    #[schemars(length(min = 1))]
    pub job_id: String,
    /// What the job does.
    pub job_type: JobType,
    /// When it ended.
    pub completed_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration: Milliseconds,
    /// What came out.
    pub output_data: Map<String, Value>,
    /// Whether it reached its aim.
    pub success: bool,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ProcessingJobCompleted {
    const TYPE: &'static str = "ai.processing_job_completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.job_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("jobId", &self.job_id)
    }
}

/// `ai.processing_job_failed`: a job failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingJobFailed {
    /// Id of the job.
    #[schemars(length(min = 1))]
    pub job_id: String,
    /// What the job does.
    pub job_type: JobType,
    /// When it failed.
    pub failed_at: Timestamp,
    /// What went wrong.
    pub error: String,
    /// Repeats so far.
    pub retry_count: u32,
    /// Most repeats.
    pub max_retries: u32,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ProcessingJobFailed {
    const TYPE: &'static str = "ai.processing_job_failed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.job_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("jobId", &self.job_id)
    }
}

/// `ai.model_performance_recorded`: the accuracy of a model was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelPerformanceRecorded {
    /// Name of the model.
    #[schemars(length(min = 1))]
    pub model_name: String,
    /// What the model does.
    pub task_type: String,
    /// Share of right answers, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub accuracy_score: f64,
    /// Mean time for one document, in milliseconds.
    pub processing_time_ms: Milliseconds,
    /// How many documents were compared.
    pub sample_count: u32,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ModelPerformanceRecorded {
    const TYPE: &'static str = "ai.model_performance_recorded";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.model_name.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("modelName", &self.model_name)?;
        unit("accuracyScore", self.accuracy_score)
    }
}

/// `ai.model_performance_degraded`: the accuracy of a model fell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelPerformanceDegraded {
    /// Name of the model.
    #[schemars(length(min = 1))]
    pub model_name: String,
    /// What the model does.
    pub task_type: String,
    /// Share of right answers now, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub current_accuracy: f64,
    /// Share of right answers before, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub previous_accuracy: f64,
    /// Accuracy that is expected, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub threshold: f64,
    /// How much it fell, in percent of the former accuracy.
    #[schemars(range(min = 0, max = 100))]
    pub degradation_percentage: f64,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ModelPerformanceDegraded {
    const TYPE: &'static str = "ai.model_performance_degraded";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.model_name.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("modelName", &self.model_name)?;
        unit("currentAccuracy", self.current_accuracy)?;
        unit("previousAccuracy", self.previous_accuracy)?;
        unit("threshold", self.threshold)?;
        percent("degradationPercentage", self.degradation_percentage)
    }
}

/// `ai.extraction_reviewed`: a person has decided about an extraction result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtractionReviewed {
    /// Id of the stored result.
    #[schemars(length(min = 1))]
    pub extraction_result_id: String,
    /// Id of the sample, where the document belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Id of the submission that the document came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// Whether what it says counts.
    pub accepted: bool,
    /// How many values were corrected.
    pub correction_count: u32,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Payload for ExtractionReviewed {
    const TYPE: &'static str = "ai.extraction_reviewed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        document(self.sample_id.as_ref(), self.submission_id.as_ref())
    }

    fn check(&self) -> Result<()> {
        not_empty("extractionResultId", &self.extraction_result_id)
    }
}

/// What an event about a document is about: the submission it came with, or else its sample.
fn document(sample_id: Option<&String>, submission_id: Option<&String>) -> Option<String> {
    submission_id.or(sample_id).cloned()
}
