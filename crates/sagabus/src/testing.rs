//! A bus for the tests of those who use the library: the real engine in memory, on a clock that tests drive, with crashes.
//!
//! ```
//! # #[cfg(feature = "macros")]
//! # mod example {
//! use sagabus::testing::TestBus;
//! use sagabus::{HandlerError, Payload, subscriber};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Payload)]
//! #[event(name = "sample.created", source = "desk", subject = id)]
//! struct Created { id: String }
//!
//! #[subscriber(name = "label", start = "earliest", retries = 2)]
//! async fn label(sample: Created) -> Result<(), HandlerError> {
//!     Err(HandlerError::transient(format!("printer has no label for {}", sample.id)))
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! # #[tokio::main(flavor = "current_thread")]
//! pub async fn a_label_that_cannot_be_printed_becomes_a_dead_letter() -> sagabus::Result<()> {
//! #    tokio::time::pause();
//!     let mut bus = TestBus::start(|bus| async move { label::register(&bus).await.map(drop) }).await?;
//!     bus.publish(&Created { id: "S-1".into() }).await?;
//!     bus.crash_and_restart().await?;
//!     bus.idle().await?;
//!     bus.assert_dead_letters(&["label sample.created error"]).await;
//!     Ok(())
//! }
//! # }
//! # #[cfg(feature = "macros")]
//! # example::a_label_that_cannot_be_printed_becomes_a_dead_letter().unwrap();
//! ```

mod power;
mod report;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use power::Power;

use self::power::PoweredDisk;
use crate::bus::{Bus, Stats, SubscriptionStats};
use crate::clock::{Clock, TestClock, Timestamp};
use crate::engines::embedded::disk::MemoryDisk;
use crate::engines::embedded::{self, Embedded};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Payload};
use crate::settings::Settings;
use crate::transport::{DeadLetter, DeadLetterQuery, Receipt};

/// Where the clock of a test begins: 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// For how long [`TestBus::idle`] lets time pass unless said otherwise: longer than the longest delay of a retry.
const HORIZON: Duration = Duration::from_hours(1);
/// Longest step of [`TestBus::idle`]: how late it may notice that all is done.
const STEP_MAX: Duration = Duration::from_secs(1);
/// Most events of one page, and most dead letters listed.
const PAGE_EVENTS: usize = 1000;

type Registering = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type Register = Box<dyn Fn(Bus) -> Registering + Send + Sync>;

/// Describes a [`TestBus`].
#[derive(Debug, Default)]
#[must_use = "a bus starts with its handlers"]
pub struct TestBusBuilder {
    disk: MemoryDisk,
    settings: Settings,
    horizon: Option<Duration>,
}

impl TestBusBuilder {
    /// On a disk that may hold a log already. The bus has it for itself.
    pub fn disk(mut self, disk: MemoryDisk) -> Self {
        self.disk = disk;
        self
    }

    /// With settings other than the defaults.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// For how long [`TestBus::idle`] lets time pass (1 h unless said otherwise).
    pub fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = Some(horizon);
        self
    }

    /// Starts it; `register` is called now and after each crash.
    ///
    /// # Errors
    /// What `register` says; `Invalid` for settings outside their limits.
    ///
    /// # Cancel safety
    /// Dropping the future drops the bus.
    pub async fn start<R, F>(self, register: R) -> Result<TestBus>
    where
        R: Fn(Bus) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let clock = Arc::new(TestClock::new(Timestamp::from_milliseconds(START_MS), 1));
        let power = Power::default();
        let bus = open(&self.disk, &power, &self.settings, &clock)?;
        let register: Register = Box::new(move |bus| Box::pin(register(bus)));
        register(bus.clone()).await?;
        Ok(TestBus {
            disk: self.disk,
            settings: self.settings,
            horizon: self.horizon.unwrap_or(HORIZON),
            clock,
            power,
            register,
            bus,
        })
    }
}

/// A bus in memory with its handlers, for one test.
///
/// Time is tokio's: under `#[tokio::test(start_paused = true)]` it passes as soon as there is nothing else to do, so that
/// no test waits for a retry. It runs ahead of handlers that wait for another thread, such as those with a database: such
/// a test is one without a paused clock.
pub struct TestBus {
    disk: MemoryDisk,
    settings: Settings,
    horizon: Duration,
    clock: Arc<TestClock>,
    power: Power,
    register: Register,
    bus: Bus,
}

