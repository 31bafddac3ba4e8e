//! What one asks of dead letters, and what a dead letter is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::{Event, whole_number};
use crate::ledger::{FAULT_KINDS, Fault, Revision};
use crate::pattern::Pattern;

/// Most dead letters of one page.
pub const DEAD_LETTERS_MAX: usize = 1000;
/// Bytes of payloads, revisions and faults after which a page ends, whatever its number of dead letters.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most positions that one call may name, and most ids that one call finds: they are one record of the log.
pub const POSITIONS_MAX: usize = 10_000;
/// Longest text that a query may look for, in bytes: no longer one is kept.
pub(crate) const TEXT_BYTES_MAX: usize = 2048;

/// Names one dead letter. Written as `subscription/position`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId {
    /// The subscription that gave the event up.
    pub subscription: String,
    /// Where the event stands in the log.
    pub position: u64,
}

impl DeadLetterId {
    /// The dead letter of `subscription` at `position`.
    #[must_use]
    pub fn new(subscription: &str, position: u64) -> Self {
        Self {
            subscription: subscription.to_owned(),
            position,
        }
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subscription, self.position)
    }
}

impl FromStr for DeadLetterId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.rsplit_once('/')
            .filter(|(subscription, _)| !subscription.is_empty())
            .and_then(|(subscription, position)| {
                Some(Self::new(subscription, whole_number(position)?))
            })
            .ok_or_else(|| {
                Error::invalid("a dead letter is named by `subscription/position`, such as `s/17`")
            })
    }
}

/// Which dead letters. All that is given must fit; what the ledger knows is answered without reading an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// Of this subscription.
    pub subscription: Option<String>,
    /// At one of these positions of the subscription, which must be named then (at most 10,000; none: at any).
    pub positions: Vec<u64>,
    /// Whose event's type fits. The events are read for it.
    pub pattern: Option<Pattern>,
    /// Whose latest fault is of this kind, one of [`FAULT_KINDS`].
    pub kind: Option<String>,
    /// Whose latest fault is of this type of error.
    pub error_type: Option<String>,
    /// Whose latest fault says this somewhere (at most 2,048 bytes).
    pub error: Option<String>,
    /// Of this key, where the subscription keeps keys in order; otherwise with this subject, for which the events are
    /// read.
    pub key: Option<String>,
    /// Given up at this time or later.
    pub dead_from: Option<Timestamp>,
    /// Given up before this time.
    pub dead_before: Option<Timestamp>,
    /// Only after this one, in the order of subscription and position.
    pub after: Option<DeadLetterId>,
    /// At most this many.
    pub max: usize,
}

impl DeadLetterQuery {
    /// All that there are.
    #[must_use]
    pub fn all() -> Self {
        Self {
            max: usize::MAX,
            ..Self::default()
        }
    }

    /// All of one subscription.
    #[must_use]
    pub fn of(subscription: &str) -> Self {
        Self {
            subscription: Some(subscription.to_owned()),
            ..Self::all()
        }
    }

    /// Some of one subscription, by their positions.
    #[must_use]
    pub fn at(subscription: &str, positions: &[u64]) -> Self {
        Self {
            positions: positions.to_vec(),
            ..Self::of(subscription)
        }
    }

    /// All of one key in one subscription.
    #[must_use]
    pub fn key(subscription: &str, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..Self::of(subscription)
        }
    }

    /// Checks the limits.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.positions.is_empty() && self.subscription.is_none() {
            return Err(Error::invalid(
                "`positions` are of one `subscription`, which is missing",
            ));
        }
        check_positions(&self.positions)?;
        for (field, text) in [
            ("kind", &self.kind),
            ("errorType", &self.error_type),
            ("error", &self.error),
            ("key", &self.key),
        ] {
            if text.as_ref().is_some_and(|it| it.len() > TEXT_BYTES_MAX) {
                return Err(Error::invalid(format!(
                    "`{field}` has more than {TEXT_BYTES_MAX} bytes"
                )));
            }
        }
        match self.kind.as_deref() {
            Some(kind) if !FAULT_KINDS.contains(&kind) => {
                let kinds = FAULT_KINDS.map(|it| format!("`{it}`")).join(", ");
                Err(Error::invalid(format!(
                    "`kind` is `{kind}`, and must be one of {kinds}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses more positions than one record of the log should have.
pub(crate) fn check_positions(positions: &[u64]) -> Result<()> {
    if positions.len() > POSITIONS_MAX {
        return Err(Error::invalid(format!(
            "`positions` has {} entries, more than {POSITIONS_MAX}",
            positions.len()
        )));
    }
    Ok(())
}

/// Ids of dead letters that fit a query, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterIds {
    /// At most 10,000.
    pub ids: Vec<DeadLetterId>,
    /// There are more after this one.
    pub next: Option<DeadLetterId>,
}

/// Dead letters that fit a query, in order.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterPage {
    /// At most 1,000; fewer where they are large.
    pub letters: Vec<DeadLetter>,
    /// There are more after this one.
    pub next: Option<DeadLetterId>,
}

/// An event that one subscription gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The subscription that failed; no other is concerned.
    pub subscription: String,
    /// Where the event stands in the log.
    pub position: u64,
    /// The event, as it was published.
    pub event: Arc<Event>,
    /// Attempts since the first delivery or the last redrive.
    pub attempts: u32,
    /// One per failed attempt, oldest first; of more than 32, the first and the latest 31. Their texts are at most
    /// 16 KiB together: of more, those in the middle are left out.
    pub faults: Vec<Fault>,
    /// How often it was redriven before.
    pub redrives: u32,
    /// Events of its key that wait behind it.
    pub parked: u64,
    /// Payloads that replaced the one published, oldest first.
    pub revisions: Vec<Revision>,
    /// When it was given up.
    pub dead_at: Timestamp,
    /// A number that stands for its key, where it is in order with others of its key.
    pub key: Option<u64>,
}

impl DeadLetter {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> DeadLetterId {
        DeadLetterId::new(&self.subscription, self.position)
    }

    /// The payload that is delivered after a redrive: the latest revision, or the one that was published.
    #[must_use]
    pub fn data(&self) -> &bytes::Bytes {
        self.revisions
            .last()
            .map_or(&self.event.data, |last| &last.data)
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let faults: usize = self.faults.iter().map(|it| it.error.len()).sum();
        let revisions: usize = self.revisions.iter().map(|it| it.data.len()).sum();
        self.event.data.len() + faults + revisions
    }
}
