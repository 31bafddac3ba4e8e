//! Saga records live in the same log as the events that tell about them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::log::{Append, Durability, Entry, Pending};
use super::record::{self, StoredSagaRecord};
use super::{Embedded, log};
use crate::error::{Error, Result};
use crate::saga_store::{SagaBatch, SagaStore, StoredSaga};

#[async_trait]
impl SagaStore for Embedded {
    async fn append(&self, batches: Vec<SagaBatch>) -> Result<()> {
        // All are on their way before the first is waited for: they share a sync.
        let pending: Vec<Pending> = batches
            .into_iter()
            .map(|batch| self.enqueue_saga(batch))
            .collect();
        for pending in pending {
            pending.done().await?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<Vec<StoredSaga>> {
        let log = self.shared.log.reader();
        if self.shared.is_instant {
            return load(&log);
        }
        tokio::task::spawn_blocking(move || load(&log))
            .await
            .map_err(|error| Error::closed("reading the log was cut short").with_source(error))?
    }
}

impl Embedded {
    fn enqueue_saga(&self, batch: SagaBatch) -> Pending {
        let mut entries: Vec<Entry> = batch
            .records
            .iter()
            .map(|content| {
                let stored = StoredSagaRecord {
                    saga: &batch.saga,
                    record: content,
                };
                Entry::record(record::SAGA, record::encode(&stored))
            })
            .collect();
        entries.extend(
            batch
                .events
                .into_iter()
                .map(|event| Entry::event(Arc::new(event), self.shared.log.keys())),
        );
        self.shared.log.enqueue(Append {
            entries,
            durability: Durability::Synced,
            refusable: false,
        })
    }
}

fn load(log: &log::Shared) -> Result<Vec<StoredSaga>> {
    let mut sagas: Vec<StoredSaga> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    log.read(1, &mut |_, kind, content| {
        if kind == record::SAGA {
            let stored: StoredSagaRecord<'_> = record::decode(content)?;
            let number = *numbers.entry(stored.saga.to_owned()).or_insert_with(|| {
                sagas.push(StoredSaga {
                    saga: stored.saga.to_owned(),
                    records: Vec::new(),
                });
                sagas.len() - 1
            });
            if let Some(saga) = sagas.get_mut(number) {
                saga.records.push(Bytes::copy_from_slice(stored.record));
            }
        }
        Ok(true)
    })?;
    Ok(sagas)
}
