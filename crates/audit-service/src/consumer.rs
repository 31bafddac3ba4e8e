//! Every event goes into the trail, once; the trail's own events and signs of life do not.

use std::sync::Arc;

use sagabus::event::Payload;
use sagabus::saga::remote::StepProgressed;
use sagabus::{Event, Result};

use crate::model::Act;
use crate::repository as rows;
use crate::service::{AuditService, record};

/// Name of the subscription.
pub const CONSUMER: &str = "audit-service";
/// Event types to subscribe to.
pub const PATTERNS: &[&str] = &["**"];

/// Whether the trail takes this event: its own would make more of themselves for ever, and that a handler is still at work is
/// nothing that was done.
#[must_use]
pub fn wants(event: &Event) -> bool {
    let event_type = event.event_type.as_str();
    !event_type.starts_with("audit.") && event_type != StepProgressed::TYPE
}

impl AuditService {
    /// Takes one event: adds an entry and publishes `audit.entry_recorded`. The entry's event id is the inbox: an event
    /// that the trail has is not added again.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// The event has its whole effect or none.
    pub async fn consume(&self, event: &Event) -> Result<()> {
        if !wants(event) {
            return Ok(());
        }
        let act = Act::of_event(event);
        let event_id = event.id.clone();
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                if rows::has_event(tx, event_id.as_str())? {
                    return Ok(((), vec![]));
                }
                Ok(((), vec![record(tx, &act, &*clock)?]))
            })
            .await
    }
}