impl fmt::Debug for TestBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBus")
            .field("bus", &self.bus)
            .finish_non_exhaustive()
    }
}

impl Drop for TestBus {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            check_counts(&self.bus);
        }
    }
}

/// What came is where it went, in each subscription: otherwise the bus has lost or doubled something.
#[expect(
    clippy::panic,
    reason = "a test in which something is lost or doubled fails"
)]
fn check_counts(bus: &Bus) {
    for view in bus.ledgers().list() {
        if !view.counts.is_conserved() {
            panic!("deliveries are lost or doubled: {view:?}");
        }
    }
}

impl TestBus {
    /// Something other than an empty disk and the default settings.
    pub fn builder() -> TestBusBuilder {
        TestBusBuilder::default()
    }

    /// An empty bus with the handlers that `register` starts, now and after each crash.
    ///
    /// # Errors
    /// What `register` says.
    ///
    /// # Cancel safety
    /// Dropping the future drops the bus.
    pub async fn start<R, F>(register: R) -> Result<Self>
    where
        R: Fn(Bus) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self::builder().start(register).await
    }

    /// The bus as it is until the next crash.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The switch of the present bus, to turn off the power in the middle of a handler.
    #[must_use]
    pub fn power(&self) -> Power {
        self.power.clone()
    }

    /// Publishes an event with this payload.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    ///
    /// # Cancel safety
    /// As [`Bus::publish`].
    pub async fn publish<P: Payload>(&self, payload: &P) -> Result<Receipt> {
        let event = Event::new(payload, self.clock.as_ref())?;
        self.bus.publish(event).await
    }

    /// Lets time pass.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn advance(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until nothing is queued, running, or to be tried again within the horizon. What a paused or stopped
    /// subscription has, and what is parked behind a dead letter, is not waited for.
    ///
    /// # Errors
    /// `Transient` when something is still queued or running at the horizon; the text says what.
    ///
    /// # Cancel safety
    /// Safe: only waits.
    pub async fn idle(&self) -> Result<()> {
        let end = self.clock.elapsed() + self.horizon;
        let mut step = Duration::from_millis(1);
        let mut before = None;
        loop {
            let work = Work::of(&self.bus.stats());
            if work == Work::default() {
                return Ok(());
            }
            if self.clock.elapsed() >= end {
                return work.ended(self.horizon);
            }
            step = if before.as_ref() == Some(&work) {
                (step * 2).min(STEP_MAX)
            } else {
                Duration::from_millis(1)
            };
            before = Some(work);
            tokio::time::sleep(step).await;
        }
    }

    /// Ends as a killed process does: what was stored is there, nothing more is stored or acked, and handlers stop where
    /// they wait. Then opens the log again and registers the handlers anew.
    ///
    /// What else a test has started, such as sagas or a relay, sees a bus that has failed; `register` starts it anew.
    ///
    /// # Errors
    /// `Corrupt` when the log cannot be read; what `register` says.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a bus that is closed.
    pub async fn crash_and_restart(&mut self) -> Result<()> {
        check_counts(&self.bus);
        self.power.turn_off();
        self.bus.cut();
        self.bus.shutdown(Duration::ZERO).await;
        self.reopen().await
    }

    /// Shuts the bus down, with that long for handlers that run, and starts it again.
    ///
    /// # Errors
    /// As [`TestBus::crash_and_restart`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves a bus that is closed.
    pub async fn restart(&mut self, deadline: Duration) -> Result<()> {
        check_counts(&self.bus);
        self.bus.shutdown(deadline).await;
        self.reopen().await
    }

    async fn reopen(&mut self) -> Result<()> {
        self.power = Power::default();
        self.bus = open(&self.disk, &self.power, &self.settings, &self.clock)?;
        (self.register)(self.bus.clone()).await
    }

    /// All events that were ever published, oldest first.
    ///
    /// # Errors
    /// As [`Bus::read`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn published(&self) -> Result<Vec<Arc<Event>>> {
        let mut events = Vec::new();
        let mut position = 0;
        loop {
            let page = self.bus.read(position, PAGE_EVENTS).await?;
            events.extend(page.events.into_iter().map(|(_, event)| event));
            if page.is_last {
                return Ok(events);
            }
            position = page.next;
        }
    }

    /// The payloads of all events of `P`'s type, oldest first.
    ///
    /// # Errors
    /// As [`Bus::read`]; `Invalid` when one does not fit `P`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn published_as<P: Payload>(&self) -> Result<Vec<P>> {
        let events = self.published().await?;
        let of_type = events.iter().filter(|it| it.event_type.as_str() == P::TYPE);
        of_type.map(|it| it.payload()).collect()
    }

    /// The first 1,000 dead letters, by subscription and position.
    ///
    /// # Errors
    /// As [`Bus::dead_letters`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let query = DeadLetterQuery {
            max: PAGE_EVENTS,
            ..DeadLetterQuery::default()
        };
        self.bus.dead_letters(query).await
    }

    /// Everything as a text: events with their causes, subscriptions with their counts, dead letters with their faults.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn report(&self) -> String {
        let stats = self.bus.stats();
        match (self.published().await, self.dead_letters().await) {
            (Ok(events), Ok(letters)) => report::all(&events, &stats, &letters),
            (Err(error), _) | (_, Err(error)) => format!("log cannot be read: {}", error.chain()),
        }
    }

    /// Checks the events published so far, oldest first, each as its type and, where there is one, its subject:
    /// `sample.created S-1`.
    ///
    /// # Panics
    /// With the whole report, when they are others.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn assert_published(&self, expected: &[&str]) {
        let found: Vec<String> = match self.published().await {
            Ok(events) => events.iter().map(|it| report::name(it)).collect(),
            Err(_) => Vec::new(),
        };
        self.check("events", &found, expected).await;
    }

    /// Checks the dead letters, each as its subscription, its event's type and the kind of its last fault:
    /// `label sample.created timeout`.
    ///
    /// # Panics
    /// With the whole report, when they are others.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn assert_dead_letters(&self, expected: &[&str]) {
        let found: Vec<String> = match self.dead_letters().await {
            Ok(letters) => letters.iter().map(report::letter_name).collect(),
            Err(error) => vec![error.chain()],
        };
        self.check("dead letters", &found, expected).await;
    }

    #[expect(
        clippy::panic,
        reason = "a test that does not find what it expects fails"
    )]
    async fn check(&self, what: &str, found: &[String], expected: &[&str]) {
        if found != expected {
            panic!(
                "{what} differ\n{}\n{}",
                report::difference(found, expected),
                self.report().await
            );
        }
    }
}

