//! Each event type has a golden file; required fields and enumerations are strict, everything else is open.

use std::path::Path;

use nanopore::events::{self, TypeInfo, ai, audit, facility, flowcell, qc, sample, sample_work};
use sagabus::Payload;
use sagabus::schema::Registry;
use serde_json::{Map, Value};

/// What the catalogue says of one type: required fields, optional fields, and those of them that are enumerations.
struct Row {
    name: &'static str,
    required: Vec<&'static str>,
    optional: Vec<&'static str>,
    enumerations: Vec<&'static str>,
    /// Reads the payload and writes it again.
    again: fn(&[u8]) -> Vec<u8>,
}

fn again<P: Payload>(json: &[u8]) -> Vec<u8> {
    let payload: P = serde_json::from_slice(json).unwrap();
    serde_json::to_vec(&payload).unwrap()
}

fn row<P: Payload>(
    name: &'static str,
    required: &'static str,
    optional: &'static str,
    enumerations: &'static str,
) -> Row {
    Row {
        name,
        required: required.split_whitespace().collect(),
        optional: optional.split_whitespace().collect(),
        enumerations: enumerations.split_whitespace().collect(),
        again: again::<P>,
    }
}

#[rustfmt::skip]
fn catalogue() -> Vec<Row> {
    vec![
        row::<sample::SampleCreated>("sample.created", "sampleId userId sampleName submitterName submitterEmail sampleType priority", "projectId labName fileId fileName", "priority"),
        row::<sample::SampleUpdated>("sample.updated", "sampleId userId changes updatedFields", "", ""),
        row::<sample::SampleDeleted>("sample.deleted", "sampleId userId sampleName deletedAt", "", ""),
        row::<sample::SampleAssigned>("sample.assigned", "sampleId userId assignedTo", "libraryPrepBy previousAssignee", ""),
        row::<sample::SampleStatusChanged>("sample.status_changed", "sampleId userId oldStatus newStatus", "reason override", "oldStatus newStatus"),
        row::<sample::SampleProcessingStarted>("sample.processing_started", "sampleId userId processingStep", "assignedTo estimatedDuration", ""),
        row::<sample::SampleProcessingCompleted>("sample.processing_completed", "sampleId userId processingStep duration", "completedBy results", ""),
        row::<sample::SampleProcessingFailed>("sample.processing_failed", "sampleId userId processingStep error retryCount maxRetries", "", ""),
        row::<sample::SampleAttachmentAdded>("sample.attachment_added", "sampleId userId attachmentId fileName fileSize fileType", "", ""),
        row::<sample::SampleAttachmentRemoved>("sample.attachment_removed", "sampleId userId attachmentId fileName", "", ""),
        row::<sample_work::SampleProcessingSkipped>("sample.processing_skipped", "sampleId userId processingStep reason", "", ""),
        row::<sample_work::SampleReceived>("sample.received", "sampleId userId receivedAt", "", ""),
        row::<sample_work::SampleHeld>("sample.held", "sampleId userId reason heldAt", "", ""),
        row::<sample_work::SampleReleased>("sample.released", "sampleId userId heldAt releasedAt", "reason", ""),
        row::<facility::CatalogueChanged>("catalogue.changed", "kind name userId isNew isActive attributes", "description", ""),
        row::<facility::SubmissionCreated>("submission.created", "submissionId userId number submissionType sampleCount", "projectId", ""),
        row::<facility::ProjectCreated>("project.created", "projectId userId name status", "", ""),
        row::<facility::ProjectUpdated>("project.updated", "projectId userId changes updatedFields", "", ""),
        row::<facility::SubmissionAttachmentAdded>("submission.attachment_added", "submissionId userId attachmentId fileName fileSize fileType", "", ""),
        row::<facility::SubmissionAttachmentRemoved>("submission.attachment_removed", "submissionId userId attachmentId fileName", "", ""),
        row::<facility::SubmissionWithdrawn>("submission.withdrawn", "submissionId userId reason", "", ""),
        row::<facility::SubmissionStatusChanged>("submission.status_changed", "submissionId userId oldStatus newStatus sampleCount", "reason", "oldStatus newStatus"),
        row::<facility::SubmissionReviewRequested>("submission.review_requested", "submissionId userId reason", "", ""),
        row::<facility::SubmissionReviewCompleted>("submission.review_completed", "submissionId userId", "", ""),
        row::<qc::DecisionRequested>("qc.decision_requested", "decisionId sagaId sampleId userId sampleName processingStep error submitterName submitterEmail choices dueAt", "", ""),
        row::<qc::DecisionMade>("qc.decision_made", "decisionId sagaId sampleId userId decision author reason", "", "decision"),
        row::<qc::DecisionWithdrawn>("qc.decision_withdrawn", "decisionId sagaId sampleId userId reason", "", ""),
        row::<qc::DecisionOverdue>("qc.decision_overdue", "decisionId sampleId userId submitterName submitterEmail dueAt", "", ""),
        row::<flowcell::FlowCellRegistered>("flowcell.registered", "flowCellId userId product", "pores", ""),
        row::<flowcell::FlowCellLoaded>("flowcell.loaded", "flowCellId userId loadNumber sampleIds", "instrument position pores volume", ""),
        row::<flowcell::FlowCellChecked>("flowcell.checked", "flowCellId userId pores", "", ""),
        row::<flowcell::FlowCellWashed>("flowcell.washed", "flowCellId userId", "pores", ""),
        row::<flowcell::FlowCellRetired>("flowcell.retired", "flowCellId userId outcome reason loads", "", "outcome"),
        row::<ai::PdfProcessingStarted>("ai.pdf_processing_started", "fileName fileSize processingMethod", "sampleId submissionId userId", "processingMethod"),
        row::<ai::PdfProcessingCompleted>("ai.pdf_processing_completed", "fileName extractionResultId processingMethod confidenceScore processingTimeMs extractedFieldCount", "sampleId submissionId userId", "processingMethod"),
        row::<ai::PdfProcessingFailed>("ai.pdf_processing_failed", "fileName error processingMethod retryCount", "sampleId submissionId userId", "processingMethod"),
        row::<ai::ExtractionResultCreated>("ai.extraction_result_created", "extractionResultId fileName extractionMethod confidenceScore extractedData issues", "sampleId submissionId userId", "extractionMethod"),
        row::<ai::ExtractionConfidenceLow>("ai.extraction_confidence_low", "extractionResultId fileName confidenceScore threshold extractionMethod issues", "sampleId submissionId userId", "extractionMethod"),
        row::<ai::ExtractionReviewed>("ai.extraction_reviewed", "extractionResultId fileName accepted correctionCount", "sampleId submissionId userId", ""),
        row::<ai::ProcessingJobCreated>("ai.processing_job_created", "jobId jobType inputData priority", "userId", "jobType priority"),
        row::<ai::ProcessingJobStarted>("ai.processing_job_started", "jobId jobType startedAt", "estimatedDuration userId", "jobType"),
        row::<ai::ProcessingJobCompleted>("ai.processing_job_completed", "jobId jobType completedAt duration outputData success", "userId", "jobType"),
        row::<ai::ProcessingJobFailed>("ai.processing_job_failed", "jobId jobType failedAt error retryCount maxRetries", "userId", "jobType"),
        row::<ai::ModelPerformanceRecorded>("ai.model_performance_recorded", "modelName taskType accuracyScore processingTimeMs sampleCount", "userId", ""),
        row::<ai::ModelPerformanceDegraded>("ai.model_performance_degraded", "modelName taskType currentAccuracy previousAccuracy threshold degradationPercentage", "userId", ""),
        row::<audit::EntryRecorded>("audit.entry_recorded", "auditId category severity actor action resource outcome entryHash", "resourceId causedBy", "category severity outcome"),
        row::<audit::AccessDenied>("audit.access_denied", "actor action resource reason", "resourceId", ""),
        row::<audit::ReportGenerated>("audit.report_generated", "reportId reportType format periodFrom periodTo recordCount requestedBy", "", "reportType format"),
        row::<audit::AlertTriggered>("audit.alert_triggered", "alertId alertName severity matchedAuditId recipients", "", "severity"),
        row::<audit::RetentionApplied>("audit.retention_applied", "policyId dataset deleted archived cutoff", "", ""),
        row::<audit::ExportCreated>("audit.export_created", "exportId requestedBy recordCount digest", "", ""),
        row::<audit::IntegrityVerified>("audit.integrity_verified", "fromSequence toSequence digest", "", ""),
        row::<audit::IntegrityFailed>("audit.integrity_failed", "fromSequence toSequence digest", "firstBadSequence", ""),
    ]
}

