//! The sample: its status and priority, what may be said of it, and the rules of each field.

mod chart_field;
mod draft;
mod field;
mod new_sample;
mod priority;
mod rule;
mod status;
mod vocabulary;

pub use chart_field::{CHART_FIELDS, ChartField};
pub use field::{FieldError, FieldErrors};
pub use new_sample::{NewSample, Origin};
pub use priority::Priority;
pub use rule::{check_file_name, check_submitter};
pub use status::Status;
pub use vocabulary::{ConcentrationMethod, FlowCellType, SampleType};

#[cfg(test)]
mod tests;
