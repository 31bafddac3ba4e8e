//! Saga records live in the same log as the events that tell about them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;

use super::log::{Admission, Append, Durability, Entry, Pending};
use super::record::{self, KeptKey, StoredSagaRecord};
use super::{Embedded, log};
use crate::error::Result;
use crate::event::Event;
use crate::planted::{self, SagaBug};
use crate::saga_store::{SagaBatch, SagaStore, StoredSaga};

#[async_trait]
impl SagaStore for Embedded {
    async fn append(&self, batches: Vec<SagaBatch>) -> Result<()> {
        // All are on their way before the first is waited for: they share a sync.
        let mut pending = Vec::with_capacity(batches.len());
        for batch in batches {
            if batch.is_start && planted::in_sagas(SagaBug::StartForgotten) {
                continue;
            }
            let mut batch = batch;
            let events = std::mem::take(&mut batch.events).into_iter().map(Arc::new);
            let events: Vec<Arc<Event>> = events.collect();
            let (placed, before_events) = self.enqueue_saga(&batch, &events);
            pending.push((placed, before_events, events));
        }
        for (placed, before_events, events) in pending {
            let placed = placed.done().await?;
            let positions = placed.positions().skip(before_events);
            let fresh = events
                .iter()
                .zip(positions)
                .filter(|(_, (_, is_duplicate))| !is_duplicate);
            self.shared
                .published
                .add(fresh.map(|(event, _)| event.as_ref()));
        }
        Ok(())
    }

    async fn load(&self) -> Result<Vec<StoredSaga>> {
        self.shared.at_disk(load).await
    }

    /// The position of the next record: what is appended from here on is behind it, and so is every later open.
    fn epoch(&self) -> u64 {
        self.shared.log.reader().durable.load(Ordering::Acquire)
    }
}

impl Embedded {
    /// Returns how many entries come before the events, too.
    fn enqueue_saga(&self, batch: &SagaBatch, events: &[Arc<Event>]) -> (Pending, usize) {
        let saga = batch.saga.as_str();
        let last = batch.records.len().saturating_sub(1);
        let at = self.shared.clock.now();
        let keys = batch.keys.iter().filter(|_| batch.is_last);
        let mut keys = keys.map(|key| KeptKey { saga, key, at });
        // The first is in the last record, and each further one has a record of its own.
        let kept = keys.next();
        let keys = keys.map(|kept| Entry::record(record::SAGA_KEY, record::encode(&kept)));
        let records = batch.records.iter().enumerate().map(|(number, record)| {
            let is_last = batch.is_last && number == last;
            let stored = StoredSagaRecord {
                saga,
                record,
                is_last: is_last.then_some(true),
                kept: kept.clone().filter(|_| is_last),
            };
            Entry::record(record::SAGA, record::encode(&stored))
        });
        let mut entries: Vec<Entry> = records.chain(keys).collect();
        let before_events = entries.len();
        let keys = self.shared.log.keys();
        let events = events.iter().map(Arc::clone);
        entries.extend(events.map(|event| Entry::event(event, keys, self.shared.age())));
        let placed = self.shared.log.enqueue(Append {
            entries,
            durability: Durability::Synced,
            admission: if batch.is_start {
                Admission::Start
            } else {
                Admission::Always
            },
            link: None,
        });
        (placed, before_events)
    }
}

fn load(log: &log::Shared) -> Result<Vec<StoredSaga>> {
    let mut sagas: Vec<StoredSaga> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    log.read(0, &mut |_, kind, content| {
        if kind == record::SAGA_KEY {
            let kept: KeptKey<'_> = record::decode(content)?;
            sagas.push(StoredSaga {
                saga: kept.saga.to_owned(),
                records: Vec::new(),
                key: Some(kept.key.to_owned()),
            });
        }
        if kind == record::SAGA {
            let stored: StoredSagaRecord<'_> = record::decode(content)?;
            let number = *numbers.entry(stored.saga.to_owned()).or_insert_with(|| {
                sagas.push(StoredSaga {
                    saga: stored.saga.to_owned(),
                    records: Vec::new(),
                    key: None,
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
