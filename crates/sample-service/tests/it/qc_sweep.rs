//! The saga of a failed quality control through every failure, at every step and every append, with the service's own file.

use bytes::Bytes;
use nanopore::sagas::QC_DECISION;
use nanopore::sample::{QcDecision, Stage, StepStatus};
use sagabus::saga::{Definition, Handlers, SagaStatus, Status, Step, StepContext, StepError};
use sagabus::sagatest::{Sweep, World};
use sample_service::model::{DecisionState, NewDecision, Work};
use serde_json::{Value, json};

use super::fixture::{Fixture, actor};

/// The id of the event that told of the failure.
const FAILURE: &str = "failure-1";

/// The service with a sample whose quality control failed.
struct Core {
    fixture: Fixture,
    sample: String,
    decision: QcDecision,
}

impl Core {
    async fn new(decision: QcDecision) -> Self {
        let fixture = Fixture::new().await;
        let sample = fixture.sample().await;
        let start = Work::Start {
            assigned_to: None,
            estimate_hours: None,
            notes: None,
        };
        let fail = Work::Fail {
            error: "A260/230 is 0.4".to_owned(),
            notes: None,
            results: None,
        };
        for work in [start, fail] {
            let done =
                fixture
                    .service
                    .work_on(sample.clone(), Stage::SampleQc, work, None, actor());
            done.await.unwrap();
        }
        Self {
            fixture,
            sample,
            decision,
        }
    }
}

impl World for Core {
    fn handlers(&self) -> Handlers {
        let service = self.fixture.service.clone();
        let (sample, decision) = (self.sample.clone(), self.decision);
        let decide = move |_: StepContext| {
            let (service, sample) = (service.clone(), sample.clone());
            async move {
                let said = NewDecision {
                    decision,
                    author: "Ada Lovelace".to_owned(),
                    reason: "there is no more of it".to_owned(),
                };
                let _made_before = service.decide(sample, said, None, actor()).await;
                Ok::<_, StepError>(Value::Null)
            }
        };
        self.fixture
            .service
            .bind(Handlers::new())
            .handle("person", "decide", decide)
    }

    fn input(&self) -> Bytes {
        let input = json!({
            "decisionId": FAILURE, "sampleId": self.sample, "stage": "sample_qc", "error": "A260/230 is 0.4",
        });
        Bytes::from(input.to_string())
    }

    async fn check(&self, ended: &SagaStatus) -> Result<(), String> {
        let service = &self.fixture.service;
        let sample = service.get(self.sample.clone()).await.unwrap();
        let decisions = service.decisions_of(self.sample.clone()).await.unwrap();
        let steps = service.steps(self.sample.clone()).await.unwrap();
        let states: Vec<_> = decisions.iter().map(|it| it.state).collect();
        let found = format!("{} {:?} {states:?}", sample.status, sample.hold.is_some());
        let types = self.fixture.event_types().await;
        let told = |name: &str| types.iter().filter(|it| *it == name).count();
        if ended.status != Status::Completed {
            // As it was, and nothing is asked any more.
            let is_held = sample.hold.is_some() && steps[0].step_status == StepStatus::Failed;
            let is_over = states.iter().all(|it| *it == DecisionState::Withdrawn);
            return match is_held && is_over && told("sample.released") == 0 {
                true => Ok(()),
                false => Err(found),
            };
        }
        let skipped = usize::from(self.decision == QcDecision::Proceed);
        let moved = 1 + usize::from(self.decision != QcDecision::Proceed);
        let counts = [
            ("qc.decision_requested", 1),
            ("qc.decision_made", 1),
            ("qc.decision_withdrawn", 0),
            ("sample.released", 1),
            ("sample.processing_skipped", skipped),
            ("sample.status_changed", moved),
        ];
        for (name, wanted) in counts {
            if told(name) != wanted {
                return Err(format!("{found}: {} times {name}", told(name)));
            }
        }
        match (states.as_slice(), sample.hold) {
            ([DecisionState::CarriedOut], None) => Ok(()),
            _ => Err(found),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_carried_out_once_or_the_sample_stays_on_hold_whatever_fails() {
    let definition = Definition::from_yaml(QC_DECISION).unwrap();
    // The person decides when asked; they may have done so before.
    let mut steps = definition.steps().to_vec();
    let person = Step::new("person").service("person").action("decide");
    steps.push(person.after("request_decision"));
    let definition = Definition::from_steps(definition.name(), steps).unwrap();
    for decision in QcDecision::ALL {
        let report = Sweep::new(definition.clone(), async || Core::new(decision).await)
            .answer("qc_decision", "{}")
            .run()
            .await;
        println!("{decision}: {} runs", report.runs);
        report.assert_clean();
        assert!(report.runs > 40, "{} runs", report.runs);
    }
}
