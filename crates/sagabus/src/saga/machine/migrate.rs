//! Another definition for a saga in flight, where all that it has begun stays the same.

use std::sync::Arc;

use super::state::Head;
use super::{Draft, Phase, State};
use crate::ledger::By;
use crate::saga::definition::{Changed, Definition};
use crate::saga::record::{Fact, PauseCause};

/// Why a definition does not fit a saga in flight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// It is that of another saga.
    #[error("definition is called `{name}`, and not as the saga's own")]
    Name {
        /// What it is called.
        name: String,
    },
    /// It has another concurrency key, or another limit of it, than the one that the saga waits for or holds.
    #[error("definition has another `concurrencyKey` than the saga was started with")]
    ConcurrencyKey,
    /// It lacks a step that the saga has begun.
    #[error("definition lacks step `{step}`, which has begun")]
    Removed {
        /// The step.
        step: String,
    },
    /// It has another form of a step that the saga has begun.
    #[error("definition changes `{}` of step `{step}`, which has begun", fields.join("`, `"))]
    Changed {
        /// The step.
        step: String,
        /// The fields that differ.
        fields: Vec<String>,
    },
    /// In it, a step that the saga has begun waits for one that is not done.
    #[error("definition has step `{needed}` done before step `{step}`, which has begun")]
    TooLate {
        /// The step that has begun.
        step: String,
        /// The one that is not done.
        needed: String,
    },
}

impl State {
    /// Why the saga cannot go on with `new` instead of its own definition, if so: what it has begun must be the same in both.
    #[must_use]
    pub fn misfit(&self, new: &Definition) -> Option<Misfit> {
        let old = self.definition();
        if old.name() != new.name() {
            let name = new.name().to_owned();
            return Some(Misfit::Name { name });
        }
        if old.options().concurrency_key != new.options().concurrency_key {
            return Some(Misfit::ConcurrencyKey);
        }
        let has_begun = |id: &str| {
            let own = self.position_of(id).and_then(|at| self.step(at));
            own.is_some_and(|step| step.attempts > 0 || step.phase != Phase::Pending)
        };
        for changed in new.changes_from(old).steps {
            match changed {
                Changed::Removed { step } if has_begun(&step) => {
                    return Some(Misfit::Removed { step });
                }
                Changed::Fields { step, fields } if has_begun(&step) => {
                    return Some(Misfit::Changed { step, fields });
                }
                Changed::Added { .. } | Changed::Removed { .. } | Changed::Fields { .. } => {}
            }
        }
        let id = |at: usize| new.steps().get(at).map_or("", |step| step.id.as_str());
        let is_done = |at: usize| {
            let own = self.position_of(id(at)).and_then(|at| self.step(at));
            own.is_some_and(super::StepState::is_done)
        };
        // A pivot is to come after more than its own dependencies.
        for step in (0..new.steps().len()).filter(|&at| has_begun(id(at))) {
            let mut needed = new.dependencies(step).iter();
            if let Some(&needed) = needed.find(|&&at| !is_done(at)) {
                let (step, needed) = (id(step).to_owned(), id(needed).to_owned());
                return Some(Misfit::TooLate { step, needed });
            }
        }
        None
    }

    /// Goes on with `new`: each step keeps where it stands, by its id; the items of lists stay behind the steps.
    pub(super) fn migrate(&mut self, new: Definition) {
        let old = self.definition().clone();
        let (before, after) = (old.steps().len(), new.steps().len());
        let place = |position: usize| match old.steps().get(position) {
            Some(step) => new.steps().iter().position(|it| it.id == step.id),
            None => Some(position - before + after),
        };
        let steps = new.steps().iter().map(|step| {
            let own = self.position_of(&step.id).and_then(|at| self.steps.get(at));
            own.cloned().unwrap_or_default()
        });
        let steps: Vec<_> = steps
            .chain(self.steps.iter().skip(before).cloned())
            .collect();
        let place_of = |step: u32| {
            let place = place(usize::try_from(step).unwrap_or(usize::MAX));
            place.and_then(|place| u32::try_from(place).ok())
        };
        for spread in Arc::make_mut(&mut self.spreads) {
            // A list that has begun is in both.
            spread.step = place(spread.step).unwrap_or(spread.step);
            spread.first = spread.first - before + after;
        }
        if let Some(paused) = &mut self.paused
            && let PauseCause::InDoubt(step) = paused.cause
        {
            paused.cause = PauseCause::InDoubt(place_of(step).unwrap_or(step));
        }
        self.steps = steps;
        self.head = Arc::new(Head {
            id: self.head.id.clone(),
            definition: new,
            input: self.head.input.clone(),
            correlation_id: Arc::clone(&self.head.correlation_id),
            idempotency_key: self.head.idempotency_key.clone(),
            attributes: self.head.attributes.clone(),
            priority: self.head.priority,
            concurrency_key: self.head.concurrency_key.clone(),
            causation_id: self.head.causation_id.clone(),
            parent: self.head.parent.clone(),
            trace: self.head.trace,
            started_at: self.head.started_at,
        });
    }
}

impl Draft<'_> {
    /// Goes on with another definition. Nothing of the saga is in flight.
    pub(super) fn begin_anew(&mut self, definition: &Definition, by: By) {
        self.record(Fact::Migrated {
            definition: definition.to_json(),
            hash: definition.hash().0,
            by,
        });
        self.arm_saga();
    }
}
