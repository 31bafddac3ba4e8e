//! The bus: publish, subscribe, and everything that one asks it.

mod breaker;
mod collect;
pub mod dead_letter;
mod dispatch;
mod emit;
mod handler;
mod health;
mod rate;
pub(crate) mod settle;
mod stats;
mod subscription;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use breaker::Breaker;
pub use dead_letter::{DeadLetters, RetryPlan};
pub use emit::{Data, Emit};
pub(crate) use handler::CatchPanic;
pub use handler::{Delivery, Disposition, HandlerError};
pub use health::Health;
pub use rate::Rate;
pub use stats::{Stats, SubscriptionStats};
pub use subscription::{Replay, Subscription, SubscriptionBuilder};

pub use crate::schema::Check;

use self::breaker::Circuits;
use self::dead_letter::Alarm;
use self::dispatch::Dispatch;
use self::rate::Buckets;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Payload};
use crate::ledger::{By, Priority};
use crate::schema::{Registry, RegistryBuilder};
use crate::settings::Settings;
use crate::transport::{
    Capabilities, LedgerAdmin, Page, Property, Receipt, Scheduled, Schedules, Transport,
};

/// Most events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1000;

/// The event bus. Clones are handles to the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    registry: Arc<Registry>,
    circuits: Circuits,
    buckets: Buckets,
    alarm: Mutex<Alarm>,
    recent: health::Recent,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// No further subscription.
    is_stopping: bool,
    /// No further event.
    is_closed: bool,
    /// By the names of subscription and member.
    running: BTreeMap<(String, String), Arc<Dispatch>>,
}

/// What is left of a bus that was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Handlers that had not ended by the deadline and were cut; their events will be delivered again.
    pub cut: usize,
}

/// Makes a [`Bus`].
#[derive(Debug)]
pub struct BusBuilder {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    registry: RegistryBuilder,
    required: Vec<Property>,
}

impl BusBuilder {
    /// The engine must give this: where it does not, there is no bus rather than one that does less.
    #[must_use]
    pub fn requires(mut self, property: Property) -> Self {
        self.required.push(property);
        self
    }

    /// Settings other than the defaults.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The event types that are known, each with its versions; types added before are forgotten.
    #[must_use]
    pub fn registry(mut self, registry: RegistryBuilder) -> Self {
        self.registry = registry;
        self
    }

    /// Events of version `1.0` of this type must fit `check` to be published. Types without a check take any JSON.
    #[must_use]
    pub fn schema(mut self, event_type: &'static str, check: Check) -> Self {
        self.registry = self.registry.check(event_type, check);
        self
    }

    /// Events of `P`'s type and version must fit `P` to be published.
    #[must_use]
    pub fn payload<P: Payload>(mut self) -> Self {
        self.registry = self.registry.payload::<P>();
        self
    }

    /// The bus.
    ///
    /// # Errors
    /// `Invalid` when a setting is out of its limits, or the schemas do not fit together; or, with
    /// [`Unsupported`](crate::transport::Unsupported) as its source, when the engine does not give what is required.
    pub fn build(self) -> Result<Bus> {
        self.settings.validate()?;
        let capabilities = self.transport.capabilities();
        capabilities.check(|| "the bus".to_owned(), self.required)?;
        Ok(Bus {
            inner: Arc::new(Inner {
                transport: self.transport,
                clock: self.clock,
                settings: self.settings,
                registry: Arc::new(self.registry.build()?),
                circuits: Circuits::default(),
                buckets: Buckets::default(),
                alarm: Mutex::default(),
                recent: Default::default(),
                state: Mutex::default(),
            }),
        })
    }
}

