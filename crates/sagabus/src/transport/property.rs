//! What can be asked of an engine, and the error when it cannot give it.

use std::fmt;

use super::{Capabilities, Durability};
use crate::error::{Error, Result};

/// Something that an engine gives or does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Property {
    /// A publish that returned survives a loss of power.
    Synced,
    /// Events are published later ([`Bus::publish_at`](crate::Bus::publish_at)).
    Delay,
    /// A repeat is known by its idempotency key.
    Deduplication,
    /// Events of one key are handled in order.
    PerKey,
    /// All events are handled in order.
    Strict,
    /// Urgent events are handed out before others.
    Priority,
    /// Events of several groups take turns.
    Fairness,
    /// Events past their time are not delivered.
    Expiry,
    /// Events that do not pass a filter are passed over.
    Filters,
    /// Events that are given up are kept.
    DeadLetters,
    /// A subscription pauses.
    Pauses,
    /// Retries are held to a budget.
    Budgets,
    /// Several members share a subscription.
    Members,
    /// A part of the log is handed out once more.
    Replay,
    /// What a handler emits and its ack are stored together or not at all. Without it, what is emitted is published before
    /// the ack, under ids that make a repeat harmless.
    EmitWithAck,
}

impl Property {
    /// The property in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "publishes that survive a loss of power",
            Self::Delay => "events that are published later",
            Self::Deduplication => "idempotency keys",
            Self::PerKey => "order by key",
            Self::Strict => "strict order",
            Self::Priority => "priorities",
            Self::Fairness => "turns of groups",
            Self::Expiry => "events that expire",
            Self::Filters => "filters",
            Self::DeadLetters => "dead letters",
            Self::Pauses => "pauses",
            Self::Budgets => "budgets of retries",
            Self::Members => "several members of a subscription",
            Self::Replay => "replays",
            Self::EmitWithAck => "one append for what a handler emits and its ack",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The engine does not give what is asked for: the source of an `Invalid` error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine `{engine}` does not give {property}")]
pub struct Unsupported {
    /// Name of the engine.
    pub engine: &'static str,
    /// What was asked for.
    pub property: Property,
}

impl Capabilities {
    /// Whether the engine gives it.
    #[must_use]
    pub fn gives(&self, property: Property) -> bool {
        match property {
            Property::Synced => self.durability == Durability::Synced,
            property => !self.lacks.contains(&property),
        }
    }

    /// Refuses what the engine does not give; `what` says who asks for it.
    ///
    /// # Errors
    /// `Invalid`, with [`Unsupported`] as its source.
    pub(crate) fn check(
        &self,
        what: impl FnOnce() -> String,
        asked: impl IntoIterator<Item = Property>,
    ) -> Result<()> {
        let Some(property) = asked.into_iter().find(|it| !self.gives(*it)) else {
            return Ok(());
        };
        let text = format!("{} asks for what its engine does not give", what());
        Err(Error::invalid(text).with_source(Unsupported {
            engine: self.engine,
            property,
        }))
    }
}
