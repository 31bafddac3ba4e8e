//! The engine, and in front of it who notes what is durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sagabus::engines::embedded::Embedded;
use sagabus::engines::embedded::simulation::SimDisk;
use sagabus::saga::Definition;
use sagabus::saga::record::{Fact, Record};
use sagabus::saga::remote::StepRequested;
use sagabus::saga_store::{SagaBatch, SagaStore, StoredSaga};
use sagabus::{Bus, Error, Event, Payload as _};

use super::FAR;
use super::log::Log;
use super::notes::{Notes, lock};

/// The engine, and in front of it who notes what is durable.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) engine: Arc<Embedded>,
    pub(super) notes: Arc<Mutex<Notes>>,
    /// The append at which the process ends.
    pub(super) cut: Option<Cut>,
}

/// An append of this life at which the process ends.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) disk: SimDisk,
    /// How many appends come before it.
    pub(super) left: AtomicUsize,
    pub(super) when: When,
}

/// What there is of the append at which the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing.
    Before,
    /// A part of what was to be written.
    Torn,
    /// All of it, and nobody knows.
    After,
}

impl Cut {
    /// Whether this is the append.
    fn is_due(&self) -> bool {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        left == 0 && !self.disk.is_down()
    }
}

/// A step, its attempt, and whether it is taken back.
type Asked = (String, u32, bool);

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
        let cut = self.cut.as_ref().filter(|cut| cut.is_due());
        match cut.map(|cut| cut.when) {
            Some(When::Before) => self.cut_now(),
            Some(When::Torn) => {
                if let Some(cut) = cut {
                    cut.disk.crash_in(0);
                }
            }
            Some(When::After) | None => {}
        }
        self.engine.append(batches).await?;
        if cut.is_some() {
            self.cut_now();
            return Err(Error::closed("process has ended"));
        }
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

impl Watched {
    fn cut_now(&self) {
        if let Some(cut) = &self.cut {
            cut.disk.crash();
        }
    }
}

/// Services elsewhere are asked for exactly the attempts that are recorded as begun, for each once.
pub(super) async fn check_asked(engine: &Embedded, bus: &Bus) -> sagabus::Result<()> {
    let mut begun = Vec::new();
    for stored in engine.load().await? {
        let records = decoded(&stored.records);
        let Some(definition) = definition(&records) else {
            continue;
        };
        let log = Log {
            definition: &definition,
            records: &records,
        };
        let own = log.begun_far(&records).into_iter();
        begun.extend(own.map(|asked| (stored.saga.clone(), asked)));
    }
    let events = bus.read(1, 100_000).await?.events;
    let mut asked: Vec<(String, Asked)> = events.iter().filter_map(|(_, it)| asked(it)).collect();
    begun.sort_unstable();
    asked.sort_unstable();
    assert_eq!(begun, asked, "what is recorded is not what is asked for");
    Ok(())
}

fn definition(records: &[Record]) -> Option<Definition> {
    match &records.first()?.fact {
        Fact::Created { definition, .. } => Some(Definition::from_pinned(definition).unwrap()),
        _ => None,
    }
}

/// What the event asks a service for.
fn asked(event: &Event) -> Option<(String, Asked)> {
    let is_request = event.event_type.as_str() == StepRequested::TYPE;
    let it = is_request.then(|| event.payload::<StepRequested>().unwrap())?;
    Some((
        it.saga_id,
        (it.step_id, it.attempt, it.compensation.is_some()),
    ))
}

impl Log<'_> {
    /// The attempts of steps elsewhere that these records of it begin.
    fn begun_far(&self, records: &[Record]) -> Vec<Asked> {
        let begun = records.iter().filter_map(|record| match record.fact {
            Fact::StepStarted { step, attempt, .. } => Some((step as usize, attempt, false)),
            Fact::CompensationStarted { step, attempt, .. } => Some((step as usize, attempt, true)),
            _ => None,
        });
        let is_far = |&(step, ..): &(usize, u32, bool)| {
            let own = self.own(step);
            own.service == FAR && own.wait.is_none() && !self.is_list(step)
        };
        let far = begun.filter(is_far);
        far.map(|(step, attempt, is_back)| (self.id(step), attempt, is_back))
            .collect()
    }
}

impl Notes {
    /// The attempt of a step elsewhere that begins in this batch without an event in it that asks for it.
    fn unasked(&self, batch: &SagaBatch) -> Option<Asked> {
        let known = self.durable.get(&batch.saga).map_or(&[][..], Vec::as_slice);
        let new = decoded(&batch.records);
        let records: Vec<Record> = known.iter().chain(&new).cloned().collect();
        let log = Log {
            definition: &definition(&records)?,
            records: &records,
        };
        let asked = batch.events.iter().filter_map(asked);
        let asked: Vec<Asked> = asked.map(|(_, asked)| asked).collect();
        let mut begun = log.begun_far(&new).into_iter();
        begun.find(|begun| !asked.contains(begun))
    }
}
