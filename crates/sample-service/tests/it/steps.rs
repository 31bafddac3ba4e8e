//! The steps of the processing saga: once each, all or nothing, and taken back without a trace.

use nanopore::events::ai::{ExtractionConfidenceLow, Method};
use nanopore::events::facility::SubmissionCreated;
use nanopore::steps::{StepCall, UndoCall};
use sagabus::clock::SystemClock;
use sagabus::event::Cause;
use sagabus::saga::events::SagaFailed;
use sagabus::{ErrorKind, Event};
use sample_service::model::{Filter, NewSubmission, Page, Sample, Submission, SubmissionStatus};
use serde_json::{Value, json};

use super::fixture::{Fixture, actor, real_forms};

fn cause() -> Cause {
    Cause {
        correlation_id: "saga-1".to_owned(),
        causation_id: None,
    }
}

fn call(key: &str) -> StepCall {
    StepCall {
        key: format!("saga-1/{key}"),
        fence: 1,
        cause: cause(),
        input: json!({"submissionId": "sub-1", "userId": "ada"}),
    }
}

fn undo(key: &str) -> UndoCall {
    UndoCall {
        forward_key: format!("saga-1/{key}"),
        fence: 1,
        cause: cause(),
        reason: "form cannot be read".to_owned(),
        input: json!({"submissionId": "sub-1", "userId": "ada"}),
    }
}

pub(crate) fn form() -> Value {
    json!({"form": {
        "service_project": "HTSF--CK-637", "owner": "Siobhán O'Neill", "lab": "O'Neill, Siobhán (UNC) Lab",
        "kit": "Rapid Sequencing (SQK-RAD114)", "sample_types": ["cDNA"], "human_dna": false, "buffer": ["EB"],
        "samples": [
            {"sample_name": "pond 3B", "volume_ul": 36.4, "qubit_ng_ul": 173.25, "nanodrop_ng_ul": 363.9, "a260_280": 1.88, "a260_230": null},
            {"sample_name": "E.coli_K12.1", "volume_ul": 14.3, "qubit_ng_ul": null, "nanodrop_ng_ul": 251.2, "a260_280": null, "a260_230": 2.02},
        ],
        "flow_cells": ["MinION Flow Cell"], "flow_cell_count": "4", "comments": "", "emails": ["core@lab.example.edu", "pi@lab.example.edu"],
    }})
}

async fn submitted(fixture: &Fixture) -> Submission {
    let submission = NewSubmission {
        id: Some("sub-1".to_owned()),
        file_name: "form.pdf".to_owned(),
        file_id: "0".repeat(64),
        submitter_name: None,
        submitter_email: None,
    };
    fixture
        .service
        .create_submission(submission, actor())
        .await
        .unwrap()
}

async fn submission(fixture: &Fixture) -> Submission {
    fixture
        .service
        .submission("sub-1".to_owned())
        .await
        .unwrap()
}

async fn samples(fixture: &Fixture) -> Vec<Sample> {
    let page = Page {
        page: 1,
        limit: 1_000,
    };
    fixture
        .service
        .list(Filter::default(), page)
        .await
        .unwrap()
        .0
}

