//! The seam between the bus and an engine: an engine keeps events and hands them out, the bus decides what becomes of them.

mod dead_letter;
mod lateness;
mod property;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Event, EventId};
use crate::filter::Filter;
use crate::ledger::{By, Counts, Exhausted, Fault, Order, Pause, Repaired, RetryBudget, Sharing};
use crate::pattern::Pattern;

pub(crate) use dead_letter::check_positions;
pub use dead_letter::{
    DEAD_LETTERS_MAX, DeadLetter, DeadLetterId, DeadLetterIds, DeadLetterPage, DeadLetterQuery,
    PAGE_BYTES_MAX, POSITIONS_MAX,
};

pub use lateness::{LATENESS_BOUNDS, Lateness};
pub use property::{Property, Unsupported};

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

    /// Makes or takes up the subscription and joins it as one of its members, who share its events. What members of an
    /// earlier process had leased is handed out again, with its attempt counted; so is what a member of the same name
    /// has, which is fenced by this.
    ///
    /// # Errors
    /// `Conflict` when there are members who want something else. `Invalid` when the specification cannot be met.
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

    /// Events that are to be published later.
    fn schedules(&self) -> &dyn Schedules;

    /// Whether events are taken now, or why not.
    ///
    /// # Errors
    /// `Full` or `Closed`.
    fn condition(&self) -> Result<()>;

    /// What is kept of what was stored. An engine that drops nothing need not say.
    fn kept(&self) -> Kept {
        Kept::default()
    }

    /// Stores what was accepted and lets go of everything. Fine twice.
    ///
    /// # Cancel safety
    /// Closing goes on when the future is dropped.
    async fn close(&self);
}

/// What an engine keeps of what was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Position of the first record from which on everything is kept; before it, only what is needed.
    pub oldest: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Subscriptions for which more is kept than the settings ask for, as they have not looked at it yet; as of the last
    /// look.
    pub holding: Vec<Holding>,
    /// Bytes of files that are kept beyond what the settings ask for, as their events are remembered: one that is published
    /// again is known. As of the last look.
    pub remembered: u64,
    /// Why what is due to be dropped could not be, at the last try.
    pub fault: Option<String>,
}

/// A subscription that has fallen so far behind that more is kept for it than the settings ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its name.
    pub subscription: String,
    /// Bytes of files that are kept for it, and perhaps for others.
    pub bytes: u64,
}

/// An event that is to be published later.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The event.
    pub event: Arc<Event>,
    /// Not before this time by the engine's clock; at once if it is over.
    pub due: Timestamp,
    /// To cancel it or to give it another time, as long as it is not due (1–255 bytes).
    pub cancel_key: Option<String>,
}

/// An event that is to be published later, as it is listed.
#[derive(Clone, Debug)]
pub struct ScheduledEvent {
    /// Where it is scheduled in the log.
    pub position: u64,
    /// Not before this time.
    pub due: Timestamp,
    /// To cancel it or to give it another time.
    pub cancel_key: Option<String>,
    /// The event.
    pub event: Arc<Event>,
}

/// Most scheduled events that are listed at a time.
pub const SCHEDULES_MAX: usize = 1000;

/// Publishes events later: never early, once each. An event enters the order of its key when it is published.
#[async_trait]
pub trait Schedules: fmt::Debug + Send + Sync {
    /// Schedules an event; durable on return. A repeat within the window changes nothing: its receipt says where the event
    /// stands, and for what it waits if it is not published yet. One that was cancelled is forgotten, so that its id may
    /// come again. The latest of several under one cancel key is the one that the key means.
    ///
    /// # Errors
    /// As [`Transport::append`]; `Full` too when too many are scheduled, `Invalid` for a wrong cancel key.
    ///
    /// # Cancel safety
    /// Dropping the future may leave an event that is stored and is published only after the next start; repeat the
    /// call with the same id.
    async fn set(&self, scheduled: Scheduled) -> Result<Receipt>;

    /// Takes back what is scheduled under this key; durable on return. False when there is nothing, or it is published.
    ///
    /// # Errors
    /// As [`Transport::append`].
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn cancel(&self, cancel_key: &str) -> Result<bool>;

    /// Gives what is scheduled under this key another time; durable on return. False when there is nothing, or it is
    /// published.
    ///
    /// # Errors
    /// As [`Transport::append`].
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn move_to(&self, cancel_key: &str, due: Timestamp) -> Result<bool>;

