//! Going on after a restart: every saga of the store is folded from its records and given a worker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Shared;
use super::saga::{Progress, Saga};
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result};
use crate::saga::definition::Definition;
use crate::saga::id::SagaId;
use crate::saga::machine::{Stage, State, clipped};
use crate::saga::monitor::Unreadable;
use crate::saga::record::{Fact, Record};
use crate::saga_store::StoredSaga;

/// Definitions that were read already, by hash: most sagas share a few.
type Definitions = HashMap<[u8; 32], Definition>;

pub(super) fn recover(shared: &Arc<Shared>, stored: Vec<StoredSaga>) {
    let mut definitions = Definitions::new();
    let mut states = Vec::with_capacity(stored.len());
    let has_records = |saga: &&StoredSaga| !saga.records.is_empty();
    let whole = stored.iter().filter(has_records);
    let whole: HashSet<String> = whole.map(|saga| saga.saga.clone()).collect();
    for saga in stored {
        if saga.records.is_empty() && whole.contains(&saga.saga) {
            // Its records say what keys it has.
            continue;
        }
        if let (Some(key), Ok(id), true) = (&saga.key, saga.saga.parse(), saga.records.is_empty()) {
            let keys_max = shared.settings.keys_max;
            shared
                .book()
                .remember_key(key.as_str().into(), id, keys_max);
            continue;
        }
        match fold(&saga, &mut definitions) {
            Ok(state) => states.push(state),
            Err(error) => set_aside(shared, &saga, &error),
        }
    }
    let (ended, open): (Vec<State>, Vec<State>) = states
        .into_iter()
        .partition(|state| state.ended_at.is_some());
    {
        let mut book = shared.book();
        for state in &open {
            let children = state.open_children();
            for child in children.filter_map(|step| state.child_id(step).ok()) {
                book.await_for(child);
            }
        }
    }
    remember(shared, ended);
    // Those that have begun come first: they have their slots and keys already. All are in the book before the first goes on,
    // so that whoever waits for another one finds it.
    let (waiting, begun): (Vec<State>, Vec<State>) = open
        .into_iter()
        .partition(|state| state.stage == Stage::Queued);
    let open = begun.into_iter().chain(waiting);
    let workers: Vec<Worker> = open.map(|state| resume(shared, state)).collect();
    for worker in workers {
        shared.tracker.spawn(worker.resume());
    }
    shared.book().fill_slots(shared);
}

/// Leaves a saga that this program cannot read where it is, and shows it. The store's checksums have vouched for its bytes, so
/// it was written by a later program or is a fault of one: a reason to fetch an operator, and none to keep the other sagas
/// from going on. Nothing is appended to it, so a program that can read it goes on with it.
fn set_aside(shared: &Shared, saga: &StoredSaga, error: &Error) {
    let reason = clipped(error.chain());
    tracing::error!(saga_id = %saga.saga.escape_debug(), error = %reason, "saga cannot be read");
    let id = saga.saga.clone();
    let keys = unread_keys(saga);
    shared.book().set_aside(Unreadable { id, reason }, keys);
}

/// The idempotency keys of a saga that cannot be read. None: it may have any.
fn unread_keys(saga: &StoredSaga) -> Option<Vec<Arc<str>>> {
    let mut records = saga.records.iter().map(|bytes| Record::decode(bytes));
    let Fact::Created {
        idempotency_key,
        concurrency_key,
        ..
    } = records.next()?.ok()?.fact
    else {
        // Without its first record it was over, and its key is forgotten like that of every saga that was dropped.
        return Some(Vec::new());
    };
    let mut keys: Vec<Arc<str>> = idempotency_key.into_iter().map(Arc::from).collect();
    for record in records {
        match record.map(|record| record.fact) {
            Ok(Fact::Attached { key }) => keys.push(key.into()),
            // No start is taken for one without a concurrency key.
            Err(_) if concurrency_key.is_some() => return None,
            Ok(_) | Err(_) => {}
        }
    }
    Some(keys)
}

/// The state of a saga from all its records.
pub(super) fn fold(saga: &StoredSaga, definitions: &mut Definitions) -> Result<State> {
    let mut records = saga.records.iter().map(|bytes| Record::decode(bytes));
    let first = records
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "it has no records"))??;
    let id: SagaId = saga.saga.parse()?;
    let mut state = State::first(id, &first, |json| {
        if let Fact::Created { hash, .. } = &first.fact
            && let Some(definition) = definitions.get(hash)
        {
            return Ok(definition.clone());
        }
        let definition = Definition::from_pinned(json)?;
        definitions.insert(definition.hash().0, definition.clone());
        Ok(definition)
    })?;
    for record in records {
        state.replay(&record?)?;
    }
    Ok(state)
}

/// Keeps the sagas that are over for as long as if this process had run them.
fn remember(shared: &Arc<Shared>, mut ended: Vec<State>) {
    ended.sort_by_key(|state| state.ended_at);
    let mut book = shared.book();
    for state in ended {
        let is_being_repaired = state.is_being_repaired();
        let saga = Arc::new(Saga::new(state, Progress::Ended));
        if is_being_repaired {
            let worker = Worker::new(Arc::clone(shared), Arc::clone(&saga));
            shared.tracker.spawn(worker.resume());
        } else {
            saga.inbox.close();
        }
        book.insert(Arc::clone(&saga));
        book.finish(&saga, &shared.settings);
    }
    book.clean_up(shared.clock.now(), &shared.settings);
}

fn resume(shared: &Arc<Shared>, state: State) -> Worker {
    let (stage, is_paused) = (state.stage, state.paused.is_some());
    let saga = Arc::new(Saga::new(state, Progress::Stored));
    let worker = Worker::new(Arc::clone(shared), Arc::clone(&saga));
    let parked = saga.parked();
    if let Some(reason) = &parked {
        tracing::warn!(saga_id = %saga.id, reason, "saga is parked");
    }
    {
        let mut book = shared.book();
        book.insert(Arc::clone(&saga));
        if stage != Stage::Queued {
            book.hold(&saga);
        }
        match stage {
            // Without its turn, what it lacks a handler for is not begun; other branches of it go on.
            _ if is_paused || parked.is_some() => {}
            Stage::Queued => book.enqueue(&saga, shared),
            // What holds effects goes on beyond the limit.
            Stage::Running | Stage::Backward => book.take_slot(&saga),
            Stage::ForwardStuck | Stage::Stuck | Stage::Ended(_) => {}
        }
    }
    tracing::info!(saga_id = %saga.id, "saga goes on");
    worker
}
