//! What the measurements publish, and to where.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::{Bus, Event, EventType, SystemClock};

use crate::cli::Failure;

/// Bytes that the envelope of such an event takes in the log.
const ENVELOPE_BYTES: usize = 95;
/// Bytes of the JSON around the filler.
const FRAME_BYTES: usize = 13;
/// Events published together where the measurement is of something else.
const BATCH_EVENTS: usize = 1000;

/// Events of one size.
#[derive(Clone, Debug)]
pub(super) struct Load {
    event_type: EventType,
    payload: Bytes,
}

impl Load {
    /// Events of about so many bytes as stored.
    pub(super) fn new(event_bytes: usize) -> Result<Self, Failure> {
        let filler = event_bytes.saturating_sub(ENVELOPE_BYTES + FRAME_BYTES);
        Ok(Self {
            event_type: EventType::new("bench.published")?,
            payload: Bytes::from(format!("{{\"filler\":\"{}\"}}", "x".repeat(filler))),
        })
    }

    pub(super) fn event(&self, bus: &Bus) -> Event {
        Event::raw(
            self.event_type.clone(),
            "bench",
            self.payload.clone(),
            bus.clock().as_ref(),
        )
    }

    /// Publishes so many, many at a time.
    pub(super) async fn publish(&self, bus: &Bus, events: usize) -> Result<(), Failure> {
        let mut left = events;
        while left > 0 {
            let count = left.min(BATCH_EVENTS);
            let batch = (0..count).map(|_| self.event(bus)).collect();
            bus.publish_batch(batch).await?;
            left -= count;
        }
        Ok(())
    }
}

/// A bus over the engine in a directory.
pub(super) fn durable(dir: &Path, settings: &Settings) -> Result<Bus, Failure> {
    let engine = Embedded::open(dir, settings, Arc::new(SystemClock))?;
    Ok(Bus::builder(Arc::new(engine), Arc::new(SystemClock)).build()?)
}

/// A bus in memory.
pub(super) fn memory() -> Result<Bus, Failure> {
    let engine = Embedded::in_memory(Arc::new(SystemClock))?;
    Ok(Bus::builder(Arc::new(engine), Arc::new(SystemClock)).build()?)
}
