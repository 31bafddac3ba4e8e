//! Runs a subscription: one task fetches and starts handlers, one settles what they answer, one says that it is alive.
//!
//! A fetched event runs in a task of its own, at most `concurrency` at a time. Its verdict goes to the settling task,
//! which takes whatever has come meanwhile and settles it with one record.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::breaker::{self, Breaker, Gate};
use super::collect::{Collect, Groups};
use super::handler::{Answer, Delivery, Handler, HandlerError};
use super::rate::{self, Rate};
use super::settle::{self, Attempt, Outcome, Policy};
use super::stats::SubscriptionCounters;
use super::subscription::emit_error;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::retry;
use crate::schema::Registry;
use crate::transport::{LeaseToken, Leased, Member, Settle, Verdict};

/// Most verdicts settled by one record.
const SETTLES_MAX: usize = 256;
/// Most events fetched at once.
const FETCH_MAX: usize = 64;
/// Pause before fetching again when the engine could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// How a subscription is run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Arc<Handler>,
    /// Its events are handed out once more, beside the subscription that had them.
    pub(crate) is_replay: bool,
    pub(crate) policy: Policy,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    /// How long the member may be silent.
    pub(crate) lease: Duration,
    pub(crate) registry: Arc<Registry>,
    pub(crate) rate: Option<(Rate, Arc<Mutex<rate::Bucket>>)>,
    pub(crate) breaker: Option<(Breaker, Arc<breaker::Shared>)>,
    /// How events are put together, for a handler of several.
    pub(crate) collect: Option<Collect>,
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
    /// Nothing is left to settle.
    done: CancellationToken,
    /// Another member has what is running here.
    fenced: CancellationToken,
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
            done: CancellationToken::new(),
            fenced: CancellationToken::new(),
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
        self.tasks.spawn(Arc::clone(self).beat(Arc::clone(&member)));
        match self.plan.collect.clone() {
            None => self.tasks.spawn(Arc::clone(self).fetch(member, verdicts)),
            Some(collect) => {
                let fetch = Arc::clone(self).fetch_groups(member, verdicts, collect);
                self.tasks.spawn(fetch)
            }
        };
        self.tasks.close();
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns when nothing is fetched any more and everything is settled.
    pub(crate) async fn ended(&self) {
        self.done.cancelled().await;
    }

    pub(crate) fn stop_fetching(&self) {
        self.stop.cancel();
    }

    /// Ends as a killed process does: no handler is called, or goes on, from now on.
    #[cfg(feature = "testing")]
    pub(crate) fn cut_now(&self) {
        self.stop.cancel();
        self.cut.cancel();
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
            let Some(leased) = self.lease(&member, permits.len()).await else {
                return;
            };
            for leased in leased {
                let (member, verdicts) = (Arc::clone(&member), verdicts.clone());
                let run = Arc::clone(&self).run(leased, permits.pop(), member, verdicts);
                self.tasks.spawn(run);
            }
        }
    }

    /// Leases up to `max` events when breaker and rate allow it; none now and then. `None` when it is time to stop.
    async fn lease(&self, member: &Arc<dyn Member>, max: usize) -> Option<Vec<Leased>> {
        let (max, is_probe) = self.allowed(max).await?;
        let leased = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            leased = member.lease(max) => Some(leased),
        };
        let has_any = leased
            .as_ref()
            .is_some_and(|it| it.as_ref().is_ok_and(|it| !it.is_empty()));
        if is_probe
            && !has_any
            && let Some((_, circuit)) = &self.plan.breaker
        {
            circuit.not_tried(self.clock.elapsed());
        }
        match leased? {
            Ok(leased) => {
                if let Some((rate, bucket)) = &self.plan.rate {
                    lock(bucket).took(rate, self.clock.elapsed(), leased.len());
                }
                Some(leased)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Fenced) => {
                tracing::warn!(subscription = %self.plan.name, error = %error.chain(), "subscription ends");
                None
            }
            Err(error) => {
                tracing::error!(subscription = %self.plan.name, error = %error.chain(), "cannot fetch");
                let _stopped = tokio::time::timeout(READ_PAUSE, self.stop.cancelled()).await;
                Some(Vec::new())
            }
        }
    }

    /// Waits until something may be fetched: how many, and whether it is to try a circuit. `None` when it is time to
    /// stop.
    async fn allowed(&self, mut max: usize) -> Option<(usize, bool)> {
        loop {
            let now = self.clock.elapsed();
            if let Some((rate, bucket)) = &self.plan.rate {
                let asked = lock(bucket).ask(rate, now, max);
                match asked {
                    Ok(count) => max = count,
                    Err(wait) => {
                        let wait = wait.max(Duration::from_millis(1));
                        let stopped = tokio::time::timeout(wait, self.stop.cancelled()).await;
                        if stopped.is_ok() {
                            return None;
                        }
                        continue;
                    }
                }
            }
            let Some((_, circuit)) = &self.plan.breaker else {
                return Some((max, false));
            };
            let rest = match circuit.ask(now) {
                Gate::Open => return Some((max, false)),
                Gate::Probe => return Some((1, true)),
                Gate::Closed(until) => until.map(|until| until.saturating_sub(now)),
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = circuit.changed(rest) => {}
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
        member: Arc<dyn Member>,
        verdicts: mpsc::Sender<Settle>,
    ) {
        let token = leased.token;
        if let Some(verdict) = self.verdict(leased, &member).await {
            // Closed only when the settling task has ended with the engine: the event will be delivered again.
            let _sent = verdicts.send(Settle::new(token, verdict)).await;
        }
    }

    /// Runs an attempt. `None` when it is settled already, with the events that the handler answered with.
    async fn verdict(&self, leased: Leased, member: &Arc<dyn Member>) -> Option<Verdict> {
        let token = leased.token;
        if let Some(verdict) = self.before(&leased) {
            return Some(verdict);
        }
        let delivery = self.delivery(leased);
        let event = Arc::clone(&delivery.event);
        let started = self.clock.elapsed();
        let (mut outcome, mut events) = self.call(delivery.clone()).await;
        for _ in 0..self.plan.policy.retry.inline.times {
            if !matches!(outcome, Outcome::Failed(_)) || !outcome.is_transient() {
                break;
            }
            let pause = tokio::time::sleep(self.plan.policy.retry.inline.delay);
            let is_cut = tokio::select! {
                biased;
                () = self.stop.cancelled() => true,
                () = pause => false,
            };
            if is_cut {
                break;
            }
            (outcome, events) = self.call(delivery.clone()).await;
        }
        let is_emitting = !events.is_empty();
        if is_emitting && let Err(error) = self.emit(token, events, member).await {
            outcome = Outcome::Failed(error);
        }
        let duration = self.clock.elapsed().saturating_sub(started);
        let verdict = self.after(token, &event, duration, &outcome);
        (!is_emitting || verdict != Verdict::Ack).then_some(verdict)
    }

    /// Acks a delivery and publishes what follows from it, in one append.
    async fn emit(
        &self,
        token: LeaseToken,
        events: Vec<Arc<Event>>,
        member: &Arc<dyn Member>,
    ) -> Result<(), HandlerError> {
        let settle = Settle {
            events,
            ..Settle::new(token, Verdict::Ack)
        };
        let settled = member.settle(vec![settle]).await.map_err(emit_error)?;
        if settled == [false] {
            // It is another member's now, who will come to the same.
            tracing::warn!(subscription = %self.plan.name, position = token.position, "a late answer does not count");
        }
        Ok(())
    }

    /// Calls the handler once: what became of it, and what it answered with.
    async fn call(&self, delivery: Delivery) -> (Outcome, Vec<Arc<Event>>) {
        let span = span(&delivery);
        let outcome = tokio::select! {
            biased;
            () = self.cut.cancelled() => {
                self.cut_count.fetch_add(1, Ordering::Relaxed);
                Outcome::Interrupted
            }
            ended = tokio::time::timeout(self.plan.timeout, self.plan.handler.call(delivery).instrument(span)) => match ended {
                Ok(Ok(Ok(events))) => return (Outcome::Handled, events),
                Ok(Ok(Err(error))) => Outcome::Failed(error),
                Ok(Err(panic)) => Outcome::Panicked(panic),
                Err(_) => self.timed_out(),
            },
        };
        (outcome, Vec::new())
    }

    fn timed_out(&self) -> Outcome {
        Outcome::TimedOut {
            limit_ms: milliseconds(self.plan.timeout),
        }
    }

    /// A verdict without a call.
    fn before(&self, leased: &Leased) -> Option<Verdict> {
        if let Some((_, circuit)) = &self.plan.breaker
            && circuit.is_open()
        {
            return Some(Verdict::Release);
        }
        let attempt = self.attempt(leased.token, &leased.event, Duration::ZERO);
        let verdict = settle::before(&self.plan.policy, attempt, leased.silent)?;
        self.note(leased.token, &verdict);
        Some(verdict)
    }

    fn delivery(&self, leased: Leased) -> Delivery {
        Delivery {
            event: leased.event,
            position: leased.token.position,
            attempt: leased.token.attempt,
            redrives: leased.redrives,
            revision: leased.revision,
            subscription: Arc::clone(&self.plan.name),
            fenced: self.fenced.clone(),
            registry: Arc::clone(&self.plan.registry),
            is_replay: self.plan.is_replay,
        }
    }

    /// The verdict on an attempt, with everything that is to be noted about it.
    fn after(
        &self,
        token: LeaseToken,
        event: &Event,
        duration: Duration,
        outcome: &Outcome,
    ) -> Verdict {
        self.counters
            .attempt(duration, *outcome == Outcome::Handled);
        if let Some((breaker, circuit)) = &self.plan.breaker {
            if outcome.is_transient() {
                circuit.failed(breaker, self.clock.elapsed());
            } else if *outcome != Outcome::Interrupted {
                circuit.succeeded();
            }
        }
        let attempt = self.attempt(token, event, duration);
        let verdict = settle::after(&self.plan.policy, attempt, outcome);
        if *outcome != Outcome::Handled {
            tracing::warn!(
                subscription = %self.plan.name,
                event_id = %event.id,
                attempt = token.attempt,
                outcome = ?std::mem::discriminant(outcome),
                "attempt failed"
            );
        }
        self.note(token, &verdict);
        verdict
    }

    fn attempt(&self, token: LeaseToken, event: &Event, duration: Duration) -> Attempt {
        Attempt {
            number: token.attempt,
            duration_ms: milliseconds(duration),
            now: self.clock.now(),
            seed: retry::seed(&[event.id.as_str(), &self.plan.name]),
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

    /// Fetches for a handler of several events: puts them together until there are enough or they have waited enough.
    async fn fetch_groups(
        self: Arc<Self>,
        member: Arc<dyn Member>,
        verdicts: mpsc::Sender<Settle>,
        collect: Collect,
    ) {
        let slots = Arc::new(Semaphore::new(self.plan.concurrency));
        let fetch_max = FETCH_MAX.max(collect.events_max);
        let mut groups = Groups::new(collect);
        loop {
            let now = self.clock.elapsed();
            while let Some(group) = groups.pop(now) {
                let permit = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    permit = Arc::clone(&slots).acquire_owned() => permit.ok(),
                };
                let Some(permit) = permit else {
                    return self
                        .hand_back(group.into_iter().chain(groups.drain()), &verdicts)
                        .await;
                };
                let (member, verdicts) = (Arc::clone(&member), verdicts.clone());
                let run = Arc::clone(&self).run_group(group, permit, member, verdicts);
                self.tasks.spawn(run);
            }
            let room = groups.room(self.plan.concurrency).min(fetch_max);
            let rest = groups.next_due().map(|due| due.saturating_sub(now));
            let leased = tokio::select! {
                biased;
                () = self.stop.cancelled() => None,
                () = pause(rest) => Some(Vec::new()),
                leased = self.lease(&member, room.max(1)), if room > 0 => leased,
            };
            let Some(leased) = leased else {
                return self.hand_back(groups.drain(), &verdicts).await;
            };
            let now = self.clock.elapsed();
            for leased in leased {
                groups.put(leased, now);
            }
        }
    }

    /// What was fetched and not started is not counted.
    async fn hand_back(
        &self,
        leased: impl Iterator<Item = Leased>,
        verdicts: &mpsc::Sender<Settle>,
    ) {
        for leased in leased {
            let settle = Settle::new(leased.token, Verdict::Release);
            let _sent = verdicts.send(settle).await;
        }
    }

    async fn run_group(
        self: Arc<Self>,
        group: Vec<Leased>,
        _permit: OwnedSemaphorePermit,
        member: Arc<dyn Member>,
        verdicts: mpsc::Sender<Settle>,
    ) {
        let mut running = Vec::with_capacity(group.len());
        for leased in group {
            let token = leased.token;
            match self.before(&leased) {
                Some(verdict) => {
                    let _sent = verdicts.send(Settle::new(token, verdict)).await;
                }
                None => running.push(leased),
            }
        }
        let Some(answers) = self.call_all(&running).await else {
            // One of them may be what makes all fail: each is tried alone.
            for leased in running {
                let token = leased.token;
                if let Some(verdict) = self.verdict(leased, &member).await {
                    let _sent = verdicts.send(Settle::new(token, verdict)).await;
                }
            }
            return;
        };
        let (duration, answers) = answers;
        for (leased, outcome) in running.into_iter().zip(answers) {
            let verdict = self.after(leased.token, &leased.event, duration, &outcome);
            let settle = Settle::new(leased.token, verdict);
            let _sent = verdicts.send(settle).await;
        }
    }

    /// Calls the handler with all events: how long it took and what became of each. `None` when the call failed as a
    /// whole and there are several.
    async fn call_all(&self, leased: &[Leased]) -> Option<(Duration, Vec<Outcome>)> {
        let deliveries: Vec<_> = leased.iter().map(|it| self.delivery(it.clone())).collect();
        let count = deliveries.len();
        let started = self.clock.elapsed();
        let call = self.plan.handler.call_all(deliveries)?;
        let outcomes = tokio::select! {
            biased;
            () = self.cut.cancelled() => {
                self.cut_count.fetch_add(count, Ordering::Relaxed);
                vec![Outcome::Interrupted; count]
            }
            ended = tokio::time::timeout(self.plan.timeout, call) => match ended {
                Ok(Ok(answers)) if answers.len() == count => {
                    answers.into_iter().map(outcome).collect()
                }
                Ok(Err(panic)) if count == 1 => vec![Outcome::Panicked(panic)],
                Err(_) if count == 1 => vec![self.timed_out()],
                Ok(_) | Err(_) => return None,
            },
        };
        Some((self.clock.elapsed().saturating_sub(started), outcomes))
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
        self.done.cancel();
    }

    /// Says often enough that the member is alive; tells the handlers when that came too late.
    async fn beat(self: Arc<Self>, member: Arc<dyn Member>) {
        let beat = self.plan.lease / 3;
        while tokio::time::timeout(beat, self.done.cancelled())
            .await
            .is_err()
        {
            if member.renew().is_err() {
                self.fenced.cancel();
                return;
            }
        }
    }
}

/// Says in the logs of a handler which span of which trace it is.
fn span(delivery: &Delivery) -> tracing::Span {
    let Some(own) = delivery.trace() else {
        return tracing::Span::none();
    };
    tracing::debug_span!(
        "handle",
        subscription = %delivery.subscription,
        event_id = %delivery.event.id,
        attempt = delivery.attempt,
        traceparent = %own,
    )
}

fn lock(bucket: &Mutex<rate::Bucket>) -> MutexGuard<'_, rate::Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Ok(_) => Outcome::Handled,
        Err(error) => Outcome::Failed(error),
    }
}

async fn pause(rest: Option<Duration>) {
    match rest {
        Some(rest) => tokio::time::sleep(rest.max(Duration::from_millis(1))).await,
        None => std::future::pending().await,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
