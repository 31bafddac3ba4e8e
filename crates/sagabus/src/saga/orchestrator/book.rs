//! The sagas in memory: who they are, whose turn it is, and the counts.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::line::Line;
use super::saga::Saga;
use super::{Shared, closed};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{By, Priority};
use crate::planted::{self, SagaBug};
use crate::saga::definition::OnConflict;
use crate::saga::id::SagaId;
use crate::saga::machine::{Action, InFlight, Input, Operation, Stage, State};
use crate::saga::monitor::{Stats, Unreadable};
use crate::saga::record::Outcome;
use crate::saga::settings::Settings;

/// All sagas in memory.
#[derive(Default)]
pub(super) struct Book {
    sagas: BTreeMap<SagaId, Arc<Saga>>,
    /// The idempotency keys of all sagas, of those that started them and of those that were taken for them.
    keys: HashMap<Arc<str>, SagaId>,
    /// Keys of starts that are being taken for a saga which does not have them yet, and how many starts of each.
    attaching: HashMap<Arc<str>, (SagaId, usize)>,
    /// Keys of sagas that have left the memory, oldest first.
    old_keys: VecDeque<Arc<str>>,
    /// Whether a key was forgotten, so that one that is not here may be that of a saga in the store.
    pub(super) has_forgotten_keys: bool,
    /// Stored sagas that wait for their turn.
    line: Line,
    /// How many have come into it.
    entered: u64,
    /// Sagas without a slot that are being stored, and will be in the queue.
    queueing: usize,
    /// Sagas that are over, in the order in which they ended.
    finished: VecDeque<(Timestamp, SagaId)>,
    /// Sagas that others wait for: they stay in memory until what became of them is stored there too. As many as steps are
    /// under way.
    awaited: HashSet<SagaId>,
    /// Sagas that have left the memory, and of which their store does not know that nothing follows.
    expired: Vec<Expired>,
    active: usize,
    ended: Stats,
    /// Why sagas of the store cannot be read, by the text of their ids. As many as the store has.
    unreadable: BTreeMap<String, String>,
    /// One of them whose key is not known.
    keyless: Option<String>,
}

/// A saga that has left the memory, and its idempotency keys.
pub(super) type Expired = (SagaId, Vec<Arc<str>>);

/// What becomes of a start.
pub(super) enum Admission {
    /// It is the saga of an earlier start.
    Known(Known),
    /// It is new, and runs at once or waits.
    New { has_slot: bool },
}

/// The saga of an earlier start.
pub(super) struct Known {
    pub(super) id: SagaId,
    /// None when it has left the memory, or cannot be read.
    pub(super) saga: Option<Arc<Saga>>,
    /// Whether it was there first with the concurrency key; otherwise it was started with the idempotency key, or has the id.
    pub(super) is_attached: bool,
    /// The idempotency key that it is to keep first, noted in the book until [`Book::unclaim`].
    pub(super) claim: Option<Arc<str>>,
}

impl Book {
    pub(super) fn find(&self, id: &SagaId) -> Option<Arc<Saga>> {
        self.sagas.get(id).map(Arc::clone)
    }

