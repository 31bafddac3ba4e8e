//! Going on after a restart: every saga of the store is folded from its records and given a worker.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::book::{Progress, Saga};
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result};
use crate::saga::definition::Definition;
use crate::saga::id::SagaId;
use crate::saga::machine::{Stage, State};
use crate::saga::record::{Fact, Record};
use crate::saga_store::StoredSaga;

/// Definitions that were read already, by hash: most sagas share a few.
type Definitions = HashMap<[u8; 32], Definition>;

pub(super) fn recover(shared: &Arc<Shared>, stored: Vec<StoredSaga>) -> Result<()> {
    let mut definitions = Definitions::new();
    let mut states = Vec::with_capacity(stored.len());
    for saga in stored {
        let state = fold(&saga, &mut definitions).map_err(|error| {
            Error::new(
                ErrorKind::Corrupt,
                format!("saga `{}` cannot be read", saga.saga.escape_debug()),
            )
            .with_source(error)
        })?;
        states.push(state);
    }
    let (ended, open): (Vec<State>, Vec<State>) = states
        .into_iter()
        .partition(|state| state.ended_at.is_some());
    remember(shared, ended);
    for state in open {
        resume(shared, state);
    }
    shared.book().fill_slots(shared.settings.active_max);
    Ok(())
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
        let definition = Definition::from_json(json)?;
        definitions.insert(definition.hash().0, definition.clone());
        Ok(definition)
    })?;
    for record in records {
        state.replay(&record?)?;
    }
    Ok(state)
}

/// Keeps the sagas that are over for as long as if this process had run them.
fn remember(shared: &Shared, mut ended: Vec<State>) {
    ended.sort_by_key(|state| state.ended_at);
    let mut book = shared.book();
    for state in ended {
        let key = state.idempotency_key().cloned();
        let saga = Arc::new(Saga::new(state, Progress::Ended));
        saga.inbox.close();
        book.insert(Arc::clone(&saga), key);
        book.finish(&saga, &shared.settings);
    }
    book.clean_up(shared.clock.now(), &shared.settings);
}

fn resume(shared: &Arc<Shared>, state: State) {
    let key = state.idempotency_key().cloned();
    let stage = state.stage;
    let bound = match shared.handlers.bind(state.definition()) {
        Ok(bound) => bound,
        Err(error) => {
            tracing::warn!(saga_id = %state.id(), %error, "saga is parked");
            let saga = Saga::parked(state, error.to_string());
            shared.book().insert(Arc::new(saga), key);
            return;
        }
    };
    let saga = Arc::new(Saga::new(state, Progress::Stored));
    {
        let mut book = shared.book();
        book.insert(Arc::clone(&saga), key);
        match stage {
            Stage::Queued => book.enqueue(Arc::clone(&saga)),
            // What holds effects goes on beyond the limit.
            Stage::Running | Stage::Backward => book.take_slot(&saga),
            Stage::Stuck | Stage::Ended(_) => {}
        }
    }
    tracing::info!(saga_id = %saga.id, "saga goes on");
    let worker = Worker::new(Arc::clone(shared), saga, bound);
    shared.tracker.spawn(worker.resume());
}
