//! A call of before that runs when the bus does not take an event, with a record that it did.
//!
//! ```text
//! publish ─┬─ taken by the bus ──────────────────────────────────▶ Took::Bus
//!          ├─ refused: nothing was stored ─┐
//!          └─ unknown: perhaps stored ─────┴─▶ record `began` ─▶ call ─┬─ ok ──▶ record `ran` ───▶ Took::Call
//!                                                                      └─ error ▶ record `failed` ▶ error
//! later, when the bus is well: settle ─▶ `migration.fallback_ran` on the bus ─▶ verdict `call_only` or `both`
//! ```
//! The record is in the service's own database, synced before the call runs. So a process that ends at any point leaves
//! either no call, or a record of it. Once an event's call has begun, a repeat never goes to the bus.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::bus::Bus;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId, EventType};
use crate::sqlite::Database;
use crate::transport::Receipt;

/// The table of the records: a migration of the database that keeps them.
pub const TABLE: &str = include_str!("fallback.sql");
/// Type of the event that tells of a call which ran instead of a publish.
pub const FALLBACK_RAN: &str = "migration.fallback_ran";
/// How long the bus may take to answer unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records that one round of settling takes.
const ROUND_MAX: u32 = 100;
/// Events of one page of the log.
const PAGE_EVENTS: usize = 1000;
/// Records that are listed at a time.
const LIST_MAX: u32 = 1000;
/// Bytes of an error that are kept.
const ERROR_BYTES_MAX: usize = 2048;

/// Publishes on the bus, or has a call of before run instead. Clones are handles to the same.
#[derive(Clone)]
pub struct Fallback {
    bus: Bus,
    database: Database,
    patience: Duration,
    /// The latest position known: what comes later is behind it in the log.
    known: Arc<AtomicU64>,
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("database", &self.database.path())
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Who took an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Took {
    /// The bus.
    Bus(Receipt),
    /// The call of before, now or at an earlier try.
    Call(Cause),
}

/// Why the call of before ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The bus stored nothing.
    Refused,
    /// Nobody knows whether the bus stored the event: both may have their effect. What takes it twice must know it by its
    /// id; [`Fallback::settle`] finds out whether both had it.
    Unknown,
}

/// How far the call of before came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackState {
    /// It began; nobody has said how it ended.
    Began,
    /// It succeeded.
    Ran,
    /// It failed, and its caller was told.
    Failed,
    /// It failed, and at a later try the bus took the event.
    Bus,
}

/// What [`Fallback::settle`] found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event is not on the bus.
    CallOnly,
    /// The event is on the bus too.
    Both,
}

/// A call that ran, or was to run, instead of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackRecord {
    /// Its place among the records.
    pub seq: u64,
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// Why the bus did not take it.
    pub cause: Cause,
    /// What the bus said.
    pub bus_error: String,
    /// How far the call came.
    pub state: FallbackState,
    /// What it said, if it failed.
    pub call_error: Option<String>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Where the event that tells of it stands in the log.
    pub told_at: Option<u64>,
    /// Whether the event is on the bus too; `None` until that is known.
    pub verdict: Option<Verdict>,
}

/// How many records there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FallbackCounts {
    /// Calls whose end nobody knows.
    pub began: u64,
    /// Calls that succeeded.
    pub ran: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Of those that succeeded, the ones that are not settled.
    pub unsettled: u64,
    /// Of those that succeeded, the ones whose event is on the bus too.
    pub both: u64,
}

impl Fallback {
    /// `database` has [`TABLE`] among its migrations.
    #[must_use]
    pub fn new(bus: Bus, database: Database) -> Self {
        Self {
            bus,
            database,
            patience: PATIENCE,
            known: Arc::default(),
        }
    }

