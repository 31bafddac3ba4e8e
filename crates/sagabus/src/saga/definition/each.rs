//! Steps that are done for each item of a list.

use std::num::NonZeroU32;

use super::{DefinitionError, Step};

/// Most items of all lists of one saga. Each is a step of its own, with records, events and a state that every decision looks
/// at: as many as a definition may have steps.
pub const ITEMS_MAX: usize = 1_000;
/// Longest JSON pointer, in bytes: it goes as deep as any JSON that is taken.
const POINTER_BYTES_MAX: usize = 1_000;
/// How many items are under way at one time where the step does not say.
pub(super) const AT_A_TIME: NonZeroU32 = match NonZeroU32::new(10) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// A list whose items are steps of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForEach {
    /// Where the list is: a JSON pointer, empty for all of it.
    pub from: String,
    /// The step in whose output it is, at any distance before this one. None: it is in the saga's input.
    pub step: Option<String>,
    /// How many items are under way at one time.
    pub concurrency: NonZeroU32,
}

impl Step {
    /// The same step, done for each item of the list at `pointer` in the saga's input, ten at a time. What holds for one
    /// step, such as its timeout and what takes it back, holds for each item; its output is the list of theirs.
    #[must_use]
    pub fn for_each(mut self, pointer: impl Into<String>) -> Self {
        self.for_each = Some(ForEach {
            from: pointer.into(),
            step: None,
            concurrency: AT_A_TIME,
        });
        self
    }

    /// The same step, done for each item of the list at `pointer` in the output of `step`, as [`Step::for_each`].
    #[must_use]
    pub fn for_each_of(self, step: impl Into<String>, pointer: impl Into<String>) -> Self {
        let mut own = self.for_each(pointer);
        if let Some(list) = &mut own.for_each {
            list.step = Some(step.into());
        }
        own
    }

    /// The same step, with so many items under way at one time.
    #[must_use]
    pub fn at_a_time(mut self, concurrency: NonZeroU32) -> Self {
        if let Some(list) = &mut self.for_each {
            list.concurrency = concurrency;
        }
        self
    }
}

/// Checks that a field which says where something is can lead somewhere.
pub(super) fn check_pointer(
    step: &Step,
    field: &'static str,
    pointer: &str,
) -> Result<(), DefinitionError> {
    if is_pointer(pointer) {
        return Ok(());
    }
    let step = step.id.clone();
    Err(DefinitionError::Pointer { step, field })
}

/// Whether this is a JSON pointer.
pub(super) fn is_pointer(pointer: &str) -> bool {
    let starts = pointer.is_empty() || pointer.starts_with('/');
    let mut escaped = pointer.split('~').skip(1);
    let is_escaped = escaped.all(|rest| rest.starts_with(['0', '1']));
    starts && is_escaped && pointer.len() <= POINTER_BYTES_MAX
}
