//! What the rules share: a bus on the cluster, handlers that note what they got, waiting with a limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::Cluster;
use crate::bus::{Bus, Delivery, HandlerError, Subscription, SubscriptionBuilder};
use crate::clock::{Clock, Timestamp};
use crate::event::{Event, EventType};
use crate::ledger::{Counts, Fault};
use crate::pattern::Pattern;
use crate::retry::{Jitter, Retry};
use crate::transport::{
    DeadLetter, DeadLetterQuery, LeaseToken, LedgerView, Settle, Start, SubscriptionSpec,
    Transport, Verdict,
};

/// How long a rule waits for what must come, in time of the cluster.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What a handler answers.
pub(crate) type Answer = Result<(), HandlerError>;

pub(crate) async fn bus(cluster: &dyn Cluster) -> Bus {
    let transport = cluster.transport().await;
    Bus::builder(transport, cluster.clock()).build().unwrap()
}

pub(crate) fn event(cluster: &dyn Cluster, event_type: &str, data: &str) -> Event {
    let event_type = EventType::new(event_type).unwrap();
    let data = Bytes::copy_from_slice(data.as_bytes());
    Event::raw(event_type, "conformance", data, cluster.clock().as_ref())
}

/// Publishes `count` events whose payloads are their numbers; their positions.
pub(crate) async fn publish(cluster: &dyn Cluster, bus: &Bus, count: usize) -> Vec<u64> {
    let numbers = 0..count;
    let events = numbers.map(|it| event(cluster, "a.b", &it.to_string()));
    publish_all(bus, events.collect()).await
}

/// Publishes an event about each of `keys`, their payloads being their numbers; their positions.
pub(crate) async fn publish_keys(cluster: &dyn Cluster, bus: &Bus, keys: &[&str]) -> Vec<u64> {
    let keys = keys.iter().enumerate();
    let events = keys.map(|(it, key)| event(cluster, "a.b", &it.to_string()).about(*key));
    publish_all(bus, events.collect()).await
}

pub(crate) async fn publish_all(bus: &Bus, events: Vec<Event>) -> Vec<u64> {
    let mut positions = Vec::with_capacity(events.len());
    let mut events = events.into_iter();
    loop {
        let batch: Vec<Event> = events.by_ref().take(500).collect();
        if batch.is_empty() {
            return positions;
        }
        let receipts = bus.publish_batch(batch).await.unwrap();
        positions.extend(receipts.iter().map(|it| it.position));
    }
}

/// A subscription to everything from the beginning, with two quick retries.
pub(crate) fn plain(cluster: &dyn Cluster, bus: &Bus, name: &str) -> SubscriptionBuilder {
    bus.subscription(name)
        .pattern("**")
        .start(Start::Earliest)
        .retry(quick(cluster, 2))
}

/// So many retries, one unit after each failure at first.
pub(crate) fn quick(cluster: &dyn Cluster, retries: u32) -> Retry {
    Retry::times(retries)
        .delay(cluster.unit())
        .cap(cluster.unit() * 4)
        .jitter(Jitter::None)
}

/// A member of the subscription `s` to everything from the beginning, which may be silent for 10 units.
pub(crate) fn spec(cluster: &dyn Cluster, member: &str) -> SubscriptionSpec {
    SubscriptionSpec {
        member: member.to_owned(),
        lease: cluster.unit() * 10,
        ..SubscriptionSpec::new("s", vec![Pattern::new("**").unwrap()], Start::Earliest)
    }
}

pub(crate) fn ack(token: LeaseToken) -> Settle {
    Settle::new(token, Verdict::Ack)
}

pub(crate) fn retry_at(token: LeaseToken, due: Timestamp) -> Settle {
    let fault = Fault::new(token.attempt, due, 0, "error", "asked to fail");
    Settle::new(token, Verdict::RetryAt(due, Box::new(fault)))
}

pub(crate) async fn wait(cluster: &dyn Cluster, units: u32) {
    tokio::time::sleep(cluster.unit() * units).await;
}

/// Waits until it is so, with a limit.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "never came: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// What is to come of events within the limit of every wait.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_MAX, future).await {
        Ok(output) => output,
        Err(_) => panic!("never came: {what}"),
    }
}

