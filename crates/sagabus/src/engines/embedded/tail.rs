//! The latest events, kept in memory so that subscriptions that keep up never read the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;

/// Memory for the latest events, counted by their payloads and an allowance for the rest (16 MiB).
const TAIL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Allowance for what an event takes besides its payload.
const EVENT_BYTES: usize = 512;

/// The latest events, without a gap up to `head`.
#[derive(Debug)]
pub(crate) struct Tail {
    events: VecDeque<(u64, Arc<Event>)>,
    bytes: usize,
    /// Every event from this position on is here.
    start: u64,
    /// Position after the latest event.
    head: u64,
}

impl Tail {
    pub(crate) fn new(head: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            start: head,
            head,
        }
    }

    /// Takes the events and leaves those that had to go in their place.
    pub(crate) fn push_all(&mut self, events: &mut Vec<(u64, Arc<Event>)>) {
        for (position, event) in events.drain(..) {
            self.bytes += EVENT_BYTES + event.data.len();
            self.head = position + 1;
            self.events.push_back((position, event));
        }
        while self.bytes > TAIL_BYTES_MAX
            && let Some((oldest, event)) = self.events.pop_front()
        {
            self.bytes -= EVENT_BYTES + event.data.len();
            self.start = oldest + 1;
            events.push((oldest, event));
        }
    }

    /// Position after the latest event.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Events from `position` on; `None` when older ones than the oldest here are wanted.
    pub(crate) fn from(&self, position: u64) -> Option<impl Iterator<Item = &(u64, Arc<Event>)>> {
        if position < self.start {
            return None;
        }
        let first = self.events.partition_point(|(it, _)| *it < position);
        Some(self.events.range(first..))
    }

    /// The event at `position`, if it is here.
    pub(crate) fn get(&self, position: u64) -> Option<Arc<Event>> {
        let first = self.events.partition_point(|(it, _)| *it < position);
        self.events
            .get(first)
            .filter(|(it, _)| *it == position)
            .map(|(_, event)| Arc::clone(event))
    }
}
