//! The seam between the bus and an engine: an engine keeps events and hands them out, the bus decides what becomes of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Event, EventId};
use crate::ledger::{Counts, Fault};
use crate::pattern::Pattern;

/// Keeps events in one order and hands them out to subscriptions.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// What this engine promises.
    fn capabilities(&self) -> Capabilities;

    /// Stores all events or none, next to each other, and returns when they are as durable as the capabilities say.
    /// An event whose id is remembered is not stored again; its receipt names the first position.
    ///
    /// # Errors
    /// `Full`: nothing was stored. `Closed`: the outcome is unknown; repeat with the same ids after a restart.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the append.
    async fn append(&self, events: &[Arc<Event>]) -> Result<Vec<Receipt>>;

    /// Makes or takes up the subscription and joins it as its only member; what earlier members had leased is handed
    /// out again, with its attempt counted.
    ///
    /// # Errors
    /// `Conflict` when a member has joined already.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a subscription without a member; join again.
    async fn join(&self, spec: SubscriptionSpec) -> Result<Arc<dyn Member>>;

    /// Stored events from `position` on, in order; looks at a bounded number of records.
    ///
    /// # Errors
    /// `Corrupt` or `Transient` when the log cannot be read.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn read(&self, position: u64, max: usize) -> Result<Page>;

    /// What was stored since the start of the process, events of sagas included.
    fn published(&self) -> Published;

    /// The deliveries of all subscriptions.
    fn ledgers(&self) -> &dyn LedgerAdmin;

    /// Whether events are taken now, or why not.
    ///
    /// # Errors
    /// `Full` or `Closed`.
    fn condition(&self) -> Result<()>;

    /// Stores what was accepted and lets go of everything. Fine twice.
    ///
    /// # Cancel safety
    /// Closing goes on when the future is dropped.
    async fn close(&self);
}

/// The one consumer of a subscription.
#[async_trait]
pub trait Member: fmt::Debug + Send + Sync + 'static {
    /// Waits until there is something to deliver, then hands out 1 to `max` events. The attempt is counted in a way
    /// that survives the end of this process before this returns.
    ///
    /// # Errors
    /// `Fenced` when the subscription was removed. `Closed` when the engine has stopped.
    ///
    /// # Cancel safety
    /// Safe: what a dropped call had taken is handed out again, and its attempt does not count.
    async fn lease(&self, max: usize) -> Result<Vec<Leased>>;

    /// Settles leases; says for each whether it still counted (`false`: the lease was no longer held).
    ///
    /// # Errors
    /// `Closed` when the engine has stopped: the events will be delivered again.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the settling.
    async fn settle(&self, settles: Vec<Settle>) -> Result<Vec<bool>>;

    /// Leaves the subscription; another member can then join.
    fn leave(&self);
}

/// Looks into and repairs the deliveries of subscriptions.
#[async_trait]
pub trait LedgerAdmin: fmt::Debug + Send + Sync {
    /// All subscriptions, by name.
    fn list(&self) -> Vec<LedgerView>;

    /// Dead letters in the order of subscription and position.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>>;

    /// Hands dead letters out again, to this subscription only, with attempts counted anew; durable on return.
    /// Returns how many were dead letters; positions that are none are passed over.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn redrive(&self, subscription: &str, positions: &[u64]) -> Result<usize>;

    /// Throws dead letters away, for a reason that is kept; durable on return. Returns how many were dead letters.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn discard(&self, subscription: &str, positions: &[u64], reason: &str) -> Result<usize>;

    /// Forgets a subscription and everything it had not handled. Returns whether it existed.
    ///
    /// # Errors
    /// `Conflict` while a member is joined.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn remove(&self, subscription: &str) -> Result<bool>;
}

/// What an engine promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Name of the engine.
    pub engine: &'static str,
    /// What a returned publish survives.
    pub durability: Durability,
}

/// What a returned publish survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: it is gone with the process.
    Memory,
    /// A loss of power: it was synced to the disk.
    Synced,
}

impl Durability {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Synced => "fsync before acknowledgement",
        }
    }
}

/// The acknowledgement of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event.
    pub id: EventId,
    /// Where it stands in the log.
    pub position: u64,
    /// It had been published before, within the window, and was not stored again.
    pub duplicate: bool,
}

/// What was stored since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Events.
    pub total: u64,
    /// The same by type; an engine may count types beyond some number together.
    pub by_type: BTreeMap<String, u64>,
    /// The same by source.
    pub by_source: BTreeMap<String, u64>,
}

/// Where a new subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event there is.
    Earliest,
    /// With the next event to come.
    Latest,
    /// With the first event at or after this position.
    At(u64),
}

/// Decides whether an event is delivered; evaluated once, before the first attempt.
pub type Filter = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// What a member wants.
#[derive(Clone)]
pub struct SubscriptionSpec {
    /// The subscription's name; its deliveries are kept under it.
    pub name: String,
    /// Event types wanted; an event that fits several is delivered once.
    pub patterns: Vec<Pattern>,
    /// Where it begins if it is new.
    pub start: Start,
    /// Events that fit a pattern but not the filter are skipped.
    pub filter: Option<Filter>,
}

impl fmt::Debug for SubscriptionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionSpec")
            .field("name", &self.name)
            .field("patterns", &self.patterns)
            .field("start", &self.start)
            .field("filter", &self.filter.is_some())
            .finish()
    }
}

/// Names one lease: only the holder of the latest one may settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken {
    /// The event.
    pub position: u64,
    /// The member.
    pub epoch: u64,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// One event handed out.
#[derive(Clone, Debug)]
pub struct Leased {
    /// To settle it with.
    pub token: LeaseToken,
    /// The event.
    pub event: Arc<Event>,
    /// The filter panicked on it with this text: it must not be handled.
    pub filter_fault: Option<String>,
}

/// The end of one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The lease.
    pub token: LeaseToken,
    /// How it ended.
    pub verdict: Verdict,
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Handled.
    Ack,
    /// Tried again at this time.
    RetryAt(Timestamp, Fault),
    /// Given up, and kept as a dead letter.
    Dead(Fault),
    /// Given up without a dead letter.
    Skip,
    /// Handed back unstarted; the attempt does not count.
    Release,
}

/// Events as stored.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events with their positions.
    pub events: Vec<(u64, Arc<Event>)>,
    /// Where to read on.
    pub next: u64,
    /// Whether the end of the log was reached.
    pub is_last: bool,
}

/// One subscription as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerView {
    /// Its name.
    pub subscription: String,
    /// Its patterns.
    pub patterns: Vec<String>,
    /// Whether a member is joined.
    pub is_joined: bool,
    /// Events that fit its patterns and were never handed out.
    pub ahead: u64,
    /// Everything that was handed out.
    pub counts: Counts,
}

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// Only of this subscription.
    pub subscription: Option<String>,
    /// Only after this position (of one subscription).
    pub after: u64,
    /// At most this many.
    pub max: usize,
}

/// An event that one subscription gave up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The subscription that failed; no other is concerned.
    pub subscription: String,
    /// Where the event stands in the log.
    pub position: u64,
    /// The event.
    pub event: Arc<Event>,
    /// Attempts since the first delivery or the last redrive.
    pub attempts: u32,
    /// One per failed attempt, oldest first; of more than 32, the first and the latest 31.
    pub faults: Vec<Fault>,
    /// How often it was redriven before.
    pub redrives: u32,
    /// When it was given up.
    pub dead_at: Timestamp,
}
