//! The sagas in memory: who they are, whose turn it is, and the counts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::inbox::Inbox;
use super::{Shared, closed};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::planted::{self, SagaBug};
use crate::saga::id::SagaId;
use crate::saga::machine::{Input, State};
use crate::saga::monitor::{SagaStatus, Stats, Unreadable};
use crate::saga::record::Outcome;
use crate::saga::settings::Settings;

/// One saga in memory.
pub(super) struct Saga {
    pub(super) id: SagaId,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    pub(super) inbox: Inbox,
    /// Which handler it waits for that this process lacks.
    parked: Mutex<Option<String>>,
    /// Whether it is one of the active sagas; changed only with the book locked.
    has_slot: AtomicBool,
    /// Why it could not be stored.
    refused: OnceLock<(ErrorKind, String)>,
}

/// What others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The first record is not durable yet.
    Storing,
    /// It could not be stored.
    Refused,
    /// On its way.
    Stored,
    /// Over.
    Ended,
}

impl Saga {
    pub(super) fn new(state: State, progress: Progress) -> Self {
        Self {
            id: state.id().clone(),
            state: Mutex::new(state),
            progress: watch::Sender::new(progress),
            inbox: Inbox::default(),
            parked: Mutex::new(None),
            has_slot: AtomicBool::new(false),
            refused: OnceLock::new(),
        }
    }

    /// Notes which handler it waits for, if any.
    pub(super) fn park(&self, reason: Option<String>) {
        *self.parked.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn parked(&self) -> Option<String> {
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> SagaStatus {
        SagaStatus::of(&self.state(), self.parked())
    }

    pub(super) fn advance_to(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    pub(super) fn refuse(&self, error: &Error) {
        // Only its own worker refuses a saga, and only once.
        let first = self.refused.set((error.kind(), error.chain()));
        debug_assert!(first.is_ok());
        self.advance_to(Progress::Refused);
    }

    /// Waits until the first record is durable.
    pub(super) async fn stored(&self) -> Result<()> {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|progress| *progress != Progress::Storing);
        let reached = reached.await.map(|progress| *progress);
        match (reached, self.refused.get()) {
            (Ok(Progress::Stored | Progress::Ended), _) => Ok(()),
            (_, Some((kind, text))) => Err(Error::new(*kind, text.clone())),
            (_, None) => Err(closed()),
        }
    }

    /// Waits until it is over.
    pub(super) async fn ended(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as `self`.
        let _ended = progress
            .wait_for(|progress| *progress == Progress::Ended)
            .await;
    }
}

/// All sagas in memory.
#[derive(Default)]
pub(super) struct Book {
    sagas: BTreeMap<SagaId, Arc<Saga>>,
    keys: HashMap<Arc<str>, SagaId>,
    /// Keys of sagas that have left the memory, oldest first.
    old_keys: VecDeque<Arc<str>>,
    /// Whether a key was forgotten, so that one that is not here may be that of a saga in the store.
    pub(super) has_forgotten_keys: bool,
    /// Stored sagas that wait for their turn.
    queue: VecDeque<Arc<Saga>>,
    /// Sagas without a slot that are being stored, and will be in the queue.
    queueing: usize,
    /// Sagas that are over, in the order in which they ended.
    finished: VecDeque<(Timestamp, SagaId)>,
    /// Sagas that have left the memory, and of which their store does not know that nothing follows.
    expired: Vec<SagaId>,
    active: usize,
    ended: Stats,
    /// Why sagas of the store cannot be read, by the text of their ids. As many as the store has.
    unreadable: BTreeMap<String, String>,
    /// One of them whose key is not known.
    keyless: Option<String>,
}

/// What is known of the idempotency key of a saga that cannot be read.
pub(super) enum UnreadKey {
    /// It has none, or none that matters any more.
    None,
    Known(Arc<str>),
    /// It may be any.
    Unknown,
}

/// What becomes of a start.
pub(super) enum Admission {
    /// It is the saga of an earlier start; none when that has left the memory.
    Known(SagaId, Option<Arc<Saga>>),
    /// It is new, and runs at once or waits.
    New { has_slot: bool },
}

impl Book {
    pub(super) fn find(&self, id: &SagaId) -> Option<Arc<Saga>> {
        self.sagas.get(id).map(Arc::clone)
    }

    /// All sagas whose first record is durable, oldest first.
    pub(super) fn stored(&self) -> Vec<Arc<Saga>> {
        let is_stored = |saga: &&Arc<Saga>| {
            matches!(*saga.progress.borrow(), Progress::Stored | Progress::Ended)
        };
        self.sagas.values().filter(is_stored).cloned().collect()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            active: self.active,
            queued: self.queue.len() + self.queueing,
            ..self.ended
        }
    }

    /// Takes in a new saga, unless its key is known, the orchestrator closes, or too many wait.
    pub(super) fn admit(&mut self, saga: &Arc<Saga>, shared: &Shared) -> Result<Admission> {
        let key = saga.state().idempotency_key().cloned();
        if let Some(key) = &key
            && let Some(id) = self.keys.get(key)
        {
            return Ok(Admission::Known(id.clone(), self.find(id)));
        }
        // An id that was made of an event may be there although its key is forgotten.
        if let Some(known) = self.find(&saga.id) {
            return Ok(Admission::Known(saga.id.clone(), Some(known)));
        }
        if let Some(reason) = self.why_unreadable(&saga.id) {
            let text = format!("saga `{}` is there and cannot be read: {reason}", saga.id);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        if let (Some(_), Some(unread)) = (&key, &self.keyless) {
            let unread = unread.escape_debug();
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("saga `{unread}` cannot be read, and may have this idempotency key"),
            ));
        }
        if let Some(fault) = shared.fault.get() {
            return Err(Error::closed(format!("saga store has stopped: {fault}")));
        }
        if shared.closing.is_cancelled() {
            return Err(closed());
        }
        let waiting = self.queue.len() + self.queueing;
        let has_slot = waiting == 0 && self.active < shared.settings.active_max;
        if has_slot {
            self.take_slot(saga);
        } else if waiting >= shared.settings.queued_max {
            return Err(Error::new(
                ErrorKind::Full,
                format!("{waiting} sagas wait for their turn, as many as may"),
            ));
        } else {
            self.queueing += 1;
        }
        self.insert(Arc::clone(saga), key);
        Ok(Admission::New { has_slot })
    }

