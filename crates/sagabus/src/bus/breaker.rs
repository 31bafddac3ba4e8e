//! Stops handing out events while what their handlers depend on is down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Failures in a row after which a breaker opens, unless said otherwise.
const FAILURES_MAX: u32 = 5;
/// How long it stays open before one event is tried, unless said otherwise.
const PROBE_AFTER: Duration = Duration::from_secs(20);

/// A circuit breaker for one dependency, such as a model server; subscriptions that name the same dependency share it.
///
/// After so many transient failures in a row nothing more is handed out, which costs no attempts; after a while one
/// event is, and its outcome decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub(crate) dependency: String,
    pub(crate) failures_max: u32,
    pub(crate) probe_after: Duration,
}

impl Breaker {
    /// Opens after 5 failures in a row, for 20 s.
    #[must_use]
    pub fn on(dependency: &str) -> Self {
        Self {
            dependency: dependency.to_owned(),
            failures_max: FAILURES_MAX,
            probe_after: PROBE_AFTER,
        }
    }

    /// Opens after so many failures in a row (at least 1).
    #[must_use]
    pub fn after(mut self, failures: u32) -> Self {
        self.failures_max = failures.max(1);
        self
    }

    /// Tries one event after it was open for so long.
    #[must_use]
    pub fn probe(mut self, after: Duration) -> Self {
        self.probe_after = after;
        self
    }
}

/// Whether events may be handed out. Pure: times are arguments, since some fixed point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    /// Nothing until then.
    Open(Duration),
    /// One event is being tried.
    Probing,
}

#[derive(Debug, Default)]
struct Circuit {
    state: State,
    failures: u32,
}

/// What a circuit lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything.
    Open,
    /// One event, to try.
    Probe,
    /// Nothing before this time, or before something changes.
    Closed(Option<Duration>),
}

impl Circuit {
    /// Asks to hand something out.
    fn ask(&mut self, now: Duration) -> Gate {
        match self.state {
            State::Closed => Gate::Open,
            State::Open(until) if now < until => Gate::Closed(Some(until)),
            State::Open(_) => {
                self.state = State::Probing;
                Gate::Probe
            }
            State::Probing => Gate::Closed(None),
        }
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self, breaker: &Breaker, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.state == State::Probing || self.failures >= breaker.failures_max {
            self.state = State::Open(now + breaker.probe_after);
        }
    }

    /// A probe that found nothing to try.
    fn not_tried(&mut self, now: Duration) {
        if self.state == State::Probing {
            self.state = State::Open(now);
        }
    }
}

/// The circuit of one dependency.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    circuit: Mutex<Circuit>,
    changed: Notify,
}

impl Shared {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ask(&self, now: Duration) -> Gate {
        self.circuit().ask(now)
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.circuit().state, State::Open(_))
    }

    pub(crate) fn succeeded(&self) {
        self.circuit().succeeded();
        self.changed.notify_waiters();
    }

    pub(crate) fn failed(&self, breaker: &Breaker, now: Duration) {
        self.circuit().failed(breaker, now);
        self.changed.notify_waiters();
    }

    pub(crate) fn not_tried(&self, now: Duration) {
        self.circuit().not_tried(now);
        self.changed.notify_waiters();
    }

    /// Waits until the circuit has changed, at most for `rest`.
    pub(crate) async fn changed(&self, rest: Option<Duration>) {
        let rest = rest.unwrap_or(PROBE_AFTER).max(Duration::from_millis(1));
        let _either = tokio::time::timeout(rest, self.changed.notified()).await;
    }
}

/// The circuits of a bus, by dependency.
#[derive(Debug, Default)]
pub(crate) struct Circuits(Mutex<HashMap<String, Arc<Shared>>>);

impl Circuits {
    /// The circuit of a dependency. There are as many as subscriptions have named, which is bounded by their number.
    pub(crate) fn of(&self, dependency: &str) -> Arc<Shared> {
        let mut circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(circuits.entry(dependency.to_owned()).or_default())
    }

    /// Dependencies that are down.
    pub(crate) fn open(&self) -> Vec<String> {
        let circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = circuits.iter().filter(|(_, it)| it.is_open());
        let mut open: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        open.sort();
        open
    }
}

#[cfg(test)]
mod tests;
