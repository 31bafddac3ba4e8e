//! What belongs to a sample beside its fields: details and attachments.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use nanopore::sample::{Details, FieldErrors};
use sagabus::{Error, EventId, Result};
use serde_json::{Map, Value};

use super::catalogue::check_details;
use super::{Actor, SampleService, expect};
use crate::model::{Attachment, NewAttachment, Owner, Sample};
use crate::repository as rows;

/// Where the bytes of uploads are.
#[async_trait]
pub trait Files: fmt::Debug + Send + Sync + 'static {
    /// How many bytes an upload has; none where there is no such upload.
    ///
    /// # Errors
    /// As the disk says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn size(&self, file_id: &str) -> Result<Option<u64>>;
}

impl SampleService {
    /// The service with the uploads that attachments are of.
    #[must_use]
    pub fn with_files(mut self, files: Arc<dyn Files>) -> Self {
        self.files = Some(files);
        self
    }

    /// The details of a sample; empty where nothing was said.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn details(&self, id: String) -> Result<Details> {
        self.read(move |tx| {
            rows::get_sample(tx, &id)?;
            rows::details(tx, &id)
        })
        .await
    }

    /// Changes details of a sample: given fields replace, `null` clears. Publishes `sample.updated`, or nothing when nothing
    /// changes.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, with every wrong field; `Conflict` when the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn set_details(
        &self,
        id: String,
        patch: Map<String, Value>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<(Sample, Details)> {
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let before = rows::details(tx, &id)?;
            let (details, changes) = before.patched(&patch)?;
            if changes.is_empty() {
                return Ok(((sample, details), vec![]));
            }
            check_details(tx, &details, &before)?;
            rows::put_details(tx, &id, &details)?;
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            let names: Vec<_> = changes.keys().map(String::as_str).collect();
            act.note(tx, &sample, "updated", Some(&names.join(", ")))?;
            let event = act.publisher.updated(&sample, changes)?;
            Ok(((sample, details), vec![event]))
        })
        .await
    }

    /// Attaches an upload; publishes `sample.attachment_added` or `submission.attachment_added`.
    ///
    /// # Errors
    /// `Invalid`, naming the field, also for an upload that does not exist; `NotFound` without the sample or submission, and
    /// where there are no uploads;
    /// `Conflict` when the sample is not of the `expected` version.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn attach(
        &self,
        owner: Owner,
        file: NewAttachment,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Attachment> {
        file.check()?;
        let files = self.files.as_ref().ok_or_else(|| {
            Error::not_found("attachments are of uploads, which are not served here")
        })?;
        let file_size = files.size(&file.file_id).await?.ok_or_else(|| {
            FieldErrors::one(
                "fileId",
                "is not an upload: send the file to `/api/uploads` first",
            )
        })?;
        self.change(actor, move |tx, act| {
            let (sample_id, submission_id) = match &owner {
                Owner::Sample(id) => (Some(id.clone()), None),
                Owner::Submission(id) => (None, Some(id.clone())),
            };
            let attachment = Attachment {
                id: EventId::generate(act.publisher.clock).to_string(),
                sample_id,
                submission_id,
                file_id: file.file_id,
                file_name: file.file_name,
                file_type: file.file_type,
                file_size,
                description: file.description,
                uploaded_by: act.user_id().to_owned(),
                uploaded_at: act.now,
            };
            let event = match &owner {
                Owner::Sample(id) => {
                    let mut sample = expect(rows::get_sample(tx, id)?, expected)?;
                    sample.touch(act.now);
                    rows::update_sample(tx, &sample)?;
                    act.note(tx, &sample, "attached", Some(&attachment.file_name))?;
                    act.publisher.attachment_added(&sample, &attachment)?
                }
                Owner::Submission(id) => {
                    rows::get_submission(tx, id)?;
                    act.publisher.submission_attachment_added(id, &attachment)?
                }
            };
            rows::insert_attachment(tx, &attachment)?;
            Ok((attachment, vec![event]))
        })
        .await
    }

    /// The attachments of a sample or a submission, oldest first.
    ///
    /// # Errors
    /// `NotFound` without the sample or submission.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn attachments(&self, owner: Owner) -> Result<Vec<Attachment>> {
        self.read(move |tx| {
            match &owner {
                Owner::Sample(id) => rows::get_sample(tx, id).map(drop)?,
                Owner::Submission(id) => rows::get_submission(tx, id).map(drop)?,
            }
            rows::attachments(tx, &owner)
        })
        .await
    }

    /// Takes an attachment away; publishes `sample.attachment_removed` or `submission.attachment_removed`. The upload stays:
    /// others may name it.
    ///
    /// # Errors
    /// `NotFound` without such an attachment of this sample or submission; `Conflict` when the sample is not of the `expected`
    /// version.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn detach(
        &self,
        owner: Owner,
        id: String,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<()> {
        self.change(actor, move |tx, act| {
            let attachment = rows::get_attachment(tx, &owner, &id)?;
            let event = match &owner {
                Owner::Sample(of) => {
                    let mut sample = expect(rows::get_sample(tx, of)?, expected)?;
                    sample.touch(act.now);
                    rows::update_sample(tx, &sample)?;
                    act.note(tx, &sample, "detached", Some(&attachment.file_name))?;
                    act.publisher.attachment_removed(&sample, &attachment)?
                }
                Owner::Submission(of) => act
                    .publisher
                    .submission_attachment_removed(of, &attachment)?,
            };
            rows::delete_attachment(tx, &id)?;
            Ok(((), vec![event]))
        })
        .await
    }
}