impl Bus {
    /// A bus over an engine.
    #[must_use]
    pub fn builder(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> BusBuilder {
        BusBuilder {
            transport,
            clock,
            settings: Settings::default(),
            registry: Registry::builder(),
            required: Vec::new(),
        }
    }

    /// Publishes one event; on `Ok` it is as durable as [`Bus::capabilities`] says and visible to all subscriptions.
    /// Handlers run elsewhere: publishing never waits for one, and never sees its error.
    ///
    /// # Errors
    /// `Invalid`, naming the field: nothing was stored. `Full`: nothing was stored, repeat later. `Closed`: the
    /// outcome is unknown; repeating with the same event id is safe.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the publish.
    pub async fn publish(&self, event: Event) -> Result<Receipt> {
        let receipts = self.publish_all(&[Arc::new(event)]).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| Error::closed("the engine gave no receipt"))
    }

    /// Publishes all events or none, next to each other in the log.
    ///
    /// # Errors
    /// As [`Bus::publish`]; also `Invalid` for more than 1,000 events.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the publish.
    pub async fn publish_batch(&self, events: Vec<Event>) -> Result<Vec<Receipt>> {
        let events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
        self.publish_all(&events).await
    }

    async fn publish_all(&self, events: &[Arc<Event>]) -> Result<Vec<Receipt>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.check_all(events)?;
        if self.state().is_closed {
            return Err(Error::closed("the bus was shut down"));
        }
        self.inner.transport.append(events).await
    }

    /// Publishes an event later: not before `due`, and once. It is durable on `Ok`; it enters the order of its key and is
    /// visible to subscriptions when it is due. A time that is over is now.
    ///
    /// # Errors
    /// As [`Bus::publish`]; `Full` too when too many events are scheduled.
    ///
    /// # Cancel safety
    /// Dropping the future may leave an event that is published only after the next start; repeat with the same id.
    pub async fn publish_at(
        &self,
        event: Event,
        due: Timestamp,
        cancel_key: Option<&str>,
    ) -> Result<Receipt> {
        self.check(&event)?;
        self.check_asked(&event)?;
        let asks = || format!("event `{}`", event.id);
        self.capabilities().check(asks, [Property::Delay])?;
        if self.state().is_closed {
            return Err(Error::closed("the bus was shut down"));
        }
        let scheduled = Scheduled {
            event: Arc::new(event),
            due,
            cancel_key: cancel_key.map(str::to_owned),
        };
        self.schedules().set(scheduled).await
    }

    /// What is to be published later: cancel it, give it another time, count it.
    #[must_use]
    pub fn schedules(&self) -> &dyn Schedules {
        self.inner.transport.schedules()
    }

    /// Whether the event could be published.
    ///
    /// # Errors
    /// `Invalid`, naming the field, or the version when its major is not known.
    pub fn check(&self, event: &Event) -> Result<()> {
        event.check()?;
        Ok(self.inner.registry.check(event)?)
    }

    /// Whether the events could be published together.
    fn check_all(&self, events: &[Arc<Event>]) -> Result<()> {
        if events.len() > BATCH_EVENTS_MAX {
            return Err(Error::invalid(format!(
                "batch has {} events, more than {BATCH_EVENTS_MAX}",
                events.len()
            )));
        }
        for event in events {
            self.check(event)?;
            self.check_asked(event)?;
        }
        Ok(())
    }

    /// Whether the engine gives what the event asks for.
    fn check_asked(&self, event: &Event) -> Result<()> {
        let capabilities = self.capabilities();
        if capabilities.lacks.is_empty() {
            return Ok(());
        }
        let asked = [
            (event.priority != Priority::Normal).then_some(Property::Priority),
            event.expires_at.map(|_| Property::Expiry),
            event
                .idempotency_key
                .as_ref()
                .map(|_| Property::Deduplication),
        ];
        capabilities.check(
            || format!("event `{}`", event.id),
            asked.into_iter().flatten(),
        )
    }

    /// The event types that are known; a handler may keep a handle without keeping the bus.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// Begins a subscription. `name` is the durable name under which its deliveries are kept, over restarts too.
    pub fn subscription(&self, name: &str) -> SubscriptionBuilder {
        SubscriptionBuilder::new(self.clone(), name)
    }

    /// Forgets a subscription that was stopped, and everything it had not handled. Returns whether it existed. Where it is
    /// to be known who did so and why, see [`LedgerAdmin::remove`].
    ///
    /// # Errors
    /// `Conflict` while it runs.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    pub async fn remove(&self, subscription: &str) -> Result<bool> {
        self.ledgers().remove(subscription, By::default()).await
    }

    /// Stored events from `position` on.
    ///
    /// # Errors
    /// `Corrupt` or `Transient` when the log cannot be read.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn read(&self, position: u64, max: usize) -> Result<Page> {
        self.inner.transport.read(position, max).await
    }

    /// Looks into and repairs deliveries: redrive, discard.
    #[must_use]
    pub fn ledgers(&self) -> &dyn LedgerAdmin {
        self.inner.transport.ledgers()
    }

    /// What the engine promises.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.inner.transport.capabilities()
    }

    /// Whether events are taken now.
    ///
    /// # Errors
    /// `Full` while there is no room; `Closed` when the engine has stopped for good.
    pub fn condition(&self) -> Result<()> {
        self.inner.transport.condition()
    }

    /// The clock that events of this bus take their time and ids from.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Numbers since the start of the process, from what handlers really did.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let running = self.state().running.clone();
        let dispatches = running
            .iter()
            .map(|((name, _), dispatch)| (name.as_str(), dispatch.counters()));
        let mut stats = stats::collect(
            self.inner.transport.published(),
            dispatches,
            self.ledgers().list(),
        );
        stats.kept = self.inner.transport.kept();
        stats.scheduled = self.schedules().count() as u64;
        stats.lateness = self.schedules().lateness();
        stats
    }

    /// Stops: takes no new subscription, fetches nothing more, lets running handlers finish until `deadline`, cuts the rest, then closes the
    /// engine. Fine before any subscription, and fine twice. Sagas on the same engine are shut down before.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the bus half stopped; call it again.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let running: Vec<Arc<Dispatch>> = {
            let mut state = self.state();
            state.is_stopping = true;
            state.running.values().cloned().collect()
        };
        for dispatch in &running {
            dispatch.stop_fetching();
        }
        let mut report = ShutdownReport::default();
        let end = tokio::time::Instant::now() + deadline;
        for dispatch in &running {
            report.cut += dispatch.finish(end).await;
        }
        {
            let mut state = self.state();
            state.is_closed = true;
            state.running.clear();
        }
        self.inner.transport.close().await;
        report
    }

    /// Ends as a killed process does: takes nothing and lets no handler go on. Shutdown waits for what is left.
    #[cfg(feature = "testing")]
    pub(crate) fn cut(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        state.is_closed = true;
        for dispatch in state.running.values() {
            dispatch.cut_now();
        }
    }

    fn alarm(&self) -> MutexGuard<'_, Alarm> {
        self.inner
            .alarm
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place among the subscriptions, which is given back unless it is kept.
    fn admit(&self, place: &(String, String), dispatch: &Arc<Dispatch>) -> Result<Admission> {
        let mut state = self.state();
        if state.is_stopping {
            return Err(Error::closed("the bus was shut down"));
        }
        if state.running.contains_key(place) {
            let (name, member) = place;
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("member `{member}` of subscription `{name}` runs already"),
            ));
        }
        let subscriptions_max = self.inner.settings.subscriptions_max;
        if state.running.len() >= subscriptions_max {
            return Err(Error::new(
                ErrorKind::Full,
                format!(
                    "there are {subscriptions_max} subscriptions already, the most that are allowed"
                ),
            ));
        }
        state.running.insert(place.clone(), Arc::clone(dispatch));
        Ok(Admission {
            bus: self.clone(),
            place: place.clone(),
            is_kept: false,
        })
    }

    fn dismiss(&self, place: &(String, String)) {
        self.state().running.remove(place);
    }
}

/// A place among the subscriptions for one that is about to start.
#[derive(Debug)]
struct Admission {
    bus: Bus,
    place: (String, String),
    is_kept: bool,
}

impl Admission {
    /// The subscription runs, and gives the place back itself.
    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.is_kept {
            self.bus.dismiss(&self.place);
        }
    }
}

/// What a caught panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a text".to_owned())
}
