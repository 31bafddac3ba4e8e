//! One attempt on one event: the handler is called, awaited and judged.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use super::Dispatch;
use super::work::End;
use crate::bus::handler::{Answer, Delivery, HandlerError, Seat};
use crate::bus::settle::{self, Attempt, Outcome};
use crate::bus::subscription::emit_error;
use crate::event::Event;
use crate::ledger::Fault;
use crate::retry;
use crate::transport::{DeadLetterId, LeaseToken, Leased, Member, Settle, Verdict};

/// What runs handlers one after the other.
pub(super) struct Worker {
    seat: Box<dyn Seat>,
    pub(super) member: Arc<dyn Member>,
    /// When the latest event was handled, since some fixed point.
    pub(super) now: Duration,
}

/// How far an attempt came at once.
enum Begun {
    Ended(End),
    Open(Open),
}

/// What an attempt is about.
pub(super) struct Subject {
    token: LeaseToken,
    event: Arc<Event>,
    /// Earlier attempts that do not count.
    uncounted: u32,
}

impl Subject {
    pub(super) fn of(leased: &Leased) -> Self {
        Self {
            token: leased.token,
            event: Arc::clone(&leased.event),
            uncounted: leased.uncounted,
        }
    }
}

/// An attempt that goes on, or did not end well.
struct Open {
    subject: Subject,
    /// To call the handler with again.
    again: Option<Delivery>,
    /// When it began, since some fixed point.
    started: Duration,
    call: Call,
}

/// What became of a call; or the span that it goes on in.
type Call = Result<Called, tracing::Span>;

/// What became of a call, and what it answered with.
type Called = (Outcome, Vec<Arc<Event>>);

fn called(ended: Result<Answer, String>) -> Called {
    match ended {
        Ok(Ok(events)) => (Outcome::Handled, events),
        Ok(Err(error)) => (Outcome::Failed(error), Vec::new()),
        Err(panic) => (Outcome::Panicked(panic), Vec::new()),
    }
}

