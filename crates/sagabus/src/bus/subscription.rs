//! How a subscription is described and held.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Bus;
use super::breaker::Breaker;
use super::collect::Collect;
use super::dispatch::{Dispatch, Plan};
use super::emit::Emit;
use super::handler::{Delivery, Handler, HandlerError};
use super::rate::Rate;
use super::settle::Policy;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Payload};
use crate::filter::Filter;
use crate::ledger::{By, Counts, Exhausted, Order, RetryBudget, Sharing};
use crate::pattern::Pattern;
use crate::planted::{self, DeliveryBug};
use crate::retry::Retry;
use crate::text::is_hidden;
use crate::transport::{Attribute, OnFilterError, Property, Start, SubscriptionSpec};

/// Longest name of a subscription, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Most handlers of one subscription at a time.
const CONCURRENCY_MAX: usize = 1024;
/// Most events handed to a handler of several.
const EVENTS_MAX: usize = 1000;
/// Highest limit of parked events: they are kept in memory.
const PARKED_MAX: u64 = 100_000;
/// Highest number in a budget or a share; see [`RetryBudget`] and [`Sharing`].
const MILLION: u32 = 1_000_000;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Describes a subscription; [`SubscriptionBuilder::handler`] starts it.
#[must_use = "a subscription starts with its handler"]
pub struct SubscriptionBuilder {
    bus: Bus,
    name: String,
    patterns: Vec<String>,
    start: Option<Start>,
    spec: SubscriptionSpec,
    on_filter_error: Option<OnFilterError>,
    exhausted: Option<Exhausted>,
    retry: Retry,
    keeps_dead_letters: bool,
    timeout: Duration,
    concurrency: usize,
    rate: Option<Rate>,
    breaker: Option<Breaker>,
    collect: Option<Collect>,
    collect_by: Option<Attribute>,
    /// What was asked for by name, so that the engine must give it.
    asked: Vec<Property>,
}

impl fmt::Debug for SubscriptionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionBuilder")
            .field("name", &self.name)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}

impl SubscriptionBuilder {
    pub(super) fn new(bus: Bus, name: &str) -> Self {
        let retry = bus.settings().retry();
        Self {
            bus,
            name: name.to_owned(),
            patterns: Vec::new(),
            start: None,
            spec: SubscriptionSpec::new(name, Vec::new(), Start::Latest),
            on_filter_error: None,
            exhausted: None,
            retry,
            keeps_dead_letters: true,
            timeout: Duration::from_secs(30),
            concurrency: 16,
            rate: None,
            breaker: None,
            collect: None,
            collect_by: None,
            asked: Vec::new(),
        }
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// How long one call of the handler may take.
    pub(crate) fn call_limit(&self) -> Duration {
        self.timeout
    }

    /// Of those, only events that pass this filter too.
    pub(crate) fn and_filter(mut self, filter: Filter) -> Result<Self> {
        self.spec.filter = Some(match self.spec.filter.take() {
            None => filter,
            Some(before) => Filter::all([before, filter])?,
        });
        Ok(self)
    }

    /// Wants events of types that fit; may be called several times, an event that fits twice is delivered once.
    pub fn pattern(mut self, pattern: &str) -> Self {
        self.patterns.push(pattern.to_owned());
        self
    }

    /// Where the subscription begins when its name is new. There is no default: it is a decision about the past.
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// Of those, only events that pass `filter`. Asked once, before the first attempt; it costs no attempt.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.spec.filter = Some(filter);
        self
    }

    /// The same with code: see [`Filter::closure`] for what `name` is.
    pub fn filter_fn(
        self,
        name: &str,
        passes: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.filter(Filter::closure(name, passes))
    }

    /// What becomes of an event on which the filter fails. Unless said otherwise it is skipped, as the standard says; but
    /// where code panics it becomes a dead letter, so that nothing passes by unseen.
    pub fn on_filter_error(mut self, choice: OnFilterError) -> Self {
        self.on_filter_error = Some(choice);
        self
    }

    /// In which order events are handled ([`Order::Unordered`] unless said otherwise). With another one, events behind
    /// an event that was given up are parked unless [`SubscriptionBuilder::exhausted`] says otherwise.
    pub fn order(mut self, order: Order) -> Self {
        self.spec.order = order;
        self
    }

