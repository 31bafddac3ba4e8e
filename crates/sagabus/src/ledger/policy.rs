//! How a subscription wants its events: in which order, and what becomes of those behind one that was given up.

use minicbor::{Decode, Encode};

/// In which order the events of a subscription are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Order {
    /// In the order of the log as far as handlers are free; a retry may come after later events.
    #[default]
    #[n(0)]
    Unordered,
    /// Events of one key one after the other, in the order of the log, through retries and restarts; other keys never
    /// wait for it. Events without a key are in no order.
    #[n(1)]
    PerKey,
    /// All events one after the other.
    #[n(2)]
    Strict,
}

/// What happens after the last attempt of an event with the events behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Exhausted {
    /// They go on. The only choice where there is no order.
    #[default]
    #[n(0)]
    SkipAhead,
    /// Those of the same key are parked until the dead letter is redriven with success, skipped or discarded.
    #[n(1)]
    ParkKey,
    /// The whole subscription pauses until somebody resumes it.
    #[n(2)]
    Pause,
}

/// How urgent an event is: the more urgent ones are handed out first, never past an earlier event of their key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Priority {
    /// Before all others.
    #[n(0)]
    Urgent,
    /// Before normal ones.
    #[n(1)]
    High,
    /// Unless said otherwise.
    #[default]
    #[n(2)]
    Normal,
    /// When there is nothing better to do.
    #[n(3)]
    Low,
}

impl Priority {
    /// All levels, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// The level in one word, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Priority {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| {
                crate::error::Error::invalid(
                    "`priority` must be `urgent`, `high`, `normal` or `low`",
                )
            })
    }
}

impl serde::Serialize for Priority {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Priority {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How the levels of priority share the handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// 8 : 4 : 2 : 1 while all levels have events; none is passed over by more than `passes_max` events that became
    /// ready after it.
    Weighted {
        /// 1 – 1,000,000.
        passes_max: u32,
    },
    /// Always the most urgent one: less urgent ones may wait for ever.
    Strict,
}

impl Default for Sharing {
    fn default() -> Self {
        Self::Weighted { passes_max: 64 }
    }
}

/// What retries may cost while a dependency is down: each takes a token, each success brings some back, and a trickle
/// goes on always, to notice that the dependency is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Most tokens (1 – 1,000,000); the bus starts with that many.
    pub tokens_max: u32,
    /// Tokens that come by themselves, each second (1 – 1,000,000).
    pub per_second: u32,
    /// Successful first attempts that bring one token (1 – 1,000,000): 5 allows retries of a fifth of the live traffic.
    pub successes_per_token: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            tokens_max: 500,
            per_second: 10,
            successes_per_token: 5,
        }
    }
}

/// The key of an event in its subscription, as 64 bits of its SHA-256: equal keys are in order, and nobody can choose a
/// key that collides with another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Key(#[n(0)] pub(crate) u64);

impl Key {
    /// The one key of a subscription in strict order.
    pub(crate) const ONE: Self = Self(0);

    pub(crate) fn of(text: &str) -> Self {
        use sha2::{Digest, Sha256};
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}