    /// All sagas whose first record is durable, oldest first.
    pub(super) fn stored(&self) -> Vec<Arc<Saga>> {
        let all = self.sagas.values();
        all.filter(|saga| saga.is_stored()).cloned().collect()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            active: self.active,
            queued: self.line.len() + self.queueing,
            remembered_keys: self.old_keys.len(),
            ..self.ended
        }
    }

    /// The saga of an earlier start with this idempotency key, or with this id.
    pub(super) fn known(&mut self, key: Option<&Arc<str>>, id: &SagaId) -> Option<Known> {
        let known = key.and_then(|key| self.known_by_key(key));
        if known.is_some() {
            return known;
        }
        // An id that was made of an event may be there although its key is forgotten.
        let known = self.find(id)?;
        Some(Known {
            id: id.clone(),
            saga: Some(known),
            is_attached: false,
            claim: None,
        })
    }

    /// The saga of an earlier start with this idempotency key.
    pub(super) fn known_by_key(&mut self, key: &Arc<str>) -> Option<Known> {
        if let Some(id) = self.keys.get(key) {
            let saga = self.find(id);
            let is_of_other = |saga: &Arc<Saga>| saga.state().idempotency_key() != Some(key);
            return Some(Known {
                id: id.clone(),
                is_attached: saga.as_ref().is_some_and(is_of_other),
                saga,
                claim: None,
            });
        }
        let holder = self.find(&self.attaching.get(key)?.0)?;
        // One that is over takes no key any more.
        let is_over = matches!(holder.state().stage, Stage::Ended(_));
        (!is_over).then(|| self.attach(holder, Some(Arc::clone(key))))
    }

    /// Takes a start with the idempotency key `key` for the saga `holder`, which is to keep that key.
    fn attach(&mut self, holder: Arc<Saga>, key: Option<Arc<str>>) -> Known {
        if let Some(key) = &key {
            let none = || (holder.id.clone(), 0);
            let (id, starts) = self.attaching.entry(Arc::clone(key)).or_insert_with(none);
            // The one of before is over.
            id.clone_from(&holder.id);
            *starts += 1;
        }
        Known {
            id: holder.id.clone(),
            saga: Some(holder),
            is_attached: true,
            claim: key,
        }
    }

    /// A start with this key is not being taken for another saga any more: that has the key, or is over.
    pub(super) fn unclaim(&mut self, key: &Arc<str>) {
        if let Some((_, starts)) = self.attaching.get_mut(key) {
            *starts -= 1;
            if *starts == 0 {
                self.attaching.remove(key);
            }
        }
    }

    /// A saga has the key of a start that was taken for it.
    pub(super) fn attached(&mut self, saga: &Saga, key: Arc<str>) {
        self.keys.insert(key, saga.id.clone());
    }

    /// Takes in a new saga, unless its key is known, the orchestrator closes, or too many wait.
    pub(super) fn admit(&mut self, saga: &Arc<Saga>, shared: &Shared) -> Result<Admission> {
        let key = saga.state().idempotency_key().cloned();
        if let Some(known) = self.known(key.as_ref(), &saga.id) {
            return Ok(Admission::Known(known));
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
        let is_free = self.line.is_free(saga);
        if !is_free && let Some(found) = self.conflict(saga)? {
            return Ok(Admission::Known(found));
        }
        let waiting = self.line.len() + self.queueing;
        let is_next = is_free && self.line.is_open() && self.queueing == 0;
        let has_slot = is_next && self.active < shared.settings.active_max;
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
        if is_free {
            self.line.hold(saga);
        }
        self.insert(Arc::clone(saga));
        Ok(Admission::New { has_slot })
    }

    /// Who has the key that a saga waits for; see [`Line::behind`].
    pub(super) fn behind(&self, saga: &Saga) -> Option<(Arc<Saga>, usize)> {
        self.line.behind(saga)
    }

    /// What becomes of a saga whose key is held, unless it waits.
    fn conflict(&mut self, saga: &Saga) -> Result<Option<Known>> {
        let (Some(lock), Some(holder)) = (&saga.lock, self.line.first_holder(saga)) else {
            return Ok(None);
        };
        match lock.on_conflict {
            OnConflict::Queue | OnConflict::CancelExisting => Ok(None),
            OnConflict::Attach => {
                let key = saga.state().idempotency_key().cloned();
                Ok(Some(self.attach(holder, key)))
            }
            OnConflict::Reject => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "saga `{}` has the concurrency key `{}`",
                    holder.id,
                    lock.key.escape_debug()
                ),
            )),
        }
    }

    /// Notes a saga that cannot be read. A start with one of its keys stays the same saga; without `keys` it may have any.
    pub(super) fn set_aside(&mut self, saga: Unreadable, keys: Option<Vec<Arc<str>>>) {
        match (keys, saga.id.parse::<SagaId>()) {
            (Some(keys), _) if keys.is_empty() => {}
            (Some(keys), Ok(id)) => {
                let keys = keys.into_iter().map(|key| (key, id.clone()));
                self.keys.extend(keys);
            }
            (Some(_), Err(_)) | (None, _) => {
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
    pub(super) fn insert(&mut self, saga: Arc<Saga>) {
        for key in saga.state().keys() {
            self.keys.insert(Arc::clone(key), saga.id.clone());
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
    pub(super) fn stored_first(&mut self, saga: &Arc<Saga>, has_slot: bool, shared: &Shared) {
        self.ended.started += 1;
        if has_slot {
            self.ended.waits.add(Duration::ZERO);
        } else {
            self.queueing -= 1;
            self.enqueue(saga, shared);
        }
    }

    /// The first record could not be stored: the saga never was.
    pub(super) fn forget(&mut self, saga: &Saga) {
        if !self.release(saga) {
            self.queueing -= 1;
        }
        self.line.leave(saga);
        self.sagas.remove(&saga.id);
        if let Some(key) = saga.state().idempotency_key() {
            self.keys.remove(key);
        }
    }

    /// Puts a stored saga in the line, at the place that the time of its start and its priority give it. Where it is to have its
    /// key at once, those who have it are cancelled.
    pub(super) fn enqueue(&mut self, saga: &Arc<Saga>, shared: &Shared) {
        let place = came_at(&saga.state(), shared);
        self.entered += 1;
        self.line.enter(Arc::clone(saga), (place, self.entered));
        let cancels = saga.lock.as_ref().map(|lock| lock.on_conflict);
        if cancels == Some(OnConflict::CancelExisting) {
            for rival in self.line.rivals(saga) {
                let reason = format!("saga `{}` was started with the same key", saga.id);
                rival.inbox.push(Input::Operate(Operation {
                    action: Action::Cancel {
                        in_flight: InFlight::default(),
                    },
                    by: By::new("", &reason),
                }));
            }
        }
    }

    /// Gives a saga found in the store, which has begun, the key that it had.
    pub(super) fn hold(&mut self, saga: &Arc<Saga>) {
        self.line.hold(saga);
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

    /// Gives free slots to those whose turn it is.
    pub(super) fn fill_slots(&mut self, shared: &Shared) {
        while self.active < shared.settings.active_max
            && let Some(saga) = self.line.pop()
        {
            let waited = shared.clock.now().since(saga.state().started_at());
            self.ended.waits.add(waited);
            self.take_slot(&saga);
            saga.inbox.push(Input::Begin);
        }
    }

    /// A saga is over.
    pub(super) fn end(&mut self, saga: &Saga, outcome: Outcome, settings: &Settings) {
        self.release(saga);
        self.line.leave(saga);
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

    /// Another saga waits for this one.
    pub(super) fn await_for(&mut self, id: SagaId) {
        self.awaited.insert(id);
    }

    /// What became of it is stored.
    pub(super) fn know(&mut self, id: &SagaId) {
        self.awaited.remove(id);
    }

    /// Counts an effect that came to light late.
    pub(super) fn count_late_effect(&mut self) {
        self.ended.late_effects += 1;
    }

    /// Counts an answer of an epoch that is over.
    pub(super) fn count_fenced(&mut self) {
        self.ended.fenced += 1;
    }

    /// Sagas to be closed in their store.
    pub(super) fn take_expired(&mut self) -> Vec<Expired> {
        std::mem::take(&mut self.expired)
    }

    /// Notes sagas that are still to be closed.
    pub(super) fn expire(&mut self, sagas: impl Iterator<Item = Expired>) {
        self.expired.extend(sagas);
    }

    /// Lets the oldest finished saga leave the memory. One that is being repaired or awaited stays, and goes to the
    /// end of the line.
    fn drop_oldest(&mut self, settings: &Settings) -> bool {
        let Some((ended_at, id)) = self.finished.pop_front() else {
            return false;
        };
        let saga = self.sagas.get(&id);
        let is_repaired =
            |saga: &Arc<Saga>| !saga.inbox.is_closed() && saga.state().is_being_repaired();
        if saga.is_some_and(is_repaired) || self.awaited.contains(&id) {
            self.finished.push_back((ended_at, id));
            return false;
        }
        if let Some(saga) = self.sagas.remove(&id) {
            let (keys, is_closed) = {
                let state = saga.state();
                let keys: Vec<Arc<str>> = state.keys().cloned().collect();
                (keys, state.is_closed())
            };
            if !is_closed {
                self.expired.push((saga.id.clone(), keys.clone()));
            }
            for key in keys {
                self.remember_key(key, saga.id.clone(), settings.keys_max);
            }
        }
        true
    }
}

/// How much of what is there for each saga.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::saga) struct Held {
    pub(in crate::saga) keys: usize,
    /// Sagas, places in lines, starts, and tasks.
    pub(in crate::saga) others: [usize; 8],
}

#[cfg(test)]
impl super::Sagas {
    pub(in crate::saga) fn held(&self) -> Held {
        let tasks = self.0.tracker.len();
        let book = self.0.book();
        assert_eq!(book.keys.len(), book.old_keys.len());
        Held {
            keys: book.keys.len(),
            others: [
                tasks,
                book.sagas.len(),
                book.line.len(),
                book.finished.len(),
                book.awaited.len(),
                book.expired.len(),
                book.attaching.len(),
                self.0.slots().waiting(),
            ],
        }
    }

    /// Bytes that are held for each key, the empty places of tables included.
    pub(in crate::saga) fn key_bytes(&self) -> usize {
        let book = self.0.book();
        // The counts of the two texts stand before them.
        let texts = book.keys.iter();
        let texts = texts.map(|(key, id)| key.len() + id.as_str().len() + 32);
        let place = size_of::<(Arc<str>, SagaId)>() + 1;
        let table = book.keys.capacity() * 8 / 7 * place;
        let order = book.old_keys.capacity() * size_of::<Arc<str>>();
        (texts.sum::<usize>() + table + order) / book.keys.len().max(1)
    }
}

/// When a saga counts as having come, by the monotone clock: later if it is less urgent.
pub(super) fn came_at(state: &State, shared: &Shared) -> i64 {
    let age = milliseconds(shared.settings.priority_age);
    let behind = age.saturating_mul(rank(state.priority()));
    came_ms(state, shared).saturating_add(behind)
}

/// When a saga came, by the monotone clock. One from before this process came before it began.
fn came_ms(state: &State, shared: &Shared) -> i64 {
    let age = shared.clock.now().since(state.started_at());
    milliseconds(shared.clock.elapsed()).saturating_sub(milliseconds(age))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How many levels a saga stands behind the most urgent ones.
fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::Urgent => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}