    /// What is scheduled after the one that is due then and stands there, in this order; at most 1,000.
    ///
    /// # Errors
    /// `Corrupt` or `Transient` when the log cannot be read.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn list(
        &self,
        after: Option<(Timestamp, u64)>,
        max: usize,
    ) -> Result<Vec<ScheduledEvent>>;

    /// How many are scheduled.
    fn count(&self) -> usize;

    /// How late those were that were published since the start of the process.
    fn lateness(&self) -> Lateness;
}

/// A consumer of a subscription. It must be heard of, by any of its calls, within the lease of its specification;
/// otherwise its leases are handed out again and it is fenced.
#[async_trait]
pub trait Member: fmt::Debug + Send + Sync + 'static {
    /// Waits until there is something to deliver, then hands out 1 to `max` events, in the order and by the priorities of
    /// the specification. The attempt is counted in a way that survives the end of this process before this returns.
    ///
    /// # Errors
    /// `NotFound` at the end of the window that the specification asks for. `Fenced` when the subscription was removed or
    /// the member was silent for too long. `Closed` when the engine has
    /// stopped. `Full` when there is no room to write down what is handed out: nothing is.
    ///
    /// # Cancel safety
    /// Safe: what a dropped call had taken is handed out again, and its attempt does not count.
    async fn lease(&self, max: usize) -> Result<Vec<Leased>>;

    /// Settles leases; says for each whether it still counted (`false`: the lease was no longer held). The events of a
    /// settle are stored with it, all or none, where the engine gives [`Property::EmitWithAck`]; it is handed no others
    /// otherwise.
    ///
    /// # Errors
    /// `Closed` when the engine has stopped: the events will be delivered again. `Conflict`, `Full` and `Invalid` as
    /// [`Transport::append`], for a settle with events that is given alone: the lease is held as before.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the settling.
    async fn settle(&self, settles: Vec<Settle>) -> Result<Vec<bool>>;

    /// Says that the member is alive and at work.
    ///
    /// # Errors
    /// `Fenced` when its leases are no longer its own.
    fn renew(&self) -> Result<()>;

    /// Leaves the subscription; what it has leased is handed out again.
    fn leave(&self);
}

/// Looks into and repairs the deliveries of subscriptions.
#[async_trait]
pub trait LedgerAdmin: fmt::Debug + Send + Sync {
    /// All subscriptions, by name.
    fn list(&self) -> Vec<LedgerView>;

    /// Which dead letters fit, in the order of subscription and position: the next ones after `query.after`, at most
    /// 10,000 at a time. Neither reads nor copies those before, and holds up the subscriptions for a bounded number of
    /// deliveries at a time.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription. `Invalid` when the query is beyond a limit.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn find(&self, query: &DeadLetterQuery) -> Result<DeadLetterIds>;

    /// The same dead letters with all that is known of them, at most 1,000 and about 8 MiB at a time.
    ///
    /// # Errors
    /// As [`LedgerAdmin::find`].
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage>;

    /// Does something to deliveries of one subscription, and to no other; durable on return. Returns how many it was done
    /// to; positions to which it does not apply are passed over. Of two that redrive the same dead letter, one does.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription. `Invalid` when an author, a reason, a payload or the number of positions
    /// (10,000; for a revision one) is beyond its limit.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn repair(&self, subscription: &str, positions: &[u64], repair: Repair) -> Result<usize>;

    /// What somebody did to deliveries of a subscription, when and why, the latest first; the latest 1,000 are remembered,
    /// fewer where they name more than 100,000 positions together.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription.
    fn repairs(&self, subscription: &str, query: &RepairQuery) -> Result<Vec<Repaired>>;

    /// Pauses a subscription, or lets it go on with `None`; durable on return. Members stay, and what they have is
    /// finished.
    ///
    /// # Errors
    /// `NotFound` for an unknown subscription. `Invalid` when author or reason are beyond their limits.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn set_pause(&self, subscription: &str, until: Option<PauseUntil>, by: By) -> Result<()>;

    /// Forgets a subscription, its dead letters and everything it had not handled. Returns whether it existed.
    ///
    /// # Errors
    /// `Conflict` while a member is joined. `Invalid` when author or reason are beyond their limits.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo it.
    async fn remove(&self, subscription: &str, by: By) -> Result<bool>;