fn golden(name: &str) -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn info(name: &str) -> TypeInfo {
    *events::TYPES
        .iter()
        .find(|info| info.name == name)
        .unwrap_or_else(|| panic!("no type `{name}`"))
}

fn check(info: &TypeInfo, fields: &Map<String, Value>) -> Result<(), String> {
    (info.check)(&serde_json::to_vec(fields).unwrap()).map_err(|error| error.chain())
}

#[test]
fn every_type_of_the_catalogue_keeps_its_wire_form() {
    let catalogue = catalogue();
    assert_eq!(events::TYPES.len(), 53);
    assert_eq!(catalogue.len(), events::TYPES.len());
    for row in catalogue {
        let info = info(row.name);
        let fields = golden(row.name);
        let mut named: Vec<_> = [row.required.clone(), row.optional.clone()].concat();
        named.sort_unstable();
        assert_eq!(fields.keys().collect::<Vec<_>>(), named, "{}", row.name);
        assert_eq!(check(&info, &fields), Ok(()), "{}", row.name);
        let written = (row.again)(&serde_json::to_vec(&fields).unwrap());
        let written: Map<String, Value> = serde_json::from_slice(&written).unwrap();
        assert_eq!(written, fields, "{} read and written", row.name);

        for field in row.required {
            let mut without = fields.clone();
            without.remove(field);
            let error = check(&info, &without).unwrap_err();
            assert!(
                error.contains(&format!("`data.{field}`")),
                "{}: {error}",
                row.name
            );
        }
        for field in row.optional {
            let mut without = fields.clone();
            without.remove(field);
            assert_eq!(
                check(&info, &without),
                Ok(()),
                "{} without {field}",
                row.name
            );
        }
        for field in row.enumerations {
            let mut wrong = fields.clone();
            wrong.insert(field.to_owned(), "banana".into());
            let error = check(&info, &wrong).unwrap_err();
            assert!(
                error.contains(&format!("`data.{field}`")),
                "{}: {error}",
                row.name
            );
        }
        let mut more = fields.clone();
        more.insert("addedLater".to_owned(), 1.into());
        assert_eq!(
            check(&info, &more),
            Ok(()),
            "{}: an unknown field",
            row.name
        );
    }
}

