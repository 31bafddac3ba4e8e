//! The pivot: the one step after whose success a saga is only brought to its end and never taken back.

use super::place::InvalidDefinition;
use super::{DefinitionError, Step};

/// The pivot of a definition.
pub(super) struct Pivot {
    pub(super) step: usize,
    /// Per step, whether it follows from the pivot.
    pub(super) followers: Vec<bool>,
}

impl Pivot {
    /// Finds the pivot and makes every step that does not follow from it a dependency of it. Without circles before, there
    /// are none afterwards, since nothing that becomes a dependency depends on it.
    pub(super) fn find(
        steps: &[Step],
        dependencies: &mut [Vec<usize>],
    ) -> Result<Option<Self>, InvalidDefinition> {
        let mut pivots = steps.iter().enumerate().filter(|(_, step)| step.pivot);
        let Some((pivot, first)) = pivots.next() else {
            return Ok(None);
        };
        if let Some((at, second)) = pivots.next() {
            let fault = DefinitionError::TwoPivots {
                first: first.id.clone(),
                second: second.id.clone(),
            };
            return Err(fault.in_step(at));
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
