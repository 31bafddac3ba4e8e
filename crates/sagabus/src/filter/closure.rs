//! Filters that are code of this process: a name and a function.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Outcome;
use crate::event::Event;

/// A function with a name, which is all that can be shown and compared of it.
#[derive(Clone)]
pub(super) struct Closure {
    name: Arc<str>,
    passes: Arc<dyn Fn(&Event) -> bool + Send + Sync>,
}

impl Closure {
    pub(super) fn new(name: &str, passes: Arc<dyn Fn(&Event) -> bool + Send + Sync>) -> Self {
        Self {
            name: name.into(),
            passes,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Calls it; a panic is an error of the filter.
    pub(super) fn call(&self, event: &Event) -> Outcome {
        // What a closure leaves half done in its own state is its own affair; of the event it can change nothing.
        match catch_unwind(AssertUnwindSafe(|| (self.passes)(event))) {
            Ok(true) => Outcome::Pass,
            Ok(false) => Outcome::Skip,
            Err(panic) => {
                let said = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                let said = said.unwrap_or("no text");
                Outcome::Error(format!("the closure `{}` panicked: {said}", self.name))
            }
        }
    }
}

impl PartialEq for Closure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Closure {}
