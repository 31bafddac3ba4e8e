//! The engine, and in front of it who notes what is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sagabus::engines::embedded::Embedded;
use sagabus::saga::Definition;
use sagabus::saga::record::{Fact, Record};
use sagabus::saga_store::{SagaBatch, SagaStore, StoredSaga};

use super::notes::{Notes, lock};

/// The engine, and in front of it who notes what is durable.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) engine: Arc<Embedded>,
    pub(super) notes: Arc<Mutex<Notes>>,
}

pub(super) fn decoded(records: &[bytes::Bytes]) -> Vec<Record> {
    records
        .iter()
        .map(|it| Record::decode(it).unwrap())
        .collect()
}

#[async_trait]
impl SagaStore for Watched {
    async fn append(&self, batches: Vec<SagaBatch>) -> sagabus::Result<()> {
        let records: Vec<_> = batches
            .iter()
            .map(|batch| (batch.saga.clone(), decoded(&batch.records)))
            .collect();
        // Others get their turn between the decision and its durability.
        tokio::task::yield_now().await;
        self.engine.append(batches).await?;
        let mut notes = lock(&self.notes);
        for (saga, records) in records {
            if let Some(Fact::Created { definition, .. }) = records.first().map(|it| &it.fact) {
                let definition = Definition::from_pinned(definition).unwrap();
                notes.definitions.insert(saga.clone(), definition);
            }
            notes.durable.entry(saga).or_default().extend(records);
        }
        Ok(())
    }

    fn epoch(&self) -> u64 {
        self.engine.epoch()
    }

    async fn load(&self) -> sagabus::Result<Vec<StoredSaga>> {
        let sagas = self.engine.load().await?;
        let mut notes = lock(&self.notes);
        let mut found = BTreeMap::new();
        for stored in &sagas {
            let records = decoded(&stored.records);
            if let Some(Fact::Created { definition, .. }) = records.first().map(|it| &it.fact) {
                let definition = Definition::from_pinned(definition).unwrap();
                notes.definitions.insert(stored.saga.clone(), definition);
            }
            found.insert(stored.saga.clone(), records);
        }
        for (saga, known) in &notes.durable {
            let kept = found
                .get(saga)
                .is_some_and(|found| found.starts_with(known));
            assert!(kept, "durable records of {saga} are lost");
        }
        notes.durable = found;
        Ok(sagas)
    }
}
