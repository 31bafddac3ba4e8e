//! Where saga records are kept: the seam between the orchestrator and an engine.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::event::Event;

/// How long the key of a saga outlives all that a store drops of it: as long as events are kept by default, so that an event
/// which is there to be delivered, replayed or redriven again finds the saga that it started.
pub const KEYS_KEPT: Duration = Duration::from_hours(30 * 24);
/// Most keys that outlive their sagas, the newest ones: each has at most 351 bytes of key and id, so all have at most 35 MB, which
/// are read at each start.
pub const KEYS_KEPT_MAX: usize = 100_000;

/// One atomic step of one saga: its new records and the events that tell about them.
#[derive(Clone, Debug)]
pub struct SagaBatch {
    /// The saga, as the text of its id.
    pub saga: String,
    /// Encoded records, in order.
    pub records: Vec<Bytes>,
    /// Events published by the same commit.
    pub events: Vec<Event>,
    /// With the first batch of a saga that none waits for: a store that has little room left refuses it as `Full`, so that those
    /// that were started can go on.
    pub is_start: bool,
    /// Nothing is appended for the saga after this: a store that keeps things for a limited time may drop all of it when
    /// that is over, and what was appended behind this by mistake with it. Until then it is handed back by
    /// [`SagaStore::load`].
    pub is_last: bool,
    /// With the last batch: the keys that other starts of the saga would have. They are handed back for [`KEYS_KEPT`] although the
    /// records are dropped, at most [`KEYS_KEPT_MAX`] of all sagas.
    pub keys: Vec<String>,
}

/// A saga as found in the store: all its records, in the order in which they were appended.
#[derive(Clone, Debug)]
pub struct StoredSaga {
    /// The saga, as the text of its id.
    pub saga: String,
    /// Encoded records, in order. Empty: this is only a key of it, whose records were dropped or are handed back apart.
    pub records: Vec<Bytes>,
    /// A key that outlives it.
    pub key: Option<String>,
}

/// Keeps the records of sagas. An engine keeps and hands back; it never reads what a record says.
#[async_trait]
pub trait SagaStore: fmt::Debug + Send + Sync {
    /// Appends each batch as a whole: its records and its events are durable together, or neither is there.
    ///
    /// Returns when all batches are durable. Batches of concurrent calls share one sync of the disk.
    ///
    /// # Errors
    /// `Closed` when the store has stopped itself: the outcome is unknown. `Full` when there is no room: nothing is stored.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the append.
    async fn append(&self, batches: Vec<SagaBatch>) -> Result<()>;

    /// Every saga in the store, oldest first, and each key that is left of those that were dropped.
    ///
    /// # Errors
    /// `Corrupt` when stored bytes are damaged.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    async fn load(&self) -> Result<Vec<StoredSaga>>;

    /// The fencing token of an orchestrator that opens now. It never falls, and is greater than it was at an earlier open if
    /// anything was appended since then; where nothing was, no handler was called, so nobody has seen that earlier one.
    fn epoch(&self) -> u64;
}