/// Waits until the subscription has nothing to do.
pub(crate) async fn idle(bus: &Bus, name: &str) {
    eventually(&format!("`{name}` has nothing to do"), || {
        let view = view(bus, name);
        view.ahead == 0 && view.counts.pending() == view.counts.parked
    })
    .await;
    assert!(counts(bus, name).is_conserved(), "{:?}", counts(bus, name));
}

/// The first event of a type behind a position, once it can be read: what a handler answers with is stored with its ack, which
/// counts from when it is asked for.
pub(crate) async fn read_of_type(bus: &Bus, behind: u64, event_type: &str) -> Arc<Event> {
    let found = async {
        loop {
            let stored = bus.read(behind + 1, 100).await.unwrap().events;
            let mut events = stored.into_iter().map(|(_, event)| event);
            if let Some(event) = events.find(|it| it.event_type.as_str() == event_type) {
                return event;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    within(&format!("an event `{event_type}`"), found).await
}

pub(crate) fn view(bus: &Bus, name: &str) -> LedgerView {
    let views = bus.ledgers().list();
    let found = views.into_iter().find(|it| it.subscription == name);
    found.unwrap_or_else(|| panic!("no subscription `{name}`"))
}

pub(crate) fn counts(bus: &Bus, name: &str) -> Counts {
    view(bus, name).counts
}

pub(crate) fn view_of(transport: &dyn Transport, name: &str) -> LedgerView {
    let views = transport.ledgers().list();
    let found = views.into_iter().find(|it| it.subscription == name);
    found.unwrap_or_else(|| panic!("no subscription `{name}`"))
}

pub(crate) async fn letters(bus: &Bus, name: &str) -> Vec<DeadLetter> {
    let query = DeadLetterQuery {
        subscription: Some(name.to_owned()),
        max: 100_000,
        ..DeadLetterQuery::default()
    };
    bus.dead_letters(query).await.unwrap()
}

/// One call of a handler.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) event: Arc<Event>,
    pub(crate) position: u64,
    pub(crate) attempt: u32,
    pub(crate) redrives: u32,
    pub(crate) revision: u32,
    pub(crate) at: Timestamp,
    /// Time since some fixed point.
    pub(crate) elapsed: Duration,
}

impl Call {
    pub(crate) fn data(&self) -> String {
        String::from_utf8_lossy(&self.event.data).into_owned()
    }

    pub(crate) fn key(&self) -> String {
        self.event.subject.clone().unwrap_or_default()
    }
}

/// Notes what handlers got. Clones note into the same list.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    calls: Arc<Mutex<Vec<Call>>>,
    clock: Arc<dyn Clock>,
}

impl Seen {
    pub(crate) fn new(cluster: &dyn Cluster) -> Self {
        Self {
            calls: Arc::default(),
            clock: cluster.clock(),
        }
    }

    pub(crate) fn note(&self, delivery: &Delivery) {
        let call = Call {
            event: Arc::clone(&delivery.event),
            position: delivery.position,
            attempt: delivery.attempt,
            redrives: delivery.redrives,
            revision: delivery.revision,
            at: self.clock.now(),
            elapsed: self.clock.elapsed(),
        };
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Payloads in the order in which they came.
    pub(crate) fn data(&self) -> Vec<String> {
        self.all().iter().map(Call::data).collect()
    }

    /// Positions in the order in which they came.
    pub(crate) fn positions(&self) -> Vec<u64> {
        self.all().iter().map(|it| it.position).collect()
    }

    /// Starts a subscription whose handler notes each call and gives this answer.
    pub(crate) async fn on(
        &self,
        builder: SubscriptionBuilder,
        answer: impl Fn(&Delivery) -> Answer + Send + Sync + 'static,
    ) -> Subscription {
        let seen = self.clone();
        let started = builder.handler(move |delivery| {
            seen.note(&delivery);
            let answer = answer(&delivery);
            async move { answer }
        });
        started.await.unwrap()
    }
}

pub(crate) fn handled(_: &Delivery) -> Answer {
    Ok(())
}

pub(crate) fn failing(_: &Delivery) -> Answer {
    Err(HandlerError::transient("asked to fail"))
}

pub(crate) fn rejecting(_: &Delivery) -> Answer {
    Err(HandlerError::permanent("never"))
}
