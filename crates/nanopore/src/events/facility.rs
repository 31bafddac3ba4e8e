//! What changes in the facility itself, beside its samples, as told by the sample service.

use std::collections::BTreeMap;

use sagabus::{Payload, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::not_empty;
use super::sample::Change;
use crate::sample::SubmissionStatus;

/// Source of these events.
const SOURCE: &str = "sample-service";

/// `catalogue.changed`: an item of the catalogue was added or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogueChanged {
    /// Kind of the item.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Whether it was added.
    pub is_new: bool,
    /// Whether new samples may name it.
    pub is_active: bool,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What else there is to say of it.
    pub attributes: Map<String, Value>,
}

impl Payload for CatalogueChanged {
    const TYPE: &'static str = "catalogue.changed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(format!("{}/{}", self.kind, self.name))
    }

    fn check(&self) -> Result<()> {
        not_empty("kind", &self.kind)?;
        not_empty("name", &self.name)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.attachment_added`: a file was attached to a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionAttachmentAdded {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
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

impl Payload for SubmissionAttachmentAdded {
    const TYPE: &'static str = "submission.attachment_added";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.attachment_removed`: a file was taken from a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionAttachmentRemoved {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Id of the attachment.
    pub attachment_id: String,
    /// Name of the file.
    pub file_name: String,
}

impl Payload for SubmissionAttachmentRemoved {
    const TYPE: &'static str = "submission.attachment_removed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.created`: a form, a table or a list of samples was taken as a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionCreated {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// The number that people use.
    pub number: String,
    /// How it came: `form`, `csv` or `manual`.
    pub submission_type: String,
    /// How many samples it brought; those of a form are made when it was read.
    pub sample_count: u32,
    /// The project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
}

impl Payload for SubmissionCreated {
    const TYPE: &'static str = "submission.created";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.status_changed`: a submission stands elsewhere than before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionStatusChanged {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
    /// Who sent it; the service where a saga was started without anybody.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Where it stood.
    pub old_status: SubmissionStatus,
    /// Where it stands.
    pub new_status: SubmissionStatus,
    /// How many samples were made of it.
    pub sample_count: u32,
    /// Why, where it is not as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Payload for SubmissionStatusChanged {
    const TYPE: &'static str = "submission.status_changed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.review_requested`: a person is to look at a submission, since its form was read with doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionReviewRequested {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
    /// Who asks.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// What is in doubt.
    pub reason: String,
}

impl Payload for SubmissionReviewRequested {
    const TYPE: &'static str = "submission.review_requested";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.review_completed`: nobody has to look at a submission any more, since a person decided about its form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionReviewCompleted {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
    /// Who sent it; the service where a saga was started without anybody.
    #[schemars(length(min = 1))]
    pub user_id: String,
}

impl Payload for SubmissionReviewCompleted {
    const TYPE: &'static str = "submission.review_completed";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `submission.withdrawn`: a submission was given back to whoever sent it before anything began with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionWithdrawn {
    /// Id of the submission.
    #[schemars(length(min = 1))]
    pub submission_id: String,
    /// Who sent it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Why.
    pub reason: String,
}

impl Payload for SubmissionWithdrawn {
    const TYPE: &'static str = "submission.withdrawn";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.submission_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("submissionId", &self.submission_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `project.created`: a project was begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCreated {
    /// Id of the project.
    #[schemars(length(min = 1))]
    pub project_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: String,
}

impl Payload for ProjectCreated {
    const TYPE: &'static str = "project.created";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.project_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("projectId", &self.project_id)?;
        not_empty("userId", &self.user_id)
    }
}

/// `project.updated`: fields of a project were changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectUpdated {
    /// Id of the project.
    #[schemars(length(min = 1))]
    pub project_id: String,
    /// Who did it.
    #[schemars(length(min = 1))]
    pub user_id: String,
    /// Old and new value of each changed field.
    pub changes: BTreeMap<String, Change>,
    /// Names of the changed fields.
    pub updated_fields: Vec<String>,
}

impl Payload for ProjectUpdated {
    const TYPE: &'static str = "project.updated";
    const SOURCE: &'static str = SOURCE;

    fn subject(&self) -> Option<String> {
        Some(self.project_id.clone())
    }

    fn check(&self) -> Result<()> {
        not_empty("projectId", &self.project_id)?;
        not_empty("userId", &self.user_id)
    }
}