#[tokio::test]
async fn a_form_becomes_samples_ready_for_preparation_once() {
    let fixture = Fixture::new().await;
    assert_eq!(submitted(&fixture).await.number, "SUBM-000001");
    for _ in 0..2 {
        let output = fixture
            .service
            .validate_sample(call("validate_sample"))
            .await
            .unwrap();
        assert_eq!(output["fileName"], "form.pdf");
    }
    assert_eq!(
        submission(&fixture).await.status,
        SubmissionStatus::Processing
    );
    let first = fixture
        .service
        .update_status(call("update"), form())
        .await
        .unwrap();
    let second = fixture
        .service
        .update_status(call("update"), form())
        .await
        .unwrap();
    assert_eq!(first, second);
    assert_eq!(first["sampleCount"], 2);

    let samples = samples(&fixture).await;
    assert_eq!(samples.len(), 2);
    let fields = serde_json::to_value(&samples[0].fields).unwrap();
    assert_eq!(
        fields,
        json!({
            "sampleName": "pond 3B", "projectId": "HTSF--CK-637", "submitterName": "Siobhán O'Neill",
            "submitterEmail": "core@lab.example.edu", "labName": "O'Neill, Siobhán (UNC) Lab", "sampleType": "cDNA",
            "material": "cDNA", "sampleBuffer": "EB", "concentration": 173.25, "concentrationMethod": "Qubit",
            "nanodropConcentration": 363.9, "a260280Ratio": 1.88, "volume": 36.4,
            "flowCellProduct": "MinION Flow Cell", "flowCellCount": 1, "libraryKit": "Rapid Sequencing (SQK-RAD114)",
            "priority": "normal",
        })
    );
    assert_eq!(samples[1].fields.concentration, Some(251.2));
    assert_eq!(samples[1].submission_id.as_deref(), Some("sub-1"));
    let submission = submission(&fixture).await;
    assert_eq!(
        (submission.status, submission.sample_count),
        (SubmissionStatus::Accepted, 2)
    );
    assert_eq!(submission.form.unwrap()["flow_cell_count"], "4");

    let events = fixture.events().await;
    let types: Vec<_> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    assert_eq!(
        types,
        [
            "submission.created",
            "submission.status_changed",
            "sample.created",
            "sample.created",
            "sample.status_changed",
            "sample.status_changed",
            "submission.status_changed"
        ]
    );
    for (created, moved) in [(2, 4), (3, 5)] {
        assert_eq!(
            events[moved].causation_id.as_ref(),
            Some(&events[created].id)
        );
        assert_eq!(events[moved].subject, events[created].subject);
        assert_eq!(events[moved].correlation_id.as_deref(), Some("saga-1"));
    }
    let moved: Value = serde_json::from_slice(&events[4].data).unwrap();
    assert_eq!(moved["reason"], "Ready for library preparation");
    // The submission itself was told of when it came, with how it came.
    assert_eq!(events[0].subject.as_deref(), Some("sub-1"));
    let told: SubmissionCreated = events[0].payload().unwrap();
    assert_eq!(
        (told.submission_type.as_str(), told.sample_count),
        ("form", 0)
    );
}

