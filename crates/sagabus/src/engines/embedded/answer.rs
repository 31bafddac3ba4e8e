//! How the committer answers a group: it wakes the first who waits, and that one answers the others.
//!
//! Waking a task from another thread costs a system call whenever a thread of the runtime sleeps; waking it from
//! within the runtime costs next to nothing. So the committer wakes one task, and goes on with the next group.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use super::log::{Entry, Placed};
use crate::error::Result;
use crate::event::Event;
use crate::sync::{Mutex, MutexGuard};

/// Fewer than this are answered by the committer itself.
const CROWD_MIN: usize = 4;

/// Where one append's answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Answer>>;

/// What an append that was stored is answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) placed: Placed,
    /// What the append was made of, and what its events displaced from memory. They are freed by those who make the
    /// next ones: memory then goes round in one thread, and the committer is spared the work.
    spent: (Vec<Entry>, Option<Arc<Event>>),
    others: Option<Others>,
}

impl Answer {
    pub(crate) fn new(placed: Placed, entries: Vec<Entry>) -> Self {
        Self {
            placed,
            spent: (entries, None),
            others: None,
        }
    }

    /// Has the one who is answered free this event.
    pub(crate) fn take_along(&mut self, event: Arc<Event>) {
        self.spent.1 = Some(event);
    }

    /// Answers the others if that was left to this one; then where the records are.
    pub(crate) fn open(self) -> Placed {
        drop(self.others);
        self.placed
    }
}

/// Those who wait and what they are told, in the order of their appends.
pub(crate) type Waiting = Vec<(Reply, Answer)>;

/// Those whose answer is ready, until the first of them is awake and hands the answers out.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    waiting: Arc<Mutex<Waiting>>,
}

impl Crowd {
    /// Answers all of `waiting`, and before them whoever is left of an earlier crowd.
    pub(crate) fn answer(&self, waiting: &mut Waiting) {
        self.disperse();
        if waiting.len() < CROWD_MIN {
            return answer_all(waiting.drain(..));
        }
        let mut rest = waiting.drain(..);
        if let Some((reply, mut answer)) = rest.next() {
            lock(&self.waiting).extend(rest);
            answer.others = Some(Others(Arc::clone(&self.waiting)));
            // If the first has stopped waiting, the others are answered as its answer is dropped here.
            let _received = reply.send(Ok(answer));
        }
    }

    /// Whether some are not answered yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !lock(&self.waiting).is_empty()
    }

    /// Answers whoever is left: the first may be woken and still not run.
    pub(crate) fn disperse(&self) {
        disperse(&self.waiting);
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.disperse();
    }
}

/// Answers the others when it is dropped, received or not.
#[derive(Debug)]
struct Others(Arc<Mutex<Waiting>>);

impl Drop for Others {
    fn drop(&mut self) {
        disperse(&self.0);
    }
}

fn disperse(waiting: &Mutex<Waiting>) {
    let waiting = std::mem::take(&mut *lock(waiting));
    answer_all(waiting.into_iter());
}

fn answer_all(waiting: impl Iterator<Item = (Reply, Answer)>) {
    for (reply, answer) in waiting {
        // The caller may have stopped waiting; what was stored stays stored.
        let _received = reply.send(Ok(answer));
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
