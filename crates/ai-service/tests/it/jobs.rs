//! Jobs are taken back, end when they are stuck, leave when they are old, and do not read the same twice.

use std::sync::Arc;
use std::time::Duration;

use ai_service::Looked;
use ai_service::model::{FaultKind, JobStatus, ReviewStatus};
use ai_service::pdf::PdfErrorKind;
use sagabus::{Clock, ErrorKind, SystemClock, Timestamp};
use tempfile::TempDir;

use crate::service::{Fixture, HAPPY, hanging, quiet, shell};

const DAY: Duration = Duration::from_hours(24);

fn later(days: u32) -> Timestamp {
    SystemClock.now().after(DAY * days)
}

/// A job whose document is being read by a child that hangs.
async fn hung(fixture: &Fixture) -> (String, tokio::task::JoinHandle<sagabus::Error>) {
    let request = fixture.request("small.pdf").await;
    let (begun, mut is_begun) = tokio::sync::mpsc::unbounded_channel();
    let service = fixture.service.clone();
    let waiting = tokio_util::task::TaskTracker::new().spawn(async move {
        let watch = move |_| begun.send(()).unwrap_or_default();
        service.process(request, Arc::new(watch)).await.unwrap_err()
    });
    is_begun.recv().await.unwrap();
    let (jobs, _) = fixture
        .service
        .jobs(Default::default(), Default::default())
        .await
        .unwrap();
    (jobs[0].id.clone(), waiting)
}

/// The end of a call that must not wait for its child, which the reader would give up after 15 s.
async fn ended_soon(waiting: tokio::task::JoinHandle<sagabus::Error>) -> sagabus::Error {
    let ended = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    ended.expect("it ends at once").unwrap()
}

#[tokio::test]
async fn a_job_that_is_taken_back_stops_at_once_and_has_no_result() {
    let fixture = Fixture::with(hanging()).await;
    let (id, waiting) = hung(&fixture).await;
    let author = Some("grace".to_owned());
    let job = fixture
        .service
        .cancel_job(id.clone(), author)
        .await
        .unwrap();
    assert_eq!(job.status, JobStatus::Cancelled);
    let error = ended_soon(waiting).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "CANCELLED: taken back by `grace`");
    let again = fixture
        .service
        .cancel_job(id.clone(), None)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let missing = fixture.service.cancel_job("none".to_owned(), None).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    // Nothing hangs on: the service ends without waiting for the child.
    assert_eq!(fixture.service.shutdown(Duration::from_secs(5)).await, 0);
    let types = fixture.types().await;
    assert_eq!(types[..3], HAPPY[..3]);
    assert_eq!(
        types[3..],
        ["ai.pdf_processing_failed", "ai.processing_job_failed"]
    );
}

#[tokio::test]
async fn a_job_that_is_read_for_half_an_hour_ends_as_stuck_and_no_sooner() {
    let fixture = Fixture::with(hanging()).await;
    let (id, waiting) = hung(&fixture).await;
    let soon = SystemClock.now().after(Duration::from_secs(29 * 60));
    assert_eq!(
        fixture.service.look_at_jobs(soon).await.unwrap(),
        Looked::default()
    );
    let late = SystemClock.now().after(Duration::from_secs(31 * 60));
    let looked = fixture.service.look_at_jobs(late).await.unwrap();
    assert_eq!((looked.stuck, looked.removed), (1, 0));
    let job = fixture.service.job(id).await.unwrap();
    assert_eq!(job.status, JobStatus::Failed);
    let fault = job.error.unwrap();
    assert_eq!(fault.kind, FaultKind::Pdf(PdfErrorKind::TimeoutError));
    assert!(ended_soon(waiting).await.to_string().contains("30 minutes"));
}

#[tokio::test]
async fn a_job_leaves_thirty_days_after_its_end_and_its_result_stays() {
    let fixture = Fixture::new().await;
    let request = fixture.request("small.pdf").await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    let service = &fixture.service;
    assert_eq!(service.look_at_jobs(later(29)).await.unwrap().removed, 0);
    assert_eq!(service.look_at_jobs(later(31)).await.unwrap().removed, 1);
    let gone = service.job(processed.job_id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    service
        .result(processed.extraction_result_id)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_whose_result_waits_for_a_person_stays() {
    let folder = TempDir::new().unwrap();
    let fixture = Fixture::with(shell(&crate::processing::unticked(folder.path()).await)).await;
    let request = fixture.request("small.pdf").await;
    let processed = fixture.service.process(request, quiet()).await.unwrap();
    let service = &fixture.service;
    assert_eq!(service.look_at_jobs(later(400)).await.unwrap().removed, 0);
    let id = processed.extraction_result_id;
    let grace = || "grace".to_owned();
    service.claim_review(id.clone(), grace()).await.unwrap();
    let result = service.accept_review(id, grace()).await.unwrap();
    assert_eq!(result.review.unwrap().status, ReviewStatus::Accepted);
    assert_eq!(service.look_at_jobs(later(400)).await.unwrap().removed, 1);
}

#[tokio::test]
async fn the_same_content_is_read_once_in_an_hour() {
    let folder = TempDir::new().unwrap();
    let count = folder.path().join("count");
    let worker = env!("CARGO_BIN_EXE_pdf-worker");
    let reader = shell(&format!("echo >> {}; exec {worker}", count.display()));
    let fixture = Fixture::with(reader).await;
    let mut results = Vec::new();
    for _ in 0..3 {
        let request = fixture.request("small.pdf").await;
        results.push(fixture.service.process(request, quiet()).await.unwrap());
    }
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "\n");
    assert_eq!(results[0].form, results[2].form);
    assert_ne!(
        results[0].extraction_result_id,
        results[2].extraction_result_id
    );
    assert_eq!(fixture.service.stats().await.unwrap().cache_hits, 2);
    let other = fixture.request("large.pdf").await;
    fixture.service.process(other, quiet()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "\n\n");
}
