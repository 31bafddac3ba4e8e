//! A store in memory that outlives its orchestrator, and can stop at any append.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::saga::record::Record;
use crate::saga_store::{SagaBatch, SagaStore, StoredSaga};

/// What is durable; outlives the process.
#[derive(Debug, Default)]
pub(in crate::saga) struct Disk {
    data: Mutex<Data>,
}

#[derive(Debug, Default)]
struct Data {
    sagas: Vec<StoredSaga>,
    /// Where each of them is.
    places: HashMap<String, usize>,
    events: Vec<Event>,
    appends: usize,
}

impl Data {
    fn add(&mut self, saga: StoredSaga) {
        self.places.insert(saga.saga.clone(), self.sagas.len());
        self.sagas.push(saga);
    }
}

impl Disk {
    pub(super) fn appends(&self) -> usize {
        self.data.lock().unwrap().appends
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.data.lock().unwrap().events.clone()
    }

    pub(super) fn stored(&self) -> Vec<StoredSaga> {
        self.data.lock().unwrap().sagas.clone()
    }

    /// Adds a saga as another program may have left it.
    pub(super) fn put(&self, saga: StoredSaga) {
        self.data.lock().unwrap().add(saga);
    }

    /// Drops all that it has, as a store may of sagas that are over.
    pub(super) fn forget(&self) {
        let mut data = self.data.lock().unwrap();
        data.sagas.clear();
        data.places.clear();
        data.events.clear();
    }

    pub(super) fn records(&self) -> Vec<Vec<Record>> {
        let decode = |saga: StoredSaga| {
            let records = saga.records.iter();
            records
                .map(|bytes| Record::decode(bytes).unwrap())
                .collect()
        };
        self.stored().into_iter().map(decode).collect()
    }

    fn write(&self, batches: Vec<SagaBatch>) {
        let mut data = self.data.lock().unwrap();
        for batch in batches {
            data.events.extend(batch.events);
            match data.places.get(&batch.saga).copied() {
                Some(place) => data.sagas[place].records.extend(batch.records),
                None => data.add(StoredSaga {
                    key: None,
                    saga: batch.saga,
                    records: batch.records,
                }),
            }
        }
    }
}

/// What goes wrong at one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::saga) enum Fault {
    /// The process ends before the batch is durable.
    Before,
    /// The process ends after the batch is durable, before anybody hears of it.
    After,
    /// There is no room this time.
    Full,
    /// This batch is refused.
    Invalid,
}

/// The store of one process.
#[derive(Debug)]
pub(in crate::saga) struct TestStore {
    disk: Arc<Disk>,
    /// At which append of this process.
    fault: Option<(usize, Fault)>,
    appends: Mutex<usize>,
    pub(super) crashed: CancellationToken,
}

impl TestStore {
    pub(in crate::saga) fn new(disk: &Arc<Disk>, fault: Option<(usize, Fault)>) -> Arc<Self> {
        Arc::new(Self {
            disk: Arc::clone(disk),
            fault,
            appends: Mutex::new(0),
            crashed: CancellationToken::new(),
        })
    }
}

#[async_trait]
impl SagaStore for TestStore {
    async fn append(&self, batches: Vec<SagaBatch>) -> Result<()> {
        // Others get their turn between the decision and its durability.
        tokio::task::yield_now().await;
        if self.crashed.is_cancelled() {
            return Err(Error::closed("store has stopped"));
        }
        let number = {
            let mut appends = self.appends.lock().unwrap();
            *appends += 1;
            *appends - 1
        };
        self.disk.data.lock().unwrap().appends += 1;
        match self.fault {
            Some((at, Fault::Before)) if at == number => {
                self.crashed.cancel();
                Err(Error::closed("store has stopped"))
            }
            Some((at, Fault::After)) if at == number => {
                self.disk.write(batches);
                self.crashed.cancel();
                Err(Error::closed("store has stopped"))
            }
            Some((at, Fault::Full)) if at == number => Err(Error::new(ErrorKind::Full, "no room")),
            Some((at, Fault::Invalid)) if at == number => Err(Error::invalid("too large")),
            _ => {
                self.disk.write(batches);
                Ok(())
            }
        }
    }

    async fn load(&self) -> Result<Vec<StoredSaga>> {
        Ok(self.disk.stored())
    }

    fn epoch(&self) -> u64 {
        let sagas = self.disk.stored();
        let records = sagas.iter().map(|saga| saga.records.len());
        u64::try_from(records.sum::<usize>()).unwrap() + 1
    }
}
