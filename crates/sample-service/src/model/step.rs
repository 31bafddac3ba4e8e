//! A processing step of a sample, and what can be said when something is done about it.

use nanopore::sample::{Act, FieldErrors, Stage, StepStatus, check_person};
use sagabus::Timestamp;
use sagabus::event::check_visible;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// How often a step may be begun again after it failed.
pub const RETRIES_MAX: u32 = 3;
/// Longest reason, error or note, in characters.
const TEXT_CHARACTERS_MAX: usize = 1_000;
/// Largest results of a step, in bytes of JSON: they go into an event.
const RESULTS_BYTES_MAX: usize = 64 * 1024;
/// Longest estimate, in hours: a year.
const ESTIMATE_HOURS_MAX: u32 = 8_784;

/// One processing step of one sample.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingStep {
    /// Which one.
    pub stage: Stage,
    /// What people call it.
    pub step_name: &'static str,
    /// How far it is.
    pub step_status: StepStatus,
    /// Who does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
    /// When it was begun the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How long it should take.
    pub estimated_duration_hours: u32,
    /// How often it was begun.
    pub attempts: u32,
    /// What went wrong the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What there is to say about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results_data: Option<Map<String, Value>>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What is done about a step, with what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// It is begun.
    Start {
        /// Who does it.
        assigned_to: Option<String>,
        /// How long it should take, in hours.
        estimate_hours: Option<u32>,
        /// What there is to say.
        notes: Option<String>,
    },
    /// It ends well.
    Complete {
        /// Who did it.
        completed_by: Option<String>,
        /// What there is to say.
        notes: Option<String>,
        /// What came out.
        results: Option<Map<String, Value>>,
    },
    /// It ends badly.
    Fail {
        /// What went wrong.
        error: String,
        /// What there is to say.
        notes: Option<String>,
        /// What came out.
        results: Option<Map<String, Value>>,
    },
    /// It is left out.
    Skip {
        /// Why.
        reason: String,
    },
}

impl Work {
    /// What it does to the course of the sample.
    #[must_use]
    pub fn act(&self) -> Act {
        match self {
            Self::Start { .. } => Act::Start,
            Self::Complete { .. } => Act::Complete,
            Self::Fail { .. } => Act::Fail,
            Self::Skip { .. } => Act::Skip,
        }
    }

    /// Checks what is said.
    pub(crate) fn check(&self) -> sagabus::Result<()> {
        match self {
            Self::Start {
                assigned_to,
                estimate_hours,
                notes,
            } => {
                check_person("assignedTo", assigned_to.as_deref())?;
                if estimate_hours.is_some_and(|hours| hours > ESTIMATE_HOURS_MAX) {
                    let text = format!("must be a whole number, 0 to {ESTIMATE_HOURS_MAX}");
                    return Err(FieldErrors::one("estimatedDurationHours", text).into());
                }
                check_text("notes", notes.as_deref().unwrap_or_default())
            }
            Self::Complete {
                completed_by,
                notes,
                results,
            } => {
                check_person("completedBy", completed_by.as_deref())?;
                check_results(results.as_ref())?;
                check_text("notes", notes.as_deref().unwrap_or_default())
            }
            Self::Fail {
                error,
                notes,
                results,
            } => {
                check_said("error", error)?;
                check_results(results.as_ref())?;
                check_text("notes", notes.as_deref().unwrap_or_default())
            }
            Self::Skip { reason } => check_said("reason", reason),
        }
    }
}

impl ProcessingStep {
    /// A step of a new sample.
    #[must_use]
    pub fn new(stage: Stage, now: Timestamp) -> Self {
        Self {
            stage,
            step_name: stage.title(),
            step_status: StepStatus::Pending,
            assigned_to: None,
            started_at: None,
            completed_at: None,
            estimated_duration_hours: stage.estimate_hours(),
            attempts: 0,
            error: None,
            notes: None,
            results_data: None,
            updated_at: now,
        }
    }

    /// The step after `work`, which its state allows.
    pub(crate) fn take(&mut self, work: Work, now: Timestamp) {
        self.updated_at = now;
        let said = match work {
            Work::Start {
                assigned_to,
                estimate_hours,
                notes,
            } => {
                self.step_status = StepStatus::InProgress;
                self.assigned_to = assigned_to.or(self.assigned_to.take());
                self.estimated_duration_hours =
                    estimate_hours.unwrap_or(self.estimated_duration_hours);
                self.attempts = self.attempts.saturating_add(1);
                self.started_at = Some(now);
                self.completed_at = None;
                self.error = None;
                notes
            }
            Work::Complete { notes, results, .. } => {
                self.step_status = StepStatus::Completed;
                self.completed_at = Some(now);
                self.results_data = results;
                notes
            }
            Work::Fail {
                error,
                notes,
                results,
            } => {
                self.step_status = StepStatus::Failed;
                self.error = Some(error);
                self.results_data = results;
                notes
            }
            Work::Skip { reason } => {
                self.step_status = StepStatus::Skipped;
                Some(reason)
            }
        };
        self.notes = said.or(self.notes.take());
    }

    /// The step where the status of the sample puts it.
    pub(crate) fn put(&mut self, status: StepStatus, now: Timestamp) {
        if status == StepStatus::Pending {
            let (notes, estimate) = (self.notes.take(), self.estimated_duration_hours);
            *self = Self {
                assigned_to: self.assigned_to.take(),
                notes,
                estimated_duration_hours: estimate,
                ..Self::new(self.stage, now)
            };
        }
        self.step_status = status;
        self.updated_at = now;
    }

    /// How long the last attempt has taken, in milliseconds.
    pub(crate) fn duration_ms(&self, now: Timestamp) -> u64 {
        let began = self.started_at.unwrap_or(now).milliseconds();
        u64::try_from(now.milliseconds().saturating_sub(began)).unwrap_or(0)
    }
}

/// A text that must say something.
pub(crate) fn check_said(field: &str, text: &str) -> sagabus::Result<()> {
    if text.trim().is_empty() {
        return Err(FieldErrors::one(field, "is empty").into());
    }
    check_text(field, text)
}

/// A text that is not too long and can be seen.
pub(crate) fn check_text(field: &str, text: &str) -> sagabus::Result<()> {
    check_visible(field, text)?;
    let characters = text.chars().count();
    if characters > TEXT_CHARACTERS_MAX {
        return Err(FieldErrors::one(
            field,
            format!("has {characters} characters, more than {TEXT_CHARACTERS_MAX}"),
        )
        .into());
    }
    Ok(())
}

fn check_results(results: Option<&Map<String, Value>>) -> Result<(), FieldErrors> {
    let bytes = results.map_or(0, |it| serde_json::to_vec(it).map_or(0, |it| it.len()));
    if bytes > RESULTS_BYTES_MAX {
        let text = format!("has {bytes} bytes, more than {RESULTS_BYTES_MAX}");
        return Err(FieldErrors::one("results", text));
    }
    Ok(())
}
