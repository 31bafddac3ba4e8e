//! Every event goes into the trail, once; the trail's own events and signs of life do not.

use std::sync::Arc;

use sagabus::event::Payload;
use sagabus::saga::remote::StepProgressed;
use sagabus::{Event, Result};

use crate::model::Act;
use crate::repository as rows;
use crate::service::{AuditService, alerts, record};

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
    /// that the trail has is not added again. Of one whose entry was emptied it is said once that it came again.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// The event has its whole effect or none.
    pub async fn consume(&self, event: &Event) -> Result<()> {
        self.consume_all([event]).await
    }

    /// Takes several events in one transaction, in their order, each as [`AuditService::consume`] does.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// All events have their whole effect, or none has any.
    pub async fn consume_all<'e>(&self, events: impl IntoIterator<Item = &'e Event>) -> Result<()> {
        let wanted = events.into_iter().filter(|event| wants(event));
        let acts: Vec<_> = wanted
            .map(|event| (event.id.clone(), Act::of_event(event)))
            .collect();
        if acts.is_empty() {
            return Ok(());
        }
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                let mut told = Vec::with_capacity(acts.len());
                let alerts = alerts(tx);
                for (event_id, act) in &acts {
                    let id = event_id.as_str();
                    if rows::has_event(tx, id)? {
                        continue;
                    }
                    let is_emptied = rows::is_emptied(tx, id)?;
                    let repeated = is_emptied.then(|| act.repeated(id, clock.now()));
                    let act = repeated.as_ref().unwrap_or(act);
                    told.extend(record(tx, act, &alerts, &*clock)?.1);
                }
                Ok(((), told))
            })
            .await
    }
}
