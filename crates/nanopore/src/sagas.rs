//! The saga definitions of the domain, as data.

/// `sample_processing_workflow`: validate_sample, process_pdf, update_sample_status, create_audit_log.
pub const SAMPLE_PROCESSING: &str = include_str!("sagas/sample_processing.yaml");

/// `pdf_processing_workflow`: the same four steps for one sample that was entered with its form.
pub const PDF_PROCESSING: &str = include_str!("sagas/pdf_processing.yaml");

/// `reviewed_form_workflow`: the same four steps for a form that a person has looked at.
pub const REVIEWED_FORM: &str = include_str!("sagas/reviewed_form.yaml");
/// `qc_decision_workflow`: ask the submitter, wait, tell when nobody decided in time, wait on, carry out.
pub const QC_DECISION: &str = include_str!("sagas/qc_decision.yaml");

#[cfg(test)]
mod tests;
