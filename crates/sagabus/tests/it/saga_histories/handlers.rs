//! Handlers that look at what is durable, and do as the seed says.

use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use sagabus::engines::embedded::simulation::{Chance, SimDisk};
use sagabus::saga::{CallContext, CompensationContext, StepContext, StepError};
use serde_json::json;

use super::notes::{Change, Notes, lock};
use super::{FAR, TIMEOUT};

pub(super) fn chance_of(seed: u64, key: &str, attempt: u32) -> Chance {
    let number = key
        .bytes()
        .fold(seed, |sum, byte| sum.rotate_left(7) ^ u64::from(byte));
    Chance::new(number ^ u64::from(attempt) << 32)
}

/// Whether the call comes by an event.
fn is_far(notes: &Mutex<Notes>, context: &CallContext) -> bool {
    let notes = lock(notes);
    let saga = context.saga_id().as_str();
    let is_known = notes.durable.contains_key(saga);
    let is_far = || {
        let log = notes.log(saga);
        log.find(context.step_id())
            .is_some_and(|unit| log.own(unit).service == FAR)
    };
    is_known && is_far()
}

/// Whether the log says that there is such a step, or such an item of a list.
fn is_durable(notes: &Mutex<Notes>, context: &CallContext) -> bool {
    let notes = lock(notes);
    let saga = context.saga_id().as_str();
    notes.durable.contains_key(saga) && notes.log(saga).find(context.step_id()).is_some()
}

/// A call that was looked at.
pub(super) struct Called {
    /// The key of its step.
    pub(super) key: String,
    step: usize,
    is_far: bool,
    is_calm: bool,
}

/// Looks at what is durable when the handler of a step is called.
pub(super) async fn called(disk: &SimDisk, notes: &Mutex<Notes>, context: &StepContext) -> Called {
    if disk.is_down() {
        // The process is gone already.
        return pending().await;
    }
    let key = format!("{}/{}", context.saga_id(), context.step_id());
    let is_far = is_far(notes, context);
    if is_far {
        // An event of a commit may be here before its committer knows that it is durable.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if disk.is_down() {
            return pending().await;
        }
    }
    if !is_durable(notes, context) {
        lock(notes).must(context.saga_id(), false, || {
            format!("{key} is called before its saga and step are durable")
        });
        return pending().await;
    }
    let mut notes = lock(notes);
    notes.calls += 1;
    let saga = context.saga_id().as_str();
    let log = notes.log(saga);
    let step = log.unit(context.step_id());
    let wrong = log.wrong_call(step, context);
    let is_new = notes.call(&key, context.attempt(), is_far);
    notes.must(context.saga_id(), is_new, || {
        format!("{key} is called twice with one attempt")
    });
    notes.must(context.saga_id(), wrong.is_none(), || {
        format!("{key} {}", wrong.unwrap_or_default())
    });
    Called {
        key,
        step,
        is_far,
        is_calm: notes.is_calm,
    }
}

/// The step is done.
pub(super) fn done(notes: &Mutex<Notes>, key: &str) {
    let mut notes = lock(notes);
    let effects = notes.effects.entry(key.to_owned()).or_default();
    effects.push(Change::Done);
}

/// A step's handler: looks at what is durable, and does as the seed says.
pub(super) async fn run(
    seed: u64,
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &StepContext,
) -> Result<serde_json::Value, StepError> {
    let Called {
        key,
        step,
        is_far,
        is_calm,
    } = called(disk, notes, context).await;
    if lock(notes).is_cut_short {
        return pending().await;
    }
    let effect = || done(notes, &key);
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
            // After a restart a part of the time is over already.
            let left = context.deadline().since(context.clock().now());
            tokio::time::sleep(left.min(TIMEOUT) + Duration::from_millis(milliseconds)).await;
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
                let is_said = notes.log(saga).says_stop(step, context.attempt());
                // A service stops by itself when the time is over that it was given.
                let is_over = is_far && context.clock().now() >= context.deadline();
                let is_excused = is_said || is_over || notes.is_closing || has_failed;
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
    if !is_far {
        // A reply may still be under way when nobody waits for it any more.
        lock(notes).returned.insert(key.clone());
    }
    Ok(json!({ "of": key, "attempt": context.attempt() }))
}

/// Looks at what is durable when the handler of a compensation is called.
pub(super) async fn called_back(
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &CompensationContext,
) -> Called {
    if disk.is_down() {
        return pending().await;
    }
    let key = context.step_key();
    let is_far = is_far(notes, context);
    if is_far {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if disk.is_down() {
            return pending().await;
        }
    }
    let mut notes = lock(notes);
    notes.compensations += 1;
    let saga = context.saga_id().as_str();
    let log = notes.log(saga);
    let step = log.unit(context.step_id());
    let wrong = log.wrong_compensation(step, context);
    let inside = notes
        .children
        .iter()
        .find(|(child, (parent, _))| parent == saga && !notes.log(child).has_ended());
    let wrong = wrong.or(inside.map(|(child, _)| format!("is called before {child} is over")));
    let is_new = notes.call(&context.key(), context.attempt(), is_far);
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
    Called {
        key,
        step,
        is_far,
        is_calm: notes.is_calm,
    }
}

/// A compensation's handler.
pub(super) async fn take_back(
    seed: u64,
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &CompensationContext,
) -> Result<(), StepError> {
    let Called { key, is_calm, .. } = called_back(disk, notes, context).await;
    if lock(notes).is_cut_short {
        return pending().await;
    }
    let mut chance = chance_of(!seed, &key, context.attempt());
    let effect = || lock(notes).take_back(context.saga_id().as_str(), context.step_id());
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
