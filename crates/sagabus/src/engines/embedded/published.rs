//! Counts what was stored, by type and source; on the threads of those who publish.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::event::Event;
use crate::transport::Published;

/// Most types and most sources counted by name; the rest is counted together.
const NAMES_MAX: usize = 1000;
/// Name under which the rest is counted.
const OTHERS: &str = "(others)";

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<Published>);

impl Counter {
    pub(crate) fn add<'a>(&self, events: impl Iterator<Item = &'a Event>) {
        let mut events = events.peekable();
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = events.next() {
            let is_alike =
                |it: &&Event| it.event_type == event.event_type && it.source == event.source;
            let mut alike = 1;
            while events.next_if(is_alike).is_some() {
                alike += 1;
            }
            published.total += alike;
            count(&mut published.by_type, event.event_type.as_str(), alike);
            count(&mut published.by_source, &event.source, alike);
        }
    }

    pub(crate) fn get(&self) -> Published {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, events: u64) {
    if let Some(count) = counts.get_mut(name) {
        *count += events;
    } else if counts.len() < NAMES_MAX {
        counts.insert(name.to_owned(), events);
    } else {
        *counts.entry(OTHERS.to_owned()).or_default() += events;
    }
}
