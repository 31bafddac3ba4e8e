//! Both sagas of the service through every failure, at every step and every append, with the service's own file.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nanopore::sagas::{PDF_PROCESSING, SAMPLE_PROCESSING};
use nanopore::sample::Status as Stage;
use sagabus::saga::{
    CompensationContext, Definition, Handlers, SagaStatus, Status, StepContext, StepError,
};
use sagabus::sagatest::{Report, Sweep, World};
use sample_service::model::{Filter, NewSubmission, Page, SubmissionStatus};
use serde_json::json;

use super::fixture::{Fixture, actor};
use super::steps::form;

/// What a saga is about. The sample of a fixture is a row of `form`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Submission,
    Sample,
}

/// The service on a new file. The other two services keep a set of keys each: what they did and did not take back.
struct Core {
    about: About,
    /// The id of the submission or the sample.
    id: String,
    fixture: Fixture,
    readings: Arc<Mutex<BTreeSet<String>>>,
    trail: Arc<Mutex<BTreeSet<String>>>,
}

impl Core {
    async fn new(about: About) -> Self {
        let fixture = Fixture::new().await;
        let id = match about {
            About::Submission => {
                let submission = NewSubmission {
                    id: None,
                    file_id: "0".repeat(64),
                    file_name: "form.pdf".to_owned(),
                    submitter_name: None,
                    submitter_email: None,
                };
                let made = fixture.service.create_submission(submission, actor()).await;
                made.unwrap().id
            }
            About::Sample => fixture.sample().await,
        };
        Self {
            about,
            id,
            fixture,
            readings: Arc::default(),
            trail: Arc::default(),
        }
    }
}

impl World for Core {
    fn handlers(&self) -> Handlers {
        let (read, cleaned, written) = (&self.readings, &self.readings, &self.trail);
        let (read, cleaned, written) = (Arc::clone(read), Arc::clone(cleaned), Arc::clone(written));
        let others = Handlers::new()
            .handle("ai-service", "process_pdf", move |context: StepContext| {
                read.lock().unwrap().insert(context.key());
                async { Ok(form()) }
            })
            .compensate(
                "ai-service",
                "cleanup_processing",
                move |context: CompensationContext| {
                    cleaned.lock().unwrap().remove(&context.step_key());
                    async { Ok(()) }
                },
            )
            .handle(
                "audit-service",
                "create_audit_log",
                move |context: StepContext| {
                    written.lock().unwrap().insert(context.key());
                    async { Ok::<_, StepError>(json!({})) }
                },
            );
        self.fixture.service.bind(others)
    }

    fn input(&self) -> Bytes {
        let input = match self.about {
            About::Submission => json!({"submissionId": self.id}),
            About::Sample => json!({"sampleId": self.id}),
        };
        Bytes::from(input.to_string())
    }

    async fn check(&self, ended: &SagaStatus) -> Result<(), String> {
        let is_completed = ended.status == Status::Completed;
        let readings = self.readings.lock().unwrap().len();
        same("readings of the form", readings, usize::from(is_completed))?;
        let entries = self.trail.lock().unwrap().len();
        if is_completed {
            same("entries of the trail", entries, 1)?;
        }
        match self.about {
            About::Submission => self.check_submission(is_completed).await,
            About::Sample => self.check_sample(is_completed).await,
        }
    }
}

impl Core {
    /// All samples of the form, or none and a submission that says why.
    async fn check_submission(&self, is_completed: bool) -> Result<(), String> {
        let page = Page { page: 1, limit: 10 };
        let (samples, _) = self
            .fixture
            .service
            .list(Filter::default(), page)
            .await
            .unwrap();
        let stages: Vec<Stage> = samples.iter().map(|sample| sample.status).collect();
        let submission = self
            .fixture
            .service
            .submission(self.id.clone())
            .await
            .unwrap();
        let wanted = if is_completed {
            vec![Stage::Prep; 2]
        } else {
            Vec::new()
        };
        same("samples", &stages[..], &wanted[..])?;
        let counted = submission.sample_count as usize;
        same("samples of the submission", counted, wanted.len())?;
        match (is_completed, submission.status, submission.reason) {
            (true, SubmissionStatus::Accepted, None)
            | (false, SubmissionStatus::Rejected, Some(_))
            // Nothing had begun.
            | (false, SubmissionStatus::Received, None) => {}
            (_, status, reason) => return Err(format!("the submission is {status:?}, {reason:?}")),
        }
        let made = self.published("sample.created").await;
        let deleted = self.published("sample.deleted").await;
        same("samples made and not deleted", made - deleted, wanted.len())
    }

    /// The sample is moved on, or as it was entered.
    async fn check_sample(&self, is_completed: bool) -> Result<(), String> {
        let sample = self.fixture.service.get(self.id.clone()).await.unwrap();
        let wanted = if is_completed {
            Stage::Prep
        } else {
            Stage::Submitted
        };
        same("status of the sample", sample.status, wanted)?;
        let moves = self.published("sample.status_changed").await;
        same("moves are odd", moves % 2 == 1, is_completed)
    }

    /// How many events of the type were published.
    async fn published(&self, event_type: &str) -> usize {
        let types = self.fixture.event_types().await;
        types.iter().filter(|other| *other == event_type).count()
    }
}

fn same<T: Copy + PartialEq + Debug>(what: &str, found: T, wanted: T) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}, not {wanted:?}")),
    }
}

async fn sweep(definition: &str, about: About) -> Report {
    let definition = Definition::from_yaml(definition).unwrap();
    let report = Sweep::new(definition, async || Core::new(about).await)
        .run()
        .await;
    println!("{about:?}: {} runs", report.runs);
    report
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_taken_or_left_as_it_was_whatever_fails_in_its_saga() {
    let report = sweep(SAMPLE_PROCESSING, About::Submission).await;
    report.assert_clean();
    assert!(report.runs > 60, "{} runs", report.runs);
}

#[tokio::test(start_paused = true)]
async fn a_sample_is_moved_on_or_left_as_it_was_whatever_fails_in_its_saga() {
    let report = sweep(PDF_PROCESSING, About::Sample).await;
    report.assert_clean();
    assert!(report.runs > 60, "{} runs", report.runs);
}
