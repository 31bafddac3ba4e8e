//! What the tasks of a subscription hand to each other: events to be handled, and verdicts to be settled.
//!
//! Handlers that end at once are handled in a row by one task, and what follows from them is said once for all of them:
//! a lock for each event, and no task, channel or wake-up. Whoever has to wait, or was slow, says it before.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::transport::{LeaseToken, Leased, Settle, Verdict};

/// Verdicts settled by one record, at most.
pub(super) const SETTLES_MAX: usize = 256;
/// Verdicts that may wait to be settled before nothing more is fetched.
const VERDICTS_MAX: usize = 4 * SETTLES_MAX;
/// How long a verdict may wait for those that follow it: far below what a disk takes.
const LINGER: Duration = Duration::from_micros(100);
/// Tasks that wait for events to handle; more than these end when there is nothing for them.
const IDLE_MAX: usize = 8;

/// The events and verdicts of one subscription in this process.
#[derive(Debug)]
pub(super) struct Work {
    /// Most events that are handled at a time.
    concurrency: usize,
    state: Mutex<State>,
    /// One permit for each idle worker that is to look again; closed at the end.
    wakes: Semaphore,
    settling: Notify,
    fetching: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Leased>,
    verdicts: Vec<Settle>,
    /// Events that were fetched and have no verdict.
    open: usize,
    /// Tasks that handle events.
    workers: usize,
    /// Of them, those that wait.
    idle: usize,
    /// Of them, those that were told to look and have not done so.
    woken: usize,
    /// When the first verdict came that nobody was told of.
    unsaid_since: Option<Duration>,
    /// There is room that nobody has made use of.
    has_room: bool,
    /// Nothing more is fetched.
    is_closed: bool,
    /// Nothing can be settled any more.
    is_dead: bool,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum End {
    /// It was handled, as nearly all are.
    Handled,
    /// It was handled, and is settled already with the events that follow from it.
    Settled,
    /// It was not handled.
    Other(Verdict),
}

/// What somebody who put events in is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Start {
    /// Nothing.
    Nobody,
    /// Start a worker.
    Worker,
}

impl Work {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            state: Mutex::new(State {
                has_room: true,
                ..State::default()
            }),
            wakes: Semaphore::new(0),
            settling: Notify::new(),
            fetching: Notify::new(),
        }
    }

    /// Takes in what was fetched, to be handled.
    pub(super) fn put(&self, leased: Vec<Leased>) -> Start {
        let mut state = self.state();
        state.open += leased.len();
        state.queue.extend(leased);
        self.wake(&mut state)
    }

    /// Counts what was fetched and is handled elsewhere.
    pub(super) fn count(&self, leased: usize) {
        self.state().open += leased;
    }

    /// Waits until events may be fetched; how many.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub(super) async fn room(&self) -> usize {
        loop {
            let changed = self.fetching.notified();
            {
                let mut state = self.state();
                let room = self.concurrency.saturating_sub(state.open);
                let is_short = state.verdicts.len() < VERDICTS_MAX;
                if room > 0 && is_short && (state.has_room || state.open == 0) {
                    state.has_room = false;
                    return room;
                }
            }
            changed.await;
        }
    }

    /// Waits until not too many verdicts wait to be settled.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub(super) async fn calm(&self) {
        loop {
            let changed = self.fetching.notified();
            if self.state().verdicts.len() < VERDICTS_MAX {
                return;
            }
            changed.await;
        }
    }

    /// More events than those taken may be fetched.
    pub(super) fn has_more_room(&self) {
        self.state().has_room = true;
    }

    /// The next event for a worker that has none, and whether another worker is to be started; waits for one. `None` when
    /// the worker is not needed any more.
    ///
    /// # Cancel safety
    /// None: a worker that stops here is still counted on.
    pub(super) async fn first(&self, mut is_woken: bool) -> Option<(Leased, Start)> {
        loop {
            {
                let mut state = self.state();
                state.woken = state.woken.saturating_sub(usize::from(is_woken));
                if let Some(leased) = state.queue.pop_front() {
                    let start = self.wake(&mut state);
                    return Some((leased, start));
                }
                if state.is_closed || state.idle >= IDLE_MAX {
                    state.workers -= 1;
                    return None;
                }
                state.idle += 1;
            }
            match self.wakes.acquire().await {
                Ok(permit) => {
                    permit.forget();
                    is_woken = true;
                }
                Err(_) => is_woken = false,
            }
        }
    }

    /// Says how an attempt ended, at a time since some fixed point; takes the next event if there is one.
    pub(super) fn next(&self, token: LeaseToken, end: End, now: Duration) -> Option<Leased> {
        let mut state = self.state();
        state.give(token, end);
        let next = state.queue.pop_front();
        let since = *state.unsaid_since.get_or_insert(now);
        if next.is_none()
            || now.saturating_sub(since) >= LINGER
            || state.verdicts.len() >= SETTLES_MAX
        {
            self.say(&mut state);
        }
        next
    }

    /// Says how attempts on events ended that were only counted.
    pub(super) fn give(&self, ends: impl IntoIterator<Item = (LeaseToken, End)>) {
        let mut state = self.state();
        for (token, end) in ends {
            state.give(token, end);
        }
        self.say(&mut state);
    }

    /// A worker has to wait: others take what it would have taken.
    pub(super) fn away(&self) -> Start {
        let mut state = self.state();
        self.say(&mut state);
        self.wake(&mut state)
    }

    /// Waits for verdicts to settle. `None` at the end, when all are.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub(super) async fn verdicts(&self) -> Option<Vec<Settle>> {
        loop {
            let changed = self.settling.notified();
            {
                let mut state = self.state();
                if !state.verdicts.is_empty() {
                    state.unsaid_since = None;
                    if state.verdicts.len() >= VERDICTS_MAX {
                        state.has_room = true;
                        self.fetching.notify_one();
                    }
                    let count = state.verdicts.len().min(SETTLES_MAX);
                    // As many are likely to follow.
                    let mut rest = Vec::with_capacity(state.verdicts.len());
                    rest.extend(state.verdicts.drain(count..));
                    return Some(std::mem::replace(&mut state.verdicts, rest));
                }
                if state.is_closed && state.open == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Nothing more is fetched.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        // Whoever waits, or was told to look, looks once more and ends where there is nothing.
        (state.idle, state.woken) = (0, 0);
        self.wakes.close();
        self.say(&mut state);
    }

    /// Nothing can be settled any more: verdicts are thrown away.
    pub(super) fn die(&self) {
        let mut state = self.state();
        state.is_dead = true;
        state.verdicts.clear();
        self.fetching.notify_one();
    }

    /// Tells those who settle and fetch what they do not know.
    fn say(&self, state: &mut State) {
        state.unsaid_since = None;
        state.has_room = true;
        self.settling.notify_one();
        self.fetching.notify_one();
    }

    /// Sees to it that somebody is on the way to what is in the queue.
    fn wake(&self, state: &mut State) -> Start {
        if state.queue.is_empty() || state.woken > 0 {
            return Start::Nobody;
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.woken += 1;
            self.wakes.add_permits(1);
        } else if state.workers < self.concurrency {
            state.workers += 1;
            state.woken += 1;
            return Start::Worker;
        }
        Start::Nobody
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give(&mut self, token: LeaseToken, end: End) {
        self.open -= 1;
        let verdict = match end {
            End::Handled => Verdict::Ack,
            End::Settled => return,
            End::Other(verdict) => verdict,
        };
        if !self.is_dead {
            self.verdicts.push(Settle::new(token, verdict));
        }
    }
}

#[cfg(test)]
mod tests;
