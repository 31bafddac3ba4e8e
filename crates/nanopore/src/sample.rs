//! The sample: its status and priority, what may be said of it, and the rules of each field.

mod catalogue;
mod chart_field;
mod course;
mod details;
mod draft;
mod field;
pub mod flow_cell;
pub mod foreign;
mod form;
mod new_sample;
mod priority;
mod progress;
mod project;
mod qc;
pub mod queue;
mod rule;
pub mod sheet;
mod stage;
mod status;
mod submission_status;
mod vocabulary;

pub use catalogue::{Item, Kind, STANDARD_SERVICE, TARGET_DAYS};
pub use chart_field::{CHART_FIELDS, ChartField};
pub use course::{Act, Course};
pub use details::{Details, is_barcode};
pub use field::{FieldError, FieldErrors};
pub use form::{Form, FormRow, Said, Submitter};
pub use new_sample::{NewSample, Origin};
pub use priority::Priority;
pub use progress::{Progress, State};
pub use project::{ChartPrefix, NewProject, ProjectStatus};
pub use qc::QcDecision;
pub use rule::{check_file_name, check_person, check_submitter, visible, written};
pub use stage::{Stage, StepStatus};
pub use status::Status;
pub use submission_status::SubmissionStatus;
pub use vocabulary::{ConcentrationMethod, SampleType};

#[cfg(test)]
mod tests;
