//! Handlers that look at what is durable, and do as the seed says.

use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use sagabus::engines::embedded::simulation::{Chance, SimDisk};
use sagabus::saga::{CallContext, CompensationContext, StepContext, StepError};
use serde_json::json;

use super::TIMEOUT;
use super::log::Log;
use super::notes::{Change, Notes, lock};

pub(super) fn position(notes: &Notes, context: &CallContext) -> usize {
    let steps = notes.definitions[context.saga_id().as_str()].steps();
    steps
        .iter()
        .position(|step| step.id == context.step_id())
        .unwrap()
}

pub(super) fn chance_of(seed: u64, key: &str, attempt: u32) -> Chance {
    let number = key
        .bytes()
        .fold(seed, |sum, byte| sum.rotate_left(7) ^ u64::from(byte));
    Chance::new(number ^ u64::from(attempt) << 32)
}

/// A step's handler: looks at what is durable, and does as the seed says.
pub(super) async fn run(
    seed: u64,
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &StepContext,
) -> Result<serde_json::Value, StepError> {
    if disk.is_down() {
        // The process is gone already.
        return pending().await;
    }
    let key = format!("{}/{}", context.saga_id(), context.step_id());
    if !lock(notes).durable.contains_key(context.saga_id().as_str()) {
        lock(notes).must(context.saga_id(), false, || {
            format!("{key} is called before its saga is durable")
        });
        return pending().await;
    }
    let (step, is_calm) = {
        let mut notes = lock(notes);
        notes.calls += 1;
        let saga = context.saga_id().as_str();
        let step = position(&notes, context);
        let log = Log {
            definition: &notes.definitions[saga],
            records: &notes.durable[saga],
        };
        let wrong = log.wrong_call(step, context);
        let is_new = notes.called.insert((key.clone(), context.attempt()));
        notes.must(context.saga_id(), is_new, || {
            format!("{key} is called twice with one attempt")
        });
        notes.must(context.saga_id(), wrong.is_none(), || {
            format!("{key} {}", wrong.unwrap_or_default())
        });
        (step, notes.is_calm)
    };
    let effect = || {
        lock(notes)
            .effects
            .entry(key.clone())
            .or_default()
            .push(Change::Done)
    };
    let mut chance = chance_of(seed, &key, context.attempt());
    let what = if is_calm { 15 } else { chance.below(20) };
    let milliseconds = chance.below(900);
    match what {
        0 => return Err(StepError::Reject("never".to_owned())),
        1 | 2 => return Err(StepError::Retry("not yet".to_owned())),
        3 => {
            effect();
            return Err(StepError::InDoubt("no answer".to_owned()));
        }
        4 => {
            effect();
            std::panic::resume_unwind(Box::new("a handler that panics"));
        }
        5 => return pending().await,
        // Deaf, and late.
        6 | 7 => {
            tokio::time::sleep(TIMEOUT + Duration::from_millis(milliseconds)).await;
            if disk.is_down() {
                return pending().await;
            }
            effect();
        }
        8..=10 => {
            let stopped = tokio::select! {
                () = context.cancelled().cancelled() => true,
                () = tokio::time::sleep(Duration::from_millis(2 * milliseconds)) => false,
            };
            if disk.is_down() {
                return pending().await;
            }
            if stopped {
                let has_failed = disk.has_failed_sync();
                let mut notes = lock(notes);
                notes.stops += 1;
                let saga = context.saga_id().as_str();
                let log = Log {
                    definition: &notes.definitions[saga],
                    records: &notes.durable[saga],
                };
                let is_said = log.says_stop(step, context.attempt());
                let is_excused = is_said || notes.is_closing || has_failed;
                notes.must(context.saga_id(), is_excused, || {
                    format!("{key} is told to stop before that is durable")
                });
                return Err(StepError::Reject("stopped without an effect".to_owned()));
            }
            effect();
        }
        11 => {
            effect();
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            if disk.is_down() {
                return pending().await;
            }
        }
        _ => effect(),
    }
    lock(notes).returned.insert(key.clone());
    Ok(json!({ "of": key, "attempt": context.attempt() }))
}

/// A compensation's handler.
pub(super) async fn take_back(
    seed: u64,
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &CompensationContext,
) -> Result<(), StepError> {
    if disk.is_down() {
        return pending().await;
    }
    let key = context.step_key();
    let is_calm = {
        let mut notes = lock(notes);
        notes.compensations += 1;
        let saga = context.saga_id().as_str();
        let step = position(&notes, context);
        let log = Log {
            definition: &notes.definitions[saga],
            records: &notes.durable[saga],
        };
        let wrong = log.wrong_compensation(step, context);
        let is_new = notes.called.insert((context.key(), context.attempt()));
        notes.must(context.saga_id(), is_new, || {
            format!("{} is called twice with one attempt", context.key())
        });
        notes.must(context.saga_id(), wrong.is_none(), || {
            format!("the compensation of {key} {}", wrong.unwrap_or_default())
        });
        let knows = context.step_output().is_some() || !notes.returned.contains(&key);
        notes.must(context.saga_id(), knows, || {
            format!("the compensation of {key} is not given what that returned")
        });
        notes.is_calm
    };
    let mut chance = chance_of(!seed, &key, context.attempt());
    let effect = || {
        lock(notes)
            .effects
            .entry(key.clone())
            .or_default()
            .push(Change::TakenBack)
    };
    match if is_calm { 15 } else { chance.below(16) } {
        0 => Err(StepError::Reject("never".to_owned())),
        1..=3 => Err(StepError::Retry("not yet".to_owned())),
        4 => {
            effect();
            Err(StepError::InDoubt("no answer".to_owned()))
        }
        5 => pending().await,
        6 => {
            tokio::time::sleep(Duration::from_millis(chance.below(900))).await;
            if disk.is_down() {
                return pending().await;
            }
            effect();
            Ok(())
        }
        _ => {
            effect();
            Ok(())
        }
    }
}
