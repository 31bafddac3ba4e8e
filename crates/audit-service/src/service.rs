//! The operations of the audit service. An entry, and the event that tells of it, are one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::sqlite::{Database, FENCES, Outbox, TABLES};
use sagabus::{Clock, Error, Event, EventId, Result, Timestamp};
use serde_json::{Map, Value};

use crate::access::Queue;
use crate::bundle;
use crate::journal::Journal;
use crate::key_file;
use crate::merkle::Hash;
use crate::model::{
    Act, Alert, ConsistencyProof, Entry, Filter, InclusionProof, Page, Statistics, Told,
    Verification,
};
use crate::note::{Checkpoint, Signer, Verifier};
use crate::offline::{Places, hidden, keys_of_indexes};
use crate::publisher;
use crate::repository::{self as rows, Checked, Keys, Pass};
use crate::settings::Settings;

/// Entries of a bundle that are read at one time.
const BUNDLE_PAGE: u64 = 256;

pub(crate) const MIGRATIONS: &[&str] = &[
    TABLES,
    include_str!("chained.sql"),
    FENCES,
    include_str!("trail.sql"),
    include_str!("alerts.sql"),
    include_str!("reports.sql"),
];

/// The audit service over its own SQLite file.
#[derive(Clone, Debug)]
pub struct AuditService {
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<Settings>,
    signer: Arc<Signer>,
    journal: Arc<Journal>,
    pub(crate) accesses: Arc<Queue>,
}

/// An entry that was just added.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) leaf: Hash,
}

impl AuditService {
    /// Opens or creates the service's database. Beside it lie the key that signs the trail, which is made at the first start,
    /// and the file of checkpoints.
    ///
    /// # Errors
    /// As [`Database::open`]. `NotFound` or `Invalid` when the key is missing or can be read by others. `Corrupt` for a trail
    /// of an earlier version whose chain of hashes does not hold.
    ///
    /// # Cancel safety
    /// As [`Database::open`].
    pub async fn open(
        path: impl Into<PathBuf>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let path = path.into();
        let places = Places::beside(&path);
        let key = settings.key_file.clone().unwrap_or(places.key);
        let journal = Journal::new(places.journal);
        let database = Database::open(path, MIGRATIONS).await?;
        let file = journal.clone();
        let opened = database
            .call(move |tx| {
                // What is deleted, and what is moved, is overwritten in the file.
                tx.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
                rows::take_up_chain(tx)?;
                let notes = file.recover()?;
                let is_signed = !notes.is_empty() || rows::last_checkpoint(tx)?.is_some();
                let signer = key_file::open(&key, !is_signed)?;
                rows::take_up_checkpoint(tx, signer.verifier(), &notes)?;
                Ok(signer)
            })
            .await;
        let signer = match opened {
            Ok(signer) => signer,
            Err(error) => {
                // That it cannot be opened is what counts.
                let _closed = database.close().await;
                return Err(error);
            }
        };
        Ok(Self {
            outbox: Outbox::new(database),
            clock,
            settings: Arc::new(settings),
            signer: Arc::new(signer),
            journal: Arc::new(journal),
            accesses: Arc::default(),
        })
    }

    /// Whether it is recorded who looks at what.
    #[must_use]
    pub fn records_reads(&self) -> bool {
        self.settings.records_reads
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
                let (recorded, events) = record(tx, &act, &alerts(tx), &*clock)?;
                Ok((rows::find(tx, recorded.sequence)?, events))
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

    /// The last `count_max` entries that alerts told of, the latest first.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn told(&self, count_max: u32) -> Result<Vec<Told>> {
        self.read(move |tx| rows::told(tx, count_max)).await
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

    /// The public half of the key that signs the trail.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// Signs the trail as it is now, unless that was done before.
    ///
    /// # Errors
    /// `Corrupt` when it is not what was signed last. As the database and the file of checkpoints say.
    ///
    /// # Cancel safety
    /// It is signed or not.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        let (signer, journal) = (Arc::clone(&self.signer), Arc::clone(&self.journal));
        self.in_turn(move |tx| rows::sign(tx, &signer, &journal))
            .await
    }

