//! The life of a sample: legal moves only, one event for each change.

use nanopore::events::sample::{SampleAssigned, SampleCreated, SampleStatusChanged, SampleUpdated};
use nanopore::sample::Status;
use sagabus::ErrorKind;
use serde_json::json;

use super::fixture::{Fixture, actor, fields, object};

/// The moves that lead a new sample to each status.
fn way_to(status: Status) -> Vec<Status> {
    use Status::{Analysis, Archived, Completed, Distributed, Prep, Sequencing};
    let way = [Prep, Sequencing, Analysis, Completed, Distributed, Archived];
    let steps = way
        .iter()
        .position(|it| *it == status)
        .map_or(0, |index| index + 1);
    way[..steps].to_vec()
}

#[tokio::test]
async fn a_sample_moves_along_the_legal_transitions_and_no_other() {
    let fixture = Fixture::new().await;
    for from in Status::ALL {
        for to in Status::ALL {
            let id = fixture.sample().await;
            for step in way_to(from) {
                fixture
                    .service
                    .set_status(id.clone(), step, None, None, actor())
                    .await
                    .unwrap();
            }
            let outcome = fixture
                .service
                .set_status(id.clone(), to, None, None, actor())
                .await;
            if from.can_become(to) {
                assert_eq!(outcome.unwrap().status, to);
            } else {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{from} to {to}");
                for next in from.next() {
                    assert!(error.chain().contains(next.as_str()), "{}", error.chain());
                }
                assert_eq!(fixture.service.get(id).await.unwrap().status, from);
            }
        }
    }
}

#[tokio::test]
async fn each_change_makes_exactly_one_event_with_actor_subject_and_correlation() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    let id = fixture.sample().await;
    let patch = object(json!({"volume": 12.5, "priority": "high"}));
    service
        .update(id.clone(), patch, None, actor())
        .await
        .unwrap();
    service
        .assign(id.clone(), "Grace".to_owned(), None, None, actor())
        .await
        .unwrap();
    service
        .assign(
            id.clone(),
            "Linus".to_owned(),
            Some("Ada".to_owned()),
            None,
            actor(),
        )
        .await
        .unwrap();
    service
        .set_status(id.clone(), Status::Prep, Some(String::new()), None, actor())
        .await
        .unwrap();
    service
        .set_status(id.clone(), Status::Submitted, None, None, actor())
        .await
        .unwrap();
    service.delete(id.clone(), None, actor()).await.unwrap();

    let events = fixture.events().await;
    let types: Vec<_> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    assert_eq!(
        types,
        [
            "sample.created",
            "sample.updated",
            "sample.assigned",
            "sample.assigned",
            "sample.status_changed",
            "sample.status_changed",
            "sample.deleted",
        ]
    );
    for event in &events {
        assert_eq!(event.subject.as_deref(), Some(id.as_str()));
        assert_eq!(event.correlation_id.as_deref(), Some("work-1"));
        assert_eq!(event.source, "sample-service");
        assert!(
            std::str::from_utf8(&event.data)
                .unwrap()
                .contains(r#""userId":"user-1""#)
        );
    }
    let created: SampleCreated = events[0].payload().unwrap();
    assert_eq!(created.sample_name, "pond 3B");
    let updated: SampleUpdated = events[1].payload().unwrap();
    assert_eq!(updated.updated_fields, ["priority", "volume"]);
    assert_eq!(updated.changes["volume"].new_value, json!(12.5));
    let assigned: SampleAssigned = events[3].payload().unwrap();
    assert_eq!(assigned.previous_assignee.as_deref(), Some("Grace"));
    assert_eq!(assigned.library_prep_by.as_deref(), Some("Ada"));
    let moved: SampleStatusChanged = events[4].payload().unwrap();
    assert_eq!(
        (moved.old_status, moved.new_status),
        (Status::Submitted, Status::Prep)
    );
    assert_eq!(
        moved.reason.as_deref(),
        Some(""),
        "an empty reason does not vanish"
    );
}

#[tokio::test]
async fn a_change_that_is_refused_makes_no_event() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    let id = fixture.sample().await;
    let stale = service
        .set_status(id.clone(), Status::Prep, None, Some(7), actor())
        .await;
    assert!(stale.unwrap_err().to_string().contains("version 1, not 7"));
    let same = service.update(
        id.clone(),
        object(json!({"sampleType": "DNA"})),
        None,
        actor(),
    );
    assert_eq!(same.await.unwrap().version, 1);
    let unknown = object(json!({"chartField": "HTSF-999"}));
    let error = service
        .update(id.clone(), unknown, None, actor())
        .await
        .unwrap_err();
    assert!(
        error
            .chain()
            .contains("`HTSF-999` is not an active account"),
        "{}",
        error.chain()
    );
    service
        .set_status(id.clone(), Status::Prep, None, Some(1), actor())
        .await
        .unwrap();
    let busy = service.delete(id.clone(), None, actor()).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Conflict);
    assert_eq!(
        fixture.event_types().await,
        ["sample.created", "sample.status_changed"]
    );
}

#[tokio::test]
async fn a_second_sample_of_the_same_name_is_another_sample() {
    let fixture = Fixture::new().await;
    assert_ne!(fixture.sample().await, fixture.sample().await);
}

#[tokio::test]
async fn the_first_start_and_the_first_completion_are_kept() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    let mut started = None;
    for status in [
        Status::Prep,
        Status::Submitted,
        Status::Prep,
        Status::Sequencing,
        Status::Analysis,
        Status::Completed,
    ] {
        let sample = fixture
            .service
            .set_status(id.clone(), status, None, None, actor())
            .await
            .unwrap();
        started = started.or(sample.started_at);
        assert_eq!(sample.started_at, started);
        assert_eq!(sample.completed_at.is_some(), status == Status::Completed);
    }
}

#[tokio::test]
async fn the_history_of_a_deleted_sample_stays() {
    let fixture = Fixture::new().await;
    let id = fixture.sample().await;
    fixture
        .service
        .delete(id.clone(), None, actor())
        .await
        .unwrap();
    let history = fixture.service.history(id.clone()).await.unwrap();
    let actions: Vec<_> = history.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["created", "deleted"]);
    assert_eq!(
        fixture.service.get(id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let nobody = fixture.service.history("nobody".to_owned()).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_sample_without_an_account_is_refused_at_entry() {
    let fixture = Fixture::new().await;
    let mut without = fields();
    without.remove("chartField");
    let error = fixture.service.create(&without, actor()).await.unwrap_err();
    assert!(
        error.chain().contains("`chartField` is required"),
        "{}",
        error.chain()
    );
    assert!(fixture.events().await.is_empty());
}
