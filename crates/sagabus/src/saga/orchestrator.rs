//! The shell around the machine: stores what it decides, calls the handlers, keeps the time.

mod answer;
mod attach;
mod book;
mod child;
mod health;
mod inbox;
mod line;
mod look;
mod operate;
mod recovery;
mod runner;
mod saga;
mod search;
mod slots;
mod start;
mod timers;
mod worker;

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::attach::Attaching;
use self::book::{Admission, Book, Known};
use self::saga::{Progress, Saga};
use self::slots::{Claim, Limits, Slots};
use self::start::check_text;
use self::worker::Worker;

#[cfg(test)]
pub(in crate::saga) use book::Held;
pub use search::{Cursor, PAGE_MAX, Page, Query};
pub use start::{ATTRIBUTES_MAX, Earlier, Start, Started};

use super::definition::Definition;
use super::handlers::{Bound, Handlers};
use super::id::SagaId;
use super::machine::Input;
use super::monitor::{SagaStatus, Status, Unreadable};
use super::record::{Fact, Record};
use super::service_limit::ServiceLimit;
use super::settings::Settings;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::planted::{self, SagaBug};
use crate::saga_store::{SagaBatch, SagaStore};
use crate::sync::{Mutex, MutexGuard};

/// Starts sagas and brings them to their end, whatever happens on the way. Cheap to clone.
///
/// All work is done in tasks that this handle owns: dropping the future of a call never cuts a saga in half. Call
/// [`Sagas::shutdown`] before the process ends; what is unfinished then goes on at the next open.
#[derive(Clone)]
pub struct Sagas(Arc<Shared>);

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
        let epoch = match (self.store.epoch(), planted::in_sagas(SagaBug::EpochFalls)) {
            (epoch, false) => epoch,
            (epoch, true) => u64::MAX - epoch,
        };
        let shared = Arc::new(Shared {
            store: self.store,
            epoch,
            limits: Limits::new(&self.settings.service_limits),
            slots: Mutex::new(Slots::new(&self.settings.service_limits)),
            next_second: Notify::new(),
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
        let has_rate = |it: &ServiceLimit| it.per_second.is_some();
        if shared.settings.service_limits.iter().any(has_rate) {
            let slots = Arc::clone(&shared);
            shared.tracker.spawn(async move { slots.keep_pace().await });
        }
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
    /// A second start with the same idempotency key returns the id of the first one, whatever its definition and input;
    /// [`Sagas::start_or_find`] says so.
    ///
    /// # Errors
    /// `Invalid` when a step has no handler or the input is not JSON; `Full` when too many sagas wait, the store has no room, or
    /// the saga that this one attaches to has [as many keys as may be](crate::saga::ATTACHED_MAX): nothing is stored. `Closed` after shutdown, or when the store stopped: then the saga may be stored, and a
    /// start with the same idempotency key finds out. `Corrupt` when a key is given and a saga in the store, whose key cannot be
    /// read, may be the one.
    ///
    /// # Cancel safety
    /// The saga may be started or not when the future is dropped; an idempotency key makes repeating safe.
    pub async fn start(&self, definition: &Definition, start: Start) -> Result<SagaId> {
        let started = self.start_or_find(definition, start).await?;
        Ok(started.id)
    }

    /// Starts a saga as [`Sagas::start`] does, and says whether it is the saga of an earlier start, of which nothing is stored
    /// anew, and why.
    ///
    /// # Errors
    /// As [`Sagas::start`].
    ///
    /// # Cancel safety
    /// As there.
    pub async fn start_or_find(&self, definition: &Definition, start: Start) -> Result<Started> {
        // A repeat is the saga of before whatever is wrong with it otherwise, such as a handler that is gone since.
        if let Some(key) = start.key() {
            let order = Some((definition, start.input()));
            let repeated = self.repeated(key, order).await?;
            if let Some(started) = repeated {
                return Ok(started);
            }
        }
        let bound = self.0.handlers.bind(definition)?;
        self.start_bound(definition, start, bound).await
    }

    /// The saga of an earlier start with this idempotency key, for a start that orders nothing that could be done. It says that
    /// the saga has another definition or input.
    ///
    /// # Errors
    /// `Invalid` when the key is none; otherwise as [`Sagas::start`].
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn find_start(&self, idempotency_key: &str) -> Result<Option<Started>> {
        self.repeated(idempotency_key, None).await
    }

    async fn repeated(
        &self,
        key: &str,
        order: Option<(&Definition, &Bytes)>,
    ) -> Result<Option<Started>> {
        check_text("idempotencyKey", key)?;
        let known = self.0.book().known_by_key(&key.into());
        match known {
            Some(known) => self.found(known, order).await,
            None => Ok(None),
        }
    }

    /// The saga of an earlier start, once it is stored, and has the key of this one too. None: it was over before that.
    async fn found(
        &self,
        known: Known,
        order: Option<(&Definition, &Bytes)>,
    ) -> Result<Option<Started>> {
        let attaching = known
            .claim
            .clone()
            .map(|key| Attaching::noted(&self.0, key));
        if let Some(saga) = &known.saga {
            saga.stored().await?;
            if let Some(attaching) = &attaching
                && !attaching.keep(saga).await?
            {
                return Ok(None);
            }
        }
        Ok(Some(self.earlier(known, order)))
    }

    async fn start_bound(
        &self,
        definition: &Definition,
        start: Start,
        bound: Arc<[Bound]>,
    ) -> Result<Started> {
        // Again when the saga that it was to be taken for is over.
        let (saga, created, has_slot) = loop {
            let (state, record) = self.first_record(definition, start.clone())?;
            let saga = Arc::new(Saga::new(state.clone(), Progress::Storing));
            let admission = self.0.book().admit(&saga, &self.0)?;
            match admission {
                Admission::New { has_slot } => break (saga, (state, record), has_slot),
                Admission::Known(known) => {
                    let order = Some((definition, state.input()));
                    if let Some(started) = self.found(known, order).await? {
                        return Ok(started);
                    }
                }
            }
        };
        let (reply, stored) = oneshot::channel();
        let worker = Worker::bound(Arc::clone(&self.0), Arc::clone(&saga), bound);
        self.0
            .tracker
            .spawn(worker.create(created, has_slot, reply));
        stored.await.map_err(|_| closed())??;
        Ok(Started {
            id: saga.id.clone(),
            earlier: None,
        })
    }

    /// How a saga stands.
    ///
    /// # Errors
    /// `NotFound` when there is none, or it ended so long ago that it has left the memory; `Corrupt` when it cannot be read.
    pub fn status(&self, id: &SagaId) -> Result<SagaStatus> {
        let saga = self.0.find(id)?;
        Ok(self.0.status(&saga))
    }

    /// The sagas that are not over, oldest first.
    #[must_use]
    pub fn active(&self) -> Vec<SagaStatus> {
        self.0.statuses(|saga| !saga.status.is_final())
    }

    /// The sagas that are over and still in memory, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<SagaStatus> {
        self.0.statuses(|saga| saga.status.is_final())
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
        let sagas = self.0.book().stored();
        let unfinished = sagas
            .iter()
            .filter(|saga| !Status::of(&saga.state()).is_final());
        unfinished.count()
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
    limits: Limits,
    /// Locked after the book, where both are.
    slots: Mutex<Slots>,
    /// Somebody waits for a slot until others began long enough ago.
    next_second: Notify,
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those that have a slot now, and whoever keeps the pace that others may wait for the time.
    fn slots_changed(&self, given: Vec<Claim>) {
        self.go_on(given);
        if self.slots().next_due().is_some() {
            self.next_second.notify_one();
        }
    }

    fn go_on(&self, given: Vec<Claim>) {
        for claim in given {
            let saga = self.book().find(&claim.saga);
            if let Some(saga) = saga {
                saga.inbox.push(Input::Begin);
            }
        }
    }

    /// Gives out slots of services when enough time has gone by since the last ones.
    async fn keep_pace(&self) {
        loop {
            let due = self.slots().next_due();
            let time = async {
                match due {
                    Some(at) => {
                        let pause = at.saturating_sub(self.clock.elapsed());
                        tokio::time::sleep(pause).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                () = self.next_second.notified() => continue,
                () = time => {}
            }
            let given = self.slots().fill(self.clock.elapsed());
            self.go_on(given);
        }
    }

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
        for (done, (saga, keys)) in expired.iter().enumerate() {
            let batch = Record::new(now, Fact::Closed)
                .encode()
                .map(|record| SagaBatch {
                    saga: saga.to_string(),
                    records: vec![record],
                    events: Vec::new(),
                    is_start: false,
                    is_last: true,
                    keys: keys.iter().map(|key| key.to_string()).collect(),
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