    /// Notes a saga that cannot be read. A start with its key stays the same saga.
    pub(super) fn set_aside(&mut self, saga: Unreadable, key: UnreadKey) {
        match (key, saga.id.parse()) {
            (UnreadKey::None, _) => {}
            (UnreadKey::Known(key), Ok(id)) => drop(self.keys.insert(key, id)),
            (UnreadKey::Known(_), Err(_)) | (UnreadKey::Unknown, _) => {
                self.keyless.get_or_insert_with(|| saga.id.clone());
            }
        }
        self.unreadable.insert(saga.id, saga.reason);
    }

    pub(super) fn why_unreadable(&self, id: &SagaId) -> Option<&str> {
        self.unreadable.get(id.as_str()).map(String::as_str)
    }

    pub(super) fn unreadable(&self) -> Vec<Unreadable> {
        let all = self.unreadable.iter();
        all.map(|(id, reason)| Unreadable {
            id: id.clone(),
            reason: reason.clone(),
        })
        .collect()
    }

    /// Tells every saga that the orchestrator closes.
    pub(super) fn close(&self) {
        self.sagas.values().for_each(|saga| saga.inbox.close_soon());
    }

    /// Tells every saga to drop its handlers.
    pub(super) fn kill(&self) {
        self.sagas.values().for_each(|saga| saga.inbox.kill());
    }

    /// Adds a saga as it is.
    pub(super) fn insert(&mut self, saga: Arc<Saga>, key: Option<Arc<str>>) {
        if let Some(key) = key {
            self.keys.insert(key, saga.id.clone());
        }
        self.sagas.insert(saga.id.clone(), saga);
    }

    /// Remembers the key of a saga that is not in memory.
    pub(super) fn remember_key(&mut self, key: Arc<str>, id: SagaId, keys_max: usize) {
        self.keys.insert(Arc::clone(&key), id);
        self.old_keys.push_back(key);
        while self.old_keys.len() > keys_max {
            if let Some(key) = self.old_keys.pop_front() {
                self.keys.remove(&key);
                self.has_forgotten_keys = true;
            }
        }
    }

