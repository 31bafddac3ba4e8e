//! A job: one document to read, from the queue to its result or its failure.

use nanopore::events::ai::{JobType, Method};
use sagabus::event::Cause;
use sagabus::{EventId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::fault::Fault;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for its turn.
    Pending,
    /// Its document is being read.
    Processing,
    /// Its result is stored.
    Completed,
    /// It has no result; the error says why.
    Failed,
    /// It was taken back before it had a result.
    Cancelled,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the job has not ended.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }
}

/// One document to read.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it does.
    pub job_type: JobType,
    /// How the document is to be read.
    pub method: Method,
    /// Where it stands.
    pub status: JobStatus,
    /// How far it is, 0 to 100.
    pub progress: u8,
    /// The submission that the document came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission_id: Option<String>,
    /// The sample that the document belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Name of the document.
    pub file_name: String,
    /// Id of the upload.
    pub file_id: String,
    /// Size of the upload, in bytes.
    pub file_size: u64,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Id of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_id: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// How often it was begun again.
    pub retry_count: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The saga step that it belongs to.
    #[serde(skip)]
    pub(crate) step_key: Option<String>,
    /// The piece of work that it belongs to.
    pub correlation_id: String,
    /// The last event about it.
    #[serde(skip)]
    pub(crate) last_event_id: Option<EventId>,
}

impl Job {
    /// Why the next event about the job is published.
    pub(crate) fn cause(&self) -> Cause {
        Cause {
            correlation_id: self.correlation_id.clone(),
            causation_id: self.last_event_id.clone(),
        }
    }

    /// Begins to wait for a turn.
    pub(crate) fn wait(&mut self, now: Timestamp) {
        self.status = JobStatus::Pending;
        self.progress = 0;
        self.error = None;
        self.ended_at = None;
        self.updated_at = now;
    }

    /// Begins to be read.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.status = JobStatus::Processing;
        self.started_at = Some(now);
        self.updated_at = now;
    }

    /// Waits for its next attempt, which is so many after the first.
    pub(crate) fn repeat(&mut self, now: Timestamp) {
        self.retry_count += 1;
        self.wait(now);
    }

    /// Ends with a result.
    pub(crate) fn complete(&mut self, result_id: String, now: Timestamp) {
        self.result_id = Some(result_id);
        self.progress = 100;
        self.error = None;
        self.end(JobStatus::Completed, now);
    }

    /// Ends without a result.
    pub(crate) fn fail(&mut self, status: JobStatus, fault: Fault, now: Timestamp) {
        self.error = Some(fault);
        self.end(status, now);
    }

    fn end(&mut self, status: JobStatus, now: Timestamp) {
        self.status = status;
        self.ended_at = Some(now);
        self.updated_at = now;
    }
}
