//! Counts of jobs and results, for people and for metrics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::job::JobStatus;
use crate::llm::ModelStats;

/// How many jobs of one type have one status.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCount {
    /// The status.
    pub status: JobStatus,
    /// The type, such as `pdf_extraction`.
    pub job_type: &'static str,
    /// How many.
    pub count: u64,
}

/// Counts of jobs.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStats {
    /// All jobs.
    pub total: u64,
    /// By present status and type: the metric `ai_processing_jobs_total`.
    pub by_status: Vec<JobCount>,
    /// Being read now: the metric `ai_processing_active_jobs`.
    pub active: u64,
    /// Waiting for a turn: the metric `ai_processing_queue_size`.
    pub queued: u64,
    /// Failures ever, by kind: the metric `ai_processing_errors_total`. Never falls.
    pub errors: BTreeMap<String, u64>,
}

/// Counts of results that still count.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultStats {
    /// How many.
    pub total: u64,
    /// How many a person should look at.
    pub low_confidence: u64,
    /// Mean confidence, 0 to 1; absent without results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_confidence: Option<f64>,
    /// Mean time of reading in milliseconds; absent without results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_processing_time_ms: Option<f64>,
    /// How many were taken back, beside those.
    pub withdrawn: u64,
}

/// Counts of results that a person has to look at, or has looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewStats {
    /// Nobody looks at them yet.
    pub waiting: u64,
    /// Somebody does.
    pub claimed: u64,
    /// Taken, as corrected.
    pub accepted: u64,
    /// Refused.
    pub refused: u64,
}

/// How right a method or model was, by what people corrected.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// The model, or the method where none is asked.
    pub model: String,
    /// Right values of all, 0 to 1.
    pub accuracy: f64,
    /// Results that were compared: the last ones.
    pub results: u32,
    /// Values in them.
    pub values: u64,
    /// Mean time of reading, in milliseconds.
    pub processing_time_ms: u64,
}

/// Counts of all that the service keeps.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Stats {
    /// Of jobs.
    pub jobs: JobStats,
    /// Of results.
    pub results: ResultStats,
    /// Of reviews.
    pub reviews: ReviewStats,
    /// How right each method and model was.
    pub performance: Vec<Performance>,
    /// Documents whose values were known from a reading of the same content before.
    #[serde(rename = "cacheHits")]
    pub cache_hits: u64,
    /// Of the model that may be asked.
    pub model: ModelStats,
}
