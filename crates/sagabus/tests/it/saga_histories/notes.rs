//! What is durable, what handlers did, and what broke.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use sagabus::saga::record::{Fact, Record};
use sagabus::saga::{Definition, SagaId, Wait};

use super::log::Log;

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
    /// By the id of a child: its parent's, and what it was given.
    pub(super) children: BTreeMap<String, (String, Bytes)>,
    /// By the key of the step.
    pub(super) effects: BTreeMap<String, Vec<Change>>,
    /// Attempts whose handler was called, of steps and of compensations.
    pub(super) called: BTreeSet<(String, u32)>,
    /// Attempts that a service elsewhere was asked for, in this life.
    pub(super) called_far: BTreeSet<(String, u32)>,
    /// Steps whose handler returned an output in this life.
    pub(super) returned: BTreeSet<String>,
    /// Handlers fail no more.
    pub(super) is_calm: bool,
    /// The process ends before any handler does.
    pub(super) is_cut_short: bool,
    /// The process ends in good order, which tells handlers to stop.
    pub(super) is_closing: bool,
    pub(super) calls: u64,
    pub(super) far: u64,
    pub(super) compensations: u64,
    pub(super) stops: u64,
    pub(super) broken: Option<String>,
}

pub(super) fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap()
}

impl Notes {
    /// Notes what the first record of a saga says.
    pub(super) fn created(&mut self, saga: &str, first: &Record) {
        let Fact::Created {
            definition,
            parent,
            input,
            ..
        } = &first.fact
        else {
            panic!("{saga} begins with {first:?}");
        };
        let definition = Definition::from_pinned(definition).unwrap();
        self.definitions.insert(saga.to_owned(), definition);
        if let Some(parent) = parent {
            let from = (parent.clone(), input.clone());
            self.children.insert(saga.to_owned(), from);
        }
    }

    pub(super) fn log(&self, saga: &str) -> Log<'_> {
        Log {
            definition: &self.definitions[saga],
            records: &self.durable[saga],
        }
    }

    /// The children of a saga that its unit started: one for each attempt at most.
    pub(super) fn children_of(&self, saga: &str, unit: usize) -> Vec<&str> {
        let log = self.log(saga);
        let name = &log.own(unit).id;
        let item = log.item(unit);
        let children = self.children.iter().filter(|(child, (parent, input))| {
            let is_named = self.definitions[child.as_str()].name() == name;
            parent == saga && is_named && item.as_ref().is_none_or(|item| item == input)
        });
        children.map(|(child, _)| child.as_str()).collect()
    }

    /// Notes a call; whether it is the first of its attempt. What a service is asked for it does again in the next life.
    pub(super) fn call(&mut self, key: &str, attempt: u32, is_far: bool) -> bool {
        let call = (key.to_owned(), attempt);
        match is_far {
            true => {
                self.far += 1;
                self.called_far.insert(call)
            }
            false => self.called.insert(call),
        }
    }

    /// What a step did is taken back; a step that is a saga did what that did.
    pub(super) fn take_back(&mut self, saga: &str, step_id: &str) {
        let log = self.log(saga);
        let unit = log.unit(step_id);
        if matches!(log.own(unit).wait, Some(Wait::Child(_))) {
            let children = self.children_of(saga, unit);
            let children: Vec<String> = children.into_iter().map(str::to_owned).collect();
            return children.iter().for_each(|child| self.take_all_back(child));
        }
        let key = format!("{saga}/{step_id}");
        self.effects.entry(key).or_default().push(Change::TakenBack);
    }

    /// What was done under the keys of a saga and of those inside it is taken back.
    pub(super) fn take_all_back(&mut self, saga: &str) {
        let own = format!("{saga}/");
        let effects = self.effects.iter_mut();
        for (_, changes) in effects.filter(|(key, _)| key.starts_with(&own)) {
            changes.push(Change::TakenBack);
        }
        let inside = self
            .children
            .iter()
            .filter(|(_, (parent, _))| parent == saga);
        let inside: Vec<String> = inside.map(|(child, _)| child.clone()).collect();
        inside.iter().for_each(|child| self.take_all_back(child));
    }

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