    /// The first record is durable.
    pub(super) fn stored_first(&mut self, saga: &Arc<Saga>, has_slot: bool) {
        self.ended.started += 1;
        if !has_slot {
            self.queueing -= 1;
            self.queue.push_back(Arc::clone(saga));
        }
    }

    /// The first record could not be stored: the saga never was.
    pub(super) fn forget(&mut self, saga: &Saga) {
        if !self.release(saga) {
            self.queueing -= 1;
        }
        self.sagas.remove(&saga.id);
        if let Some(key) = saga.state().idempotency_key() {
            self.keys.remove(key);
        }
    }

    /// Puts a saga found in the store in the queue.
    pub(super) fn enqueue(&mut self, saga: Arc<Saga>) {
        self.queue.push_back(saga);
    }

    /// Makes a saga an active one, beyond the limit if need be.
    pub(super) fn take_slot(&mut self, saga: &Saga) {
        if !saga.has_slot.swap(true, Ordering::Relaxed) {
            self.active += 1;
        }
    }

    /// Frees the slot of a saga. Returns whether it had one.
    pub(super) fn release(&mut self, saga: &Saga) -> bool {
        let had_slot = saga.has_slot.swap(false, Ordering::Relaxed);
        if had_slot && !planted::in_sagas(SagaBug::SlotLeaked) {
            self.active -= 1;
        }
        had_slot
    }

    /// Gives free slots to those that wait longest.
    pub(super) fn fill_slots(&mut self, active_max: usize) {
        while self.active < active_max
            && let Some(saga) = self.queue.pop_front()
        {
            self.take_slot(&saga);
            saga.inbox.push(Input::Begin);
        }
    }

    /// A saga is over.
    pub(super) fn end(&mut self, saga: &Saga, outcome: Outcome, settings: &Settings) {
        if !self.release(saga) {
            self.queue.retain(|waiting| waiting.id != saga.id);
        }
        match outcome {
            Outcome::Completed => self.ended.completed += 1,
            Outcome::Compensated => self.ended.compensated += 1,
            Outcome::Cancelled => self.ended.cancelled += 1,
            Outcome::Failed => self.ended.failed += 1,
            Outcome::Terminated => self.ended.terminated += 1,
        }
        self.finish(saga, settings);
    }

    /// Notes that a saga is over, and lets the oldest such leave the memory if there are too many.
    pub(super) fn finish(&mut self, saga: &Saga, settings: &Settings) {
        let ended_at = saga.state().ended_at.unwrap_or_default();
        self.finished.push_back((ended_at, saga.id.clone()));
        while self.finished.len() > settings.finished_max && self.drop_oldest(settings) {}
    }

    /// Lets finished sagas that are old enough leave the memory; their keys stay.
    pub(super) fn clean_up(&mut self, now: Timestamp, settings: &Settings) {
        while let Some((ended_at, _)) = self.finished.front()
            && now.since(*ended_at) >= settings.cleanup_interval
            && self.drop_oldest(settings)
        {}
    }

    /// Counts an effect that came to light late.
    pub(super) fn count_late_effect(&mut self) {
        self.ended.late_effects += 1;
    }

    /// Sagas to be closed in their store.
    pub(super) fn take_expired(&mut self) -> Vec<SagaId> {
        std::mem::take(&mut self.expired)
    }

    /// Notes sagas that are still to be closed.
    pub(super) fn expire(&mut self, sagas: impl Iterator<Item = SagaId>) {
        self.expired.extend(sagas);
    }

    /// Lets the oldest finished saga leave the memory. One that is being repaired stays, and goes to the end of the line.
    fn drop_oldest(&mut self, settings: &Settings) -> bool {
        let Some((ended_at, id)) = self.finished.pop_front() else {
            return false;
        };
        let saga = self.sagas.get(&id);
        if saga.is_some_and(|saga| !saga.inbox.is_closed() && saga.state().is_being_repaired()) {
            self.finished.push_back((ended_at, id));
            return false;
        }
        if let Some(saga) = self.sagas.remove(&id) {
            let (key, is_closed) = {
                let state = saga.state();
                (state.idempotency_key().cloned(), state.is_closed())
            };
            if !is_closed {
                self.expired.push(saga.id.clone());
            }
            if let Some(key) = key {
                self.remember_key(key, saga.id.clone(), settings.keys_max);
            }
        }
        true
    }
}
