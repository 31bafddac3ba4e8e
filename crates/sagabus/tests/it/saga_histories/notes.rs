//! What is durable, what handlers did, and what broke.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use sagabus::saga::record::Record;
use sagabus::saga::{Definition, SagaId};

/// What happened to the effect of a step, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Done,
    TakenBack,
}

/// What is durable, what the handlers did, and what broke.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Records that the store has acknowledged or handed back.
    pub(super) durable: BTreeMap<String, Vec<Record>>,
    pub(super) definitions: BTreeMap<String, Definition>,
    /// By the key of the step.
    pub(super) effects: BTreeMap<String, Vec<Change>>,
    /// Attempts whose handler was called, of steps and of compensations.
    pub(super) called: BTreeSet<(String, u32)>,
    /// Steps whose handler returned an output in this life.
    pub(super) returned: BTreeSet<String>,
    /// Handlers fail no more.
    pub(super) is_calm: bool,
    /// The process ends in good order, which tells handlers to stop.
    pub(super) is_closing: bool,
    pub(super) calls: u64,
    pub(super) compensations: u64,
    pub(super) stops: u64,
    pub(super) broken: Option<String>,
}

pub(super) fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap()
}

impl Notes {
    pub(super) fn must(&mut self, saga: &SagaId, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            let records = self
                .durable
                .get(saga.as_str())
                .map_or(&[][..], Vec::as_slice);
            let facts: Vec<_> = records.iter().skip(1).map(|it| &it.fact).collect();
            self.broken = Some(format!("{} {facts:?}", what()));
        }
    }
}

pub(super) fn at(step: usize) -> u32 {
    u32::try_from(step).unwrap()
}
