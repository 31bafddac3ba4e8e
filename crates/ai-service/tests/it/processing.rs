//! A document becomes a result, or a failure that says why; the events tell of it in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_service::form::Form;
use ai_service::model::{FaultKind, JobFilter, JobStatus, Part, ResultStatus};
use ai_service::pdf::PdfErrorKind;
use sagabus::ErrorKind;
use serde_json::json;

use crate::service::{Fixture, HAPPY, cause, quiet, shell};

const ALL: Part = Part {
    limit: 100,
    offset: 0,
};

fn truth(name: &str) -> Form {
    let json = std::fs::read_to_string(crate::fixture(name)).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[tokio::test]
async fn a_form_becomes_a_result_with_evidence_and_six_events() {
    let fixture = Fixture::new().await;
    let request = fixture.request("small.pdf").await;
    let size = fixture
        .service
        .upload(request.file_id.clone())
        .await
        .unwrap()
        .len();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watcher = Arc::clone(&seen);
    let processed = fixture
        .service
        .process(
            request,
            Arc::new(move |step| watcher.lock().unwrap().push(step.percent)),
        )
        .await
        .unwrap();
    assert_eq!(seen.lock().unwrap().last(), Some(&95));
    assert_eq!(processed.form.samples, truth("small.json").samples);
    assert_eq!(processed.sample_count, processed.form.samples.len());

    let result = fixture
        .service
        .result(processed.extraction_result_id.clone())
        .await
        .unwrap();
    assert_eq!(result.status, ResultStatus::Current);
    assert_eq!(result.extracted_data, processed.form);
    assert_eq!(result.submission_id.as_deref(), Some("sub-1"));
    assert_eq!(result.confidence_score, processed.confidence);
    assert!(processed.confidence > 0.9 && processed.confidence < 1.0);
    for field in &result.fields {
        assert!(
            field.evidence.page >= 1 && field.evidence.bbox.w > 0.0,
            "{field:?}"
        );
        assert!(
            field.confidence > 0.0 && field.confidence < 1.0,
            "{field:?}"
        );
    }
    let job = fixture.service.job(processed.job_id.clone()).await.unwrap();
    assert_eq!((job.status, job.progress), (JobStatus::Completed, 100));
    assert_eq!(job.result_id, Some(processed.extraction_result_id.clone()));

    assert_eq!(fixture.types().await, HAPPY);
    let events = fixture.events().await;
    assert_eq!(events[0].correlation_id.as_deref(), Some("work-1"));
    assert_eq!(events[3].subject.as_deref(), Some("sub-1"));
    let started = fixture.payload("ai.pdf_processing_started").await;
    assert_eq!(
        started,
        json!({
            "submissionId": "sub-1", "fileName": "small.pdf", "fileSize": size, "processingMethod": "pattern",
            "userId": "ada",
        })
    );
    let completed = fixture.payload("ai.pdf_processing_completed").await;
    assert_eq!(completed["extractedFieldCount"], result.fields.len());
    assert_eq!(completed["confidenceScore"], json!(processed.confidence));
    let ended = fixture.payload("ai.processing_job_completed").await;
    assert_eq!(ended["outputData"]["sampleCount"], processed.sample_count);
}

#[tokio::test]
async fn events_hold_no_personal_data() {
    let fixture = Fixture::new().await;
    let request = fixture.request("small.pdf").await;
    fixture.service.process(request, quiet()).await.unwrap();
    let form = truth("small.json");
    assert!(!form.emails.is_empty() && !form.owner.is_empty() && !form.lab.is_empty());
    for event in fixture.events().await {
        let payload = String::from_utf8(event.data.to_vec()).unwrap();
        let personal = form.emails.iter().chain([&form.owner, &form.lab]);
        for text in personal.chain((!form.comments.is_empty()).then_some(&form.comments)) {
            assert!(!payload.contains(text.as_str()), "{payload}");
        }
    }
    let created = fixture.payload("ai.extraction_result_created").await;
    let data = &created["extractedData"];
    assert_eq!(data["serviceProject"], form.service_project);
    assert_eq!(data["emailCount"], form.emails.len());
    assert_eq!(data["sampleCount"], form.samples.len());
    assert_eq!(data["kit"], json!(form.kit));
}

#[tokio::test]
async fn a_document_that_cannot_be_taken_fails_with_its_kind_and_leaves_no_result() {
    for (name, kind, text) in [
        (
            "blank.pdf",
            PdfErrorKind::ValidationError,
            "the form has no sample rows",
        ),
        (
            "no-rows.pdf",
            PdfErrorKind::ValidationError,
            "the form has no sample rows",
        ),
        (
            "out-of-range.pdf",
            PdfErrorKind::ValidationError,
            "row 2, a260_280: 298.9 is outside 0.5 to 3.5",
        ),
        (
            "encrypted.pdf",
            PdfErrorKind::FilePasswordProtected,
            "password",
        ),
        ("form.py", PdfErrorKind::FileInvalid, "PDF"),
    ] {
        let fixture = Fixture::new().await;
        let request = fixture.request(name).await;
        let error = fixture.service.process(request, quiet()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        let said = error.to_string();
        assert!(
            said.starts_with(kind.as_str()) && said.contains(text),
            "{name}: {said}"
        );
        assert_eq!(
            fixture.types().await,
            [
                "ai.processing_job_created",
                "ai.processing_job_started",
                "ai.pdf_processing_started",
                "ai.pdf_processing_failed",
                "ai.processing_job_failed",
            ],
            "{name}"
        );
        let failed = fixture.payload("ai.pdf_processing_failed").await;
        assert_eq!(
            (&failed["error"], &failed["retryCount"]),
            (&json!(said), &json!(0))
        );
        let (jobs, total) = fixture
            .service
            .jobs(JobFilter::default(), ALL)
            .await
            .unwrap();
        assert_eq!((total, jobs[0].status), (1, JobStatus::Failed));
        let fault = jobs[0].error.as_ref().unwrap();
        assert_eq!(fault.kind, FaultKind::Pdf(kind));
        let stats = fixture.service.stats().await.unwrap();
        assert_eq!(stats.results.total, 0);
        assert_eq!((stats.jobs.active, stats.jobs.queued), (0, 0));
        assert_eq!(stats.jobs.errors[kind.as_str()], 1);
    }
}

/// A command that answers with the small form, but nothing on it is ticked.
pub(crate) async fn unticked(folder: &std::path::Path) -> String {
    let bytes = std::fs::read(crate::fixture("small.pdf")).unwrap();
    let mut document = crate::read(bytes).await.unwrap();
    for mark in document.pages.iter_mut().flat_map(|page| &mut page.marks) {
        mark.ink = 0.0;
    }
    let answer = folder.join("answer");
    let line = json!({"v": 1, "document": document}).to_string() + "\n";
    std::fs::write(&answer, line).unwrap();
    format!("cat {}", answer.display())
}

#[tokio::test]
async fn a_form_read_with_doubt_is_told_as_such() {
    let folder = tempfile::TempDir::new().unwrap();
    let fixture = Fixture::with(shell(&unticked(folder.path()).await)).await;
    let request = fixture.request("small.pdf").await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    let mut types = HAPPY.to_vec();
    types.insert(4, "ai.extraction_confidence_low");
    assert_eq!(fixture.types().await, types, "{}", processed.confidence);
    let low = fixture.payload("ai.extraction_confidence_low").await;
    assert_eq!(low["threshold"], 0.7);
    assert_eq!(low["confidenceScore"], json!(processed.confidence));
    let stats = fixture.service.stats().await.unwrap();
    assert_eq!((stats.results.total, stats.results.low_confidence), (1, 1));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_makes_no_job() {
    let fixture = Fixture::new().await;
    let good = fixture.request("small.pdf").await;
    let mut unnamed = good.clone();
    unnamed.file_name = " ".to_owned();
    let mut long = good.clone();
    long.submission_id = Some("s".repeat(256));
    let mut hidden = good.clone();
    hidden.sample_id = Some("s\u{f}1".to_owned());
    let mut unknown = good.clone();
    unknown.file_id = ai_service::FileId::new(&"0".repeat(64)).unwrap();
    for (request, kind, text) in [
        (unnamed, ErrorKind::Invalid, "`fileName` is empty"),
        (long, ErrorKind::Invalid, "`submissionId`"),
        (
            hidden,
            ErrorKind::Invalid,
            "`sampleId` has the character U+000F, which is not to be seen",
        ),
        (unknown, ErrorKind::NotFound, "does not exist"),
    ] {
        let error = fixture.service.process(request, quiet()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.chain().contains(text), "{}", error.chain());
    }
    assert_eq!(fixture.types().await, Vec::<String>::new());
    assert_eq!(fixture.service.stats().await.unwrap().jobs.total, 0);
}

#[tokio::test]
async fn a_form_is_extracted_without_a_trace() {
    let bytes = std::fs::read(crate::fixture("blank.pdf")).unwrap();
    let extraction = ai_service::extract(&crate::reader(), bytes.into(), |_| {})
        .await
        .unwrap();
    assert_eq!(extraction.form.samples, []);
}

#[tokio::test]
async fn a_job_that_the_end_of_the_service_cut_short_is_tried_again_at_the_next_start() {
    let fixture = Fixture::with(crate::service::hanging()).await;
    let mut request = fixture.request("small.pdf").await;
    request.cause = cause();
    let (begun, mut is_begun) = tokio::sync::mpsc::unbounded_channel();
    let service = fixture.service.clone();
    let waiting = tokio_util::task::TaskTracker::new().spawn(async move {
        let watch = move |_| begun.send(()).unwrap_or_default();
        service.process(request, Arc::new(watch)).await
    });
    is_begun.recv().await.unwrap();
    let (jobs, _) = fixture
        .service
        .jobs(JobFilter::default(), ALL)
        .await
        .unwrap();
    assert_eq!(
        (jobs[0].status, jobs[0].progress),
        (JobStatus::Processing, 10)
    );
    let fixture = fixture.restart(crate::reader()).await;
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    let job = loop {
        let job = fixture.service.job(jobs[0].id.clone()).await.unwrap();
        if !job.status.is_open() {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((job.status, job.retry_count), (JobStatus::Completed, 1));
    let failed = fixture.payload("ai.pdf_processing_failed").await;
    assert!(
        failed["error"].to_string().contains("ended before"),
        "{failed}"
    );
    let types = fixture.types().await;
    assert_eq!(types[..3], HAPPY[..3]);
    assert_eq!(
        types[3..5],
        ["ai.pdf_processing_failed", "ai.pdf_processing_started"]
    );
    assert_eq!(types[5..], HAPPY[3..]);
}
