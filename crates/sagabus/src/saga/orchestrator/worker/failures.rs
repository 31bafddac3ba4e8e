//! What the log of the process says of attempts of a saga that failed.

use super::Worker;
use crate::saga::record::{Effect, Fact, Record};

impl Worker {
    /// Says which attempts failed, and how. Their words stay out: they may hold personal data, and the status of the saga has
    /// them.
    pub(super) fn tell_failures(&self, records: &[Record]) {
        for record in records {
            match &record.fact {
                Fact::AttemptFailed {
                    step,
                    attempt,
                    effect,
                    retry_at,
                    ..
                } => tracing::warn!(
                    saga_id = %self.saga.id,
                    step = self.shown(*step),
                    attempt,
                    outcome = words(*effect),
                    %retry_at,
                    "attempt of a saga step failed"
                ),
                Fact::StepFailed {
                    step,
                    attempt,
                    effect,
                    ..
                } => tracing::warn!(
                    saga_id = %self.saga.id,
                    step = self.shown(*step),
                    attempt,
                    outcome = words(*effect),
                    "step of a saga failed for good"
                ),
                Fact::CompensationAttemptFailed {
                    step,
                    attempt,
                    retry_at,
                    ..
                } => tracing::warn!(
                    saga_id = %self.saga.id,
                    step = self.shown(*step),
                    attempt,
                    %retry_at,
                    "attempt of a compensation failed"
                ),
                _ => {}
            }
        }
    }

    /// The step as its definition names it.
    fn shown(&self, step: u32) -> String {
        let state = self.saga.state();
        let position = usize::try_from(step).unwrap_or(usize::MAX);
        let step = state.step_of(position);
        step.map(|step| step.id.clone()).unwrap_or_default()
    }
}

/// Whether the step has to be taken back.
fn words(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "failed without an effect",
        Effect::Unknown => "in doubt",
    }
}
