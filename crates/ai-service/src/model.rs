//! What the AI service keeps: jobs, the results they bring, and counts of both.

mod fault;
mod filter;
mod job;
mod result;
mod review;
mod stats;

pub use fault::{Fault, FaultKind};
pub use filter::{JobFilter, Part};
pub use job::{Job, JobStatus};
pub use result::{ExtractionResult, ResultStatus};
pub use review::{Correction, InReview, Review, ReviewFilter, ReviewStatus};
pub use stats::{JobCount, JobStats, Performance, ResultStats, ReviewStats, Stats};

use nanopore::events::ai::{JobType, Method};

use crate::settings::ReadBy;

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

/// The word of a method on the wire.
#[must_use]
pub const fn method_word(method: Method) -> &'static str {
    match method {
        Method::Llm => "llm",
        Method::Pattern => "pattern",
        Method::Hybrid => "hybrid",
        Method::Rag => "rag",
    }
}

/// The method of that word.
#[must_use]
pub fn method_from_word(word: &str) -> Option<Method> {
    [Method::Llm, Method::Pattern, Method::Hybrid, Method::Rag]
        .into_iter()
        .find(|it| method_word(*it) == word)
}

impl From<ReadBy> for Method {
    fn from(way: ReadBy) -> Self {
        match way {
            ReadBy::Pattern => Self::Pattern,
            ReadBy::Rag => Self::Rag,
            ReadBy::Llm => Self::Llm,
            ReadBy::Hybrid => Self::Hybrid,
        }
    }
}
