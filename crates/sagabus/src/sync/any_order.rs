//! Runs a test again and again, each time with its threads in another order, on locks and channels that are told the order.
//!
//! What `shuttle` orders are the locks, channels and threads of this module. The rest runs as it is, in one piece between two of
//! them: the inside of tokio's `Notify` and `oneshot`, which have such tests of their own, atomics, and the other locks, none of
//! which is held while one of these is taken. A test that finds no thread to go on with fails: somebody waits for what never comes.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use shuttle::scheduler::{DfsScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// Room for a call through the whole log in a build for tests.
const STACK_BYTES: usize = 512 * 1024;
/// Fixed, so that a failure is found again.
const SEED: u64 = 7;

thread_local! {
    /// All threads of a test run on the one that began it.
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Runs `test` with its threads in so many orders that are drawn by lot.
pub(crate) fn in_random_orders(rounds: usize, test: impl Fn() + Send + Sync + 'static) {
    let scheduler = RandomScheduler::new_from_seed(SEED, rounds);
    assert_eq!(run(scheduler, test), rounds);
}

/// Runs `test` with its threads in every order that there is. Returns how many there are.
pub(crate) fn in_every_order(test: impl Fn() + Send + Sync + 'static) -> usize {
    run(DfsScheduler::new(None, false), test)
}

fn run(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    IS_ON.set(true);
    let rounds = Runner::new(scheduler, config).run(test);
    IS_ON.set(false);
    rounds
}

/// A lock.
pub(crate) enum Mutex<T> {
    Plain(std::sync::Mutex<T>),
    Ordered(Box<shuttle::sync::Mutex<T>>),
}

/// What is locked.
pub(crate) enum MutexGuard<'a, T> {
    Plain(std::sync::MutexGuard<'a, T>),
    Ordered(shuttle::sync::MutexGuard<'a, T>),
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        match IS_ON.get() {
            false => Self::Plain(std::sync::Mutex::new(value)),
            true => Self::Ordered(Box::new(shuttle::sync::Mutex::new(value))),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match self {
            Self::Plain(lock) => told(lock.lock(), MutexGuard::Plain),
            Self::Ordered(lock) => told(lock.lock(), MutexGuard::Ordered),
        }
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self {
            Self::Plain(lock) => told_at_once(lock.try_lock(), MutexGuard::Plain),
            Self::Ordered(lock) => told_at_once(lock.try_lock(), MutexGuard::Ordered),
        }
    }
}

fn told<A, B>(locked: LockResult<A>, wrap: impl Fn(A) -> B) -> LockResult<B> {
    match locked {
        Ok(guard) => Ok(wrap(guard)),
        Err(poisoned) => Err(PoisonError::new(wrap(poisoned.into_inner()))),
    }
}

fn told_at_once<A, B>(locked: TryLockResult<A>, wrap: impl Fn(A) -> B) -> TryLockResult<B> {
    match locked {
        Ok(guard) => Ok(wrap(guard)),
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        Err(TryLockError::Poisoned(poisoned)) => Err(TryLockError::Poisoned(PoisonError::new(
            wrap(poisoned.into_inner()),
        ))),
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(lock) => lock.fmt(f),
            Self::Ordered(lock) => lock.fmt(f),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Plain(guard) => guard,
            Self::Ordered(guard) => guard,
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Plain(guard) => guard,
            Self::Ordered(guard) => guard,
        }
    }
}

/// Channels.
pub(crate) mod mpsc {
    use std::time::Duration;

    use shuttle::rand::Rng;

    pub(crate) use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError};

    #[derive(Debug)]
    pub(crate) enum Sender<T> {
        Plain(std::sync::mpsc::Sender<T>),
        Ordered(shuttle::sync::mpsc::Sender<T>),
    }

    #[derive(Debug)]
    pub(crate) enum Receiver<T> {
        Plain(std::sync::mpsc::Receiver<T>),
        Ordered(shuttle::sync::mpsc::Receiver<T>),
    }

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        if super::IS_ON.get() {
            let (sender, receiver) = shuttle::sync::mpsc::channel();
            return (Sender::Ordered(sender), Receiver::Ordered(receiver));
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        (Sender::Plain(sender), Receiver::Plain(receiver))
    }

    impl<T> Sender<T> {
        pub(crate) fn send(&self, value: T) -> Result<(), SendError<T>> {
            match self {
                Self::Plain(sender) => sender.send(value),
                Self::Ordered(sender) => sender.send(value),
            }
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            match self {
                Self::Plain(receiver) => receiver.recv(),
                Self::Ordered(receiver) => receiver.recv(),
            }
        }

        pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
            match self {
                Self::Plain(receiver) => receiver.try_recv(),
                Self::Ordered(receiver) => receiver.try_recv(),
            }
        }

        /// Where the order is told, a lot says how long the time is.
        pub(crate) fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
            let receiver = match self {
                Self::Plain(receiver) => return receiver.recv_timeout(time),
                Self::Ordered(receiver) => receiver,
            };
            loop {
                match receiver.try_recv() {
                    Ok(value) => return Ok(value),
                    Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                    Err(TryRecvError::Empty) if shuttle::rand::thread_rng().r#gen() => {
                        return Err(RecvTimeoutError::Timeout);
                    }
                    Err(TryRecvError::Empty) => shuttle::thread::yield_now(),
                }
            }
        }
    }
}
