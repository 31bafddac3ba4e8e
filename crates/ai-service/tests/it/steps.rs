//! The step of the processing saga: its effect once, nothing after it was taken back, a crash leaves no loose end.

use std::sync::Arc;

use ai_service::model::{JobFilter, JobStatus, Part, ResultStatus};
use sagabus::{Error, ErrorKind};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::service::{Fixture, HAPPY, failing_once, hanging, quiet, undo};

const FAILED: [&str; 2] = ["ai.pdf_processing_failed", "ai.processing_job_failed"];

async fn job_status(fixture: &Fixture) -> JobStatus {
    let all = Part {
        limit: 2,
        offset: 0,
    };
    let (jobs, total) = fixture
        .service
        .jobs(JobFilter::default(), all)
        .await
        .unwrap();
    assert_eq!(total, 1, "all attempts are one job");
    jobs[0].status
}

/// Calls the step with a child that hangs, and returns once the document is being read.
async fn hang(fixture: &Fixture) -> JoinHandle<Result<Value, Error>> {
    let call = fixture.call("small.pdf").await;
    let (begun, mut is_begun) = tokio::sync::mpsc::unbounded_channel();
    let service = fixture.service.clone();
    let waiting = TaskTracker::new().spawn(async move {
        let watch = move |_| begun.send(()).unwrap_or_default();
        service.process_pdf(call, Arc::new(watch)).await
    });
    is_begun.recv().await.unwrap();
    waiting
}

#[tokio::test]
async fn a_step_called_twice_has_one_effect_and_one_output() {
    let fixture = Fixture::new().await;
    let call = fixture.call("small.pdf").await;
    let first = fixture.service.process_pdf(call.clone(), quiet());
    let first = first.await.unwrap();
    let fixture = fixture.restart(crate::reader()).await;
    let second = fixture.service.process_pdf(call, quiet()).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(
        first["sampleCount"],
        first["form"]["samples"].as_array().unwrap().len()
    );
    assert!(first["confidence"].as_f64().unwrap() > 0.9);
    assert_eq!(fixture.types().await, HAPPY);
    assert_eq!(fixture.service.stats().await.unwrap().results.total, 1);
}

#[tokio::test]
async fn two_calls_at_once_have_one_effect() {
    let fixture = Fixture::new().await;
    let call = fixture.call("small.pdf").await;
    let (first, second) = tokio::join!(
        fixture.service.process_pdf(call.clone(), quiet()),
        fixture.service.process_pdf(call, quiet())
    );
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(fixture.types().await, HAPPY);
}

#[tokio::test]
async fn a_refusal_is_final_and_told_once() {
    let fixture = Fixture::new().await;
    let call = fixture.call("out-of-range.pdf").await;
    for _ in 0..2 {
        let error = fixture
            .service
            .process_pdf(call.clone(), quiet())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(
            error.to_string(),
            "VALIDATION_ERROR: row 2, a260_280: 298.9 is outside 0.5 to 3.5"
        );
    }
    let types = fixture.types().await;
    assert_eq!(
        (&types[..3], &types[3..]),
        (
            &HAPPY.map(str::to_owned)[..3],
            &FAILED.map(str::to_owned)[..]
        )
    );
    fixture.service.cleanup_processing(undo()).await.unwrap();
    assert_eq!(fixture.types().await.len(), 5);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_as_the_same_job() {
    let folder = TempDir::new().unwrap();
    let fixture = Fixture::with(failing_once(folder.path())).await;
    let call = fixture.call("small.pdf").await;
    let error = fixture
        .service
        .process_pdf(call.clone(), quiet())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().starts_with("WORKER_FAILED: "), "{error}");
    fixture.service.process_pdf(call, quiet()).await.unwrap();
    assert_eq!(job_status(&fixture).await, JobStatus::Completed);
    let expected = [&HAPPY[..3], &FAILED, &HAPPY[1..]].concat();
    assert_eq!(fixture.types().await, expected);
    let stats = fixture.service.stats().await.unwrap();
    assert_eq!(stats.jobs.errors["WORKER_FAILED"], 1, "it stays counted");
}

#[tokio::test]
async fn a_step_that_a_crash_cut_short_runs_again_as_the_same_job() {
    let fixture = Fixture::with(hanging()).await;
    let waiting = hang(&fixture).await;
    let call = fixture.call("small.pdf").await;
    let fixture = fixture.restart(crate::reader()).await;
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(job_status(&fixture).await, JobStatus::Failed);
    fixture.service.process_pdf(call, quiet()).await.unwrap();
    assert_eq!(job_status(&fixture).await, JobStatus::Completed);
    let expected = [&HAPPY[..3], &FAILED, &HAPPY[1..]].concat();
    assert_eq!(fixture.types().await, expected);
}

#[tokio::test]
async fn compensation_withdraws_the_result_once_and_refuses_the_step_later() {
    let fixture = Fixture::new().await;
    let call = fixture.call("small.pdf").await;
    let output = fixture.service.process_pdf(call.clone(), quiet());
    let id = output.await.unwrap()["extractionResultId"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..2 {
        fixture.service.cleanup_processing(undo()).await.unwrap();
    }
    let result = fixture.service.result(id).await.unwrap();
    assert_eq!(result.status, ResultStatus::Withdrawn);
    let stats = fixture.service.stats().await.unwrap().results;
    assert_eq!((stats.total, stats.withdrawn), (0, 1));
    let late = fixture
        .service
        .process_pdf(call, quiet())
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(fixture.types().await, HAPPY);
}

#[tokio::test]
async fn an_action_that_arrives_after_its_compensation_is_refused() {
    let fixture = Fixture::new().await;
    fixture.service.cleanup_processing(undo()).await.unwrap();
    let call = fixture.call("small.pdf").await;
    let late = fixture
        .service
        .process_pdf(call, quiet())
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert!(late.to_string().contains("was compensated"), "{late}");
    assert_eq!(fixture.types().await, Vec::<String>::new());
    assert_eq!(fixture.service.stats().await.unwrap().jobs.total, 0);
}

#[tokio::test]
async fn compensation_cancels_a_job_that_goes_on() {
    let folder = TempDir::new().unwrap();
    let go = folder.path().join("go");
    let reader = crate::service::shell(&format!(
        r#"echo '{{"v":1,"progress":{{"stage":"parsing","percent":10}}}}'
        while [ ! -e {} ]; do sleep 0.01; done; exec {}"#,
        go.display(),
        env!("CARGO_BIN_EXE_pdf-worker")
    ));
    let fixture = Fixture::with(reader).await;
    let waiting = hang(&fixture).await;
    fixture.service.cleanup_processing(undo()).await.unwrap();
    assert_eq!(job_status(&fixture).await, JobStatus::Cancelled);
    std::fs::write(go, "").unwrap();
    let late = waiting.await.unwrap().unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict, "{late}");
    assert_eq!(fixture.types().await, [&HAPPY[..3], &FAILED].concat());
    assert_eq!(job_status(&fixture).await, JobStatus::Cancelled);
    assert_eq!(fixture.service.stats().await.unwrap().results.total, 0);
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_refused() {
    let fixture = Fixture::new().await;
    for (field, value) in [
        ("fileId", Value::Null),
        ("fileId", "../../etc/passwd".into()),
        ("submissionId", Value::Null),
        ("fileName", "".into()),
    ] {
        let mut call = fixture.call("small.pdf").await;
        call.input[field] = value;
        let error = fixture
            .service
            .process_pdf(call, quiet())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{field}");
    }
    assert_eq!(fixture.types().await, Vec::<String>::new());
}
