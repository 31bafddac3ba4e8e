//! Takes a submitted form: keeps the file, enters the submission, starts its saga.

use bytes::Bytes;
use sagabus::saga::{self, SagaId};
use sagabus::{Clock, Error, EventId, Result};
use sample_service::model::{NewSubmission, Submission};
use serde_json::json;

use crate::assemble::System;

/// A form as it arrives.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) file_name: String,
    /// Id under which the file was kept.
    pub(crate) file_id: String,
    pub(crate) submitter_name: Option<String>,
    pub(crate) submitter_email: Option<String>,
    pub(crate) user_id: Option<String>,
    /// A repeat with the same key is the same submission.
    pub(crate) idempotency_key: Option<String>,
}

/// A form that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) submission: Submission,
    pub(crate) saga: SagaId,
    pub(crate) correlation_id: String,
}

/// Keeps a file; the same bytes have the same id.
pub(crate) async fn keep(system: &System, bytes: Bytes) -> Result<String> {
    system.ai.store_upload(bytes).await
}
