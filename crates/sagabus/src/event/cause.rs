//! Why an act is done: the piece of work it belongs to, and the event that led to it.

use super::name::uuid_v7;
use super::{Event, EventId};
use crate::clock::Clock;

/// Why an act is done; every event of the act carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The piece of work that the act belongs to.
    pub correlation_id: String,
    /// The event that led to the act, where one did.
    pub causation_id: Option<EventId>,
}

impl Cause {
    /// An act that begins a piece of work, or belongs to the one named.
    #[must_use]
    pub fn new(correlation_id: Option<String>, clock: &dyn Clock) -> Self {
        Self {
            correlation_id: correlation_id.unwrap_or_else(|| uuid_v7(clock)),
            causation_id: None,
        }
    }

    /// An act that answers `event`.
    #[must_use]
    pub fn event(event: &Event) -> Self {
        Self {
            correlation_id: event
                .correlation_id
                .clone()
                .unwrap_or_else(|| event.id.to_string()),
            causation_id: Some(event.id.clone()),
        }
    }
}

impl Event {
    /// The same event with its cause.
    #[must_use]
    pub fn because(mut self, cause: &Cause) -> Self {
        self.correlation_id = Some(cause.correlation_id.clone());
        self.causation_id.clone_from(&cause.causation_id);
        self
    }
}
