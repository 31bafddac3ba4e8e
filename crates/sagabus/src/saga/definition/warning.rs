//! What is said in a definition and has no effect: no reason to refuse it, and one to look at it again.

use super::check::in_dependencies;
use super::place::Place;
use super::{Definition, Step};

/// Something that is said and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: WarningKind,
}

/// What is said without effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WarningKind {
    /// A step names one dependency twice.
    #[error("step `{step}` depends on `{dependency}` twice")]
    RepeatedDependency {
        /// The step.
        step: String,
        /// What it names twice.
        dependency: String,
    },
    /// A step that is not tried again has a delay before it is.
    #[error("`retryDelay` of step `{step}` is never used: it has no `retryAttempts`")]
    UnusedRetryDelay {
        /// The step.
        step: String,
    },
    /// A step that follows from the pivot is never taken back.
    #[error("`compensationAction` of step `{step}` is never used: the step follows from the pivot")]
    UnusedCompensation {
        /// The step.
        step: String,
    },
}

pub(super) fn warnings(definition: &Definition) -> Vec<Warning> {
    let mut found = Vec::new();
    for (index, step) in definition.steps().iter().enumerate() {
        found.extend(of_step(index, step));
        if step.compensation_action.is_some() && definition.is_after_pivot(index) {
            let step = step.id.clone();
            let place = Place::in_step(index, "compensationAction");
            let kind = WarningKind::UnusedCompensation { step };
            found.push(Warning { place, kind });
        }
    }
    found
}

fn of_step(index: usize, step: &Step) -> Vec<Warning> {
    let mut found = Vec::new();
    for (entry, dependency) in step.dependencies.iter().enumerate() {
        let mut before = step.dependencies.iter().take(entry);
        if before.any(|it| it == dependency) {
            let kind = WarningKind::RepeatedDependency {
                step: step.id.clone(),
                dependency: dependency.clone(),
            };
            let place = in_dependencies(index, entry);
            found.push(Warning { place, kind });
        }
    }
    if step.retry_delay.is_some() && step.retry_attempts == 0 {
        let place = Place::in_step(index, "retryDelay");
        let step = step.id.clone();
        let kind = WarningKind::UnusedRetryDelay { step };
        found.push(Warning { place, kind });
    }
    found
}
