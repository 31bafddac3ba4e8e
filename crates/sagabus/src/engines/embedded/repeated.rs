//! What is answered to an event that is stored already.

use super::Shared;
use super::record::{self, Schedule};
use crate::error::Result;
use crate::event::{Event, EventId};
use crate::transport::{Receipt, Waiting};

impl Shared {
    /// The receipt of an event that is stored at `position`, whether it is published or waits for its time.
    pub(super) async fn repeated(&self, event: &Event, position: u64) -> Result<Receipt> {
        let waits = self.waiting(position).map(|(due, cancel_key)| {
            Box::new(Waiting {
                due,
                cancel_key: cancel_key.map(|it| it.to_string()),
            })
        });
        // Without an idempotency key it was found by its id.
        let id = match event.idempotency_key {
            Some(_) => self.id_at(position).await?,
            None => event.id.clone(),
        };
        Ok(Receipt {
            id,
            position,
            duplicate: true,
            waits,
        })
    }

    async fn id_at(&self, position: u64) -> Result<EventId> {
        if let Some(event) = self.hub.read(|state| state.tail.get(position)) {
            return Ok(event.id.clone());
        }
        let read = move |log: &super::log::Shared| {
            let mut found = None;
            log.read(position, &mut |at, kind, content| {
                found = match kind {
                    _ if at != position => None,
                    record::EVENT => Some(record::decode_event(content)?.id),
                    record::SCHEDULE => match record::decode(content)? {
                        Schedule::Set { event, .. } => Some(record::decode_event(&event)?.id),
                        _ => None,
                    },
                    _ => None,
                };
                Ok(false)
            })?;
            found.ok_or_else(|| super::no_event(position))
        };
        self.at_disk(read).await
    }
}