/// Says in the logs of a handler which span of which trace it is.
fn span(delivery: &Delivery) -> tracing::Span {
    // As nearly all are: looked at here, it costs nothing.
    if delivery.event.metadata.is_empty() {
        return tracing::Span::none();
    }
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

/// What can be decided at once, and needs to know the task.
fn at_once<T>(decide: impl FnOnce(&mut std::task::Context<'_>) -> T) -> impl Future<Output = T> {
    let mut decide = Some(decide);
    poll_fn(move |context| {
        let decide = decide.take();
        decide.map_or(Poll::Pending, |it| Poll::Ready(it(context)))
    })
}

/// What is known of an attempt that failed.
fn fault_of(verdict: &Verdict) -> Option<&Fault> {
    match verdict {
        Verdict::RetryAt(_, fault) | Verdict::Dead(fault) => Some(fault),
        Verdict::Ack | Verdict::Skip | Verdict::Release => None,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Dispatch {
    pub(super) fn worker(&self, member: Arc<dyn Member>) -> Worker {
        Worker {
            seat: self.plan.handler.seat(),
            member,
            now: self.clock.elapsed(),
        }
    }

    /// Has an event handled that was leased at the worker's time, and moves that time on to the end of it.
    pub(super) async fn handle(self: &Arc<Self>, leased: Leased, worker: &mut Worker) -> End {
        match at_once(|context| self.begin(leased, worker, context)).await {
            Begun::Ended(end) => end,
            // Apart, so that those that end at once do not carry what it needs.
            Begun::Open(open) => Box::pin(self.go_on(open, worker)).await,
        }
    }

    /// All of it where the handler ends at once and well, as most do: these need neither a timer nor somebody who watches
    /// for the end.
    fn begin(
        &self,
        leased: Leased,
        worker: &mut Worker,
        context: &mut std::task::Context<'_>,
    ) -> Begun {
        if let Some(verdict) = self.before(&leased) {
            return Begun::Ended(End::Other(verdict));
        }
        let subject = Subject::of(&leased);
        let delivery = self.delivery(leased);
        let again = (self.plan.policy.retry.inline.times > 0).then(|| delivery.clone());
        let started = worker.now;
        let call = self.call(delivery, worker, context);
        if let Ok((Outcome::Handled, events)) = &call
            && events.is_empty()
        {
            self.judge(&subject, started, worker, &Outcome::Handled);
            return Begun::Ended(End::Handled);
        }
        Begun::Open(Open {
            subject,
            again,
            started,
            call,
        })
    }

    /// Goes on with what did not end at once, or not well.
    async fn go_on(self: &Arc<Self>, open: Open, worker: &mut Worker) -> End {
        let subject = open.subject;
        let inline = self.plan.policy.retry.inline;
        let (mut outcome, mut events) = self.end_of(open.call, worker).await;
        for delivery in open.again.iter().cycle().take(inline.times as usize) {
            if !matches!(outcome, Outcome::Failed(_)) || !outcome.is_transient() {
                break;
            }
            let pause = tokio::time::sleep(inline.delay);
            let start = self.work.away();
            self.start_worker(start, &worker.member);
            let is_cut = tokio::select! {
                biased;
                () = self.stop.cancelled() => true,
                () = pause => false,
            };
            if is_cut {
                break;
            }
            let call = at_once(|context| self.call(delivery.clone(), worker, context)).await;
            (outcome, events) = self.end_of(call, worker).await;
        }
        let is_emitting = !events.is_empty();
        if is_emitting && let Err(error) = self.emit(subject.token, events, &worker.member).await {
            outcome = Outcome::Failed(error);
        }
        match self.judge(&subject, open.started, worker, &outcome) {
            Some(verdict) => End::Other(verdict),
            None if is_emitting => End::Settled,
            None => End::Handled,
        }
    }

    /// The verdict on an attempt that ended now, unless it is what nearly all get.
    fn judge(
        &self,
        subject: &Subject,
        started: Duration,
        worker: &mut Worker,
        outcome: &Outcome,
    ) -> Option<Verdict> {
        worker.now = self.clock.elapsed();
        let duration = worker.now.saturating_sub(started);
        self.after(subject, duration, outcome)
    }

    /// Acks a delivery and publishes what follows from it, in one append.
    async fn emit(
        self: &Arc<Self>,
        token: LeaseToken,
        events: Vec<Arc<Event>>,
        member: &Arc<dyn Member>,
    ) -> Result<(), HandlerError> {
        let start = self.work.away();
        self.start_worker(start, member);
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

    /// Calls the handler once: what became of it, and what it answered with; or the span that it goes on in.
    fn call(
        &self,
        delivery: Delivery,
        worker: &mut Worker,
        context: &mut std::task::Context<'_>,
    ) -> Call {
        if self.is_cut.load(Ordering::Acquire) {
            return Ok((self.interrupted(), Vec::new()));
        }
        let span = span(&delivery);
        if let Err(panic) = worker.seat.call(delivery) {
            return Ok(called(Err(panic)));
        }
        match span.in_scope(|| worker.seat.poll(context)) {
            Poll::Ready(ended) => Ok(called(ended)),
            Poll::Pending => Err(span),
        }
    }

    /// Waits for the end of a call.
    async fn end_of(self: &Arc<Self>, call: Call, worker: &mut Worker) -> Called {
        let span = match call {
            Ok(called) => return called,
            Err(span) => span,
        };
        let start = self.work.away();
        self.start_worker(start, &worker.member);
        let seat = &mut worker.seat;
        let rest = poll_fn(|context| span.in_scope(|| seat.poll(context)));
        let ended = tokio::select! {
            biased;
            () = self.cut.cancelled() => None,
            ended = tokio::time::timeout(self.plan.timeout, rest) => Some(ended),
        };
        if let Some(Ok(ended)) = ended {
            return called(ended);
        }
        span.in_scope(|| seat.clear());
        let outcome = if ended.is_some() {
            self.timed_out()
        } else {
            self.interrupted()
        };
        (outcome, Vec::new())
    }

    fn interrupted(&self) -> Outcome {
        self.cut_count.fetch_add(1, Ordering::Relaxed);
        Outcome::Interrupted
    }

    pub(super) fn timed_out(&self) -> Outcome {
        Outcome::TimedOut {
            limit_ms: milliseconds(self.plan.timeout),
        }
    }

    /// A verdict without a call.
    pub(super) fn before(&self, leased: &Leased) -> Option<Verdict> {
        if let Some((_, circuit)) = &self.plan.breaker
            && circuit.is_open()
        {
            return Some(Verdict::Release);
        }
        let counted = leased.token.attempt.saturating_sub(leased.uncounted);
        if !settle::is_spent(&self.plan.policy, counted, leased.silent) {
            return None;
        }
        let attempt = self.attempt(&Subject::of(leased), Duration::ZERO);
        let verdict = settle::before(&self.plan.policy, attempt, leased.silent)?;
        self.note(leased.token, &verdict);
        Some(verdict)
    }

    pub(super) fn delivery(&self, leased: Leased) -> Delivery {
        Delivery {
            event: leased.event,
            position: leased.token.position,
            attempt: leased.token.attempt,
            redrives: leased.redrives,
            revision: leased.revision,
            subscription: Arc::clone(&self.plan.name),
            is_replay: self.plan.is_replay,
            context: Arc::clone(&self.context),
        }
    }

    /// The verdict on an attempt, with everything that is to be noted about it.
    pub(super) fn after(
        &self,
        subject: &Subject,
        duration: Duration,
        outcome: &Outcome,
    ) -> Option<Verdict> {
        // What could not be had says nothing about the handler.
        if !outcome.is_unavailable() {
            self.counters
                .attempt(duration, matches!(outcome, Outcome::Handled));
        }
        if let Some((breaker, circuit)) = &self.plan.breaker {
            if outcome.is_transient() {
                circuit.failed(breaker, self.clock.elapsed());
            } else if *outcome != Outcome::Interrupted {
                circuit.succeeded();
            }
        }
        if matches!(outcome, Outcome::Handled) {
            // What else is known of the attempt is for those that failed.
            return None;
        }
        let attempt = self.attempt(subject, duration);
        let verdict = settle::after(&self.plan.policy, attempt, outcome);
        // Its words stay out: they may hold personal data, and stand with the dead letter.
        let fault = fault_of(&verdict);
        let error_type = fault.map(|it| it.error_type.as_str());
        tracing::warn!(
            subscription = %self.plan.name,
            position = subject.token.position,
            event_id = %subject.event.id,
            attempt = subject.token.attempt,
            outcome = outcome.words(),
            kind = fault.map(|it| it.kind.as_str()),
            error_type = error_type.filter(|it| !it.is_empty()),
            "attempt failed"
        );
        self.note(subject.token, &verdict);
        Some(verdict)
    }

    fn attempt(&self, subject: &Subject, duration: Duration) -> Attempt {
        Attempt {
            number: subject.token.attempt,
            uncounted: subject.uncounted,
            duration_ms: milliseconds(duration),
            now: self.clock.now(),
            seed: retry::seed(&[subject.event.id.as_str(), &self.plan.name]),
        }
    }

    fn note(&self, token: LeaseToken, verdict: &Verdict) {
        match verdict {
            Verdict::RetryAt(..) => self.counters.retried(),
            Verdict::Dead(fault) => {
                self.counters.died();
                // As the commands and the library name it.
                let letter = DeadLetterId::new(&self.plan.name, token.position);
                tracing::error!(
                    subscription = %self.plan.name,
                    position = token.position,
                    attempts = token.attempt,
                    kind = fault.kind,
                    %letter,
                    "dead letter"
                );
            }
            Verdict::Ack | Verdict::Skip | Verdict::Release => {}
        }
    }
}
