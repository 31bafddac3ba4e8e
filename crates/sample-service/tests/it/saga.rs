//! The processing saga over the real orchestrator and bus, with stand-ins for the other services.

use std::sync::Arc;
use std::time::Duration;

use nanopore::sagas::SAMPLE_PROCESSING;
use sagabus::engines::embedded::Embedded;
use sagabus::saga::{Definition, Handlers, Start, Status, StepError};
use sagabus::{Bus, Clock, Sagas, SystemClock};
use sample_service::SampleService;
use sample_service::model::{NewSubmission, Submission, SubmissionStatus};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fixture::actor;
use super::steps::form;

struct Bed {
    service: SampleService,
    bus: Bus,
    sagas: Sagas,
    _folder: TempDir,
}

impl Bed {
    /// `audit` is what the audit step answers.
    async fn new(audit: Result<Value, StepError>) -> Self {
        let folder = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
        let mut bus = Bus::builder(Arc::clone(&engine) as Arc<_>, Arc::clone(&clock));
        for info in nanopore::events::TYPES {
            bus = bus.schema(info.name, info.check);
        }
        let bus = bus.build().unwrap();
        let path = folder.path().join("samples.db");
        let service = SampleService::open(path, Arc::clone(&clock)).await.unwrap();
        let relay = service.outbox().clone().relay(
            Arc::new(bus.clone()),
            Arc::clone(&clock),
            CancellationToken::new(),
        );
        TaskTracker::new().spawn(relay);
        let others = Handlers::new()
            .handle("ai-service", "process_pdf", |_| async { Ok(form()) })
            .compensate("ai-service", "cleanup_processing", |_| async { Ok(()) })
            .handle("audit-service", "create_audit_log", move |_| {
                let answer = audit.clone();
                async move { answer }
            });
        let sagas = Sagas::builder(engine, clock)
            .handlers(service.bind(others))
            .open()
            .await
            .unwrap();
        Self {
            service,
            bus,
            sagas,
            _folder: folder,
        }
    }

    async fn run(&self) -> (Status, Submission) {
        let submission = NewSubmission {
            id: None,
            file_id: "0".repeat(64),
            file_name: "form.pdf".to_owned(),
            submitter_name: None,
            submitter_email: None,
        };
        let id = self
            .service
            .create_submission(submission, actor())
            .await
            .unwrap()
            .id;
        let definition = Definition::from_yaml(SAMPLE_PROCESSING).unwrap();
        let input = json!({"submissionId": id}).to_string();
        let saga = self
            .sagas
            .start(&definition, Start::new(input).correlated("work-1"))
            .await
            .unwrap();
        let status = self.sagas.wait(&saga).await.unwrap().status;
        self.service.outbox().drain().await.unwrap();
        let submission = self.service.submission(id).await.unwrap();
        self.sagas.shutdown(Duration::from_secs(5)).await;
        (status, submission)
    }

    /// How many events of this type are on the bus; each belongs to the work.
    async fn count(&self, event_type: &str) -> usize {
        let page = self.bus.read(1, 1_000).await.unwrap();
        let found = page
            .events
            .iter()
            .filter(|(_, event)| event.event_type.as_str() == event_type);
        found
            .inspect(|(_, event)| assert_eq!(event.correlation_id.as_deref(), Some("work-1")))
            .count()
    }
}

#[tokio::test]
async fn a_submission_goes_through_the_saga_to_tracked_samples() {
    let bed = Bed::new(Ok(json!({}))).await;
    let (status, submission) = bed.run().await;
    assert_eq!(status, Status::Completed);
    assert_eq!(
        (submission.status, submission.sample_count),
        (SubmissionStatus::Accepted, 2)
    );
    assert_eq!(bed.count("sample.created").await, 2);
    assert_eq!(bed.count("sample.status_changed").await, 2);
    assert_eq!(bed.count("sample.deleted").await, 0);
}

#[tokio::test]
async fn a_saga_that_turns_back_at_its_end_leaves_no_sample_and_a_reason() {
    let bed = Bed::new(Err(StepError::Reject("the trail is closed".to_owned()))).await;
    let (status, submission) = bed.run().await;
    assert_eq!(status, Status::Compensated);
    assert_eq!(
        (submission.status, submission.sample_count),
        (SubmissionStatus::Rejected, 0)
    );
    let reason = submission.reason.unwrap();
    assert!(reason.contains("the trail is closed"), "{reason}");
    assert_eq!(bed.count("sample.created").await, 2);
    assert_eq!(bed.count("sample.deleted").await, 2);
}
