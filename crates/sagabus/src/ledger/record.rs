//! The records whose fold a ledger is.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::delivery::{Delivery, DeliveryState};
use super::policy::{Exhausted, Key, Order, Priority};
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Longest text kept of a fault, in bytes.
const FAULT_BYTES_MAX: usize = 2048;
/// Longest author of what is done by hand, in bytes.
const AUTHOR_BYTES_MAX: usize = 255;
/// Longest reason for what is done by hand, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 2048;

/// Kind of the fault of an attempt whose handler could not have what it needs.
pub(crate) const UNAVAILABLE: &str = "unavailable";
/// Kind of the fault of an attempt that was cut because the bus stopped.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// The kinds of faults.
pub const FAULT_KINDS: [&str; 11] = [
    "error",
    "rejected",
    "timeout",
    "panic",
    UNAVAILABLE,
    INTERRUPTED,
    "decode",
    "schema_unsupported",
    "filter",
    "expired",
    "crash_loop",
];

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
    /// One word, of [`FAULT_KINDS`].
    #[n(3)]
    pub kind: String,
    /// The error with its causes, at most 2,048 bytes.
    #[n(4)]
    pub error: String,
    /// How often the event had been redriven before.
    #[n(5)]
    #[cbor(default)]
    pub redrives: u32,
    /// Type of the error, where the handler told it.
    #[n(6)]
    #[cbor(default)]
    pub error_type: String,
    /// The member whose handler failed.
    #[n(7)]
    #[cbor(default)]
    pub member: String,
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
            redrives: 0,
            error_type: String::new(),
            member: String::new(),
        }
    }

    /// Whether the attempt counts against the most that there may be: not where what its handler needs was unavailable, nor
    /// where it was cut because the bus stopped.
    pub(crate) fn is_counted(&self) -> bool {
        !matches!(self.kind.as_str(), UNAVAILABLE | INTERRUPTED)
    }
}

/// Who did something to deliveries by hand, and why. At most 255 and 2,048 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct By {
    /// A person or program.
    #[n(0)]
    pub author: String,
    /// In their words.
    #[n(1)]
    pub reason: String,
}

impl By {
    /// Somebody with a reason.
    #[must_use]
    pub fn new(author: &str, reason: &str) -> Self {
        Self {
            author: author.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// Checks that both texts are within their bounds.
    ///
    /// # Errors
    /// `Invalid`, naming the text that is too long.
    pub fn check(&self) -> Result<()> {
        for (field, text, bytes_max) in [
            ("author", &self.author, AUTHOR_BYTES_MAX),
            ("reason", &self.reason, REASON_BYTES_MAX),
        ] {
            if text.len() > bytes_max {
                return Err(Error::invalid(format!(
                    "`{field}` has {} bytes, more than {bytes_max}",
                    text.len()
                )));
            }
        }
        Ok(())
    }
}

/// Why a subscription hands out nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// Since when.
    #[n(0)]
    pub at: Timestamp,
    /// Who and why.
    #[n(1)]
    pub by: By,
    /// It ends by itself at this time.
    #[n(2)]
    pub until: Option<Timestamp>,
}

/// What a subscription wants and how, as far as its ledger must know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Wants {
    #[n(0)]
    pub(crate) patterns: Vec<String>,
    /// The filter as text; empty without one.
    #[n(1)]
    pub(crate) filter: String,
    #[n(2)]
    pub(crate) order: Order,
    #[n(3)]
    pub(crate) exhausted: Exhausted,
}

impl Wants {
    /// Whether nothing follows from a delivery as it is: with a handler, without an order, and no suspect.
    pub(super) fn is_quiet(&self, delivery: &Delivery) -> bool {
        delivery.state == DeliveryState::Leased
            && self.order == Order::Unordered
            && !delivery.is_suspect()
    }
}

/// An event that was looked at and is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Taken {
    #[n(0)]
    pub(crate) position: u64,
    #[n(1)]
    pub(crate) key: Option<Key>,
    #[n(2)]
    pub(crate) priority: Priority,
    #[n(3)]
    pub(crate) expires_at: Option<Timestamp>,
    #[n(4)]
    pub(crate) group: u64,
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
    /// Who removed it, and why.
    #[n(3)]
    pub(crate) by: Option<By>,
}

