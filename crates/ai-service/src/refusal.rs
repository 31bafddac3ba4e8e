//! A document that is refused at the door, and is told of all the same.

use nanopore::problem::TooLarge;
use sagabus::event::Cause;
use sagabus::{Error, Result};

use crate::model::Fault;
use crate::pdf::{FILE_BYTES_MAX, PdfError, PdfErrorKind};
use crate::processing::{FILE_NAME_CHARACTERS_MAX, check_names};
use crate::repository as rows;
use crate::service::AiService;

const MIB: usize = 1024 * 1024;

/// A document of which nothing was kept.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What the document is called, for people; cut after 255 characters.
    pub file_name: String,
    /// The submission that it came with, where there is one.
    pub submission_id: Option<String>,
    /// The sample that it belongs to.
    pub sample_id: Option<String>,
    /// Who sent it.
    pub user_id: Option<String>,
    /// Why, and in which piece of work.
    pub cause: Cause,
}

impl AiService {
    /// Tells that a document has more than [`FILE_BYTES_MAX`] bytes: publishes `ai.pdf_processing_failed` with
    /// `FILE_TOO_LARGE`, counts it, and returns the error for whoever sent it. There is neither a job nor a file of it.
    ///
    /// # Errors
    /// `Invalid`, naming the field, when one has no possible value; as the database says.
    ///
    /// # Cancel safety
    /// The refusal was told or not.
    pub async fn refuse_too_large(&self, mut refused: Refused) -> Result<Error> {
        let name = refused.file_name.trim();
        refused.file_name = match name {
            "" => "document.pdf".to_owned(),
            name => name.chars().take(FILE_NAME_CHARACTERS_MAX).collect(),
        };
        check_names(
            &refused.file_name,
            [
                ("submissionId", refused.submission_id.as_ref()),
                ("sampleId", refused.sample_id.as_ref()),
                ("userId", refused.user_id.as_ref()),
            ],
        )?;
        let message = format!(
            "the file has more than {} MiB ({FILE_BYTES_MAX} bytes), the most that is taken",
            FILE_BYTES_MAX / MIB
        );
        let fault = Fault::from(PdfError::new(PdfErrorKind::FileTooLarge, message));
        let text = fault.to_string();
        let method = self.shared.settings.method.into();
        self.change(move |tx, publisher| {
            publisher.pdf_refused(&refused, &fault, method)?;
            rows::count_error(tx, fault.kind)
        })
        .await?;
        Ok(TooLarge(text).into())
    }
}
