//! Runs a subscription: one task fetches and starts handlers, one settles what they answer.
//!
//! A fetched event runs in a task of its own, at most `concurrency` at a time. Its verdict goes to the settling task,
//! which takes whatever has come meanwhile and settles it with one record.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handler::{Delivery, Handler};
use super::settle::{self, Attempt, Outcome, Policy};
use super::stats::SubscriptionCounters;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::retry;
use crate::transport::{LeaseToken, Leased, Member, Settle, Verdict};

/// Most verdicts settled by one record.
const SETTLES_MAX: usize = 256;
/// Most events fetched at once.
const FETCH_MAX: usize = 64;
/// Pause before fetching again when the engine could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// How a subscription is run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Handler,
    pub(crate) policy: Policy,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
}

/// A running subscription.
#[derive(Debug)]
pub(crate) struct Dispatch {
    plan: Plan,
    clock: Arc<dyn Clock>,
    counters: SubscriptionCounters,
    tasks: TaskTracker,
    /// Fetch nothing more.
    stop: CancellationToken,
    /// Cut running handlers.
    cut: CancellationToken,
    cut_count: AtomicUsize,
}

impl Dispatch {
    pub(crate) fn new(plan: Plan, clock: Arc<dyn Clock>) -> Self {
        Self {
            plan,
            clock,
            counters: SubscriptionCounters::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            cut_count: AtomicUsize::new(0),
        }
    }

    pub(crate) fn counters(&self) -> &SubscriptionCounters {
        &self.counters
    }

    /// Starts fetching.
    pub(crate) fn start(self: &Arc<Self>, member: Arc<dyn Member>) {
        let (verdicts, settles) = mpsc::channel(SETTLES_MAX);
        self.tasks
            .spawn(Arc::clone(self).settle(Arc::clone(&member), settles));
        self.tasks.spawn(Arc::clone(self).fetch(member, verdicts));
        self.tasks.close();
    }

    pub(crate) fn stop_fetching(&self) {
        self.stop.cancel();
    }

    /// Waits for running handlers until `deadline`, cuts the rest, and says how many those were. Fine twice.
    pub(crate) async fn finish(&self, deadline: tokio::time::Instant) -> usize {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout_at(deadline, self.tasks.wait())
            .await
            .is_err()
        {
            self.cut.cancel();
            self.tasks.wait().await;
        }
        self.cut_count.swap(0, Ordering::Relaxed)
    }

    async fn fetch(self: Arc<Self>, member: Arc<dyn Member>, verdicts: mpsc::Sender<Settle>) {
        let slots = Arc::new(Semaphore::new(self.plan.concurrency));
        loop {
            let Some(mut permits) = self.free_slots(&slots).await else {
                return;
            };
            let leased = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                leased = member.lease(permits.len()) => leased,
            };
            match leased {
                Ok(leased) => {
                    for leased in leased {
                        let run = Arc::clone(&self).run(leased, permits.pop(), verdicts.clone());
                        self.tasks.spawn(run);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Fenced) => {
                    tracing::warn!(subscription = %self.plan.name, error = %error.chain(), "subscription ends");
                    return;
                }
                Err(error) => {
                    tracing::error!(subscription = %self.plan.name, error = %error.chain(), "cannot fetch");
                    let _stopped = tokio::time::timeout(READ_PAUSE, self.stop.cancelled()).await;
                }
            }
        }
    }

    /// Waits until a handler may be started; takes further free slots with it. `None` when it is time to stop.
    async fn free_slots(&self, slots: &Arc<Semaphore>) -> Option<Vec<OwnedSemaphorePermit>> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            permit = Arc::clone(slots).acquire_owned() => permit.ok()?,
        };
        let mut permits = vec![first];
        while permits.len() < FETCH_MAX
            && let Ok(permit) = Arc::clone(slots).try_acquire_owned()
        {
            permits.push(permit);
        }
        Some(permits)
    }

    async fn run(
        self: Arc<Self>,
        leased: Leased,
        _permit: Option<OwnedSemaphorePermit>,
        verdicts: mpsc::Sender<Settle>,
    ) {
        let token = leased.token;
        let verdict = self.verdict(leased).await;
        // Closed only when the settling task has ended with the engine: the event will be delivered again.
        let _sent = verdicts.send(Settle { token, verdict }).await;
    }

    async fn verdict(&self, leased: Leased) -> Verdict {
        let Leased {
            token,
            event,
            filter_fault,
        } = leased;
        let seed = retry::seed(&[event.id.as_str(), &self.plan.name]);
        let before = self.attempt(token, Duration::ZERO, seed);
        if let Some(verdict) = settle::before(&self.plan.policy, before, filter_fault.as_deref()) {
            self.note(token, &verdict);
            return verdict;
        }
        let delivery = Delivery {
            event,
            position: token.position,
            attempt: token.attempt,
            subscription: Arc::clone(&self.plan.name),
        };
        let event_id = delivery.event.id.clone();
        let started = self.clock.elapsed();
        let outcome = tokio::select! {
            biased;
            () = self.cut.cancelled() => {
                self.cut_count.fetch_add(1, Ordering::Relaxed);
                Outcome::Interrupted
            }
            ended = tokio::time::timeout(self.plan.timeout, self.plan.handler.call(delivery)) => match ended {
                Ok(Ok(Ok(()))) => Outcome::Handled,
                Ok(Ok(Err(error))) if error.is_permanent() => Outcome::Rejected(error.to_string()),
                Ok(Ok(Err(error))) => Outcome::Failed(error.to_string()),
                Ok(Err(panic)) => Outcome::Panicked(panic),
                Err(_) => Outcome::TimedOut {
                    limit_ms: milliseconds(self.plan.timeout),
                },
            },
        };
        let duration = self.clock.elapsed().saturating_sub(started);
        self.counters.attempt(duration, outcome == Outcome::Handled);
        let attempt = self.attempt(token, duration, seed);
        let verdict = settle::after(&self.plan.policy, attempt, &outcome);
        if outcome != Outcome::Handled {
            tracing::warn!(
                subscription = %self.plan.name,
                event_id = %event_id,
                attempt = token.attempt,
                outcome = ?std::mem::discriminant(&outcome),
                "attempt failed"
            );
        }
        self.note(token, &verdict);
        verdict
    }

    fn attempt(&self, token: LeaseToken, duration: Duration, seed: u64) -> Attempt {
        Attempt {
            number: token.attempt,
            duration_ms: milliseconds(duration),
            now: self.clock.now(),
            seed,
        }
    }

    fn note(&self, token: LeaseToken, verdict: &Verdict) {
        match verdict {
            Verdict::RetryAt(..) => self.counters.retried(),
            Verdict::Dead(fault) => {
                self.counters.died();
                tracing::error!(
                    subscription = %self.plan.name,
                    position = token.position,
                    attempts = token.attempt,
                    kind = fault.kind,
                    "dead letter"
                );
            }
            Verdict::Ack | Verdict::Skip | Verdict::Release => {}
        }
    }

    async fn settle(self: Arc<Self>, member: Arc<dyn Member>, mut settles: mpsc::Receiver<Settle>) {
        let mut batch = Vec::new();
        while settles.recv_many(&mut batch, SETTLES_MAX).await > 0 {
            if let Err(error) = member.settle(std::mem::take(&mut batch)).await {
                tracing::error!(subscription = %self.plan.name, error = %error.chain(), "cannot settle");
                if matches!(error.kind(), ErrorKind::Closed) {
                    break;
                }
            }
        }
        member.leave();
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
