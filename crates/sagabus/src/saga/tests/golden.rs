//! Logs of programs before this one: they are read for good, and their sagas go on.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bed::Bed;
use crate::saga::machine::{Phase, State, StepState};
use crate::saga::record::{Fact, Record};
use crate::saga::{SagaId, Status};
use crate::saga_store::StoredSaga;

/// The log of record version 1, as the program of that time wrote it, with the states that it folded to. It is never
/// written anew: a later form of records gets a log of its own beside it.
const LOG_1: &str = include_str!("golden/log_1.json");

/// One saga of a golden log.
#[derive(Deserialize)]
struct Life {
    /// What happens in it.
    life: String,
    saga: String,
    /// In hexadecimal digits.
    records: Vec<String>,
    state: Value,
}

impl Life {
    fn stored(&self) -> StoredSaga {
        StoredSaga {
            key: None,
            saga: self.saga.clone(),
            records: self.records.iter().map(|it| bytes(it)).collect(),
        }
    }
}

fn bytes(hex: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap();
    (0..hex.len() / 2).map(byte).collect()
}

fn lives() -> Vec<Life> {
    serde_json::from_str(LOG_1).unwrap()
}

/// All that a state says, in a form that stays when its types change.
fn shown(state: &State) -> Value {
    let steps: Vec<Value> = state.steps.iter().map(|step| shown_step(step)).collect();
    json!({
        "stage": format!("{:?}", state.stage),
        "records": state.records,
        "hash": state.definition().hash().to_string(),
        "input": text(state.input()),
        "correlationId": &**state.correlation_id(),
        "idempotencyKey": state.idempotency_key().map(|it| &**it),
        "causationId": state.causation_id().map(|it| &**it),
        "startedAt": state.started_at(),
        "endedAt": state.ended_at,
        "error": state.error.as_deref(),
        "turnedBack": state.turned_back.as_ref().map(|back| json!({
            "cause": format!("{:?}", back.cause),
            "reason": &*back.reason,
            "record": back.record,
        })),
        "steps": steps,
    })
}

fn shown_step(step: &StepState) -> Value {
    let (phase, output) = match &step.phase {
        Phase::Succeeded(output) => ("Succeeded".to_owned(), Some(text(output))),
        other => (format!("{other:?}"), None),
    };
    let back = &step.compensation;
    json!({
        "phase": phase,
        "output": output,
        "order": step.order,
        "attempts": step.attempts,
        "failures": step.failures,
        "interruptions": step.interruptions.count,
        "doubt": step.doubt.is_any(),
        "error": step.error.as_deref(),
        "startedAt": step.started_at,
        "attemptAt": step.attempt_at,
        "endedAt": step.ended_at,
        "startedRecord": step.started_record,
        "endedRecord": step.ended_record,
        "compensation": {
            "phase": format!("{:?}", back.phase),
            "attempts": back.attempts,
            "failures": back.failures,
            "interruptions": back.interruptions.count,
            "error": back.error.as_deref(),
            "stuckRecord": back.stuck_record,
        },
    })
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn number(fact: &Fact) -> u8 {
    match fact {
        Fact::Created { .. } => 0,
        Fact::StepStarted { .. } => 1,
        Fact::StepSucceeded { .. } => 2,
        Fact::AttemptFailed { .. } => 3,
        Fact::StepFailed { .. } => 4,
        Fact::TurnedBack { .. } => 5,
        Fact::CompensationStarted { .. } => 6,
        Fact::CompensationSucceeded { .. } => 7,
        Fact::CompensationAttemptFailed { .. } => 8,
        Fact::CompensationStuck { .. } => 9,
        Fact::CompensationResumed => 10,
        Fact::Ended { .. } => 11,
        Fact::Operated { .. } => 12,
        Fact::ForwardStuck { .. } => 13,
        Fact::LateResult { .. } => 14,
        Fact::Paused { .. } => 15,
        Fact::Signalled { .. } => 16,
        Fact::Spread { .. } => 17,
        Fact::Migrated { .. } => 19,
        Fact::Closed => 20,
        Fact::Begun => 21,
        Fact::Attached { .. } => 22,
    }
}

#[test]
fn an_old_log_folds_to_the_states_that_its_own_program_saw() {
    let mut facts = BTreeSet::new();
    for life in lives() {
        let decode = |bytes: &Bytes| Record::decode(bytes).unwrap();
        let records: Vec<Record> = life.stored().records.iter().map(decode).collect();
        facts.extend(records.iter().map(|record| number(&record.fact)));
        let state = super::invariants::fold(&life.saga, &records);
        assert_eq!(shown(&state), life.state, "{}", life.life);
    }
    // Every fact of version 1 is in the log.
    assert_eq!(facts, (0..=11).collect());
}

#[tokio::test(start_paused = true)]
async fn sagas_of_an_old_log_go_on_where_they_were() {
    let bed = Bed::new();
    let lives = lives();
    for life in &lives {
        bed.disk.put(life.stored());
    }
    let sagas = bed.open().await;
    let status = |saga: &str| {
        let id: SagaId = saga.parse().unwrap();
        sagas.status(&id).unwrap().status
    };
    let mut ends = BTreeSet::new();
    for life in &lives {
        let id: SagaId = life.saga.parse().unwrap();
        match life.life.as_str() {
            "stuck" => {
                assert_eq!(status(&life.saga), Status::CompensationStuck);
                sagas.retry_compensation(&id).await.unwrap();
                assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
            }
            "waits for its turn" | "cut off forward" => {
                assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Completed);
            }
            "cut off while taken back" => {
                assert_eq!(sagas.wait(&id).await.unwrap().status, Status::Compensated);
            }
            _ => {
                assert!(status(&life.saga).is_final(), "{}", life.life);
                ends.insert(status(&life.saga).as_str());
            }
        }
    }
    let all = ["cancelled", "compensated", "completed", "failed"];
    assert_eq!(ends, BTreeSet::from(all));
    sagas.shutdown(std::time::Duration::ZERO).await;
    super::invariants::check_logs(&bed.disk);
}
