//! The shell around the machine: stores what it decides, calls the handlers, keeps the time.

mod answer;
mod book;
mod child;
mod inbox;
mod operate;
mod recovery;
mod runner;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::book::{Admission, Book, Progress, Saga};
use self::worker::Worker;
use super::definition::Definition;
use super::handlers::{Bound, Handlers};
use super::id::SagaId;
use super::machine::{Stage, State};
use super::monitor::{Health, SagaStatus, Stats, Unreadable};
use super::record::{Fact, PauseCause, Record};
use super::settings::Settings;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::event::strict::check_depth;
use crate::event::{ATTRIBUTE_BYTES_MAX, DATA_BYTES_MAX, EventId};
use crate::saga_store::{SagaBatch, SagaStore};
use crate::text::check_visible;

/// Starts sagas and brings them to their end, whatever happens on the way. Cheap to clone.
///
/// All work is done in tasks that this handle owns: dropping the future of a call never cuts a saga in half. Call
/// [`Sagas::shutdown`] before the process ends; what is unfinished then goes on at the next open.
#[derive(Clone)]
pub struct Sagas(Arc<Shared>);

/// What a saga is started with besides its definition.
#[derive(Clone, Debug)]
#[must_use]
pub struct Start {
    input: Bytes,
    correlation_id: Option<String>,
    idempotency_key: Option<String>,
    causation_id: Option<EventId>,
    id: Option<SagaId>,
    parent: Option<SagaId>,
}

impl Start {
    /// Starts with `input`, one JSON value, usually an object.
    pub fn new(input: impl Into<Bytes>) -> Self {
        Self {
            input: input.into(),
            correlation_id: None,
            idempotency_key: None,
            causation_id: None,
            id: None,
            parent: None,
        }
    }

    /// Ties the saga to other work; its own id is taken where nothing is given.
    pub fn correlated(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation_id = Some(correlation_id.into());
        self
    }

    /// Makes a second start with the same key the same saga.
    pub fn keyed(mut self, idempotency_key: impl Into<String>) -> Self {
        self.idempotency_key = Some(idempotency_key.into());
        self
    }

    pub(super) fn correlated_unless_it_is(mut self, correlation_id: String) -> Self {
        self.correlation_id.get_or_insert(correlation_id);
        self
    }

    /// Gives the saga an id that is made of what it follows from, instead of a new one.
    pub(super) fn identified(mut self, id: SagaId) -> Self {
        self.id = Some(id);
        self
    }

    /// Makes the saga one that `parent` waits for, with an id that is made of what the parent says.
    fn child_of(mut self, parent: SagaId, id: SagaId) -> Self {
        (self.parent, self.id) = (Some(parent), Some(id));
        self
    }

    /// Names the event that led to the saga.
    pub fn caused_by(mut self, event: EventId) -> Self {
        self.causation_id = Some(event);
        self
    }
}

/// Puts an orchestrator together.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    store: Arc<dyn SagaStore>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    handlers: Handlers,
}

impl Builder {
    /// Sets the settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the handlers.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    /// Reads all sagas from the store and goes on with the unfinished ones. A step that was cut off is run again with its
    /// key; a saga for which this process lacks a handler is parked and shown as such. A saga that this program cannot
    /// read stays as it is and is shown by [`Sagas::unreadable`] and [`Sagas::health`]; the others go on.
    ///
    /// # Errors
    /// `Invalid` when a setting makes no sense or a handler is registered twice; `Corrupt` when the store is damaged; as
    /// the store otherwise.
    ///
    /// # Cancel safety
    /// Safe: nothing is started before all is read.
    pub async fn open(self) -> Result<Sagas> {
        self.settings.validate()?;
        self.handlers.check()?;
        let stored = self.store.load().await?;
        let epoch = self.store.epoch();
        let shared = Arc::new(Shared {
            store: self.store,
            epoch,
            clock: self.clock,
            settings: self.settings,
            handlers: self.handlers,
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            fault: OnceLock::new(),
            book: Mutex::new(Book::default()),
        });
        recovery::recover(&shared, stored);
        let cleanup = Arc::clone(&shared);
        shared
            .tracker
            .spawn(async move { cleanup.clean_up().await });
        Ok(Sagas(shared))
    }
}

