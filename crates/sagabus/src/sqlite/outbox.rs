//! Events that wait in the service's own database until the bus has them for good.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Transaction;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use crate::bus::Bus;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId, envelope};
use crate::retry::{Inline, Jitter, Retry};

/// Most events in one publish.
const BATCH_EVENTS_MAX: u32 = 100;
/// Most envelope bytes in one publish (one event may be larger).
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Waits after the bus refused: 50 ms, doubled with each failure up to 10 s.
const RETRY: Retry = Retry {
    attempts_max: u32::MAX,
    delay: Duration::from_millis(50),
    delay_max: Duration::from_secs(10),
    jitter: Jitter::Equal,
    inline: Inline {
        times: 0,
        delay: Duration::ZERO,
    },
};

/// Where the relay takes the events: the bus, or a recorder in tests.
#[async_trait]
pub trait Publish: fmt::Debug + Send + Sync + 'static {
    /// Publishes all of them or none, and returns when they are durable. A repeated event id is not stored twice.
    ///
    /// # Errors
    /// `Invalid` or `Conflict` when an event can never be taken; anything else is tried again.
    ///
    /// # Cancel safety
    /// The outcome of a dropped call is unknown; the relay publishes the same ids again.
    async fn publish(&self, events: Vec<Event>) -> Result<()>;
}

#[async_trait]
impl Publish for Bus {
    async fn publish(&self, events: Vec<Event>) -> Result<()> {
        self.publish_batch(events).await.map(drop)
    }
}

/// How full an outbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Events that the bus does not have yet.
    pub pending: u64,
    /// Events that the bus will never take; an operator must look at them.
    pub refused: u64,
}

/// The outbox of one database: writes events beside the state, and a relay that brings them to the bus in order.
#[derive(Clone, Debug)]
pub struct Outbox {
    database: Database,
    /// Something was written.
    pub(super) written: Arc<Notify>,
    /// Something was sent or set aside.
    sent: Arc<Notify>,
}

struct Waiting {
    seq: i64,
    event: Event,
}

