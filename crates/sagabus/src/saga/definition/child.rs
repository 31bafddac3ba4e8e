//! Steps that are sagas of their own.

use super::{Definition, DefinitionError, Step, Wait};

/// Most sagas inside each other. Each level is one more saga to wait for, and nobody can see through more of them.
pub const DEPTH_MAX: usize = 4;

/// A saga that a step starts and waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// What it does. It is part of the definition that has it.
    pub definition: Definition,
    /// Where its input is: a JSON pointer, empty for all of it. Of a step that is done for each item of a list, the input of
    /// each child is the item.
    pub from: String,
    /// The step in whose output its input is, at any distance before this one. None: it is in the saga's input.
    pub step: Option<String>,
}

impl Step {
    /// The same step as a saga of its own, which is given the saga's input. Its output is an object with the outputs of the
    /// child's steps.
    #[must_use]
    pub fn child(self, definition: Definition) -> Self {
        self.waiting(Wait::Child(Child {
            definition,
            from: String::new(),
            step: None,
        }))
    }

    /// The same step, whose child is given what is at `pointer` in the saga's input.
    #[must_use]
    pub fn given(mut self, pointer: impl Into<String>) -> Self {
        if let Some(Wait::Child(child)) = &mut self.wait {
            child.from = pointer.into();
        }
        self
    }

    /// The same step, whose child is given what is at `pointer` in the output of `step`.
    #[must_use]
    pub fn given_of(mut self, step: impl Into<String>, pointer: impl Into<String>) -> Self {
        if let Some(Wait::Child(child)) = &mut self.wait {
            child.step = Some(step.into());
            child.from = pointer.into();
        }
        self
    }

    /// The definition of its child.
    pub(crate) fn child_definition(&self) -> Option<&Definition> {
        match &self.wait {
            Some(Wait::Child(child)) => Some(&child.definition),
            _ => None,
        }
    }
}

/// How many sagas are inside each other in these steps.
pub(super) fn depth(steps: &[Step]) -> usize {
    let children = steps.iter().filter_map(Step::child_definition);
    children.map(Definition::depth).max().unwrap_or(0) + 1
}

pub(super) fn check(step: &Step, child: &Child) -> Result<(), DefinitionError> {
    if let Some(field) = step.surplus_of_child() {
        return Err(DefinitionError::NotOfChild {
            step: step.id.clone(),
            field,
        });
    }
    if child.definition.depth() >= DEPTH_MAX {
        return Err(DefinitionError::TooDeep {
            step: step.id.clone(),
        });
    }
    if child.definition.options().concurrency_key.is_some() {
        return Err(DefinitionError::KeyInside {
            step: step.id.clone(),
        });
    }
    // The input is the item.
    let has_source = child.step.is_some() || !child.from.is_empty();
    if step.for_each.is_some() && has_source {
        return Err(DefinitionError::TwoInputs {
            step: step.id.clone(),
        });
    }
    Ok(())
}