impl Sagas {
    /// A builder for an orchestrator that keeps its sagas in `store`.
    pub fn builder(store: Arc<dyn SagaStore>, clock: Arc<dyn Clock>) -> Builder {
        Builder {
            store,
            clock,
            settings: Settings::default(),
            handlers: Handlers::default(),
        }
    }

    /// Starts a saga. Returns as soon as its first record is durable; its steps go on in the background.
    ///
    /// A second start with the same idempotency key returns the id of the first one.
    ///
    /// # Errors
    /// `Invalid` when a step has no handler or the input is not JSON; `Full` when too many sagas wait or the store has no
    /// room: nothing is stored. `Closed` after shutdown, or when the store stopped: then the saga may be stored, and a
    /// start with the same idempotency key finds out. `Corrupt` when a key is given and a saga in the store, whose key cannot be
    /// read, may be the one.
    ///
    /// # Cancel safety
    /// The saga may be started or not when the future is dropped; an idempotency key makes repeating safe.
    pub async fn start(&self, definition: &Definition, start: Start) -> Result<SagaId> {
        let bound = self.0.handlers.bind(definition)?;
        self.start_bound(definition, start, bound).await
    }

    async fn start_bound(
        &self,
        definition: &Definition,
        start: Start,
        bound: Arc<[Bound]>,
    ) -> Result<SagaId> {
        let (state, record) = self.first_record(definition, start)?;
        let saga = Arc::new(Saga::new(state.clone(), Progress::Storing));
        let admission = self.0.book().admit(&saga, &self.0)?;
        let has_slot = match admission {
            Admission::Known(id, known) => {
                if let Some(known) = known {
                    known.stored().await?;
                }
                return Ok(id);
            }
            Admission::New { has_slot } => has_slot,
        };
        let (reply, stored) = oneshot::channel();
        let worker = Worker::bound(Arc::clone(&self.0), Arc::clone(&saga), bound);
        self.0
            .tracker
            .spawn(worker.create((state, record), has_slot, reply));
        stored.await.map_err(|_| closed())??;
        Ok(saga.id.clone())
    }

    /// Whether this process has all handlers of the definition.
    pub(super) fn check_handlers(&self, definition: &Definition) -> Result<()> {
        self.0.handlers.bind(definition)?;
        Ok(())
    }

    fn first_record(&self, definition: &Definition, start: Start) -> Result<(State, Record)> {
        if start.input.len() > DATA_BYTES_MAX {
            return Err(Error::invalid(format!(
                "saga `input` has {} bytes, more than {DATA_BYTES_MAX}",
                start.input.len()
            )));
        }
        serde_json::from_slice::<serde::de::IgnoredAny>(&start.input)
            .map_err(|error| Error::invalid("saga `input` is not JSON").with_source(error))?;
        check_depth("input", &start.input)?;
        for (field, value) in [
            ("correlationId", &start.correlation_id),
            ("idempotencyKey", &start.idempotency_key),
        ] {
            if let Some(value) = value
                && !(1..=ATTRIBUTE_BYTES_MAX).contains(&value.len())
            {
                return Err(Error::invalid(format!(
                    "saga `{field}` must have 1 to {ATTRIBUTE_BYTES_MAX} bytes"
                )));
            }
            value
                .as_ref()
                .map_or(Ok(()), |it| check_visible(field, it))?;
        }
        if let Some(id) = &start.causation_id {
            check_visible("causationId", id.as_str())?;
        }
        let clock = self.0.clock.as_ref();
        // Where a key was forgotten, the store may have a saga that is over with the id that was made of the event. A child is
        // kept for as long as its parent may ask for it.
        let is_child = start.parent.is_some();
        let derived = (start.id).filter(|_| is_child || !self.0.book().has_forgotten_keys);
        let id = derived.unwrap_or_else(|| SagaId::generate(clock));
        let record = Record::new(
            clock.now(),
            Fact::Created {
                definition: definition.to_json(),
                hash: definition.hash().0,
                input: start.input,
                correlation_id: start.correlation_id.unwrap_or_else(|| id.to_string()),
                idempotency_key: start.idempotency_key,
                causation_id: start.causation_id.map(|id| id.to_string()),
                parent: start.parent.map(|id| id.to_string()),
            },
        );
        let state = State::first(id, &record, |_| Ok(definition.clone()))?;
        Ok((state, record))
    }

