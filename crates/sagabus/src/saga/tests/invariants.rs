//! What holds for the log of every saga, whatever happened to it.

use std::collections::{HashMap, HashSet};

use super::store::Disk;
use crate::saga::definition::Definition;
use crate::saga::machine::{INTERRUPTIONS_MAX, State};
use crate::saga::record::{Effect, Fact, Outcome, Record, Verb};

/// Checks every saga of the store, and that no event is there twice.
pub(super) fn check(disk: &Disk) {
    check_logs(disk);
    let mut ids = HashSet::new();
    for event in disk.events() {
        event.check().unwrap();
        assert!(ids.insert(event.id.clone()), "event {} twice", event.id);
    }
    for event in disk.events() {
        let cause = event.causation_id;
        assert!(cause.is_none_or(|cause| ids.contains(&cause)));
    }
}

/// Checks every saga of the store.
pub(super) fn check_logs(disk: &Disk) {
    for (stored, records) in disk.stored().iter().zip(disk.records()) {
        let state = fold(&stored.saga, &records);
        check_saga(state.definition(), &records);
    }
}

pub(super) fn fold(id: &str, records: &[Record]) -> State {
    let read = |json: &bytes::Bytes| Ok(Definition::from_pinned(json)?);
    let mut state = State::first(id.parse().unwrap(), &records[0], read).unwrap();
    for record in &records[1..] {
        state.replay(record).unwrap();
    }
    state
}

fn check_saga(definition: &Definition, records: &[Record]) {
    let steps = definition.steps();
    let mut turned_back = false;
    let mut succeeded = HashSet::new();
    let mut doubtful = HashSet::new();
    let mut started = Vec::new();
    let mut settled = Vec::new();
    let mut attempts: HashMap<u32, u32> = HashMap::new();
    let mut failures: HashMap<u32, u32> = HashMap::new();
    let mut open = HashSet::new();
    // Times that a step, or its compensation, was cut off since the saga came further.
    let mut cuts: HashMap<(u32, bool), u32> = HashMap::new();
    let mut compensating = None;
    let mut is_paused = false;
    let mut outcome = None;
    for record in records {
        // Nothing follows the end, other than that nothing follows.
        let is_closed = record.fact == Fact::Closed;
        assert_eq!(outcome.is_some(), is_closed, "{record:?} after the end");
        match &record.fact {
            Fact::Created { .. } | Fact::CompensationResumed | Fact::Closed => {}
            Fact::Paused { .. } => {
                assert!(!is_paused, "paused twice");
                is_paused = true;
            }
            Fact::Operated { verb, .. } => match verb {
                Verb::Resume => {
                    assert!(is_paused, "resumed without a pause");
                    is_paused = false;
                    cuts.clear();
                }
            },
            Fact::StepStarted { step, attempt } => {
                assert!(!turned_back, "started after turning back");
                assert!(!is_paused, "started while paused");
                for needed in definition.dependencies(*step as usize) {
                    assert!(succeeded.contains(&number(*needed)), "started too early");
                }
                if !open.insert(*step) {
                    doubtful.insert(*step);
                    let count = cuts.entry((*step, false)).or_default();
                    *count += 1;
                    assert!(*count <= INTERRUPTIONS_MAX, "run again too often");
                }
                let count = attempts.entry(*step).or_default();
                *count += 1;
                assert_eq!(*count, *attempt);
                if !started.contains(step) {
                    started.push(*step);
                }
            }
            Fact::StepSucceeded { step, .. } => {
                open.remove(step);
                assert!(succeeded.insert(*step), "succeeded twice");
                cuts.clear();
            }
            Fact::AttemptFailed { step, effect, .. } | Fact::StepFailed { step, effect, .. } => {
                open.remove(step);
                if *effect == Effect::Unknown {
                    doubtful.insert(*step);
                }
                let count = failures.entry(*step).or_default();
                *count += 1;
                assert!(*count <= steps[*step as usize].retry_attempts + 1);
            }
            Fact::TurnedBack { .. } => {
                assert!(!turned_back, "turned back twice");
                turned_back = true;
                is_paused = false;
            }
            Fact::CompensationStarted { step, .. } => {
                assert!(turned_back && open.is_empty(), "taken back too early");
                assert!(!is_paused, "taken back while paused");
                if compensating == Some(*step) {
                    let count = cuts.entry((*step, true)).or_default();
                    *count += 1;
                    assert!(*count <= INTERRUPTIONS_MAX, "taken back again too often");
                }
                compensating = Some(*step);
                assert!(
                    succeeded.contains(step) || doubtful.contains(step),
                    "nothing to take back"
                );
                assert!(!settled.contains(step), "taken back twice");
                for (index, other) in steps.iter().enumerate() {
                    let other_had_effect =
                        succeeded.contains(&number(index)) || doubtful.contains(&number(index));
                    if definition.dependencies(index).contains(&(*step as usize))
                        && other.compensation_action.is_some()
                        && other_had_effect
                    {
                        assert!(settled.contains(&number(index)), "before its dependents");
                    }
                }
            }
            Fact::CompensationSucceeded { step, .. } => {
                compensating = None;
                cuts.clear();
                settled.push(*step);
            }
            Fact::CompensationAttemptFailed { .. } | Fact::CompensationStuck { .. } => {
                compensating = None;
            }
            Fact::Ended { outcome: how, .. } => outcome = Some(*how),
        }
    }
    match outcome {
        None | Some(Outcome::Failed) => {}
        Some(Outcome::Completed) => {
            assert!(!turned_back && succeeded.len() == steps.len());
        }
        Some(Outcome::Compensated | Outcome::Cancelled) => {
            assert!(turned_back && open.is_empty());
            let mut expected: Vec<u32> = started;
            expected.retain(|step| {
                let had_effect = succeeded.contains(step) || doubtful.contains(step);
                steps[*step as usize].compensation_action.is_some() && had_effect
            });
            expected.reverse();
            assert_eq!(
                settled, expected,
                "taken back in reverse order of their start"
            );
        }
    }
}

fn number(step: usize) -> u32 {
    u32::try_from(step).unwrap()
}
