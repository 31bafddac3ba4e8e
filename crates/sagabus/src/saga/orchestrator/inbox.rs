//! What waits to be looked at by the worker of one saga.

use std::collections::VecDeque;
use std::sync::PoisonError;

use tokio::sync::{Notify, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::saga::machine::Input;
use crate::sync::{Mutex, MutexGuard};

/// Most requests of operators that wait in one inbox. What handlers report is bounded by the handlers in flight.
const REQUESTS_MAX: usize = 64;

/// Where the answer to an operator goes.
pub(super) type Reply = oneshot::Sender<Result<()>>;

/// An input, with who waits for its effect.
pub(super) struct Message {
    pub(super) input: Input,
    pub(super) reply: Option<Reply>,
}

/// What the reader of an inbox sees.
pub(super) enum Arrival {
    Message(Message),
    /// The orchestrator closes: start nothing more. Seen once, after all messages that came before.
    Closing,
    /// Drop everything.
    Killed,
}

/// A queue with one reader. Smaller than a channel, since most sagas have nothing waiting.
#[derive(Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    requests: usize,
    closing: bool,
    killed: bool,
    closed: bool,
}

impl Inbox {
    /// Adds an input; does nothing when the inbox is closed.
    pub(super) fn push(&self, input: Input) {
        let mut queue = self.queue();
        if !queue.closed {
            queue.messages.push_back(Message { input, reply: None });
            drop(queue);
            self.arrived.notify_one();
        }
    }

    /// Adds an operator's input. Drops `reply` when the inbox is closed.
    pub(super) fn ask(&self, input: Input, reply: Reply) -> Result<()> {
        // In one piece with what it adds: what is added behind the close nobody reads, and nobody drops.
        let queue = self.queue();
        match queue.closed {
            true => Ok(()),
            false => self.request(queue, input, reply),
        }
    }

    /// Opens a closed inbox with an operator's input in it. Says whether it was closed, so that it needs a reader.
    pub(super) fn reopen(&self, input: Input, reply: Reply) -> Result<bool> {
        let mut queue = self.queue();
        let was_closed = std::mem::take(&mut queue.closed);
        self.request(queue, input, reply)?;
        Ok(was_closed)
    }

    /// Whether nobody reads it.
    pub(super) fn is_closed(&self) -> bool {
        self.queue().closed
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue().messages.is_empty()
    }

    fn request(&self, mut queue: MutexGuard<'_, Queue>, input: Input, reply: Reply) -> Result<()> {
        if queue.requests >= REQUESTS_MAX {
            return Err(Error::new(
                ErrorKind::Full,
                format!("{REQUESTS_MAX} requests wait for one saga"),
            ));
        }
        queue.requests += 1;
        queue.messages.push_back(Message {
            input,
            reply: Some(reply),
        });
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// Says that the orchestrator closes.
    pub(super) fn close_soon(&self) {
        self.queue().closing = true;
        self.arrived.notify_one();
    }

    /// Says that handlers are dropped.
    pub(super) fn kill(&self) {
        self.queue().killed = true;
        self.arrived.notify_one();
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&self) -> Arrival {
        loop {
            if let Some(arrival) = self.take() {
                return arrival;
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Option<Arrival> {
        let mut queue = self.queue();
        if queue.killed {
            return Some(Arrival::Killed);
        }
        match queue.messages.pop_front() {
            Some(message) => {
                queue.requests -= usize::from(message.reply.is_some());
                Some(Arrival::Message(message))
            }
            None => std::mem::take(&mut queue.closing).then_some(Arrival::Closing),
        }
    }

    /// Takes nothing more; whoever waits for an answer sees that none comes.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.requests = 0;
        queue.messages.clear();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
