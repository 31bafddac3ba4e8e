//! Whose turn it is, and how long samples take.

use std::collections::BTreeMap;

use nanopore::sample::queue::Reading;
use nanopore::sample::{Kind, STANDARD_SERVICE, TARGET_DAYS};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Result, Timestamp};
use serde_json::Value;

use super::SampleService;
use crate::model::{Page, QueueEntry, QueueFilter, Sample};
use crate::repository as rows;

impl SampleService {
    /// One page of the queue, first the one whose turn it is, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn queue(&self, filter: QueueFilter, page: Page) -> Result<(Vec<QueueEntry>, u64)> {
        let now = self.clock.now();
        self.read(move |tx| {
            let (samples, total) = rows::queue(tx, &filter, page)?;
            let mut targets = Targets::default();
            let mut entries = Vec::with_capacity(samples.len());
            for (position, sample) in samples {
                entries.push(QueueEntry {
                    position,
                    turnaround: targets.read(tx, &sample, now)?,
                    sample,
                });
            }
            Ok((entries, total))
        })
        .await
    }

    /// What the clock of a sample shows.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn turnaround(&self, id: String) -> Result<Reading> {
        let now = self.clock.now();
        self.read(move |tx| {
            let sample = rows::get_sample(tx, &id)?;
            Targets::default().read(tx, &sample, now)
        })
        .await
    }
}

/// In how many days samples of a service are to be done; each service is looked up once.
#[derive(Debug, Default)]
struct Targets(BTreeMap<String, Option<u32>>);

impl Targets {
    fn read(&mut self, tx: &Transaction<'_>, sample: &Sample, now: Timestamp) -> Result<Reading> {
        let service = sample.fields.service_type.as_deref();
        let days = self.days(tx, service.unwrap_or(STANDARD_SERVICE))?;
        Ok(sample.turnaround().read(days, now))
    }

    fn days(&mut self, tx: &Transaction<'_>, service: &str) -> Result<Option<u32>> {
        if let Some(days) = self.0.get(service) {
            return Ok(*days);
        }
        let item = rows::find_item(tx, Kind::Service, service)?;
        let days = item
            .and_then(|it| it.attributes.get(TARGET_DAYS).and_then(Value::as_u64))
            .and_then(|days| u32::try_from(days).ok());
        self.0.insert(service.to_owned(), days);
        Ok(days)
    }
}