    /// How a saga stands.
    ///
    /// # Errors
    /// `NotFound` when there is none, or it ended so long ago that it has left the memory; `Corrupt` when it cannot be read.
    pub fn status(&self, id: &SagaId) -> Result<SagaStatus> {
        Ok(self.0.find(id)?.status())
    }

    /// The sagas that are not over, oldest first.
    #[must_use]
    pub fn active(&self) -> Vec<SagaStatus> {
        let sagas = self.0.book().stored();
        let statuses = sagas.iter().map(|saga| saga.status());
        statuses.filter(|saga| !saga.status.is_final()).collect()
    }

    /// The sagas that are over and still in memory, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<SagaStatus> {
        let sagas = self.0.book().stored();
        let statuses = sagas.iter().map(|saga| saga.status());
        statuses.filter(|saga| saga.status.is_final()).collect()
    }

    /// The sagas in the store that this program cannot read: they stay as they are.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.0.book().unreadable()
    }

    /// Waits until a saga is over. A stuck or paused one is not.
    ///
    /// # Errors
    /// `NotFound` as [`Sagas::status`]; `Closed` when the orchestrator shuts down before the saga is over.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn wait(&self, id: &SagaId) -> Result<SagaStatus> {
        let saga = self.0.find(id)?;
        tokio::select! {
            biased;
            () = saga.ended() => Ok(saga.status()),
            () = self.0.closed.cancelled() => Err(closed()),
        }
    }

    /// Whether all is well, and if not, why.
    #[must_use]
    pub fn health(&self) -> Health {
        let now = self.0.clock.now();
        let settings = &self.0.settings;
        let sagas = self.0.book().stored();
        let (mut active, mut old, mut overdue) = (0_usize, 0_usize, 0_usize);
        let (mut stuck, mut forward_stuck) = (0_usize, 0_usize);
        let (mut parked, mut poisoned, mut in_doubt) = (0_usize, 0_usize, 0_usize);
        for saga in &sagas {
            let state = saga.state();
            if matches!(state.stage, Stage::Ended(_)) {
                continue;
            }
            active += 1;
            let is_old = now.since(state.started_at()) > settings.stuck_after;
            old += usize::from(is_old && !state.is_waiting());
            let deadline = state.deadline().filter(|_| state.turned_back.is_none());
            overdue += usize::from(deadline.is_some_and(|deadline| now > deadline));
            stuck += usize::from(state.stage == Stage::Stuck);
            forward_stuck += usize::from(state.stage == Stage::ForwardStuck);
            parked += usize::from(saga.parked().is_some());
            match state.paused.map(|paused| paused.cause) {
                Some(PauseCause::Poison) => poisoned += 1,
                Some(PauseCause::InDoubt(_)) => in_doubt += 1,
                // Whoever paused it knows.
                Some(PauseCause::Operator) | None => {}
            }
        }
        let mut issues = Vec::new();
        if let Some(fault) = self.0.fault.get() {
            issues.push(format!("Saga store has stopped: {fault}"));
        }
        if old > 0 {
            issues.push(format!("{old} sagas appear to be stuck"));
        }
        if stuck > 0 {
            issues.push(format!("{stuck} sagas have a stuck compensation"));
        }
        if forward_stuck > 0 {
            issues.push(format!(
                "{forward_stuck} sagas are stuck behind their pivot"
            ));
        }
        if overdue > 0 {
            issues.push(format!("{overdue} sagas are beyond their deadline"));
        }
        if poisoned > 0 {
            issues.push(format!(
                "{poisoned} sagas are paused: cut off again and again without progress"
            ));
        }
        if in_doubt > 0 {
            issues.push(format!(
                "{in_doubt} sagas are paused: a step was cut off that asks for an operator then"
            ));
        }
        let unreadable = self.unreadable();
        if let Some(first) = unreadable.first() {
            issues.push(format!(
                "{} sagas cannot be read, such as `{}`: {}",
                unreadable.len(),
                first.id.escape_debug(),
                first.reason
            ));
        }
        if parked > 0 {
            issues.push(format!("{parked} sagas lack a handler in this process"));
        }
        if active > settings.active_max {
            issues.push(format!(
                "High number of active sagas: {active}, more than {}",
                settings.active_max
            ));
        }
        Health {
            healthy: issues.is_empty(),
            active_sagas: active,
            completed_sagas: sagas.len() - active,
            issues,
        }
    }

    /// Counts of sagas.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (mut stats, sagas) = {
            let book = self.0.book();
            (book.stats(), book.stored())
        };
        for saga in sagas {
            {
                let state = saga.state();
                stats.stuck += usize::from(state.stage == Stage::Stuck);
                stats.forward_stuck += usize::from(state.stage == Stage::ForwardStuck);
                stats.inconsistent += usize::from(state.is_inconsistent());
                stats.paused += usize::from(state.paused.is_some());
            }
            stats.parked += usize::from(saga.parked().is_some());
        }
        stats
    }

    /// Stops: starts no further step, waits for the handlers in flight until `deadline` is over, then drops them. Returns how
    /// many sagas are unfinished; they are in the store and go on at the next open. Appends in flight are awaited beyond the
    /// deadline, so shut the store down after this. Fine twice.
    ///
    /// # Cancel safety
    /// Stopping has begun when the future is dropped; call again to wait for its end.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.0.close();
        self.0.tracker.close();
        if tokio::time::timeout(deadline, self.0.tracker.wait())
            .await
            .is_err()
        {
            self.0.book().kill();
            self.0.tracker.wait().await;
        }
        self.0.closed.cancel();
        self.active().len()
    }
}