#[tokio::test]
async fn every_row_of_the_real_forms_becomes_a_sample() {
    for truth in real_forms() {
        let fixture = Fixture::new().await;
        submitted(&fixture).await;
        fixture
            .service
            .validate_sample(call("validate_sample"))
            .await
            .unwrap();
        let extraction = json!({"form": truth});
        let output = fixture
            .service
            .update_status(call("update"), extraction)
            .await
            .unwrap();
        let rows = truth["samples"].as_array().unwrap();
        assert_eq!(output["sampleCount"], rows.len());
        for (sample, row) in samples(&fixture).await.iter().zip(rows) {
            assert_eq!(json!(sample.fields.sample_name), row["sample_name"]);
            assert_eq!(json!(sample.fields.volume), row["volume_ul"]);
            assert_eq!(
                json!(sample.fields.nanodrop_concentration),
                row["nanodrop_ng_ul"]
            );
            assert_eq!(json!(sample.fields.a260280_ratio), row["a260_280"]);
            assert_eq!(json!(sample.fields.a260230_ratio), row["a260_230"]);
        }
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_taken_makes_nothing_and_says_why() {
    for (pointer, value, text) in [
        ("/form/samples", json!([]), "`samples` has no row"),
        ("/form/emails", json!([]), "`submitterEmail`"),
        ("/form/owner", json!(null), "`submitterName`"),
        (
            "/form/lab",
            json!("Lab <1>"),
            "form cannot be taken: `labName` has `<`",
        ),
        (
            "/form/samples/1/a260_280",
            json!(298.9),
            "`samples[1].a260280Ratio` is 298.9",
        ),
        (
            "/form/samples/0/sample_name",
            json!(""),
            "`samples[0].sampleName` is required",
        ),
    ] {
        let fixture = Fixture::new().await;
        submitted(&fixture).await;
        fixture
            .service
            .validate_sample(call("validate_sample"))
            .await
            .unwrap();
        let mut extraction = form();
        *extraction.pointer_mut(pointer).unwrap() = value;
        let error = fixture
            .service
            .update_status(call("update"), extraction)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.chain().contains(text), "{}", error.chain());
        assert!(samples(&fixture).await.is_empty());
        assert_eq!(
            fixture.event_types().await,
            ["submission.created", "submission.status_changed"]
        );
        assert_eq!(
            submission(&fixture).await.status,
            SubmissionStatus::Processing
        );
    }
}

#[tokio::test]
async fn the_given_submitter_wins_over_the_form() {
    let fixture = Fixture::new().await;
    let submission = NewSubmission {
        id: Some("sub-1".to_owned()),
        file_name: "form.pdf".to_owned(),
        file_id: "0".repeat(64),
        submitter_name: Some("Ada Okafor".to_owned()),
        submitter_email: Some("ada@lab.example.edu".to_owned()),
    };
    fixture
        .service
        .create_submission(submission, actor())
        .await
        .unwrap();
    fixture
        .service
        .validate_sample(call("validate_sample"))
        .await
        .unwrap();
    fixture
        .service
        .update_status(call("update"), form())
        .await
        .unwrap();
    for sample in samples(&fixture).await {
        assert_eq!(sample.fields.submitter_name, "Ada Okafor");
        assert_eq!(sample.fields.submitter_email, "ada@lab.example.edu");
    }
}

#[tokio::test]
async fn compensation_removes_what_the_step_made_once_and_refuses_it_later() {
    let fixture = Fixture::new().await;
    submitted(&fixture).await;
    fixture
        .service
        .validate_sample(call("validate_sample"))
        .await
        .unwrap();
    fixture
        .service
        .update_status(call("update"), form())
        .await
        .unwrap();
    for _ in 0..2 {
        fixture.service.revert_status(undo("update")).await.unwrap();
        fixture
            .service
            .revert_validation(undo("validate_sample"))
            .await
            .unwrap();
    }
    assert!(samples(&fixture).await.is_empty());
    let submission = submission(&fixture).await;
    assert_eq!(
        (submission.status, submission.sample_count),
        (SubmissionStatus::Rejected, 0)
    );
    assert_eq!(submission.reason.as_deref(), Some("form cannot be read"));
    let types = fixture.event_types().await;
    assert_eq!(types.iter().filter(|it| *it == "sample.deleted").count(), 2);
    // With the submission made, and moved on, accepted, moved back and rejected.
    assert_eq!(types.len(), 4 + 2 + 5);

    let late = fixture
        .service
        .update_status(call("update"), form())
        .await
        .unwrap_err();
    assert!(late.to_string().contains("was compensated"), "{late}");
    assert!(samples(&fixture).await.is_empty());
}

#[tokio::test]
async fn an_action_that_arrives_after_its_compensation_has_no_effect() {
    let fixture = Fixture::new().await;
    submitted(&fixture).await;
    fixture
        .service
        .revert_validation(undo("validate_sample"))
        .await
        .unwrap();
    let late = fixture
        .service
        .validate_sample(call("validate_sample"))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(
        submission(&fixture).await.status,
        SubmissionStatus::Rejected
    );
    assert_eq!(
        fixture.event_types().await,
        ["submission.created", "submission.status_changed"]
    );
}

#[tokio::test]
async fn a_submission_is_processed_by_one_saga() {
    let fixture = Fixture::new().await;
    submitted(&fixture).await;
    fixture
        .service
        .validate_sample(call("validate_sample"))
        .await
        .unwrap();
    let mut other = call("validate_sample");
    other.key = "saga-2/validate_sample".to_owned();
    let error = fixture.service.validate_sample(other).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is `processing`, not `received`"),
        "{error}"
    );
    let mut unknown = call("other");
    unknown.input = json!({"submissionId": "none"});
    let error = fixture.service.validate_sample(unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_submission_sent_twice_under_one_id_is_one_submission() {
    let fixture = Fixture::new().await;
    let first = submitted(&fixture).await;
    assert_eq!(submitted(&fixture).await, first);
    let page = Page { page: 1, limit: 10 };
    assert_eq!(fixture.service.submissions(None, page).await.unwrap().1, 1);
}

#[tokio::test]
async fn a_submission_with_a_wrong_submitter_is_refused_at_the_door() {
    let fixture = Fixture::new().await;
    let submission = NewSubmission {
        id: None,
        file_name: "form.pdf".to_owned(),
        file_id: "0".repeat(64),
        submitter_name: None,
        submitter_email: Some("nobody".to_owned()),
    };
    let error = fixture
        .service
        .create_submission(submission, actor())
        .await
        .unwrap_err();
    assert!(
        error
            .chain()
            .contains("`submitterEmail` is not an e-mail address")
    );
}

#[tokio::test]
async fn a_form_read_with_doubt_is_marked_for_a_person_to_look_at() {
    let fixture = Fixture::new().await;
    submitted(&fixture).await;
    let low = |issue: &str| ExtractionConfidenceLow {
        extraction_result_id: "x".to_owned(),
        sample_id: None,
        submission_id: Some("sub-1".to_owned()),
        file_name: "form.pdf".to_owned(),
        confidence_score: 0.4,
        threshold: 0.7,
        extraction_method: Method::Pattern,
        issues: vec![issue.to_owned()],
        user_id: None,
    };
    let first = Event::new(&low("two kits are ticked"), &SystemClock).unwrap();
    fixture.service.consume(&first).await.unwrap();
    let review = submission(&fixture).await.review.unwrap();
    assert_eq!(review, "confidence 0.4 is below 0.7: two kits are ticked");
    let second = Event::new(&low("no kit is ticked"), &SystemClock).unwrap();
    fixture.service.consume(&second).await.unwrap();
    // What is delivered again has no effect again, although it would change what is there now.
    fixture.service.consume(&first).await.unwrap();
    let review = submission(&fixture).await.review.unwrap();
    assert_eq!(review, "confidence 0.4 is below 0.7: no kit is ticked");
    assert_eq!(fixture.inbox().await, 2);
    // Each is told once, because of the event that led to it.
    let asked = of_type(&fixture, "submission.review_requested").await;
    let causes: Vec<_> = asked.iter().map(|it| it.causation_id.clone()).collect();
    assert_eq!(causes, [Some(first.id), Some(second.id)]);
}

#[tokio::test]
async fn a_submission_whose_saga_failed_before_its_first_step_is_rejected_once_with_the_reason() {
    let fixture = Fixture::new().await;
    let entered = submitted(&fixture).await;
    let failed = |saga_name: &str, correlation_id: &str| {
        let failed = SagaFailed {
            saga_id: "g-1".to_owned(),
            saga_name: saga_name.to_owned(),
            input: sagabus::saga::InputParts::new(),
            turned_back_by: None,
            status: "compensated".to_owned(),
            error: "step `validate_sample` failed: no room".to_owned(),
            reason: None,
            duration_ms: 3,
        };
        let mut event = Event::new(&failed, &SystemClock).unwrap();
        event.correlation_id = Some(correlation_id.to_owned());
        event
    };
    for stranger in [
        failed("another_saga", "sub-1"),
        failed("sample_processing_workflow", "sub-2"),
    ] {
        fixture.service.consume(&stranger).await.unwrap();
        assert_eq!(submission(&fixture).await, entered);
    }
    let event = failed("sample_processing_workflow", "sub-1");
    fixture.service.consume(&event).await.unwrap();
    let rejected = submission(&fixture).await;
    assert_eq!(rejected.status, SubmissionStatus::Rejected);
    assert_eq!(
        rejected.reason.as_deref(),
        Some("step `validate_sample` failed: no room")
    );
    let taken = fixture.inbox().await;
    let told = of_type(&fixture, "submission.status_changed").await;
    let [told] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(told.causation_id.as_ref(), Some(&event.id));
    let said: Value = serde_json::from_slice(&told.data).unwrap();
    assert_eq!(
        (&said["oldStatus"], &said["newStatus"]),
        (&json!("received"), &json!("rejected"))
    );
    fixture.service.consume(&event).await.unwrap();
    assert_eq!(submission(&fixture).await, rejected);
    assert_eq!(fixture.inbox().await, taken);
    // A handler that fails leaves no mark: the next delivery has the effect.
    let fault = failed("sample_processing_workflow", "sub-3");
    break_submissions(&fixture, true).await;
    fixture.service.consume(&fault).await.unwrap_err();
    assert_eq!(fixture.inbox().await, taken);
    break_submissions(&fixture, false).await;
    fixture.service.consume(&fault).await.unwrap();
    assert_eq!(fixture.inbox().await, taken + 1);
}

/// The events of one type.
async fn of_type(fixture: &Fixture, event_type: &str) -> Vec<Event> {
    let events = fixture.events().await.into_iter();
    events
        .filter(|it| it.event_type.as_str() == event_type)
        .collect()
}

/// Takes the table of submissions away, or puts it back.
async fn break_submissions(fixture: &Fixture, is_broken: bool) {
    let (from, to) = match is_broken {
        true => ("submissions", "elsewhere"),
        false => ("elsewhere", "submissions"),
    };
    let statement = format!("ALTER TABLE {from} RENAME TO {to}");
    let renamed = fixture.service.outbox().database().call(move |tx| {
        tx.execute_batch(&statement)?;
        Ok::<(), sagabus::Error>(())
    });
    renamed.await.unwrap();
}

#[tokio::test]
async fn a_sample_that_a_person_has_moved_on_stays_when_its_saga_turns_back() {
    let fixture = Fixture::new().await;
    submitted(&fixture).await;
    let service = &fixture.service;
    service
        .validate_sample(call("validate_sample"))
        .await
        .unwrap();
    service.update_status(call("update"), form()).await.unwrap();
    let moved = samples(&fixture).await.remove(0).id;
    let stage = nanopore::sample::Status::Sequencing;
    let actor = super::fixture::actor();
    service
        .set_status(moved.clone(), stage, None, None, actor)
        .await
        .unwrap();
    service.revert_status(undo("update")).await.unwrap();
    let left = samples(&fixture).await;
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].id, left[0].status), (&moved, stage));
    assert_eq!(submission(&fixture).await.sample_count, 1);
    let history = service.history(moved).await.unwrap();
    let kept = history.iter().find(|entry| entry.action == "kept").unwrap();
    assert_eq!(kept.notes.as_deref(), Some("form cannot be read"));
}