#[test]
fn the_json_schema_of_a_type_says_what_its_check_does() {
    let registry = events::register(Registry::builder()).build().unwrap();
    assert_eq!(registry.types().len(), events::TYPES.len());
    for row in catalogue() {
        let schema = registry.versions(row.name)[0].schema.clone().unwrap();
        let named = |keyword: &str| -> Vec<String> {
            let mut names: Vec<String> = match &schema[keyword] {
                Value::Object(map) => map.keys().cloned().collect(),
                Value::Array(list) => list
                    .iter()
                    .map(|it| it.as_str().unwrap().to_owned())
                    .collect(),
                _ => Vec::new(),
            };
            names.sort_unstable();
            names
        };
        let mut required = row.required.clone();
        required.sort_unstable();
        assert_eq!(named("required"), required, "{}", row.name);
        let mut all = [row.required.clone(), row.optional].concat();
        all.sort_unstable();
        assert_eq!(named("properties"), all, "{}", row.name);

        let validator = jsonschema::validator_for(&schema).unwrap();
        let info = info(row.name);
        let fields = golden(row.name);
        let check_both = |fields: &Map<String, Value>| {
            let is_valid = validator.is_valid(&Value::Object(fields.clone()));
            let checked = check(&info, fields);
            assert_eq!(is_valid, checked.is_ok(), "{}: {checked:?}", row.name);
            is_valid
        };
        assert!(check_both(&fields));
        let mut refused = 0;
        for name in fields.keys() {
            for wrong in [
                Value::Null,
                "".into(),
                "banana".into(),
                (-1).into(),
                2.into(),
                101.into(),
                true.into(),
                Map::new().into(),
                Vec::<Value>::new().into(),
            ] {
                // Which texts are times is told by the check alone: a format is a note to most validators.
                let is_time = schema["properties"][name]["format"] == "date-time";
                if is_time && wrong.is_string() {
                    continue;
                }
                // A rule about two fields is told by the check alone.
                if name.ends_with("Sequence") && wrong.is_number() {
                    continue;
                }
                let mut changed = fields.clone();
                changed.insert(name.clone(), wrong);
                refused += u32::from(!check_both(&changed));
            }
        }
        assert!(refused > 10, "{}: {refused}", row.name);
    }
}

#[test]
fn there_is_no_golden_file_without_a_type() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        info(name.strip_suffix(".json").unwrap());
    }
}

#[test]
fn each_type_is_published_by_the_service_it_is_named_after() {
    for info in events::TYPES {
        let family = info.name.split('.').next().unwrap();
        let service = match family {
            "ai" | "audit" => family,
            _ => "sample",
        };
        assert_eq!(info.source, format!("{service}-service"));
        assert_eq!(info.version, "1.0");
    }
}