/// What changes. Variants 0 and 1 are of the first version, which had neither order nor filters as text; they are
/// read and no longer written.
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
    /// A member joins. Leases of members before `floor`, who belong to an earlier process, are void.
    #[n(2)]
    Joined {
        #[n(0)]
        epoch: u64,
        /// Without it, the leases of all earlier members are void.
        #[n(1)]
        floor: Option<u64>,
    },
    /// Everything before `cursor` was looked at; `leases` are (position, attempt) handed out now.
    #[n(3)]
    Leased {
        #[n(0)]
        cursor: u64,
        #[n(1)]
        #[cbor(with = "super::form::leases")]
        leases: Vec<(u64, u32)>,
        /// Events passed over by the filter, those on which it failed included.
        #[n(2)]
        filtered: u64,
        /// Events looked at and to be delivered; a lease of an event that is not here is of a plain one.
        #[n(3)]
        #[cbor(default)]
        taken: Vec<Taken>,
        /// Of those passed over, the ones on which the filter failed.
        #[n(4)]
        #[cbor(default)]
        filter_errors: u64,
        /// The member that has the leases; 0 is the latest one that joined.
        #[n(5)]
        #[cbor(default)]
        epoch: u64,
    },
    /// Attempts ended.
    #[n(4)]
    Settled {
        #[n(0)]
        #[cbor(with = "super::form::settles")]
        settles: Vec<Settled>,
    },
    /// Dead letters are tried again, with attempts counted from 0.
    #[n(5)]
    Redriven {
        #[n(0)]
        positions: Vec<u64>,
        /// Each is due so many milliseconds after the one before.
        #[n(1)]
        #[cbor(default)]
        spacing_ms: u64,
        #[n(2)]
        #[cbor(default)]
        by: By,
        /// The first one is due after so many milliseconds.
        #[n(3)]
        #[cbor(default)]
        delay_ms: u64,
    },
    /// Dead letters are thrown away.
    #[n(6)]
    Discarded {
        #[n(0)]
        positions: Vec<u64>,
        #[n(1)]
        reason: String,
        #[n(2)]
        #[cbor(default)]
        author: String,
    },
    /// The subscription begins at position `start`, and wants this.
    #[n(7)]
    Began {
        #[n(0)]
        wants: Wants,
        #[n(1)]
        start: u64,
    },
    /// From its cursor on it wants something else.
    #[n(8)]
    Wanted {
        #[n(0)]
        wants: Wants,
    },
    /// The member left, or was silent for too long: its leases are void.
    #[n(9)]
    Left {
        #[n(0)]
        epoch: u64,
    },
    /// Nothing is handed out until it is resumed.
    #[n(10)]
    Paused {
        #[n(0)]
        pause: Pause,
    },
    /// It goes on.
    #[n(11)]
    Resumed {
        #[n(0)]
        by: By,
    },
    /// Deliveries are not wanted any more, dead or not.
    #[n(12)]
    SkippedBy {
        #[n(0)]
        positions: Vec<u64>,
        #[n(1)]
        by: By,
    },
    /// A delivery gets another payload.
    #[n(13)]
    Revised {
        #[n(0)]
        position: u64,
        #[n(1)]
        by: By,
        #[n(2)]
        #[cbor(with = "bytes_form")]
        data: Bytes,
    },
    /// Everything that was said before this is said anew: one part of the whole state.
    #[n(14)]
    Restated {
        #[n(0)]
        part: u32,
        #[n(1)]
        parts: u32,
        #[n(2)]
        #[cbor(with = "bytes_form")]
        state: Bytes,
    },
    /// What was settled for good is a dead letter again, as it was.
    #[n(15)]
    Restored {
        #[n(0)]
        position: u64,
        #[n(1)]
        delivery: Delivery,
        #[n(2)]
        by: By,
    },
}

/// Bytes in memory that is shared, as a byte string.
pub(crate) mod bytes_form {
    use bytes::Bytes;
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{Encoder, Write};

    pub(crate) fn encode<C, W: Write>(
        bytes: &Bytes,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.bytes(bytes)?.ok()
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Bytes, Error> {
        decoder.bytes().map(Bytes::copy_from_slice)
    }
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
        fault: Box<Fault>,
    },
    #[n(2)]
    Dead {
        #[n(0)]
        position: u64,
        #[n(1)]
        fault: Box<Fault>,
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
    /// Its time was over before it was handed out.
    #[n(5)]
    Expired {
        #[n(0)]
        position: u64,
    },
    /// It is not to be handed out, and is kept as a dead letter: its time is over, or the filter failed on it.
    #[n(6)]
    Refused {
        #[n(0)]
        position: u64,
        #[n(1)]
        fault: Box<Fault>,
    },
}

impl Settled {
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::Acked { position }
            | Self::RetryAt { position, .. }
            | Self::Dead { position, .. }
            | Self::Released { position }
            | Self::Skipped { position }
            | Self::Expired { position }
            | Self::Refused { position, .. } => *position,
        }
    }
}