    /// How long the bus may take to answer (5 s unless said otherwise); after that the outcome is unknown.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Publishes the event; when the bus refuses it, or its outcome is unknown, runs `call` instead, once that is written
    /// down. `call` gets the event with its id, and must know it by that id: it is called again when a caller repeats
    /// after the process ended within it. An event whose call has begun never goes to the bus by a repeat.
    ///
    /// # Errors
    /// `Invalid` and `Conflict` of the bus: the event is wrong, or another one has its id, and no call was made. What the
    /// database says when there can be no record: no call was made. What `call` answers: repeat with the same event.
    ///
    /// # Cancel safety
    /// Dropping the future is as the end of the process at that point: repeat with the same event.
    pub async fn publish<H, F>(&self, event: Event, call: H) -> Result<Took>
    where
        H: FnOnce(Arc<Event>) -> F + Send,
        F: Future<Output = Result<()>> + Send,
    {
        let before = self.state_of(&event.id).await?;
        if let Some((FallbackState::Ran, cause)) = before {
            return Ok(Took::Call(cause));
        }
        let event = Arc::new(event);
        let cause = if let Some((FallbackState::Began, cause)) = before {
            cause
        } else {
            let (cause, error) = match self.try_bus(&event).await? {
                Ok(receipt) => {
                    if before.is_some() {
                        self.end(&event.id, FallbackState::Bus, None).await?;
                    }
                    return Ok(Took::Bus(receipt));
                }
                Err(refusal) => refusal,
            };
            // Of two causes the worse one counts: what was unknown once is not known by a later refusal.
            let cause = match before {
                Some((_, Cause::Unknown)) => Cause::Unknown,
                _ => cause,
            };
            self.begin(&event, cause, &error).await?;
            cause
        };
        tracing::warn!(event_id = %event.id, cause = cause.as_str(), "a call runs instead of a publish");
        if let Err(error) = call(Arc::clone(&event)).await {
            let text = error.chain();
            self.end(&event.id, FallbackState::Failed, Some(text))
                .await?;
            return Err(error);
        }
        if let Err(error) = self.end(&event.id, FallbackState::Ran, None).await {
            // The effect is there; the record says that the call began, which is true.
            tracing::error!(event_id = %event.id, error = %error.chain(), "the end of a call cannot be written down");
        }
        Ok(Took::Call(cause))
    }

    /// The bus's receipt, or why it did not take the event; an error where no call is to be made.
    async fn try_bus(&self, event: &Arc<Event>) -> Result<Result<Receipt, (Cause, String)>> {
        let published = self.bus.publish(Event::clone(event));
        Ok(match tokio::time::timeout(self.patience, published).await {
            Ok(Ok(receipt)) => {
                self.known.fetch_max(receipt.position, Ordering::Relaxed);
                Ok(receipt)
            }
            Err(_) => Err((
                Cause::Unknown,
                format!("no answer from the bus in {:?}", self.patience),
            )),
            Ok(Err(error)) => match Cause::of(error.kind()) {
                Some(cause) => Err((cause, error.chain())),
                None => return Err(error),
            },
        })
    }

