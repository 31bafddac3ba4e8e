//! Locks and channels of the standard library; in tests, where asked for, those that threads come to in any order.

#[cfg(not(test))]
pub(crate) use std::sync::{Mutex, MutexGuard, mpsc};

#[cfg(test)]
pub(crate) use any_order::{Mutex, MutexGuard, mpsc};

#[cfg(test)]
pub(crate) mod any_order;
