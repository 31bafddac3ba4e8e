//! Which jobs a list shows.

use nanopore::events::ai::JobType;
use nanopore::query::{not_known, number};
use nanopore::sample::FieldErrors;

use super::job::JobStatus;
use super::job_type_from_word;

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Most entries.
    pub limit: u32,
    /// Entries to leave out before.
    pub offset: u32,
}

impl Part {
    /// Most entries.
    pub const LIMIT_MAX: u32 = 100;
}

impl Default for Part {
    /// The first 50.
    fn default() -> Self {
        Self {
            limit: 50,
            offset: 0,
        }
    }
}

/// What a job must have to be listed; what is absent lets every job through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Its status.
    pub status: Option<JobStatus>,
    /// Its type.
    pub job_type: Option<JobType>,
    /// Its submission.
    pub submission_id: Option<String>,
    /// Its sample.
    pub sample_id: Option<String>,
}

impl JobFilter {
    /// The parameters that there are.
    pub const NAMES: [&str; 5] = ["status", "type", "submissionId", "limit", "offset"];

    /// Reads a filter and a part from the pairs of a query.
    ///
    /// # Errors
    /// Each word that is not known and each value that is not allowed.
    pub fn read(pairs: &[(String, String)]) -> Result<(Self, Part), FieldErrors> {
        let mut filter = Self::default();
        let mut part = Part::default();
        FieldErrors::check_once(pairs, &[])?;
        let mut errors = FieldErrors::default();
        for (name, value) in pairs {
            let outcome = match name.as_str() {
                "status" => word(value, JobStatus::from_word).map(|it| filter.status = Some(it)),
                "type" => word(value, job_type_from_word).map(|it| filter.job_type = Some(it)),
                "submissionId" => {
                    filter.submission_id = Some(value.clone());
                    Ok(())
                }
                "limit" => number(value, 1..=Part::LIMIT_MAX).map(|it| part.limit = it),
                "offset" => number(value, 0..=u32::MAX).map(|it| part.offset = it),
                _ => Err(not_known(&Self::NAMES)),
            };
            if let Err(message) = outcome {
                errors.add(name, message);
            }
        }
        if errors.0.is_empty() {
            Ok((filter, part))
        } else {
            Err(errors)
        }
    }
}

fn word<T>(value: &str, from_word: fn(&str) -> Option<T>) -> Result<T, String> {
    from_word(value).ok_or_else(|| format!("has no value `{}`", value.escape_debug()))
}
