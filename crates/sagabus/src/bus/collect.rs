//! Puts events together for a handler of several. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::transport::{Attribute, Leased};

/// How events are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collect {
    /// Most events in one call.
    pub(crate) events_max: usize,
    /// Longest time that the first of them waits for others.
    pub(crate) linger: Duration,
    /// Only events that have the same in this go together.
    pub(crate) by: Option<Attribute>,
}

#[derive(Debug)]
struct Group {
    leased: Vec<Leased>,
    due: Duration,
}

/// Events that wait for others.
#[derive(Debug)]
pub(crate) struct Groups {
    collect: Collect,
    groups: BTreeMap<Option<String>, Group>,
    count: usize,
}

impl Groups {
    pub(crate) fn new(collect: Collect) -> Self {
        Self {
            collect,
            groups: BTreeMap::new(),
            count: 0,
        }
    }

    /// How many more may wait, where so many handlers can run.
    pub(crate) fn room(&self, handlers: usize) -> usize {
        (self.collect.events_max * handlers).saturating_sub(self.count)
    }

    /// Takes an event at a time since some fixed point.
    pub(crate) fn put(&mut self, leased: Leased, now: Duration) {
        let by = self.collect.by.as_ref();
        let key = by.and_then(|by| by.of(&leased.event)).map(str::to_owned);
        let due = now + self.collect.linger;
        let group = self.groups.entry(key).or_insert_with(|| Group {
            leased: Vec::new(),
            due,
        });
        group.leased.push(leased);
        self.count += 1;
    }

    /// The next group that is full or has waited enough, at most as many events as go together.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Vec<Leased>> {
        let is_ready =
            |group: &Group| group.leased.len() >= self.collect.events_max || group.due <= now;
        let ready = self.groups.iter().filter(|(_, group)| is_ready(group));
        let (key, _) = ready.min_by_key(|(_, group)| group.due)?;
        let key = key.clone();
        let mut group = self.groups.remove(&key)?;
        let rest = group
            .leased
            .split_off(group.leased.len().min(self.collect.events_max));
        self.count -= group.leased.len();
        if !rest.is_empty() {
            let due = group.due;
            self.groups.insert(key, Group { leased: rest, due });
        }
        Some(group.leased)
    }

    /// When the next group has waited enough.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.groups.values().map(|group| group.due).min()
    }

    /// All that wait.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Leased> + use<> {
        self.count = 0;
        std::mem::take(&mut self.groups)
            .into_values()
            .flat_map(|group| group.leased)
    }
}
