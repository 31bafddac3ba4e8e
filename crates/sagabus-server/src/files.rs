//! The uploads as the sample service sees them: attachments are of files that the AI service keeps.

use ai_service::{AiService, FileId};
use async_trait::async_trait;
use sagabus::{ErrorKind, Result};
use sample_service::Files;

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
