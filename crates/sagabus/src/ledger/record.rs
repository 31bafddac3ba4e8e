//! The records whose fold a ledger is.

use minicbor::{Decode, Encode};

use crate::clock::Timestamp;

/// Longest text kept of a fault, in bytes.
const FAULT_BYTES_MAX: usize = 2048;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fault {
    /// Number of the attempt, from 1.
    #[n(0)]
    pub attempt: u32,
    /// When it ended.
    #[n(1)]
    pub at: Timestamp,
    /// How long it ran, in milliseconds.
    #[n(2)]
    pub duration_ms: u64,
    /// One word: `error`, `rejected`, `timeout`, `panic`, `interrupted`, `decode`, `filter`.
    #[n(3)]
    pub kind: String,
    /// The error with its causes, at most 2,048 bytes.
    #[n(4)]
    pub error: String,
}

impl Fault {
    /// A fault; text beyond the limit is cut.
    #[must_use]
    pub fn new(attempt: u32, at: Timestamp, duration_ms: u64, kind: &str, error: &str) -> Self {
        let mut end = error.len().min(FAULT_BYTES_MAX);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            attempt,
            at,
            duration_ms,
            kind: kind.to_owned(),
            error: error.get(..end).unwrap_or_default().to_owned(),
        }
    }
}

/// A change of one subscription's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Record {
    #[n(0)]
    pub(crate) subscription: String,
    #[n(1)]
    pub(crate) at: Timestamp,
    /// `None`: the subscription is removed.
    #[n(2)]
    pub(crate) change: Option<Change>,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Change {
    /// The subscription begins at position `start`.
    #[n(0)]
    Created {
        #[n(0)]
        patterns: Vec<String>,
        #[n(1)]
        start: u64,
    },
    /// It has other patterns from its cursor on.
    #[n(1)]
    Patterned {
        #[n(0)]
        patterns: Vec<String>,
    },
    /// A member takes over; leases of earlier ones are void.
    #[n(2)]
    Joined {
        #[n(0)]
        epoch: u64,
    },
    /// Everything before `cursor` was looked at; `leases` are (position, attempt) handed out now.
    #[n(3)]
    Leased {
        #[n(0)]
        cursor: u64,
        #[n(1)]
        leases: Vec<(u64, u32)>,
        /// Events passed over by the filter.
        #[n(2)]
        skipped: u64,
    },
    /// Attempts ended.
    #[n(4)]
    Settled {
        #[n(0)]
        settles: Vec<Settled>,
    },
    /// Dead letters are tried again, with attempts counted from 0.
    #[n(5)]
    Redriven {
        #[n(0)]
        positions: Vec<u64>,
    },
    /// Dead letters are thrown away.
    #[n(6)]
    Discarded {
        #[n(0)]
        positions: Vec<u64>,
        #[n(1)]
        reason: String,
    },
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Settled {
    #[n(0)]
    Acked {
        #[n(0)]
        position: u64,
    },
    #[n(1)]
    RetryAt {
        #[n(0)]
        position: u64,
        #[n(1)]
        due: Timestamp,
        #[n(2)]
        fault: Fault,
    },
    #[n(2)]
    Dead {
        #[n(0)]
        position: u64,
        #[n(1)]
        fault: Fault,
    },
    /// Handed back without having been started: the attempt does not count.
    #[n(3)]
    Released {
        #[n(0)]
        position: u64,
    },
    #[n(4)]
    Skipped {
        #[n(0)]
        position: u64,
    },
}

impl Settled {
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::Acked { position }
            | Self::RetryAt { position, .. }
            | Self::Dead { position, .. }
            | Self::Released { position }
            | Self::Skipped { position } => *position,
        }
    }
}
