//! The engine, and in front of it who notes what is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sagabus::Payload as _;
use sagabus::engines::embedded::Embedded;
use sagabus::saga::Definition;
use sagabus::saga::record::{Fact, Record};
use sagabus::saga::remote::StepRequested;
use sagabus::saga_store::{SagaBatch, SagaStore, StoredSaga};

use super::FAR;
use super::log::Log;
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
        for batch in &batches {
            let mut notes = lock(&self.notes);
            if let Some(unasked) = notes.unasked(batch) {
                notes.must(&batch.saga.parse().unwrap(), false, || {
                    format!("{unasked:?} of {} is not asked for", batch.saga)
                });
            }
        }
        // Others get their turn between the decision and its durability.
        tokio::task::yield_now().await;
        self.engine.append(batches).await?;
        let mut notes = lock(&self.notes);
        for (saga, records) in records {
            if let [first, ..] = &records[..]
                && !notes.durable.contains_key(&saga)
            {
                notes.created(&saga, first);
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
            notes.created(&stored.saga, &records[0]);
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

impl Notes {
    /// The attempt of a step elsewhere that begins in this batch without an event in it that asks for it.
    fn unasked(&self, batch: &SagaBatch) -> Option<(String, u32)> {
        let known = self.durable.get(&batch.saga).map_or(&[][..], Vec::as_slice);
        let new = decoded(&batch.records);
        let records: Vec<Record> = known.iter().chain(&new).cloned().collect();
        let Fact::Created { definition, .. } = &records[0].fact else {
            return None;
        };
        let log = Log {
            definition: &Definition::from_pinned(definition).unwrap(),
            records: &records,
        };
        let asked = batch.events.iter().filter_map(|event| {
            let is_request = event.event_type.as_str() == StepRequested::TYPE;
            is_request.then(|| event.payload::<StepRequested>().unwrap())
        });
        let asked: Vec<_> = asked
            .map(|it| (it.step_id, it.attempt, it.compensation.is_some()))
            .collect();
        let mut begun = new.iter().filter_map(|record| match record.fact {
            Fact::StepStarted { step, attempt, .. } => Some((step as usize, attempt, false)),
            Fact::CompensationStarted { step, attempt, .. } => Some((step as usize, attempt, true)),
            _ => None,
        });
        let is_unasked = |&(step, attempt, is_back): &(usize, u32, bool)| {
            let own = log.own(step);
            let is_list = log.units()[step].item.is_none() && own.for_each.is_some();
            let is_elsewhere = own.service == FAR && own.wait.is_none() && !is_list;
            is_elsewhere && !asked.contains(&(log.id(step), attempt, is_back))
        };
        let (step, attempt, _) = begun.find(is_unasked)?;
        Some((log.id(step), attempt))
    }
}