    /// The key for [`Order::PerKey`] (the subject unless said otherwise).
    pub fn key(mut self, key: Attribute) -> Self {
        self.spec.key = key;
        self
    }

    /// What happens behind an event that was given up.
    pub fn exhausted(mut self, exhausted: Exhausted) -> Self {
        self.exhausted = Some(exhausted);
        self
    }

    /// Most events that may be parked (1–100,000; 10,000 unless said otherwise). With more, the subscription looks at
    /// no further events until there are fewer; nothing is dropped, and health says so.
    pub fn parked_max(mut self, events: u64) -> Self {
        self.spec.parked_max = events;
        self
    }

    /// How levels of priority share the handlers (8 : 4 : 2 : 1 unless said otherwise).
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.spec.sharing = sharing;
        self.asked.push(Property::Priority);
        self
    }

    /// Events that differ in this attribute, such as the tenant, take turns: one with many does not hold up the others.
    pub fn fair_by(mut self, attribute: Attribute) -> Self {
        self.spec.fair_by = Some(attribute);
        self.asked.push(Property::Fairness);
        self
    }

    /// When failed deliveries are tried again; the settings of the bus say it otherwise.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How many retries there may be while most of them fail.
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.spec.budget = budget;
        self.asked.push(Property::Budgets);
        self
    }

    /// Whether events that are given up are kept as dead letters (yes, unless said otherwise).
    pub fn dead_letters(mut self, keep: bool) -> Self {
        self.keeps_dead_letters = keep;
        self
    }

    /// Events whose time is over before they are handled are kept as dead letters; otherwise they are only counted.
    pub fn keep_expired(mut self) -> Self {
        self.spec.keeps_expired = true;
        self.asked.push(Property::Expiry);
        self
    }

    /// How long one call of the handler may take (1 ms – 24 h, 30 s unless said otherwise); longer is a failure, and the
    /// handler's future is dropped.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many handlers may run at a time (1–1,024, 16 unless said otherwise).
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// Name of this member (`1` unless said otherwise). Members of one subscription share its events; all must want the
    /// same.
    pub fn member(mut self, name: &str) -> Self {
        name.clone_into(&mut self.spec.member);
        self.asked.push(Property::Members);
        self
    }

    /// For how long a member may not be heard of before its events are given to others (1 s – 1 h, 30 s unless said
    /// otherwise). Members of this process say that they are alive by themselves, however long a handler takes.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.spec.lease = lease;
        self
    }

    /// At most so many events in a time are handed to handlers of this member.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Stops fetching while what the handler depends on is down.
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Events with the same value of this attribute go together, for [`SubscriptionBuilder::handler_of_many`].
    pub fn collect_by(mut self, attribute: Attribute) -> Self {
        self.collect_by = Some(attribute);
        self
    }

    /// Starts the subscription with a handler that gets the payload as its type. A payload that does not fit is a
    /// dead letter at once.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn on<P, H, F>(self, handler: H) -> Result<Subscription>
    where
        P: Payload,
        H: Fn(P, Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.pattern(P::TYPE)
            .handler(move |delivery: Delivery| {
                let handler = Arc::clone(&handler);
                async move {
                    let payload = delivery.payload::<P>()?;
                    handler(payload, delivery).await
                }
            })
            .await
    }

    /// Starts the subscription.
    ///
    /// # Errors
    /// `Invalid` when the name, a pattern, the start or a limit is missing or wrong; or, with
    /// [`Unsupported`](crate::transport::Unsupported) as its source, when the engine does not give what is asked for.
    /// `Conflict` when a member of this name runs, or members who want something else. `Full` when there are too many.
    /// `Closed` when the bus is shut down.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the subscription's name known but not running; start it again.
    pub async fn handler<H, F>(self, handler: H) -> Result<Subscription>
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.run(Handler::one(handler)).await
    }

    /// Starts the subscription with a handler that answers with events that follow from the one handled. They are
    /// published all or none, in one append with the ack where the engine gives
    /// [`Property::EmitWithAck`](crate::transport::Property::EmitWithAck), otherwise before it; where they cannot be, the
    /// attempt has failed.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn handler_emitting<H, F>(self, handler: H) -> Result<Subscription>
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Emit, HandlerError>> + Send + 'static,
    {
        // Shutdown, or the end of the subscription, lets go of the handler and of this handle with it.
        let bus = self.bus.clone();
        let is_one_append = bus.capabilities().gives(Property::EmitWithAck);
        self.run(Handler::emitting(move |delivery: Delivery| {
            let bus = bus.clone();
            let emit = handler(delivery.clone());
            async move {
                let events = emit.await?.into_events(&delivery, bus.clock().now())?;
                let mut events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
                if planted::has(DeliveryBug::EmittedLost) {
                    events.clear();
                }
                if is_one_append {
                    bus.check_all(&events)?;
                    return Ok(events);
                }
                bus.publish_all(&events).await.map_err(emit_error)?;
                Ok(Vec::new())
            }
        }))
        .await
    }

    /// Starts the subscription with a handler that gets the payload as its type, as [`SubscriptionBuilder::on`], and
    /// answers with events, as [`SubscriptionBuilder::handler_emitting`].
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn on_emitting<P, H, F>(self, handler: H) -> Result<Subscription>
    where
        P: Payload,
        H: Fn(P, Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Emit, HandlerError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.pattern(P::TYPE)
            .handler_emitting(move |delivery: Delivery| {
                let handler = Arc::clone(&handler);
                async move {
                    let payload = delivery.payload::<P>()?;
                    handler(payload, delivery).await
                }
            })
            .await
    }

    /// Starts the subscription with a handler that gets up to `events_max` events at a time (1–1,000); the first of them
    /// waits for others for `linger` at most (0 – 1 h). The handler answers for each, in their order. Where it panics,
    /// takes too long or answers for another number, each is handled alone, so that one bad event fails for itself
    /// only.
    ///
    /// # Errors
    /// As [`SubscriptionBuilder::handler`]. `Invalid` too where the order allows no two events at a time.
    ///
    /// # Cancel safety
    /// As [`SubscriptionBuilder::handler`].
    pub async fn handler_of_many<H, F>(
        mut self,
        events_max: usize,
        linger: Duration,
        handler: H,
    ) -> Result<Subscription>
    where
        H: Fn(Vec<Delivery>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<Result<(), HandlerError>>> + Send + 'static,
    {
        self.collect = Some(Collect {
            events_max,
            linger,
            by: self.collect_by.take(),
        });
        self.run(Handler::many(handler)).await
    }

    async fn run(self, handler: Handler) -> Result<Subscription> {
        let spec = self.checked()?;
        let plan = Plan {
            name: self.name.as_str().into(),
            handler: Arc::new(handler),
            is_replay: false,
            policy: Policy {
                retry: self.retry,
                keeps_dead_letters: self.keeps_dead_letters,
            },
            timeout: self.timeout,
            concurrency: self.concurrency,
            lease: spec.lease,
            registry: Arc::clone(self.bus.registry()),
            rate: self
                .rate
                .map(|rate| (rate, self.bus.inner.buckets.of(&self.name))),
            breaker: self.breaker.map(|breaker| {
                let circuit = self.bus.inner.circuits.of(&breaker.dependency);
                (breaker, circuit)
            }),
            collect: self.collect,
        };
        let dispatch = Arc::new(Dispatch::new(plan, Arc::clone(self.bus.clock())));
        let place = (self.name.clone(), spec.member.clone());
        let admission = self.bus.admit(&place, &dispatch)?;
        let member = self.bus.inner.transport.join(spec.clone()).await?;
        dispatch.start(member);
        admission.keep();
        Ok(Subscription {
            place,
            spec,
            bus: self.bus,
            dispatch,
        })
    }

    /// The specification, when everything is within its limits.
    fn checked(&self) -> Result<SubscriptionSpec> {
        let name = &self.name;
        let invalid = |what: String| Error::invalid(format!("subscription `{name}` {what}"));
        for text in [name, &self.spec.member] {
            if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(is_hidden) {
                return Err(Error::invalid(format!(
                    "subscription name and member name must have 1 to {NAME_BYTES_MAX} bytes and no characters that are not to be seen"
                )));
            }
        }
        if self.patterns.is_empty() {
            return Err(invalid("has no pattern".to_owned()));
        }
        let patterns: Result<Vec<Pattern>> =
            self.patterns.iter().map(|it| Pattern::new(it)).collect();
        let Some(start) = self.start else {
            return Err(invalid(
                "does not say where it starts: `Earliest`, `Latest` or `At`".to_owned(),
            ));
        };
        if self.retry.attempts_max == 0 {
            return Err(invalid("has `attempts_max` 0; the least is 1".to_owned()));
        }
        let inline = &self.retry.inline;
        let budget = &self.spec.budget;
        let collect = self.collect.as_ref();
        let rate = self.rate.as_ref();
        for (field, is_within, limits) in [
            (
                "timeout",
                within(self.timeout, MILLISECOND, DAY),
                "1 ms to 24 h",
            ),
            (
                "concurrency",
                (1..=CONCURRENCY_MAX).contains(&self.concurrency),
                "1 to 1,024",
            ),
            ("lease", within(self.spec.lease, SECOND, HOUR), "1 s to 1 h"),
            (
                "parked_max",
                (1..=PARKED_MAX).contains(&self.spec.parked_max),
                "1 to 100,000",
            ),
            (
                "sharing",
                match self.spec.sharing {
                    Sharing::Strict => true,
                    Sharing::Weighted { passes_max } => (1..=MILLION).contains(&passes_max),
                },
                "1 to 1,000,000 passes",
            ),
            (
                "retry_budget",
                [
                    budget.tokens_max,
                    budget.per_second,
                    budget.successes_per_token,
                ]
                .iter()
                .all(|it| (1..=MILLION).contains(it)),
                "1 to 1,000,000 of each",
            ),
            (
                "inline retry",
                inline.times <= 10 && inline.delay <= 10 * SECOND,
                "10 times, 10 s",
            ),
            (
                "events_max",
                collect.is_none_or(|it| (1..=EVENTS_MAX).contains(&it.events_max)),
                "1 to 1,000",
            ),
            (
                "linger",
                collect.is_none_or(|it| it.linger <= HOUR),
                "0 to 1 h",
            ),
            (
                "rate",
                rate.is_none_or(|it| {
                    it.events > 0 && it.burst > 0 && within(it.per, MILLISECOND, DAY)
                }),
                "1 event in 1 ms to 24 h",
            ),
        ] {
            if !is_within {
                return Err(invalid(format!("has a `{field}` outside {limits}")));
            }
        }
        let order = self.spec.order;
        let exhausted = self.exhausted.unwrap_or(match order {
            Order::Unordered => Exhausted::SkipAhead,
            Order::PerKey | Order::Strict => Exhausted::ParkKey,
        });
        if order == Order::Unordered && exhausted == Exhausted::ParkKey {
            return Err(invalid("parks keys but has no order of keys".to_owned()));
        }
        if !self.keeps_dead_letters && exhausted != Exhausted::SkipAhead {
            return Err(invalid(
                "keeps no dead letters, so nothing can wait behind one".to_owned(),
            ));
        }
        let inferred = [
            (order == Order::PerKey).then_some(Property::PerKey),
            (order == Order::Strict).then_some(Property::Strict),
            self.keeps_dead_letters.then_some(Property::DeadLetters),
            (exhausted == Exhausted::Pause).then_some(Property::Pauses),
            self.spec.filter.as_ref().map(|_| Property::Filters),
        ];
        let asked = self.asked.iter().copied();
        self.bus.capabilities().check(
            || format!("subscription `{name}`"),
            asked.chain(inferred.into_iter().flatten()),
        )?;
        let is_one_at_a_time = order == Order::Strict
            || (order == Order::PerKey
                && collect.is_some_and(|it| it.by.as_ref() == Some(&self.spec.key)));
        if is_one_at_a_time && collect.is_some_and(|it| it.events_max > 1) {
            return Err(invalid(
                "asks for several events at a time where the order allows one".to_owned(),
            ));
        }
        let has_code = self
            .spec
            .filter
            .as_ref()
            .is_some_and(|it| it.text().is_none());
        let on_filter_error = self.on_filter_error.unwrap_or(if has_code {
            OnFilterError::DeadLetter
        } else {
            OnFilterError::Skip
        });
        let on_filter_error = match on_filter_error {
            OnFilterError::DeadLetter if !self.keeps_dead_letters => OnFilterError::Skip,
            choice => choice,
        };
        Ok(SubscriptionSpec {
            patterns: patterns?,
            start,
            exhausted,
            on_filter_error,
            keeps_expired: self.spec.keeps_expired && self.keeps_dead_letters,
            ..self.spec.clone()
        })
    }
}

