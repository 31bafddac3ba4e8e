//! The pivot: the one step after whose success a saga is only brought to its end and never taken back.

use std::fmt;

use super::{DefinitionError, Step};

/// The pivot of a definition.
pub(super) struct Pivot {
    pub(super) step: usize,
    /// Per step, whether it follows from the pivot.
    pub(super) followers: Vec<bool>,
}

/// What a definition may say although it can hardly be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A step that follows from the pivot is never taken back.
    UnusedCompensation {
        /// The step.
        step: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnusedCompensation { step } => write!(
                f,
                "`compensationAction` of step `{step}` is never used: the step follows from the pivot"
            ),
        }
    }
}

impl Pivot {
    /// Finds the pivot and makes every step that does not follow from it a dependency of it. Without circles before, there
    /// are none afterwards, since nothing that becomes a dependency depends on it.
    pub(super) fn find(
        steps: &[Step],
        dependencies: &mut [Vec<usize>],
    ) -> Result<Option<Self>, DefinitionError> {
        let mut pivots = steps.iter().enumerate().filter(|(_, step)| step.pivot);
        let Some((pivot, first)) = pivots.next() else {
            return Ok(None);
        };
        if let Some((_, second)) = pivots.next() {
            return Err(DefinitionError::TwoPivots {
                first: first.id.clone(),
                second: second.id.clone(),
            });
        }
        let followers = followers(pivot, dependencies);
        if let Some(needs) = dependencies.get_mut(pivot) {
            let others = followers.iter().enumerate();
            let before = others.filter(|&(step, follows)| !follows && step != pivot);
            // Those that were written come first, in their order.
            let implied: Vec<usize> = before
                .map(|(step, _)| step)
                .filter(|step| !needs.contains(step))
                .collect();
            needs.extend(implied);
        }
        let step = pivot;
        Ok(Some(Self { step, followers }))
    }
}

/// Per step, whether it depends on `step`, at any distance.
pub(super) fn followers(step: usize, dependencies: &[Vec<usize>]) -> Vec<bool> {
    let mut dependents = vec![Vec::new(); dependencies.len()];
    for (dependent, needs) in dependencies.iter().enumerate() {
        for &need in needs {
            if let Some(list) = dependents.get_mut(need) {
                list.push(dependent);
            }
        }
    }
    let mut found = vec![false; dependencies.len()];
    let mut open = vec![step];
    while let Some(next) = open.pop() {
        for &dependent in dependents.get(next).into_iter().flatten() {
            if let Some(seen) = found.get_mut(dependent)
                && !*seen
            {
                *seen = true;
                open.push(dependent);
            }
        }
    }
    found
}
