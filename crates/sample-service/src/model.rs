//! What the service keeps: samples, submissions, the history of a sample, and the form a submission carries.

mod filter;
mod form;
mod form_file;
mod sample;
mod statistics;
mod submission;

pub use filter::{Filter, Page};
pub use form::{Form, FormRow};
pub use form_file::FormFile;
pub use sample::{HistoryEntry, Sample};
pub use statistics::Statistics;
pub use submission::{NewSubmission, Submission, SubmissionStatus};