    /// The newest checkpoint, where there is one.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read any more.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn last_checkpoint(&self) -> Result<Option<Checkpoint>> {
        let last = self.read(rows::last_checkpoint).await?;
        last.map(|(_, note)| self.verifier().open(&note))
            .transpose()
    }

    /// Proves that an entry is among the first `size`, or among all there are.
    ///
    /// # Errors
    /// `NotFound` where it is not; `Invalid` for a size that the trail does not have.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn prove_inclusion(
        &self,
        sequence: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof> {
        self.read(move |tx| rows::inclusion(tx, sequence, size))
            .await
    }

    /// The sequence of an entry.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn sequence_of(&self, id: &str) -> Result<u64> {
        let id = id.to_owned();
        self.read(move |tx| rows::sequence_of(tx, &id)).await
    }

    /// Lines of a bundle with the entries after `after`, and up to which; nothing after entry `size`.
    pub(crate) async fn bundle_page(&self, after: u64, size: u64) -> Result<Option<(String, u64)>> {
        let count = BUNDLE_PAGE.min(size.saturating_sub(after));
        if count == 0 {
            return Ok(None);
        }
        let entries = self
            .read(move |tx| rows::bytes_after(tx, after, count))
            .await?;
        let lines = (after + 1..)
            .zip(&entries)
            .map(|(sequence, (leaf, bytes))| bundle::entry(sequence, leaf, bytes.as_deref()));
        Ok(Some((lines.collect(), after + count)))
    }

    /// Proves that the first `from` entries are the beginning of the first `to`, or of all there are.
    ///
    /// # Errors
    /// `Invalid` for sizes that the trail does not have, or that are in the other order.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn prove_consistency(&self, from: u64, to: Option<u64>) -> Result<ConsistencyProof> {
        self.read(move |tx| rows::consistency(tx, from, to)).await
    }

    /// Goes through the trail from the first entry to the last and finds the first that does not fit its tree and what was
    /// signed of it, or that cannot be found by the indexes.
    ///
    /// # Errors
    /// As the database says. A trail that is broken is a result, not an error.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn verify(&self) -> Result<Verification> {
        let keys = self.read(|tx| Ok(Keys::none(tx))).await?;
        let (path, none) = (self.path(), keys.clone());
        let indexes = tokio::task::spawn_blocking(move || keys_of_indexes(&path, none));
        let (found, keys) = self.verify_entries(keys).await?;
        let fits = indexes.await.ok().flatten() == Some(keys);
        let path = self.path();
        let looked = tokio::task::spawn_blocking(move || found.unless(|| hidden(&path, fits)));
        let stopped = |_| Error::closed("the indexes are not checked: the runtime stops");
        looked.await.map_err(stopped)?
    }

    async fn verify_entries(&self, keys: Keys) -> Result<(Verification, Keys)> {
        let (signer, journal) = (Arc::clone(&self.signer), Arc::clone(&self.journal));
        // Between two signatures: what is signed stands in the file before it stands in the database.
        let checker = self
            .in_turn(move |tx| rows::checker(tx, signer.verifier(), &journal.read()?, &[]))
            .await?;
        let mut pass = Pass { checker, keys };
        loop {
            match self.read(move |tx| pass.go_on(tx)).await? {
                Checked::Some(more) => pass = more,
                Checked::All(pass, fault) => return Ok((pass.checker.finish(fault), pass.keys)),
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.outbox.database().path().to_owned()
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
        if !verification.ok {
            let sequence = verification.first_bad_sequence;
            tracing::error!(sequence, "the audit trail is broken");
        }
        let event = publisher::checked(&verification, &*self.clock)?.because(&cause);
        event.check()?;
        self.outbox
            .write(move |_| Ok::<_, sagabus::Error>((verification, vec![event])))
            .await
    }

    /// What only reads the database.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.outbox.database().read(work).await
    }

    /// A change without events, or what must not be done while there is one.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.outbox.database().call(work).await
    }
}

/// The alerts that there are now. The trail goes on without them where they cannot be read.
pub(crate) fn alerts(tx: &Transaction<'_>) -> Vec<Alert> {
    match rows::declared::<Alert>(tx) {
        Ok(alerts) => alerts.into_values().collect(),
        Err(error) => {
            tracing::error!(
                error = error.chain(),
                "no alert of the audit trail is looked at"
            );
            Vec::new()
        }
    }
}

/// Adds the act to the trail and makes the events that tell of it: the entry's, and those of alerts.
pub(crate) fn record(
    tx: &Transaction<'_>,
    act: &Act,
    alerts: &[Alert],
    clock: &dyn Clock,
) -> Result<(Recorded, Vec<Event>)> {
    let id = EventId::generate(clock).to_string();
    let (recorded, mut events) = enter(tx, id, act, alerts, clock)?;
    let told = publisher::entry_recorded(&recorded.id, act, &recorded.leaf, clock)?;
    events.insert(0, told);
    Ok((recorded, events))
}

/// Adds the act to the trail without an event of the entry; those of alerts it makes.
pub(crate) fn enter(
    tx: &Transaction<'_>,
    id: String,
    act: &Act,
    alerts: &[Alert],
    clock: &dyn Clock,
) -> Result<(Recorded, Vec<Event>)> {
    let now = clock.now();
    let (sequence, leaf) = rows::append(tx, &id, act, now)?;
    let mut events = Vec::new();
    for alert in alerts.iter().filter(|alert| alert.is_of(act)) {
        let cooldown = i64::from(alert.cooldown_minutes) * 60_000;
        let after = Timestamp::from_milliseconds(now.milliseconds().saturating_sub(cooldown));
        if alert.cooldown_minutes == 0 || !rows::has_told(tx, alert, after)? {
            rows::add_told(tx, alert, (&id, sequence), now)?;
            events.push(publisher::alert_triggered(alert, &id, act, clock)?);
        }
    }
    let recorded = Recorded { id, sequence, leaf };
    Ok((recorded, events))
}
