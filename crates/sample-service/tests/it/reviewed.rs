//! A form that a person has to look at makes no samples; what they decide does, or rejects the submission.

use nanopore::steps::{StepCall, UndoCall};
use sagabus::ErrorKind;
use sagabus::event::Cause;
use sample_service::model::{Filter, NewSubmission, Page, Submission, SubmissionStatus};
use serde_json::{Value, json};

use super::fixture::Fixture;

fn cause() -> Cause {
    Cause {
        correlation_id: "sub-1".to_owned(),
        causation_id: None,
    }
}

fn call(saga: &str, key: &str) -> StepCall {
    StepCall {
        key: format!("{saga}/{key}"),
        fence: 1,
        cause: cause(),
        input: json!({"submissionId": "sub-1", "extractionResultId": "result-1"}),
    }
}

fn undo(saga: &str, key: &str) -> UndoCall {
    UndoCall {
        forward_key: format!("{saga}/{key}"),
        fence: 1,
        cause: cause(),
        reason: "form was refused by review: hidden text".to_owned(),
        input: json!({"submissionId": "sub-1"}),
    }
}

async fn submission(fixture: &Fixture) -> Submission {
    let service = &fixture.service;
    service.submission("sub-1".to_owned()).await.unwrap()
}

async fn sample_count(fixture: &Fixture) -> usize {
    let page = Page {
        page: 1,
        limit: 100,
    };
    let listed = fixture.service.list(Filter::default(), page).await;
    listed.unwrap().0.len()
}

/// A submission whose form waits for a person; its first saga is over.
async fn waiting() -> Fixture {
    let fixture = Fixture::new().await;
    let document = NewSubmission {
        id: Some("sub-1".to_owned()),
        file_name: "form.pdf".to_owned(),
        file_id: "0".repeat(64),
        submitter_name: None,
        submitter_email: None,
    };
    let service = &fixture.service;
    service
        .create_submission(document, crate::fixture::actor())
        .await
        .unwrap();
    let validate = call("saga-1", "validate");
    service.validate_sample(validate).await.unwrap();
    for _ in 0..2 {
        let output = service
            .update_status(
                call("saga-1", "update"),
                json!({"form": {}, "review": true}),
            )
            .await
            .unwrap();
        assert_eq!(
            output,
            json!({"submissionId": "sub-1", "status": "review", "sampleCount": 0, "sampleIds": []})
        );
    }
    let waiting = submission(&fixture).await;
    assert_eq!(waiting.status, SubmissionStatus::Processing);
    assert_eq!(sample_count(&fixture).await, 0);
    fixture
}

#[tokio::test]
async fn a_form_that_was_accepted_makes_its_samples_once() {
    let fixture = waiting().await;
    let service = &fixture.service;
    for _ in 0..2 {
        let validate = call("saga-2", "validate");
        service.validate_reviewed(validate).await.unwrap();
    }
    let form: Value = super::steps::form();
    for _ in 0..2 {
        let output = service
            .take_reviewed_form(call("saga-2", "update"), form.clone())
            .await
            .unwrap();
        assert_eq!(output["sampleCount"], 2);
    }
    let accepted = submission(&fixture).await;
    assert_eq!(accepted.status, SubmissionStatus::Accepted);
    assert_eq!((accepted.review, sample_count(&fixture).await), (None, 2));
    let types = fixture.event_types().await;
    let ended = types
        .iter()
        .filter(|it| *it == "submission.review_completed");
    assert_eq!(ended.count(), 1, "{types:?}");
    // A second decision finds nothing that waits.
    let late = service
        .validate_reviewed(call("saga-3", "validate"))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    service
        .revert_reviewed_form(undo("saga-2", "update"))
        .await
        .unwrap();
    assert_eq!(sample_count(&fixture).await, 0);
}

#[tokio::test]
async fn a_form_that_was_refused_rejects_its_submission_with_the_reason() {
    let fixture = waiting().await;
    let service = &fixture.service;
    let validate = call("saga-2", "validate");
    service.validate_reviewed(validate).await.unwrap();
    for _ in 0..2 {
        let undo = undo("saga-2", "validate");
        service.revert_reviewed(undo).await.unwrap();
    }
    let refused = submission(&fixture).await;
    assert_eq!(refused.status, SubmissionStatus::Rejected);
    assert!(refused.reason.unwrap().contains("hidden text"));
    assert_eq!(sample_count(&fixture).await, 0);
}