    /// Whether a call has taken this event, or has begun to: a handler that the bus gives the event to may skip it.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn has_begun(&self, event: &EventId) -> Result<bool> {
        let state = self.state_of(event).await?;
        Ok(state.is_some_and(|(it, _)| matches!(it, FallbackState::Began | FallbackState::Ran)))
    }

    /// Tells on the bus of the calls that ran ([`FALLBACK_RAN`], once each), and finds out for each whether its event is
    /// on the bus too. Run it when the bus is well again, and now and then; 100 records a round. Returns how many were
    /// settled.
    ///
    /// # Errors
    /// As [`Bus::publish`], [`Bus::read`] and [`Database::call`]; what was settled before stays so.
    ///
    /// # Cancel safety
    /// Safe: what is not settled is taken up again, and told under the same id.
    pub async fn settle(&self) -> Result<usize> {
        let open = self
            .database
            .call(|tx| {
                let mut select = tx.prepare_cached(
                    "SELECT event_id, event_type, cause, bus_error, began_ms, read_from FROM fallbacks \
                     WHERE state = 'ran' AND verdict IS NULL ORDER BY seq LIMIT ?1",
                )?;
                let mut rows = select.query([ROUND_MAX])?;
                let mut open = Vec::new();
                while let Some(row) = rows.next()? {
                    open.push(Open {
                        event_id: EventId::new(row.get::<_, String>(0)?)?,
                        event_type: row.get(1)?,
                        cause: Cause::read(&row.get::<_, String>(2)?)?,
                        bus_error: row.get(3)?,
                        began_ms: row.get(4)?,
                        from: unsigned(row.get(5)?),
                    });
                }
                Ok::<_, Error>(open)
            })
            .await?;
        let mut told = Vec::with_capacity(open.len());
        for open in open {
            let receipt = self.bus.publish(self.telling(&open)?).await?;
            told.push((open, receipt.position));
        }
        let doubtful = told.iter().filter(|(it, _)| it.cause == Cause::Unknown);
        let span = doubtful
            .map(|(it, at)| (it.from, *at))
            .reduce(|(from, until), (a, b)| (from.min(a), until.max(b)));
        let on_bus = match span {
            None => Vec::new(),
            Some((from, until)) => {
                let ids: Vec<&EventId> = told.iter().map(|(it, _)| &it.event_id).collect();
                self.find(from, until, &ids).await?
            }
        };
        let count = told.len();
        self.database
            .call(move |tx| {
                let mut update = tx.prepare_cached(
                    "UPDATE fallbacks SET told_at = ?2, verdict = ?3 WHERE event_id = ?1",
                )?;
                for (open, at) in told {
                    let verdict = if on_bus.contains(&open.event_id) {
                        Verdict::Both
                    } else {
                        Verdict::CallOnly
                    };
                    update.execute((open.event_id.as_str(), signed(at), verdict.as_str()))?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(count)
    }

    /// Which of the ids are in the log from `from` to before `until`. What was handed to the engine before the event at
    /// `until` stands before it, or nowhere.
    async fn find(&self, from: u64, until: u64, ids: &[&EventId]) -> Result<Vec<EventId>> {
        let mut found = Vec::new();
        let mut position = from;
        while position < until {
            let page = self.bus.read(position, PAGE_EVENTS).await?;
            for (at, event) in &page.events {
                if *at < until && ids.contains(&&event.id) {
                    found.push(event.id.clone());
                }
            }
            if page.next <= position {
                break;
            }
            position = page.next;
        }
        Ok(found)
    }

    fn telling(&self, open: &Open) -> Result<Event> {
        let data = json!({
            "eventId": open.event_id.as_str(),
            "eventType": open.event_type,
            "cause": open.cause.as_str(),
            "error": open.bus_error,
            "at": Timestamp::from_milliseconds(open.began_ms),
        });
        let mut event = Event::raw(
            EventType::new(FALLBACK_RAN)?,
            "migration",
            data.to_string().into(),
            self.bus.clock().as_ref(),
        );
        event.id = telling_id(&open.event_id)?;
        Ok(event)
    }

    /// The records after the one with this number, oldest first, at most 1,000.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn records(&self, after: u64) -> Result<Vec<FallbackRecord>> {
        self.database
            .call(move |tx| {
                let mut select = tx.prepare_cached(
                    "SELECT seq, event_id, event_type, cause, bus_error, state, call_error, began_ms, ended_ms, told_at, \
                     verdict FROM fallbacks WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                )?;
                let mut rows = select.query((signed(after), LIST_MAX))?;
                let mut records = Vec::new();
                while let Some(row) = rows.next()? {
                    let verdict: Option<String> = row.get(10)?;
                    records.push(FallbackRecord {
                        seq: unsigned(row.get(0)?),
                        event_id: EventId::new(row.get::<_, String>(1)?)?,
                        event_type: row.get(2)?,
                        cause: Cause::read(&row.get::<_, String>(3)?)?,
                        bus_error: row.get(4)?,
                        state: FallbackState::read(&row.get::<_, String>(5)?)?,
                        call_error: row.get(6)?,
                        began_at: Timestamp::from_milliseconds(row.get(7)?),
                        ended_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_milliseconds),
                        told_at: row.get::<_, Option<i64>>(9)?.map(unsigned),
                        verdict: verdict.as_deref().map(Verdict::read).transpose()?,
                    });
                }
                Ok::<_, Error>(records)
            })
            .await
    }

    /// How many records there are.
    ///
    /// # Errors
    /// As [`Database::call`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn counts(&self) -> Result<FallbackCounts> {
        self.database
            .call(|tx| {
                let counts = tx.query_row(
                    "SELECT count(*) FILTER (WHERE state = 'began'), count(*) FILTER (WHERE state = 'ran'), \
                     count(*) FILTER (WHERE state = 'failed'), \
                     count(*) FILTER (WHERE state = 'ran' AND verdict IS NULL), \
                     count(*) FILTER (WHERE verdict = 'both') FROM fallbacks",
                    [],
                    |row| {
                        Ok(FallbackCounts {
                            began: unsigned(row.get(0)?),
                            ran: unsigned(row.get(1)?),
                            failed: unsigned(row.get(2)?),
                            unsettled: unsigned(row.get(3)?),
                            both: unsigned(row.get(4)?),
                        })
                    },
                )?;
                Ok::<_, Error>(counts)
            })
            .await
    }

    async fn state_of(&self, event: &EventId) -> Result<Option<(FallbackState, Cause)>> {
        let event = event.clone();
        self.database
            .call(move |tx| {
                let mut select =
                    tx.prepare_cached("SELECT state, cause FROM fallbacks WHERE event_id = ?1")?;
                let mut rows = select.query([event.as_str()])?;
                let Some(row) = rows.next()? else {
                    return Ok(None);
                };
                let state = FallbackState::read(&row.get::<_, String>(0)?)?;
                let cause = Cause::read(&row.get::<_, String>(1)?)?;
                Ok::<_, Error>(Some((state, cause)))
            })
            .await
    }

    async fn begin(&self, event: &Event, cause: Cause, error: &str) -> Result<()> {
        let id = event.id.clone();
        let event_type = event.event_type.as_str().to_owned();
        let error = short(error);
        let now_ms = self.bus.clock().now().milliseconds();
        let from = signed(self.known.load(Ordering::Relaxed));
        self.database
            .call(move |tx| {
                tx.prepare_cached(
                    "INSERT INTO fallbacks (event_id, event_type, cause, bus_error, state, began_ms, read_from) \
                     VALUES (?1, ?2, ?3, ?4, 'began', ?5, ?6) \
                     ON CONFLICT (event_id) DO UPDATE SET cause = ?3, bus_error = ?4, state = 'began', \
                     call_error = NULL, ended_ms = NULL, read_from = min(read_from, ?6)",
                )?
                .execute((id.as_str(), event_type, cause.as_str(), error, now_ms, from))?;
                Ok::<_, Error>(())
            })
            .await
    }

    async fn end(&self, id: &EventId, state: FallbackState, error: Option<String>) -> Result<()> {
        let id = id.clone();
        let error = error.as_deref().map(short);
        let now_ms = self.bus.clock().now().milliseconds();
        self.database
            .call(move |tx| {
                tx.prepare_cached(
                    "UPDATE fallbacks SET state = ?2, call_error = ?3, ended_ms = ?4 WHERE event_id = ?1",
                )?
                .execute((id.as_str(), state.as_str(), error, now_ms))?;
                Ok::<_, Error>(())
            })
            .await
    }
}

