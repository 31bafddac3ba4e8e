//! What the AI service keeps: jobs, the results they bring, and counts of both.

mod fault;
mod filter;
mod job;
mod result;
mod stats;

pub use fault::{Fault, FaultKind};
pub use filter::{JobFilter, Part};
pub use job::{Job, JobStatus};
pub use result::{ExtractionResult, ResultStatus};
pub use stats::{JobCount, JobStats, ResultStats, Stats};

use nanopore::events::ai::JobType;

/// The word of a job type on the wire.
#[must_use]
pub const fn job_type_word(job_type: JobType) -> &'static str {
    match job_type {
        JobType::PdfExtraction => "pdf_extraction",
        JobType::DataValidation => "data_validation",
        JobType::Enhancement => "enhancement",
    }
}

/// The job type of that word.
#[must_use]
pub fn job_type_from_word(word: &str) -> Option<JobType> {
    [
        JobType::PdfExtraction,
        JobType::DataValidation,
        JobType::Enhancement,
    ]
    .into_iter()
    .find(|it| job_type_word(*it) == word)
}
