//! The saga definitions of the domain, as data.

/// `sample_processing_workflow`: validate_sample, process_pdf, update_sample_status, create_audit_log.
pub const SAMPLE_PROCESSING: &str = include_str!("sagas/sample_processing.yaml");

#[cfg(test)]
mod tests;
