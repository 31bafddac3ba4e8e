//! The AI service: reads submission forms and says what they hold, with evidence.
//!
//! [`pdf`] makes geometry of a PDF in a child process, [`reading`] tells which kind of document it is and makes fields of
//! the geometry ([`form`] for the facility's own form), [`extract`] does all of it.
//! [`AiService`] keeps uploads, jobs and results; [`routes`] is its HTTP face, [`steps`] the face it shows to sagas.
//! Each change and its events are one transaction. Results have personal data; events have none (see [`summary`]).

pub mod pdf;

pub mod form;
pub mod reading;

mod accuracy;
mod correction;
mod handlers;
mod llm;
pub mod model;
mod processing;
mod publisher;
mod refusal;
mod repository;
mod retry;
mod review;
pub mod routes;
mod service;
mod settings;
pub mod steps;
pub mod summary;
mod upkeep;
mod uploads;

pub use llm::ModelStats;
pub use processing::{OnProgress, ProcessRequest, Processed, extract};
pub use refusal::Refused;
pub use service::{AiService, Submissions};
pub use settings::{AiSettings, ModelSettings, ModelUrl, ReadBy};
pub use upkeep::Looked;
pub use uploads::{FileId, Upload, UploadTooLarge, UploadWriter};
