//! The next segment, filled with zeros in the background so that no commit waits for it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::disk::{Disk, DiskFile, write_zeros};
use super::log;

/// Name of the file while it is a spare.
pub(crate) const SPARE_NAME: &str = "spare.tmp";

#[derive(Debug)]
enum State {
    /// Nobody asked for one yet.
    Idle,
    /// The background thread is at it.
    Preparing,
    Ready(Arc<dyn DiskFile>),
    Failed(io::Error),
    Stopped,
}

/// Prepares one spare segment at a time.
#[derive(Debug)]
pub(crate) struct Spare {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    bytes: u64,
    log: Arc<log::Shared>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Spare {
    /// Starts the background thread, or prepares on the caller's thread where the disk is instant.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        bytes: u64,
        log: Arc<log::Shared>,
    ) -> io::Result<Self> {
        let instant = disk.is_instant();
        let shared = Arc::new(Shared {
            disk,
            bytes,
            log,
            state: Mutex::new(State::Idle),
            changed: Condvar::new(),
        });
        let thread = if instant {
            None
        } else {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name("sagabus-spare".to_owned())
                .spawn(move || shared.run())?;
            Some(thread)
        };
        Ok(Self { shared, thread })
    }

    /// Asks for a spare, unless there is one; a failed one is tried again. Does not wait.
    pub(crate) fn prepare(&self) {
        let mut state = self.shared.lock();
        if !matches!(*state, State::Idle | State::Failed(_)) {
            return;
        }
        if self.thread.is_none() {
            drop(state);
            let made = self.shared.make();
            self.shared.set(made);
            return;
        }
        *state = State::Preparing;
        self.shared.changed.notify_all();
    }

    /// The same long before one is needed: only where it leaves as much again, besides what is kept for what was accepted.
    pub(crate) fn prepare_ahead(&self) {
        if self.shared.has_retired() || self.shared.log.room.is_enough_for(2 * self.shared.bytes) {
            self.prepare();
        }
    }

    /// Whether the last try to make one failed, so that there may be no room.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.shared.lock(), State::Failed(_))
    }

    /// Whether there is one to take, so that there is room.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(*self.shared.lock(), State::Ready(_))
    }

    /// Takes the spare, waiting for the one being prepared.
    ///
    /// # Errors
    /// Why it could not be made; `StorageFull` when there is no room.
    pub(crate) fn take(&self) -> io::Result<Arc<dyn DiskFile>> {
        // One that is being prepared already may not know of room that was made since.
        let mut is_late = matches!(*self.shared.lock(), State::Preparing);
        self.prepare();
        let mut state = self.shared.lock();
        loop {
            match std::mem::replace(&mut *state, State::Idle) {
                State::Ready(file) => return Ok(file),
                State::Failed(_) if is_late => {
                    is_late = false;
                    *state = State::Preparing;
                    self.shared.changed.notify_all();
                }
                State::Failed(error) => {
                    // Leave a trace for `has_failed`; the next `prepare` tries again.
                    *state = State::Failed(io::Error::from(error.kind()));
                    return Err(error);
                }
                State::Stopped => {
                    *state = State::Stopped;
                    return Err(io::Error::other("the log is closed"));
                }
                waiting @ (State::Idle | State::Preparing) => {
                    *state = waiting;
                    state = self
                        .shared
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> State {
        let made = match self.retired() {
            Some(file) => Ok(file),
            None => self.disk.create(SPARE_NAME, self.bytes),
        };
        match made {
            Ok(file) => State::Ready(file),
            Err(error) => State::Failed(error),
        }
    }

    fn has_retired(&self) -> bool {
        let retired = self.log.retired.lock();
        !retired.unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A segment that is not part of the log any more, written over with zeros: it needs no new room on the disk.
    fn retired(&self) -> Option<Arc<dyn DiskFile>> {
        let retired = || {
            let mut retired = self
                .log
                .retired
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            retired.pop()
        };
        while let Some(name) = retired() {
            match self.reuse(&name) {
                Ok(Some(file)) => return Some(file),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(name, %error, "cannot use a file of the log again");
                    // It has one of the two names, and may be what fills the disk. What stays nevertheless is no harm: a segment is
                    // deleted at the next start, and the next spare one is written over this.
                    let _removed = [&name, SPARE_NAME].map(|it| self.disk.remove(it));
                }
            }
        }
        None
    }

    /// `None` when it has another size than segments are to have now.
    fn reuse(&self, name: &str) -> io::Result<Option<Arc<dyn DiskFile>>> {
        if self.disk.open(name)?.len()? != self.bytes {
            return self.disk.remove(name).map(|()| None);
        }
        self.disk.rename(name, SPARE_NAME)?;
        let file = self.disk.open(SPARE_NAME)?;
        write_zeros(file.as_ref(), 0, self.bytes)?;
        // It is synced again before it gets its name: here, so that nobody waits for that.
        if !self.disk.is_instant() {
            file.sync()?;
        }
        Ok(Some(file))
    }

    fn set(&self, to: State) {
        let mut state = self.lock();
        if !matches!(*state, State::Stopped) {
            *state = to;
        }
        self.changed.notify_all();
    }

    fn run(&self) {
        loop {
            {
                let mut state = self.lock();
                while matches!(*state, State::Idle | State::Ready(_) | State::Failed(_)) {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                if matches!(*state, State::Stopped) {
                    return;
                }
            }
            let made = self.make();
            self.set(made);
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        *self.shared.lock() = State::Stopped;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread holds nothing but a file that is not yet part of the log.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
