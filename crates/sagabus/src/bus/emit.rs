//! Events that a handler answers with, and the state that it is given.

use sha2::{Digest, Sha256};

use super::handler::Delivery;
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::event::{Event, EventId, Payload};

/// What a handler was registered with, as an argument of a function under `#[subscriber]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

/// Events that follow from the one handled, published as its delivery is acked: both are stored in one append, or neither.
///
/// Cause and correlation are taken from the event handled. The id is made from its id, the name of the subscription and
/// the place in this list, so that a handler that runs again for an event that was acked, as in a replay, publishes
/// nothing twice within the window of deduplication; and so does one on an engine that cannot store both together
/// ([`Property::EmitWithAck`](crate::transport::Property::EmitWithAck)), where they are published before the ack. For
/// that it must emit the same events in the same order; what it emits on a redrive of another revision are new events.
#[derive(Debug, Default)]
#[must_use = "events are published when the handler returns them"]
pub struct Emit {
    events: Vec<Result<Event>>,
}

impl Emit {
    /// No event.
    pub fn none() -> Self {
        Self::default()
    }

    /// One event that carries `payload`. Where the payload breaks a rule of its type, the delivery becomes a dead letter.
    pub fn of<P: Payload>(payload: &P) -> Self {
        Self::none().and(payload)
    }

    /// One more event that carries `payload`.
    pub fn and<P: Payload>(self, payload: &P) -> Self {
        self.and_event(Event::new(payload, &Unset))
    }

    /// One more event; its id, time and cause are set when it is published.
    pub fn event(self, event: Event) -> Self {
        self.and_event(Ok(event))
    }

    fn and_event(mut self, event: Result<Event>) -> Self {
        self.events.push(event);
        self
    }

    /// The events as consequences of `delivery`.
    ///
    /// # Errors
    /// `Invalid` when a payload broke a rule of its type.
    pub(crate) fn into_events(self, delivery: &Delivery, now: Timestamp) -> Result<Vec<Event>> {
        let span = delivery.trace();
        let numbered = self.events.into_iter().enumerate();
        numbered
            .map(|(index, event)| {
                let mut event = event?.caused_by(&delivery.event);
                event.id = derived_id(delivery, index)?;
                event.time = now;
                if let Some(span) = &span {
                    span.mark(&mut event);
                }
                Ok(event)
            })
            .collect()
    }
}

impl From<()> for Emit {
    fn from((): ()) -> Self {
        Self::none()
    }
}

/// A UUID made from what the event follows from (version 8, RFC 9562).
fn derived_id(delivery: &Delivery, index: usize) -> Result<EventId> {
    let mut hash = Sha256::new();
    for part in [delivery.event.id.as_str(), &delivery.subscription] {
        // With its length first, no part can run into the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update((index as u64).to_be_bytes());
    hash.update(delivery.revision.to_be_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    EventId::new(id.hyphenated().to_string())
}

/// The clock of events whose id and time are set later.
#[derive(Debug)]
struct Unset;

impl Clock for Unset {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn random(&self) -> u64 {
        0
    }
}
