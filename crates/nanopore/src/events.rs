//! Every event type of the three services: name, source, fields, and the list that the bus checks payloads by.

pub mod ai;
pub mod audit;
pub mod facility;
pub mod flowcell;
pub mod logged;
pub mod qc;
mod rules;
pub mod sample;
pub mod sample_work;

pub use rules::Milliseconds;

use sagabus::schema::RegistryBuilder;
use sagabus::{Payload, Result};
use schemars::JsonSchema;

/// One event type, for those who handle all of them alike.
#[derive(Clone, Copy, Debug)]
pub struct TypeInfo {
    /// The type on the wire, such as `sample.created`.
    pub name: &'static str,
    /// The service that publishes it.
    pub source: &'static str,
    /// Version of its payload.
    pub version: &'static str,
    /// Whether some bytes are a payload of this type; the error names the field that does not fit.
    pub check: fn(&[u8]) -> Result<()>,
    /// Adds its payload to a registry.
    register: fn(RegistryBuilder) -> RegistryBuilder,
}

impl TypeInfo {
    /// What `P` says of itself.
    const fn of<P: Payload + JsonSchema>() -> Self {
        Self {
            name: P::TYPE,
            source: P::SOURCE,
            version: P::VERSION,
            check: sagabus::event::check_payload::<P>,
            register: RegistryBuilder::register::<P>,
        }
    }
}

/// All event types of the domain.
pub const TYPES: &[TypeInfo] = &[
    TypeInfo::of::<sample::SampleCreated>(),
    TypeInfo::of::<sample::SampleUpdated>(),
    TypeInfo::of::<sample::SampleDeleted>(),
    TypeInfo::of::<sample::SampleAssigned>(),
    TypeInfo::of::<sample::SampleStatusChanged>(),
    TypeInfo::of::<sample::SampleProcessingStarted>(),
    TypeInfo::of::<sample::SampleProcessingCompleted>(),
    TypeInfo::of::<sample::SampleProcessingFailed>(),
    TypeInfo::of::<sample::SampleAttachmentAdded>(),
    TypeInfo::of::<sample::SampleAttachmentRemoved>(),
    TypeInfo::of::<sample_work::SampleProcessingSkipped>(),
    TypeInfo::of::<sample_work::SampleReceived>(),
    TypeInfo::of::<sample_work::SampleHeld>(),
    TypeInfo::of::<sample_work::SampleReleased>(),
    TypeInfo::of::<facility::CatalogueChanged>(),
    TypeInfo::of::<facility::SubmissionCreated>(),
    TypeInfo::of::<facility::ProjectCreated>(),
    TypeInfo::of::<facility::ProjectUpdated>(),
    TypeInfo::of::<facility::SubmissionAttachmentAdded>(),
    TypeInfo::of::<facility::SubmissionAttachmentRemoved>(),
    TypeInfo::of::<facility::SubmissionWithdrawn>(),
    TypeInfo::of::<facility::SubmissionStatusChanged>(),
    TypeInfo::of::<facility::SubmissionReviewRequested>(),
    TypeInfo::of::<facility::SubmissionReviewCompleted>(),
    TypeInfo::of::<qc::DecisionRequested>(),
    TypeInfo::of::<qc::DecisionMade>(),
    TypeInfo::of::<qc::DecisionWithdrawn>(),
    TypeInfo::of::<qc::DecisionOverdue>(),
    TypeInfo::of::<flowcell::FlowCellRegistered>(),
    TypeInfo::of::<flowcell::FlowCellLoaded>(),
    TypeInfo::of::<flowcell::FlowCellChecked>(),
    TypeInfo::of::<flowcell::FlowCellWashed>(),
    TypeInfo::of::<flowcell::FlowCellRetired>(),
    TypeInfo::of::<ai::PdfProcessingStarted>(),
    TypeInfo::of::<ai::PdfProcessingCompleted>(),
    TypeInfo::of::<ai::PdfProcessingFailed>(),
    TypeInfo::of::<ai::ExtractionResultCreated>(),
    TypeInfo::of::<ai::ExtractionConfidenceLow>(),
    TypeInfo::of::<ai::ExtractionReviewed>(),
    TypeInfo::of::<ai::ProcessingJobCreated>(),
    TypeInfo::of::<ai::ProcessingJobStarted>(),
    TypeInfo::of::<ai::ProcessingJobCompleted>(),
    TypeInfo::of::<ai::ProcessingJobFailed>(),
    TypeInfo::of::<ai::ModelPerformanceRecorded>(),
    TypeInfo::of::<ai::ModelPerformanceDegraded>(),
    TypeInfo::of::<audit::EntryRecorded>(),
    TypeInfo::of::<audit::AccessDenied>(),
    TypeInfo::of::<audit::ReportGenerated>(),
    TypeInfo::of::<audit::AlertTriggered>(),
    TypeInfo::of::<audit::RetentionApplied>(),
    TypeInfo::of::<audit::ExportCreated>(),
    TypeInfo::of::<audit::IntegrityVerified>(),
    TypeInfo::of::<audit::IntegrityFailed>(),
];

/// Adds every event type to a registry.
#[must_use]
pub fn register(registry: RegistryBuilder) -> RegistryBuilder {
    TYPES
        .iter()
        .fold(registry, |registry, info| (info.register)(registry))
}

#[cfg(test)]
mod tests;