/// A record that is not settled.
struct Open {
    event_id: EventId,
    event_type: String,
    cause: Cause,
    bus_error: String,
    began_ms: i64,
    from: u64,
}

impl Cause {
    /// The cause in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// What an error of the bus says of the event; `None` where the event itself is wrong.
    fn of(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::Invalid | ErrorKind::Conflict => None,
            ErrorKind::Full | ErrorKind::Transient => Some(Self::Refused),
            ErrorKind::NotFound | ErrorKind::Fenced | ErrorKind::Corrupt | ErrorKind::Closed => {
                Some(Self::Unknown)
            }
        }
    }

    fn read(text: &str) -> Result<Self> {
        [Self::Refused, Self::Unknown]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| unreadable(text))
    }
}

impl FallbackState {
    /// The state in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Ran => "ran",
            Self::Failed => "failed",
            Self::Bus => "bus",
        }
    }

    fn read(text: &str) -> Result<Self> {
        [Self::Began, Self::Ran, Self::Failed, Self::Bus]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| unreadable(text))
    }
}

impl Verdict {
    /// The verdict in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallOnly => "call_only",
            Self::Both => "both",
        }
    }

    fn read(text: &str) -> Result<Self> {
        [Self::CallOnly, Self::Both]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| unreadable(text))
    }
}

fn unreadable(text: &str) -> Error {
    let text = format!("a record of a fallback says `{}`", text.escape_debug());
    Error::new(ErrorKind::Corrupt, text)
}

/// A UUID made from the event's id (version 8, RFC 9562), so that a call is told of once.
fn telling_id(event: &EventId) -> Result<EventId> {
    let mut hash = Sha256::new();
    hash.update(FALLBACK_RAN);
    hash.update([0]);
    hash.update(event.as_str());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    EventId::new(id.hyphenated().to_string())
}

fn short(text: &str) -> String {
    let mut end = text.len().min(ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
