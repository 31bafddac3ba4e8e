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
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            published.total += 1;
            count(&mut published.by_type, event.event_type.as_str());
            count(&mut published.by_source, &event.source);
        }
    }

    pub(crate) fn get(&self) -> Published {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < NAMES_MAX {
        counts.insert(name.to_owned(), 1);
    } else {
        *counts.entry(OTHERS.to_owned()).or_default() += 1;
    }
}
