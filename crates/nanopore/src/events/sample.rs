//! What happens to a sample, as told by the sample service.

use std::collections::BTreeMap;

use sagabus::{Payload, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::{Milliseconds, not_empty};
use crate::sample::{Priority, Status};

/// Source of these events.
const SOURCE: &str = "sample-service";

/// One field before and after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The value before; `null` where there was none.
    pub old_value: Value,
    /// The value now; `null` where there is none.
    pub new_value: Value,
}

/// `sample.created`: a sample was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleCreated {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Name that the submitter gave the sample.
    pub sample_name: String,
    /// Who submitted it.
    pub submitter_name: String,
    /// Where to reach the submitter.
    pub submitter_email: String,
    /// Kind of molecule.
    pub sample_type: String,
    /// How soon it is wanted.
    pub priority: Priority,
    /// Service project of the facility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Laboratory of the submitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab_name: Option<String>,
    /// Upload with the form that the sample was entered with; nothing for a sample that was made of a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// What that form is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

impl Payload for SampleCreated {
    const TYPE: &'static str = "sample.created";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.updated`: fields of a sample were changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleUpdated {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Old and new value of each changed field.
    pub changes: BTreeMap<String, Change>,
    /// Names of the changed fields.
    pub updated_fields: Vec<String>,
}

impl Payload for SampleUpdated {
    const TYPE: &'static str = "sample.updated";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.deleted`: a sample was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleDeleted {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Name that the submitter gave the sample.
    pub sample_name: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

impl Payload for SampleDeleted {
    const TYPE: &'static str = "sample.deleted";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.assigned`: a sample was given to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleAssigned {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Who has it now.
    pub assigned_to: String,
    /// Who prepares the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_prep_by: Option<String>,
    /// Who had it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_assignee: Option<String>,
}

impl Payload for SampleAssigned {
    const TYPE: &'static str = "sample.assigned";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.status_changed`: a sample moved from one status to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleStatusChanged {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Status before.
    pub old_status: Status,
    /// Status now.
    pub new_status: Status,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the transition is not a legal one and was made all the same.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<bool>,
}

impl Payload for SampleStatusChanged {
    const TYPE: &'static str = "sample.status_changed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.processing_started`: a processing step of a sample began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleProcessingStarted {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Name of the step.
    pub processing_step: String,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
    /// How long it should take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_duration: Option<Milliseconds>,
}

impl Payload for SampleProcessingStarted {
    const TYPE: &'static str = "sample.processing_started";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.processing_completed`: a processing step of a sample ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleProcessingCompleted {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Name of the step.
    pub processing_step: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_by: Option<String>,
    /// How long it took, in milliseconds.
    pub duration: Milliseconds,
    /// What came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Map<String, Value>>,
}

impl Payload for SampleProcessingCompleted {
    const TYPE: &'static str = "sample.processing_completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.processing_failed`: a processing step of a sample failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleProcessingFailed {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Name of the step.
    pub processing_step: String,
    /// What went wrong.
    pub error: String,
    /// Repeats so far.
    pub retry_count: u32,
    /// Most repeats.
    pub max_retries: u32,
}

impl Payload for SampleProcessingFailed {
    const TYPE: &'static str = "sample.processing_failed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.attachment_added`: a file was attached to a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleAttachmentAdded {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Id of the attachment.
    pub attachment_id: String,
    /// Name of the file.
    pub file_name: String,
    /// Size of the file, in bytes.
    pub file_size: u64,
    /// Media type of the file.
    pub file_type: String,
}

impl Payload for SampleAttachmentAdded {
    const TYPE: &'static str = "sample.attachment_added";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `sample.attachment_removed`: a file was taken from a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleAttachmentRemoved {
    /// Id of the sample.
    #[schemars(length(min = 1))]
    pub sample_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Id of the attachment.
    pub attachment_id: String,
    /// Name of the file.
    pub file_name: String,
}

impl Payload for SampleAttachmentRemoved {
    const TYPE: &'static str = "sample.attachment_removed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.sample_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("sampleId", &self.sample_id)?;
        not_empty("userId", &self.user_id)
    }
}
