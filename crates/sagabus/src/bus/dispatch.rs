//! Runs a subscription: one task fetches, some run handlers, one settles what they answer, one says that it is alive.
//!
//! At most `concurrency` fetched events run at a time: a task that runs handlers takes one event after the other, and
//! before it waits for one another takes what is left. Verdicts go to the settling task, which takes whatever has come
//! meanwhile and settles it with one record.

mod attempt;
mod work;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::attempt::Subject;
use self::work::{End, Start, Work};
use super::breaker::{self, Breaker, Gate};
use super::collect::{Collect, Groups};
use super::handler::{Answer, Context, Handler};
use super::rate::{self, Rate};
use super::settle::{Outcome, Policy};
use super::stats::SubscriptionCounters;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::schema::Registry;
use crate::transport::{Leased, Member, Verdict};

/// Most events fetched at once.
const FETCH_MAX: usize = 256;
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
    /// The same, for those who ask before each event: a token would be locked each time.
    is_cut: AtomicBool,
    /// Nothing is left to settle.
    done: CancellationToken,
    context: Arc<Context>,
    work: Work,
    cut_count: AtomicUsize,
}

impl Dispatch {
    pub(crate) fn new(plan: Plan, clock: Arc<dyn Clock>) -> Self {
        let context = Context {
            fenced: CancellationToken::new(),
            registry: Arc::clone(&plan.registry),
        };
        Self {
            work: Work::new(plan.concurrency),
            context: Arc::new(context),
            plan,
            clock,
            counters: SubscriptionCounters::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            is_cut: AtomicBool::new(false),
            done: CancellationToken::new(),
            cut_count: AtomicUsize::new(0),
        }
    }

    pub(crate) fn counters(&self) -> &SubscriptionCounters {
        &self.counters
    }

    /// Starts fetching.
    pub(crate) fn start(self: &Arc<Self>, member: Arc<dyn Member>) {
        self.tasks
            .spawn(Arc::clone(self).settle(Arc::clone(&member)));
        self.tasks.spawn(Arc::clone(self).beat(Arc::clone(&member)));
        match self.plan.collect.clone() {
            None => self.tasks.spawn(Arc::clone(self).fetch(member)),
            Some(collect) => {
                let fetch = Arc::clone(self).fetch_groups(member, collect);
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
        self.cut();
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
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
            self.cut();
            self.tasks.wait().await;
        }
        self.cut_count.swap(0, Ordering::Relaxed)
    }

    async fn fetch(self: Arc<Self>, member: Arc<dyn Member>) {
        loop {
            let room = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                room = self.work.room() => room,
            };
            let Some(leased) = self.lease(&member, room.min(FETCH_MAX)).await else {
                break;
            };
            if leased.len() < room {
                self.work.has_more_room();
            }
            if !leased.is_empty() {
                let start = self.work.put(leased);
                self.start_worker(start, &member);
            }
        }
        self.work.close();
    }

    fn start_worker(self: &Arc<Self>, start: Start, member: &Arc<dyn Member>) {
        if start == Start::Worker {
            let run = Arc::clone(self).run_handlers(Arc::clone(member));
            self.tasks.spawn(run);
        }
    }

    /// Runs handlers, one after the other, as long as it is needed.
    async fn run_handlers(self: Arc<Self>, member: Arc<dyn Member>) {
        let mut worker = self.worker(member);
        let mut is_woken = true;
        while let Some((first, start)) = self.work.first(is_woken).await {
            self.start_worker(start, &worker.member);
            is_woken = false;
            let mut next = Some(first);
            worker.now = self.clock.elapsed();
            while let Some(leased) = next {
                let token = leased.token;
                let end = self.handle(leased, &mut worker).await;
                next = self.work.next(token, end, worker.now);
            }
            // Whoever settles and fetches may be waiting for this thread.
            tokio::task::yield_now().await;
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

    /// Fetches for a handler of several events: puts them together until there are enough or they have waited enough.
    async fn fetch_groups(self: Arc<Self>, member: Arc<dyn Member>, collect: Collect) {
        let slots = Arc::new(Semaphore::new(self.plan.concurrency));
        let fetch_max = FETCH_MAX.max(collect.events_max);
        let mut groups = Groups::new(collect);
        let unstarted = loop {
            let now = self.clock.elapsed();
            let mut unstarted = None;
            while let Some(group) = groups.pop(now) {
                let permit = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    permit = self.free_slot(&slots) => permit,
                };
                let Some(permit) = permit else {
                    unstarted = Some(group);
                    break;
                };
                let run = Arc::clone(&self).run_group(group, permit, Arc::clone(&member));
                self.tasks.spawn(run);
            }
            if unstarted.is_some() {
                break unstarted;
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
                break None;
            };
            self.work.count(leased.len());
            let now = self.clock.elapsed();
            for leased in leased {
                groups.put(leased, now);
            }
        };
        // What was fetched and not started is not counted.
        let unstarted = unstarted.into_iter().flatten().chain(groups.drain());
        let release = |leased: Leased| (leased.token, End::Other(Verdict::Release));
        self.work.give(unstarted.map(release));
        self.work.close();
    }

    /// Waits until another group may be handled.
    async fn free_slot(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(slots).acquire_owned().await.ok();
        self.work.calm().await;
        permit
    }

    async fn run_group(
        self: Arc<Self>,
        group: Vec<Leased>,
        _permit: OwnedSemaphorePermit,
        member: Arc<dyn Member>,
    ) {
        let mut running = Vec::with_capacity(group.len());
        for leased in group {
            let token = leased.token;
            match self.before(&leased) {
                Some(verdict) => self.work.give([(token, End::Other(verdict))]),
                None => running.push(leased),
            }
        }
        let Some(answers) = self.call_all(&running).await else {
            // One of them may be what makes all fail: each is tried alone.
            let mut worker = self.worker(member);
            for leased in running {
                let token = leased.token;
                worker.now = self.clock.elapsed();
                let end = self.handle(leased, &mut worker).await;
                self.work.give([(token, end)]);
            }
            return;
        };
        let (duration, answers) = answers;
        let ends = running.iter().zip(answers).map(|(leased, outcome)| {
            let verdict = self.after(&Subject::of(leased), duration, &outcome);
            (leased.token, verdict.map_or(End::Handled, End::Other))
        });
        self.work.give(ends.collect::<Vec<_>>());
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

    async fn settle(self: Arc<Self>, member: Arc<dyn Member>) {
        while let Some(settles) = self.work.verdicts().await {
            if let Err(error) = member.settle(settles).await {
                tracing::error!(subscription = %self.plan.name, error = %error.chain(), "cannot settle");
                if matches!(error.kind(), ErrorKind::Closed) {
                    break;
                }
            }
        }
        self.work.die();
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
                self.context.fenced.cancel();
                return;
            }
        }
    }
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
