//! What one service is given of another where a process serves both: uploads for attachments, and who makes samples of forms.

use ai_service::{AiService, FileId};
use async_trait::async_trait;
use nanopore::sample::Form;
use sagabus::{ErrorKind, Result};
use sample_service::{Files, SampleService};

/// The uploads of the AI service.
#[derive(Debug)]
pub(crate) struct Uploads(pub(crate) AiService);

#[async_trait]
impl Files for Uploads {
    async fn size(&self, file_id: &str) -> Result<Option<u64>> {
        match self.0.upload_size(FileId::new(file_id)?).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The submissions of the sample service.
#[derive(Debug)]
pub(crate) struct Submissions(pub(crate) SampleService);

#[async_trait]
impl ai_service::Submissions for Submissions {
    async fn check(&self, submission_id: &str, form: Form) -> Result<()> {
        self.0.check_form(submission_id.to_owned(), form).await
    }
}
