//! The old way and the bus side by side: publishes on the one that leads, shows the other the same, and counts where they differ.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::phase::{Phase, Phases, Role, Route, Way};
use crate::bus::Bus;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::{Event, EventId, EventType};
use crate::transport::Receipt;

/// Differences that are kept to be looked at; all are counted.
const DIFFERENCES_MAX: usize = 100;
/// Types that are counted by name; the rest is counted together.
const TYPES_MAX: usize = 1000;
/// Name under which the rest is counted.
const OTHERS: &str = "(others)";
/// How long the way that follows may take unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

type Sending = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type OldWay = Box<dyn Fn(Arc<Event>, Role) -> Sending + Send + Sync>;

/// Publishes on the old way and on the bus, by the phase of the event's type. Clones are handles to the same.
#[derive(Clone)]
pub struct Dual(Arc<Inner>);

struct Inner {
    bus: Bus,
    old: OldWay,
    patience: Duration,
    phases: RwLock<Phases>,
    book: Mutex<Book>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The way that has the effect.
    pub leader: Way,
    /// Where it stands in the log of the bus, if it went there.
    pub receipt: Option<Receipt>,
    /// The way that follows was not shown the event, or nobody knows whether it was; why.
    pub difference: Option<String>,
}

/// An event that one way has and the other, which follows, has not or may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The event.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// The way that follows.
    pub follower: Way,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub error: String,
}

/// What happened to the events of one type since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeCounts {
    /// Had their effect on the old way.
    pub old_led: u64,
    /// Had their effect on the bus.
    pub bus_led: u64,
    /// The old way led, and the bus was shown the event.
    pub bus_followed: u64,
    /// The old way led, and the bus was not shown the event, or perhaps not.
    pub bus_missed: u64,
    /// The bus led, and the old way was shown the event.
    pub old_followed: u64,
    /// The bus led, and the old way was not shown the event, or perhaps not.
    pub old_missed: u64,
    /// The way that leads failed, and the caller was told.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Book {
    counts: BTreeMap<String, TypeCounts>,
    differences: VecDeque<Difference>,
}

impl fmt::Debug for Dual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dual")
            .field("phases", &self.phases())
            .finish_non_exhaustive()
    }
}

impl Dual {
    /// Side by side: `bus`, and `old`, which is told of each event whether it has its effect there. `old` is called again
    /// with the same event when its caller repeats, so it must know the event by its id.
    pub fn new<H, F>(bus: Bus, phases: Phases, old: H) -> Self
    where
        H: Fn(Arc<Event>, Role) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            bus,
            old: Box::new(move |event, role| Box::pin(old(event, role))),
            patience: PATIENCE,
            phases: RwLock::new(phases),
            book: Mutex::default(),
        }))
    }

    /// The phases of now.
    #[must_use]
    pub fn phases(&self) -> Phases {
        self.0
            .phases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Moves what fits a pattern to another phase, forth or back, for events that are routed from now on. Events that
    /// were routed before keep their leader.
    ///
    /// # Errors
    /// As [`Phases::set`].
    pub fn switch(&self, pattern: &str, phase: Phase) -> Result<()> {
        let mut phases = self
            .0
            .phases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        phases.set(pattern, phase)
    }

    /// Decides who leads, and writes it into the event. What may be published again after a failure, such as from an
    /// outbox, is routed before it is stored: a repeat then goes the same way although the phase has changed.
    #[must_use]
    pub fn routed(&self, mut event: Event) -> Event {
        self.route(&mut event);
        event
    }

    fn route(&self, event: &mut Event) -> Route {
        self.0
            .phases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .route(event)
    }

    /// Publishes on the way that leads, then shows the event to the other one if the phase has it follow. A follower that
    /// fails, or takes longer than 5 s, changes nothing for the caller; it is counted.
    ///
    /// # Errors
    /// What the way that leads answers; the other one was not asked. Where the outcome is unknown (`Closed`), repeat with
    /// what [`Dual::routed`] made of the event.
    ///
    /// # Cancel safety
    /// Dropping the future may leave an event that only the leader has, or that nobody has.
    pub async fn publish(&self, mut event: Event) -> Result<Sent> {
        let route = self.route(&mut event);
        let event = Arc::new(event);
        let led = self.send(route.leader, &event, Role::Leads).await;
        let mut receipt = match led {
            Ok(receipt) => receipt,
            Err(error) => {
                self.count(&event.event_type, |it| it.failed += 1);
                return Err(error);
            }
        };
        self.count(&event.event_type, |it| match route.leader {
            Way::Old => it.old_led += 1,
            Way::Bus => it.bus_led += 1,
        });
        let mut difference = None;
        if route.is_followed {
            let follower = route.leader.other();
            let sent = self.send(follower, &event, Role::Follows);
            match tokio::time::timeout(self.0.patience, sent).await {
                Ok(Ok(shown)) => {
                    receipt = receipt.or(shown);
                    self.count(&event.event_type, |it| match follower {
                        Way::Old => it.old_followed += 1,
                        Way::Bus => it.bus_followed += 1,
                    });
                }
                Ok(Err(error)) => difference = Some(error.chain()),
                Err(_) => difference = Some(format!("no answer in {:?}", self.0.patience)),
            }
            if let Some(error) = &difference {
                self.differ(&event, follower, error);
            }
        }
        Ok(Sent {
            leader: route.leader,
            receipt,
            difference,
        })
    }

    async fn send(&self, way: Way, event: &Arc<Event>, role: Role) -> Result<Option<Receipt>> {
        match way {
            // What the bus would not take is found before it has to.
            Way::Old => {
                event.check()?;
                (self.0.old)(Arc::clone(event), role).await?;
                Ok(None)
            }
            Way::Bus => self
                .0
                .bus
                .publish(Event::clone(event))
                .await
                .map(Some)
                .map_err(|error| {
                    let text = format!("event `{}` is not on the bus", event.id);
                    Error::new(error.kind(), text).with_source(error)
                }),
        }
    }

    /// What happened since the start of the process, by event type.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, TypeCounts> {
        self.book().counts.clone()
    }

    /// The latest differences, at most 100, oldest first.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        self.book().differences.iter().cloned().collect()
    }

    fn count(&self, event_type: &EventType, add: impl FnOnce(&mut TypeCounts)) {
        let mut book = self.book();
        let name = event_type.as_str();
        if let Some(counts) = book.counts.get_mut(name) {
            return add(counts);
        }
        let name = if book.counts.len() < TYPES_MAX {
            name
        } else {
            OTHERS
        };
        add(book.counts.entry(name.to_owned()).or_default());
    }

    fn differ(&self, event: &Event, follower: Way, error: &str) {
        tracing::warn!(event_id = %event.id, follower = follower.as_str(), error, "the way that follows missed an event");
        self.count(&event.event_type, |it| match follower {
            Way::Old => it.old_missed += 1,
            Way::Bus => it.bus_missed += 1,
        });
        let mut book = self.book();
        if book.differences.len() >= DIFFERENCES_MAX {
            book.differences.pop_front();
        }
        book.differences.push_back(Difference {
            id: event.id.clone(),
            event_type: event.event_type.clone(),
            follower,
            at: self.0.bus.clock().now(),
            error: error.to_owned(),
        });
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
