//! The operations of the audit service. An entry, and the event that tells of it, are one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::sqlite::{Database, FENCES, Outbox, TABLES};
use sagabus::{Clock, Event, EventId, Result, Timestamp};
use serde_json::{Map, Value};

use crate::chain::hex;
use crate::model::{Act, Entry, Filter, Page, Statistics, Verification};
use crate::publisher;
use crate::repository::{self as rows, Check, State};

const MIGRATIONS: &[&str] = &[TABLES, include_str!("tables.sql"), FENCES];

/// The audit service over its own SQLite file.
#[derive(Clone, Debug)]
pub struct AuditService {
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
}

impl AuditService {
    /// Opens or creates the service's database.
    ///
    /// # Errors
    /// As [`Database::open`].
    ///
    /// # Cancel safety
    /// As [`Database::open`].
    pub async fn open(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self> {
        let database = Database::open(path, MIGRATIONS).await?;
        Ok(Self {
            outbox: Outbox::new(database),
            clock,
        })
    }

    /// The outbox: its relay must run for events to reach the bus.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Adds an act that a service reports by itself; publishes `audit.entry_recorded`.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field.
    ///
    /// # Cancel safety
    /// The entry is made with its event or not at all.
    pub async fn report(&self, fields: &Map<String, Value>, cause: Cause) -> Result<Entry> {
        let mut act = Act::read(fields, self.clock.now())?;
        act.correlation_id = Some(cause.correlation_id);
        act.causation_id = cause.causation_id.map(|id| id.to_string());
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                let event = record(tx, &act, &*clock)?;
                Ok((rows::last(tx)?, vec![event]))
            })
            .await
    }

    /// One entry.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn entry(&self, sequence: u64) -> Result<Entry> {
        self.read(move |tx| rows::find(tx, sequence)).await
    }

    /// One page of the entries that `filter` lets through, newest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn entries(&self, filter: Filter, page: Page) -> Result<(Vec<Entry>, u64)> {
        self.read(move |tx| rows::list(tx, &filter, page)).await
    }

    /// Counts of the last `days` days.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn statistics(&self, days: u32) -> Result<Statistics> {
        let span = Duration::from_hours(24).saturating_mul(days);
        let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now().milliseconds();
        let from = Timestamp::from_milliseconds(now.saturating_sub(span_ms));
        self.read(move |tx| rows::statistics(tx, from)).await
    }

    /// Walks the chain from the first entry to the last and finds the first that does not fit.
    ///
    /// # Errors
    /// As the database says. A chain that is broken is a result, not an error.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn verify(&self) -> Result<Verification> {
        let mut check = Check::START;
        while check.state == State::Going {
            check = self.read(move |tx| rows::verify_some(tx, check)).await?;
        }
        let is_whole = check.state == State::Whole;
        Ok(Verification {
            ok: is_whole,
            count: check.count,
            head: hex(&check.hash),
            first_bad_sequence: (!is_whole).then_some(check.count + 1),
        })
    }

    /// As [`AuditService::verify`], and publishes `audit.integrity_verified` or `audit.integrity_failed`.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// The check may be done without its event.
    pub async fn verify_and_tell(&self, cause: Cause) -> Result<Verification> {
        let verification = self.verify().await?;
        if let Some(bad) = verification.first_bad_sequence {
            tracing::error!(sequence = bad, "the audit trail is broken");
        }
        let event = publisher::checked(&verification, &*self.clock)?.because(&cause);
        event.check()?;
        self.outbox
            .write(move |_| Ok::<_, sagabus::Error>((verification, vec![event])))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.outbox.database().call(work).await
    }
}

/// Adds the act to the trail and makes the event that tells of it.
pub(crate) fn record(tx: &Transaction<'_>, act: &Act, clock: &dyn Clock) -> Result<Event> {
    let id = EventId::generate(clock).to_string();
    let hash = rows::append(tx, &id, act, clock.now())?;
    publisher::entry_recorded(&id, act, &hash, clock)
}