impl Outbox {
    /// The outbox of `database`, which has the tables of [`super::TABLES`].
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            written: Arc::new(Notify::new()),
            sent: Arc::new(Notify::new()),
        }
    }

    /// The database, for calls that publish nothing.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs `work` in a transaction and stores the events that it returns in the same one; then wakes the relay.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// As [`Database::call`]: state and events are written together or not at all.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<(T, Vec<Event>), E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let written = Arc::clone(&self.written);
        self.database
            .call_then(
                move |tx| {
                    let (value, events) = work(tx)?;
                    for event in &events {
                        add(tx, event)?;
                    }
                    Ok(value)
                },
                move || written.notify_one(),
            )
            .await
    }

    /// Stores an event in a transaction of the outbox's own database; the relay finds it once that is committed.
    ///
    /// # Errors
    /// `Conflict` when an event of this id waits already.
    pub fn publish(&self, tx: &Transaction<'_>, event: &Event) -> Result<()> {
        add(tx, event)?;
        // The relay asks the thread that runs this transaction, and so after its end.
        self.written.notify_one();
        Ok(())
    }

    /// How many events wait, and how many were refused.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn counts(&self) -> Result<OutboxCounts> {
        self.database
            .call(|tx| {
                let (pending, refused): (i64, i64) = tx.query_row(
                    "SELECT count(*) FILTER (WHERE refused IS NULL), count(refused) FROM outbox",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                Ok(OutboxCounts {
                    pending: u64::try_from(pending).unwrap_or(0),
                    refused: u64::try_from(refused).unwrap_or(0),
                })
            })
            .await
    }

    /// Waits until every event written so far was sent or refused. Needs a running relay.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn drain(&self) -> Result<()> {
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            if self.counts().await?.pending == 0 {
                return Ok(());
            }
            sent.await;
        }
    }

    /// Waits until the event of this id was sent or refused, for what is to stand behind it in the log. Needs a running
    /// relay; an event that was never written counts as sent.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn sent(&self, event: &EventId) -> Result<()> {
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            let id = event.clone();
            let waits = self.database.call(move |tx| {
                let waiting = "SELECT 1 FROM outbox WHERE event_id = ?1 AND refused IS NULL";
                Ok::<_, Error>(tx.prepare_cached(waiting)?.exists([id.as_str()])?)
            });
            if !waits.await? {
                return Ok(());
            }
            sent.await;
        }
    }

    /// Brings events to `publisher`, in the order in which they were written, until `stop` fires.
    ///
    /// An event leaves the outbox after its publish was acknowledged, so a crash between the two sends it again under
    /// the same id. While the publisher fails, the relay waits ever longer, up to 10 s. Run one relay per outbox.
    ///
    /// # Errors
    /// `Closed` when the database is closed; other errors of the database are logged and tried again.
    ///
    /// # Cancel safety
    /// Safe: what was published and not yet removed is published again under the same id.
    pub async fn relay(
        self,
        publisher: Arc<dyn Publish>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<()> {
        let mut failures: u32 = 0;
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                outcome = self.relay_some(&*publisher) => outcome,
            };
            let wait = match outcome {
                Ok(true) => {
                    failures = 0;
                    continue;
                }
                Ok(false) => {
                    failures = 0;
                    None
                }
                Err(error) if error.kind() == ErrorKind::Closed && self.is_closed().await => {
                    return Err(error);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let wait = RETRY.delay_after(failures, clock.random());
                    tracing::warn!(
                        error = error.chain(), path = %self.database.path().display(), ?wait,
                        "outbox cannot be relayed, trying again"
                    );
                    Some(wait)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.wake_or(wait) => {}
            }
        }
    }

    /// Waits for the next write, or out the backoff.
    async fn wake_or(&self, wait: Option<Duration>) {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => self.written.notified().await,
        }
    }

    async fn is_closed(&self) -> bool {
        let outcome: Result<()> = self.database.call(|_| Ok(())).await;
        matches!(outcome, Err(error) if error.kind() == ErrorKind::Closed)
    }

    /// One batch; says whether there was one.
    async fn relay_some(&self, publisher: &dyn Publish) -> Result<bool> {
        let batch = self.database.call(next_batch).await?;
        if batch.is_empty() {
            return Ok(false);
        }
        let events = batch.iter().map(|waiting| waiting.event.clone()).collect();
        match publisher.publish(events).await {
            Ok(()) => {
                self.remove(batch.iter().map(|waiting| waiting.seq).collect())
                    .await?
            }
            Err(error) if is_final(&error) => self.relay_singly(publisher, batch).await?,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Finds the event that the bus will never take, and sets it aside, so that it does not hold up the others.
    async fn relay_singly(&self, publisher: &dyn Publish, batch: Vec<Waiting>) -> Result<()> {
        for Waiting { seq, event } in batch {
            let id = event.id.clone();
            match publisher.publish(vec![event]).await {
                Ok(()) => self.remove(vec![seq]).await?,
                Err(error) if is_final(&error) => {
                    tracing::error!(event_id = %id, error = error.chain(), "event was refused for good");
                    self.set_aside(seq, error.chain()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn remove(&self, seqs: Vec<i64>) -> Result<()> {
        let sent = Arc::clone(&self.sent);
        self.database
            .call_then(
                move |tx| {
                    let mut delete = tx.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?;
                    for seq in seqs {
                        delete.execute([seq])?;
                    }
                    Ok(())
                },
                move || sent.notify_waiters(),
            )
            .await
    }

    async fn set_aside(&self, seq: i64, why: String) -> Result<()> {
        let sent = Arc::clone(&self.sent);
        self.database
            .call_then(
                move |tx| {
                    tx.execute("UPDATE outbox SET refused = ?2 WHERE seq = ?1", (seq, why))?;
                    Ok(())
                },
                move || sent.notify_waiters(),
            )
            .await
    }
}

fn add(tx: &Transaction<'_>, event: &Event) -> Result<()> {
    let envelope = envelope::to_json(event)?;
    tx.prepare_cached("INSERT INTO outbox (event_id, envelope) VALUES (?1, ?2)")?
        .execute((event.id.as_str(), envelope))?;
    Ok(())
}

fn next_batch(tx: &Transaction<'_>) -> Result<Vec<Waiting>> {
    let mut select = tx.prepare_cached(
        "SELECT seq, envelope FROM outbox WHERE refused IS NULL ORDER BY seq LIMIT ?1",
    )?;
    let mut rows = select.query([BATCH_EVENTS_MAX])?;
    let mut batch = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let envelope: Vec<u8> = row.get(1)?;
        bytes += envelope.len();
        if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
            break;
        }
        batch.push(Waiting {
            seq: row.get(0)?,
            event: envelope::from_json(&envelope, &SystemClock)?,
        });
    }
    Ok(batch)
}

/// Whether trying again would fail again.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict)
}