    /// Hands dead letters out again: [`Repair::Redrive`] without a pause between them.
    ///
    /// # Errors
    /// As [`LedgerAdmin::repair`].
    ///
    /// # Cancel safety
    /// As [`LedgerAdmin::repair`].
    async fn redrive(&self, subscription: &str, positions: &[u64]) -> Result<usize> {
        let repair = Repair::Redrive {
            delay: Duration::ZERO,
            spacing: Duration::ZERO,
            by: By::default(),
        };
        self.repair(subscription, positions, repair).await
    }

    /// Throws dead letters away: [`Repair::Discard`] by nobody in particular.
    ///
    /// # Errors
    /// As [`LedgerAdmin::repair`].
    ///
    /// # Cancel safety
    /// As [`LedgerAdmin::repair`].
    async fn discard(&self, subscription: &str, positions: &[u64], reason: &str) -> Result<usize> {
        self.repair(
            subscription,
            positions,
            Repair::Discard(By::new("", reason)),
        )
        .await
    }
}

/// What somebody does to deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Dead letters are handed out again, with attempts counted anew, each so long after the one before.
    Redrive {
        /// Time until the first one (0 – 366 days).
        delay: Duration,
        /// Least time from one to the next (0 – 1 h).
        spacing: Duration,
        /// Who and why.
        by: By,
    },
    /// Another payload is delivered from now on; the one published stays as it was, and every revision is kept.
    Revise {
        /// One JSON value.
        data: bytes::Bytes,
        /// Who and why.
        by: By,
    },
    /// Whatever its state, unless a handler has it, it is not to be delivered any more.
    Skip(By),
    /// Dead letters are thrown away.
    Discard(By),
    /// What was a dead letter once and is settled for good is one again, with all that was known of it; it counts as one
    /// more that came. It does not apply to what is still to come, or is open.
    Restore {
        /// As it was. Its event must be in the log, where it was; otherwise `Conflict`.
        letter: Box<DeadLetter>,
        /// Who and why.
        by: By,
    },
}

/// Which repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairQuery {
    /// Of the event at this position.
    pub position: Option<u64>,
    /// Made before the one with this number.
    pub before: Option<u64>,
    /// At most so many.
    pub max: usize,
}

impl Default for RepairQuery {
    fn default() -> Self {
        Self {
            position: None,
            before: None,
            max: 100,
        }
    }
}

/// How long a pause lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseUntil {
    /// Until somebody ends it.
    Resumed,
    /// Until then, at the latest.
    Time(Timestamp),
}

/// What an engine promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Name of the engine.
    pub engine: &'static str,
    /// What a returned publish survives.
    pub durability: Durability,
    /// What it does not give: who asks for it is refused at the start.
    pub lacks: &'static [Property],
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
    /// The event: of a repeat, the one that is stored, whose id is another one where an idempotency key names it.
    pub id: EventId,
    /// Where it stands in the log; while it waits for its time, where it is scheduled.
    pub position: u64,
    /// It had been published or scheduled before, within the window, and was not stored again.
    pub duplicate: bool,
    /// For what it waits; `None` when it is published.
    pub waits: Option<Box<Waiting>>,
}

/// For what an event waits that is scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// It is not published before this time.
    pub due: Timestamp,
    /// To cancel it or to give it another time.
    pub cancel_key: Option<String>,
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
    /// With the oldest event that is kept.
    Earliest,
    /// With the next event to come.
    Latest,
    /// With the first event at or after this position that is kept; a window must be kept as a whole.
    At(u64),
}

/// What becomes of an event on which the filter fails. None of it costs an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFilterError {
    /// It is passed over, and counted.
    #[default]
    Skip,
    /// It is delivered: what must miss nothing, such as an audit, asks for this.
    Deliver,
    /// It becomes a dead letter of kind `filter`, so that somebody looks at it.
    DeadLetter,
}

/// Which attribute of an event is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attribute {
    /// `subject`.
    #[default]
    Subject,
    /// `source`.
    Source,
    /// `correlationId`.
    CorrelationId,
    /// The entry of `metadata` under this name.
    Metadata(String),
}

impl Attribute {
    /// Its value in an event.
    #[must_use]
    pub fn of<'e>(&self, event: &'e Event) -> Option<&'e str> {
        match self {
            Self::Subject => event.subject.as_deref(),
            Self::Source => Some(&event.source),
            Self::CorrelationId => event.correlation_id.as_deref(),
            Self::Metadata(name) => event.metadata.get(name).map(String::as_str),
        }
    }
}

