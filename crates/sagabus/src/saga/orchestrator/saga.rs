//! One saga in memory: its state, what others wait for, and its place among the others.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError};

use tokio::sync::watch;

use super::closed;
use super::inbox::Inbox;
use super::line::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::saga::definition::OnConflict;
use crate::saga::id::SagaId;
use crate::saga::machine::{Flight, State};
use crate::saga::monitor::SagaStatus;
use crate::sync::{Mutex, MutexGuard};

/// One saga in memory.
pub(super) struct Saga {
    pub(super) id: SagaId,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    pub(super) inbox: Inbox,
    /// The steps that wait for a handler which this process lacks, with which one.
    missing: Mutex<Vec<(usize, String)>>,
    /// The steps that wait for a slot of their service.
    slots: Mutex<Vec<usize>>,
    /// The attempts elsewhere that are to give signs of life.
    listened: Mutex<Vec<Listened>>,
    /// Whether it is one of the active sagas; changed only with the book locked.
    pub(super) has_slot: AtomicBool,
    /// The key that it must have before it begins.
    pub(super) lock: Option<Lock>,
    /// Its place in the line, once it waits; set with the book locked.
    pub(super) place: OnceLock<Place>,
    /// Why it could not be stored.
    refused: OnceLock<(ErrorKind, String)>,
}

/// A key that sagas share which must not run at the same time.
pub(super) struct Lock {
    pub(super) key: Arc<str>,
    /// How many may have it, as the definition of this one says.
    pub(super) limit: usize,
    pub(super) on_conflict: OnConflict,
}

impl Lock {
    fn of(state: &State) -> Option<Self> {
        let key = state.concurrency_key()?;
        let said = state.definition().options().concurrency_key.as_ref()?;
        Some(Self {
            key: Arc::clone(key),
            limit: usize::try_from(said.limit).unwrap_or(usize::MAX),
            on_conflict: said.on_conflict,
        })
    }
}

/// An attempt elsewhere, and where its signs of life go.
struct Listened {
    flight: Flight,
    signs: watch::Sender<()>,
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
            lock: Lock::of(&state),
            place: OnceLock::new(),
            state: Mutex::new(state),
            progress: watch::Sender::new(progress),
            inbox: Inbox::default(),
            missing: Mutex::default(),
            slots: Mutex::default(),
            listened: Mutex::default(),
            has_slot: AtomicBool::new(false),
            refused: OnceLock::new(),
        }
    }

    /// Notes which steps wait for a handler, and for which one.
    pub(super) fn park(&self, missing: Vec<(usize, String)>) {
        *self.missing() = missing;
    }

    fn missing(&self) -> MutexGuard<'_, Vec<(usize, String)>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which steps wait for a slot of their service.
    pub(super) fn wait_for_slots(&self, steps: Vec<usize>) {
        *self.slots() = steps;
    }

    fn slots(&self) -> MutexGuard<'_, Vec<usize>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an attempt its time again, if it is one that is to give signs of life.
    pub(super) fn heard(&self, flight: Flight) {
        for listened in self.listened().iter().filter(|it| it.flight == flight) {
            listened.signs.send_replace(());
        }
    }

    /// From here on signs of life of the attempt count.
    pub(super) fn listen(&self, flight: Flight, signs: watch::Sender<()>) {
        self.listened().push(Listened { flight, signs });
    }

    /// From here on they do not.
    pub(super) fn listen_no_more(&self, flight: Flight) {
        self.listened().retain(|it| it.flight != flight);
    }

    fn listened(&self) -> MutexGuard<'_, Vec<Listened>> {
        self.listened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn parked(&self) -> Option<String> {
        self.missing().first().map(|(_, fault)| fault.clone())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> SagaStatus {
        SagaStatus::of(&self.state(), &self.missing(), &self.slots())
    }

    /// Whether its first record is durable.
    pub(super) fn is_stored(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Stored | Progress::Ended)
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
