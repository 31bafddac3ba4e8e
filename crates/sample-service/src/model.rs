//! What the service keeps: samples, submissions, the history of a sample.

mod attachment;
mod decision;
mod filter;
mod flow_cell;
mod form_file;
mod measures;
mod project;
mod queue;
mod sample;
mod statistics;
mod step;
mod submission;
mod table;

pub use attachment::{Attachment, NewAttachment, Owner};
pub use decision::{Decision, DecisionFilter, DecisionState, NewDecision};
pub use filter::{Filter, Page};
pub use flow_cell::{FlowCell, FlowCellAct, FlowCellFilter, Handling};
pub use form_file::FormFile;
pub use measures::{Measures, PROCESSING_SECONDS};
pub use nanopore::sample::SubmissionStatus;
pub use project::Project;
pub use queue::{QueueEntry, QueueFilter, Show};
pub use sample::{HistoryEntry, Hold, Sample};
pub use statistics::Statistics;
pub use step::{ProcessingStep, RETRIES_MAX, Work};
pub(crate) use step::{check_said, check_text};
pub use submission::{NewSubmission, Submission, SubmissionKind};
pub(crate) use table::guarded;
pub use table::{Column, ROWS_MAX, Row, Table};
