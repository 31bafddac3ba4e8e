//! What holds for the records of every saga, beside the laws that the kit for users' sagas knows.

use std::collections::BTreeMap;

use sagabus::saga::record::{Fact, Record, Verb};
use sagabus::saga::{Definition, SagaId};
use sagabus::sagatest;

use super::log::Log;

/// Times that a step is run again in a row because it was cut off, before its saga is paused.
const CUTS_MAX: u32 = 5;

/// What became of a step, or of its compensation, since its saga came further.
#[derive(Default)]
struct Tries {
    failures: u32,
    is_open: bool,
    cuts: u32,
}

/// Checks all laws of one saga.
pub(super) fn check_laws(id: &SagaId, definition: &Definition, records: &[Record]) {
    let found = sagatest::check_log(definition, records).map_err(|broken| broken.to_string());
    let found = found.and_then(|()| check(definition, records));
    found.unwrap_or_else(|broken| panic!("{id}: {broken} {records:?}"));
}

fn check(definition: &Definition, records: &[Record]) -> Result<(), String> {
    let log = Log {
        definition,
        records,
    };
    let (mut has_ended, mut is_closed) = (false, false);
    let mut tries: BTreeMap<(u32, bool), Tries> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        let must = |holds: bool, what: &str| match holds {
            true => Ok(()),
            false => Err(format!("record {number}: {what}")),
        };
        must(!is_closed, "something follows where nothing may")?;
        must(
            !has_ended || may_follow(&record.fact),
            "it goes on after its end",
        )?;
        match &record.fact {
            Fact::Ended { .. } => has_ended = true,
            Fact::Closed => is_closed = true,
            Fact::StepStarted { step, .. } | Fact::CompensationStarted { step, .. } => {
                let is_back = matches!(record.fact, Fact::CompensationStarted { .. });
                let own = tries.entry((*step, is_back)).or_default();
                own.cuts += u32::from(own.is_open);
                own.is_open = true;
                must(own.cuts <= CUTS_MAX, "a step is run again too often")?;
            }
            Fact::StepSucceeded { step, .. } => {
                progress(&mut tries);
                tries.entry((*step, false)).or_default().is_open = false;
            }
            Fact::CompensationSucceeded { step, .. } => {
                progress(&mut tries);
                tries.entry((*step, true)).or_default().is_open = false;
            }
            Fact::AttemptFailed { step, .. }
            | Fact::StepFailed { step, .. }
            | Fact::ForwardStuck { step, .. } => {
                let own = tries.entry((*step, false)).or_default();
                own.is_open = false;
                own.failures += 1;
                let tries_max = log.own(*step as usize).retry_attempts + 1;
                must(own.failures <= tries_max, "a step fails too often")?;
            }
            Fact::CompensationAttemptFailed { step, .. } | Fact::CompensationStuck { step, .. } => {
                tries.entry((*step, true)).or_default().is_open = false;
            }
            Fact::Operated { verb, .. } => {
                if *verb != Verb::Pause {
                    progress(&mut tries);
                }
                if *verb == Verb::Retry {
                    tries.values_mut().for_each(|own| own.failures = 0);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn progress(tries: &mut BTreeMap<(u32, bool), Tries>) {
    tries.values_mut().for_each(|own| own.cuts = 0);
}

/// What may be noted of a saga that is over.
fn may_follow(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Closed
            | Fact::Operated { .. }
            | Fact::LateResult { .. }
            | Fact::CompensationStarted { .. }
            | Fact::CompensationSucceeded { .. }
            | Fact::CompensationAttemptFailed { .. }
            | Fact::CompensationStuck { .. }
    )
}