impl fmt::Debug for Sagas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sagas")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// What all workers share.
struct Shared {
    store: Arc<dyn SagaStore>,
    /// The fencing token of this orchestrator.
    epoch: u64,
    clock: Arc<dyn Clock>,
    settings: Settings,
    handlers: Handlers,
    tracker: TaskTracker,
    /// Nothing new is started.
    closing: CancellationToken,
    /// No task is left.
    closed: CancellationToken,
    /// Why the store has stopped.
    fault: OnceLock<String>,
    book: Mutex<Book>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &SagaId) -> Result<Arc<Saga>> {
        let book = self.book();
        if let Some(reason) = book.why_unreadable(id) {
            let text = format!("saga `{id}` cannot be read: {reason}");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let saga = book.find(id);
        saga.ok_or_else(|| Error::not_found(format!("saga `{id}` is not known")))
    }

    /// Whether `error` means that the store has stopped; other errors are about one batch or the moment.
    fn check_store(&self, error: &Error) -> bool {
        let has_stopped = match error.kind() {
            ErrorKind::Fenced | ErrorKind::Corrupt | ErrorKind::Closed => true,
            ErrorKind::Full
            | ErrorKind::Transient
            | ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Conflict => false,
        };
        if has_stopped {
            self.fail(error);
        }
        has_stopped
    }

    /// The store has stopped: nothing can become durable, so nothing more is started.
    fn fail(&self, error: &Error) {
        if self.fault.set(error.chain()).is_ok() {
            tracing::error!(error = %error.chain(), "saga store has stopped");
        }
        self.close();
    }

    /// Starts nothing any more.
    fn close(&self) {
        // With the book locked, so that no start comes in between.
        let book = self.book();
        self.closing.cancel();
        book.close();
    }

    async fn clean_up(&self) {
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                () = tokio::time::sleep(self.settings.cleanup_interval) => {}
            }
            let now = self.clock.now();
            self.book().clean_up(now, &self.settings);
            self.close_expired(now).await;
        }
    }

    /// Says of the sagas that have left the memory with something left to repair that nothing follows, so that their store
    /// may drop them. What cannot be stored now is so at the next interval or after the next open.
    async fn close_expired(&self, now: Timestamp) {
        let expired = self.book().take_expired();
        for (done, saga) in expired.iter().enumerate() {
            let batch = Record::new(now, Fact::Closed)
                .encode()
                .map(|record| SagaBatch {
                    saga: saga.to_string(),
                    records: vec![record],
                    events: Vec::new(),
                    is_last: true,
                });
            let stored = match batch {
                Ok(batch) => self.store.append(vec![batch]).await,
                Err(error) => Err(error),
            };
            if let Err(error) = stored {
                tracing::warn!(saga_id = %saga, error = %error.chain(), "saga cannot be closed yet");
                self.check_store(&error);
                let rest = expired.get(done..).unwrap_or_default();
                return self.book().expire(rest.iter().cloned());
            }
        }
    }
}

fn closed() -> Error {
    Error::closed("saga orchestrator is shut down")
}