fn open(
    disk: &MemoryDisk,
    power: &Power,
    settings: &Settings,
    clock: &Arc<TestClock>,
) -> Result<Bus> {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let disk = Arc::new(PoweredDisk::new(disk.clone(), power.clone()));
    let engine = Embedded::on(disk, &embedded::Settings::default(), Arc::clone(&clock))?;
    Bus::builder(Arc::new(engine), clock)
        .settings(settings.clone())
        .build()
}

/// What is still to be done, by the names of subscriptions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    /// Queued or running: how many.
    now: Vec<(String, u64)>,
    /// To be tried again: how many.
    later: Vec<(String, u64)>,
}

impl Work {
    fn of(stats: &Stats) -> Self {
        let mut work = Self::default();
        for it in stats.subscriptions.iter().filter(|it| is_at_work(it)) {
            let ahead = if it.is_stalled { 0 } else { it.ahead };
            let ready = (it.counts.ready + it.counts.waiting).saturating_sub(it.counts.parked);
            let later = it.counts.waiting.min(ready);
            let now = ahead + it.counts.leased + (ready - later);
            if now > 0 {
                work.now.push((it.name.clone(), now));
            }
            if later > 0 {
                work.later.push((it.name.clone(), later));
            }
        }
        work
    }

    /// Whether this is nothing, at the horizon.
    fn ended(&self, horizon: Duration) -> Result<()> {
        let Some((name, count)) = self.now.first() else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Transient,
            format!("subscription `{name}` has {count} events queued or running after {horizon:?}"),
        ))
    }
}

fn is_at_work(it: &SubscriptionStats) -> bool {
    it.is_running && it.pause.is_none()
}