/// What a member wants.
#[derive(Clone)]
pub struct SubscriptionSpec {
    /// The subscription's name; its deliveries are kept under it.
    pub name: String,
    /// Event types wanted; an event that fits several is delivered once.
    pub patterns: Vec<Pattern>,
    /// Where it begins if it is new.
    pub start: Start,
    /// Position before which it ends: when everything before it is handled, a lease is refused as `NotFound`.
    pub until: Option<u64>,
    /// Events that fit a pattern but not the filter are passed over; asked once, before the first attempt.
    pub filter: Option<Filter>,
    /// What becomes of an event on which the filter fails.
    pub on_filter_error: OnFilterError,
    /// In which order.
    pub order: Order,
    /// What happens behind an event that was given up.
    pub exhausted: Exhausted,
    /// The key of an event, for [`Order::PerKey`].
    pub key: Attribute,
    /// Most events behind dead letters of their key; with more, no further events are looked at.
    pub parked_max: u64,
    /// How priorities share the handlers.
    pub sharing: Sharing,
    /// Events that differ in this take turns, within their priority.
    pub fair_by: Option<Attribute>,
    /// What retries may cost.
    pub budget: RetryBudget,
    /// Events past their time are kept as dead letters.
    pub keeps_expired: bool,
    /// Name of the member.
    pub member: String,
    /// How long the member may be silent.
    pub lease: Duration,
}

impl SubscriptionSpec {
    /// What a subscription is unless said otherwise: unordered, by priority, one member.
    #[must_use]
    pub fn new(name: &str, patterns: Vec<Pattern>, start: Start) -> Self {
        Self {
            name: name.to_owned(),
            patterns,
            start,
            until: None,
            filter: None,
            on_filter_error: OnFilterError::default(),
            order: Order::Unordered,
            exhausted: Exhausted::SkipAhead,
            key: Attribute::Subject,
            parked_max: PARKED_MAX,
            sharing: Sharing::default(),
            fair_by: None,
            budget: RetryBudget::default(),
            keeps_expired: false,
            member: "1".to_owned(),
            lease: LEASE,
        }
    }
}

/// [`SubscriptionSpec::parked_max`] unless said otherwise.
const PARKED_MAX: u64 = 10_000;
/// [`SubscriptionSpec::lease`] unless said otherwise.
const LEASE: Duration = Duration::from_secs(30);

impl fmt::Debug for SubscriptionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionSpec")
            .field("name", &self.name)
            .field("patterns", &self.patterns)
            .field("start", &self.start)
            .field("filter", &self.filter)
            .field("order", &self.order)
            .field("member", &self.member)
            .finish_non_exhaustive()
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
    /// Earlier leases in a row that ended without an outcome: it may be what ends the process.
    pub silent: u32,
    /// Earlier attempts that do not count against the most that there may be: what the handler needs was unavailable, or
    /// the bus stopped.
    pub uncounted: u32,
    /// Number of the payload: 0 as published, then one more for each that somebody put in its place.
    pub revision: u32,
    /// How often it was redriven.
    pub redrives: u32,
}

/// The end of one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The lease.
    pub token: LeaseToken,
    /// How it ended.
    pub verdict: Verdict,
    /// What follows from the event, published as it is acked.
    pub events: Vec<Arc<Event>>,
}

impl Settle {
    /// An end from which nothing follows.
    #[must_use]
    pub fn new(token: LeaseToken, verdict: Verdict) -> Self {
        Self {
            token,
            verdict,
            events: Vec::new(),
        }
    }
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Handled.
    Ack,
    /// Tried again at this time.
    RetryAt(Timestamp, Box<Fault>),
    /// Given up, and kept as a dead letter.
    Dead(Box<Fault>),
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
    /// The filter as text; empty without one.
    pub filter: String,
    /// In which order.
    pub order: Order,
    /// What happens behind an event that was given up.
    pub exhausted: Exhausted,
    /// Names of the members that are joined.
    pub members: Vec<String>,
    /// Why it hands out nothing.
    pub pause: Option<Pause>,
    /// It looks at no further events, since so many wait behind dead letters of their key.
    pub is_stalled: bool,
    /// Events that fit its patterns and were never looked at.
    pub ahead: u64,
    /// Everything that was looked at.
    pub counts: Counts,
}