/// A handler that answers otherwise than the time before will do so again.
pub(super) fn emit_error(error: Error) -> HandlerError {
    match error.kind() {
        ErrorKind::Conflict => HandlerError::permanent(error.chain()),
        _ => error.into(),
    }
}

fn within(value: Duration, least: Duration, most: Duration) -> bool {
    (least..=most).contains(&value)
}

/// A running subscription. Dropping the handle does not stop it.
#[derive(Debug)]
pub struct Subscription {
    /// Names of subscription and member.
    place: (String, String),
    spec: SubscriptionSpec,
    bus: Bus,
    dispatch: Arc<Dispatch>,
}

impl Subscription {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.place.0
    }

    /// Hands the events from position `from` to before `until` to the handler once more, as [`Delivery::is_replay`]. This
    /// has a ledger of its own: live deliveries go on untouched, and no other subscription sees anything of it. A replay
    /// of the same window that was cut short goes on where it was.
    ///
    /// # Errors
    /// `Invalid` for an empty window, or one that ends after the last event. `NotFound` for one that begins before what is
    /// kept. Otherwise as [`SubscriptionBuilder::handler`].
    ///
    /// # Cancel safety
    /// Dropping the future may leave a replay that does not run; start it again.
    pub async fn replay(&self, from: u64, until: u64) -> Result<Replay> {
        let asks = || format!("a replay of subscription `{}`", self.place.0);
        let capabilities = self.bus.capabilities();
        capabilities.check(asks, [Property::Replay])?;
        let name = format!("{} replay {from}-{until}", self.place.0);
        if from == 0 || from >= until || name.len() > NAME_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a replay from {from} to before {until} has no event, or too long a name"
            )));
        }
        if self.bus.read(until - 1, 1).await?.next < until {
            return Err(Error::invalid(format!(
                "a replay to before {until} ends after the last event"
            )));
        }
        let spec = SubscriptionSpec {
            name: name.clone(),
            start: Start::At(from),
            until: Some(until),
            ..self.spec.clone()
        };
        let plan = self.dispatch.plan().clone();
        let plan = Plan {
            is_replay: true,
            // At the same rate, and on its own: live deliveries are not slowed down.
            rate: plan
                .rate
                .map(|(rate, _)| (rate, self.bus.inner.buckets.of(&name))),
            ..plan
        };
        let dispatch = Arc::new(Dispatch::new(plan, Arc::clone(self.bus.clock())));
        let place = (name, spec.member.clone());
        let admission = self.bus.admit(&place, &dispatch)?;
        let member = self.bus.inner.transport.join(spec).await?;
        dispatch.start(member);
        admission.keep();
        Ok(Replay {
            place,
            bus: self.bus.clone(),
            dispatch,
        })
    }

    /// Stops it: fetches nothing more, lets running handlers finish until `deadline`, cuts the rest and says how many
    /// those were. What was fetched and not started is handed back. Its deliveries are kept; a subscription of the same name goes on with them.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it stopping; its name stays taken until the bus is shut down.
    pub async fn stop(self, deadline: Duration) -> usize {
        let end = tokio::time::Instant::now() + deadline;
        let cut = self.dispatch.finish(end).await;
        self.bus.dismiss(&self.place);
        cut
    }
}

/// Events that are handed out once more. Dropping the handle does not stop it.
#[derive(Debug)]
pub struct Replay {
    place: (String, String),
    bus: Bus,
    dispatch: Arc<Dispatch>,
}

impl Replay {
    /// The name under which it stands among the subscriptions while it runs, and under which its dead letters are.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.place.0
    }

    /// Waits until every event is handled or given up, and says how many were where. It is forgotten then, unless it
    /// left dead letters.
    ///
    /// # Errors
    /// `Closed` when the bus was shut down before.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; the replay goes on.
    pub async fn done(&self) -> Result<Counts> {
        self.dispatch.ended().await;
        self.bus.dismiss(&self.place);
        let ledgers = self.bus.ledgers();
        let view = ledgers
            .list()
            .into_iter()
            .find(|it| it.subscription == self.place.0);
        let counts = view.map(|it| it.counts).unwrap_or_default();
        if counts.pending() > 0 {
            return Err(Error::closed("the replay was stopped before its end"));
        }
        if counts.dead == 0 {
            ledgers
                .remove(&self.place.0, By::new("replay", "it is done"))
                .await?;
        }
        Ok(counts)
    }
}
